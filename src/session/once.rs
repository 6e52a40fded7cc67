//! What is prepared once per session for all its tests, whichever process comes first.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::OwnedMutexGuard;

use super::Session;
use super::attempt::shared;
use super::link::Link;
use crate::background;
use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result};
use crate::wire::{SetupOutcome, Verdict};
use crate::{schema, sql};

/// Of a name: it stands in messages and in the schema's name.
const LONGEST: usize = 128;

/// What this process knows of one set-up. The lock is held while it is asked for and while it is done.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Result<Cluster>>>>;

/// What comes of asking for a set-up.
pub(crate) enum Entered {
    Done(Cluster),
    /// It is for us to do.
    Ours(Worker),
}

/// A set-up that this process does. Dropped in the middle, it is left to another; in a panic, it has failed.
pub(crate) struct Worker {
    link: Link,
    name: String,
    cluster: Cluster,
    slot: OwnedMutexGuard<Option<Result<Cluster>>>,
    ended: bool,
}

impl Session {
    /// A cluster in a schema that all tests of the session share, prepared by `work` exactly once: by whichever process
    /// comes first, while the others wait. If that process dies, another one does it, in a new schema.
    ///
    /// For what is expensive to make and only read, such as reference data: whatever tests write to it, the others see. What
    /// was written is made visible before anybody gets it. The schema is dropped at the end of the session. `name` tells
    /// set-ups apart, in all packages that share the session's cluster.
    ///
    /// ```no_run
    /// # async fn test(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// use cratedb_test::{Cluster, Result, Session};
    ///
    /// async fn stations() -> Result<Cluster> {
    ///     let session = Session::current().await?;
    ///     session
    ///         .once("stations", async |cluster: &Cluster| {
    ///             cluster.execute("CREATE TABLE stations (id INT, name TEXT)").await?;
    ///             cluster.execute("INSERT INTO stations VALUES (1, 'Lyon')").await
    ///         })
    ///         .await
    /// }
    ///
    /// let stations = stations().await?;
    /// let joined = format!("SELECT count(*) FROM readings, {}.stations", stations.schema());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of `work`, for everybody who asks in this session: it is not tried again. And when another process took
    /// longer than `CRATEDB_TEST_START_TIMEOUT`.
    pub async fn once<T, E>(&self, name: &str, work: impl AsyncFnOnce(&Cluster) -> Result<T, E>) -> Result<Cluster>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let entering = enter(self.link.clone(), name.to_owned());
        match background::run(entering).await? {
            Entered::Done(cluster) => Ok(cluster),
            Entered::Ours(worker) => {
                let outcome = work(&worker.cluster).await.map(drop).map_err(Into::into);
                background::run(worker.finish(outcome)).await
            }
        }
    }

    /// The same for code that blocks.
    pub(crate) fn once_blocking<T, E>(&self, name: &str, work: impl FnOnce(&Cluster) -> Result<T, E>) -> Result<Cluster>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        match background::wait(enter(self.link.clone(), name.to_owned()))? {
            Entered::Done(cluster) => Ok(cluster),
            Entered::Ours(worker) => {
                let outcome = work(&worker.cluster).map(drop).map_err(Into::into);
                background::wait(worker.finish(outcome))
            }
        }
    }
}

async fn enter(link: Link, name: String) -> Result<Entered> {
    if name.is_empty() || name.len() > LONGEST {
        return Err(Error::new(Kind::Usage, format!("a set-up can't be called `{name}`"))
            .hint(format!("accepted: 1 to {LONGEST} bytes")));
    }
    let mut slot = link.once(&name).lock_owned().await;
    match &*slot {
        // After the death of a keeper, a local server is another, and what was in it is gone.
        Some(Ok(cluster)) if cluster.grant().http_url == link.ready()?.http_url => {
            return Ok(Entered::Done(cluster.clone()));
        }
        Some(Err(error)) => return Err(error.clone()),
        _ => {}
    }
    let own = schema::name(&name, SystemTime::now());
    match link.claim(&name, &own).await? {
        Verdict::Yours => {
            let worker = |cluster| Worker { link: link.clone(), name: name.clone(), cluster, slot, ended: false };
            match shared(&link, &name, own) {
                Ok(cluster) => Ok(Entered::Ours(worker(cluster))),
                Err(error) => {
                    link.set_up_ended(&name, SetupOutcome::GivenUp);
                    Err(error)
                }
            }
        }
        Verdict::Done { schema } => {
            let cluster = shared(&link, &name, schema)?;
            *slot = Some(Ok(cluster.clone()));
            Ok(Entered::Done(cluster))
        }
        Verdict::Failed { error } => {
            *slot = Some(Err(error.clone()));
            Err(error)
        }
    }
}

impl Worker {
    async fn finish(mut self, outcome: Result<(), Box<dyn StdError + Send + Sync>>) -> Result<Cluster> {
        let outcome = match outcome {
            Ok(()) => match self.cluster.client() {
                Ok(client) => sql::refresh(client, self.cluster.schema()).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(self.failed().because_of(&*error)),
        };
        self.end(outcome)
    }

    fn failed(&self) -> Error {
        Error::new(Kind::Session, format!("the set-up `{}` failed", self.name))
            .hint("it is done once per session, so this is the error of everybody who needs it")
    }

    fn end(&mut self, outcome: Result<()>) -> Result<Cluster> {
        self.ended = true;
        let outcome = outcome.map(|()| self.cluster.clone());
        self.link.set_up_ended(
            &self.name,
            match &outcome {
                Ok(_) => SetupOutcome::Done,
                Err(error) => SetupOutcome::Failed { error: error.clone() },
            },
        );
        *self.slot = Some(outcome.clone());
        outcome
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            let error = self.failed().because("it panicked");
            let _ = self.end(Err(error));
        } else {
            self.link.set_up_ended(&self.name, SetupOutcome::GivenUp);
        }
    }
}
