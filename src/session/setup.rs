//! Runs setups: work that is done once per session for all its tests, by the process that comes first.

use std::error::Error as StdError;
use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::Session;
use super::attempt::grant;
use super::link::Link;
use crate::background;
use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result};
use crate::wire::{SetupOutcome, Verdict};
use crate::{clock, schema, sql};

/// The longest name of a setup, which stands in messages and in the schema's name.
const LONGEST: usize = 128;

/// The outcome of one setup, as far as this process knows it. The lock is held while the setup is asked for and while
/// it is done.
pub(super) type SharedSetup = Arc<tokio::sync::Mutex<Option<Result<Cluster>>>>;

/// The answer to a process that asks for a setup.
enum SetupEntry {
    Done(Cluster),
    /// This process has to do it.
    Ours(SetupWorker),
}

/// A setup that this process does. Dropped in the middle, it is left to another process; in a panic, it has failed.
struct SetupWorker {
    link: Link,
    name: String,
    cluster: Cluster,
    known: OwnedMutexGuard<Option<Result<Cluster>>>,
    ended: bool,
}

impl Session {
    /// Returns a cluster in a schema that all tests of the session share. It is set up by `work` exactly once: by the
    /// process that comes first, while the others wait. If that process dies, another one does it, in a new schema.
    ///
    /// Use it for data that is expensive to make and only read, such as reference data: a row that one test writes to
    /// it, the others see. All that `work` wrote is visible before any test gets the cluster. The schema is dropped at
    /// the end of the session. `name` tells setups apart, in all packages that share the session's cluster.
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
    /// The error of `work`, for every test that asks in this session: it is not tried again. Also when another process
    /// took longer than `CRATEDB_TEST_START_TIMEOUT`.
    pub async fn once<T, E>(&self, name: &str, work: impl AsyncFnOnce(&Cluster) -> Result<T, E>) -> Result<Cluster>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        match background::run(enter(self.link.clone(), name.to_owned())).await? {
            SetupEntry::Done(cluster) => Ok(cluster),
            SetupEntry::Ours(worker) => {
                let outcome = work(&worker.cluster).await.map(drop).map_err(Into::into);
                background::run(worker.finish(outcome)).await
            }
        }
    }
}

/// Asks for a setup. Runs on the background thread.
async fn enter(link: Link, name: String) -> Result<SetupEntry> {
    if name.is_empty() || name.len() > LONGEST {
        return Err(Error::new(Kind::Usage, format!("a setup can't be called `{name}`"))
            .hint(format!("accepted: 1 to {LONGEST} bytes")));
    }
    let mut known = link.setup(&name).lock_owned().await;
    match &*known {
        // After the death of a keeper, a local server is another, and what was in it is gone.
        Some(Ok(cluster)) if cluster.grant().http_url == link.ready()?.http_url => {
            return Ok(SetupEntry::Done(cluster.clone()));
        }
        Some(Err(error)) => return Err(error.clone()),
        _ => {}
    }
    let own = schema::name(&name, clock::now(link.ready()?.clock));
    let cluster = |schema| Cluster::new(grant(&link, schema, format!("the setup `{name}`"), None)?);
    match link.claim(&name, &own).await? {
        Verdict::Yours => match cluster(own) {
            Ok(cluster) => Ok(SetupEntry::Ours(SetupWorker { link, name, cluster, known, ended: false })),
            Err(error) => {
                link.setup_ended(&name, SetupOutcome::GivenUp);
                Err(error)
            }
        },
        Verdict::Done { schema } => {
            let cluster = cluster(schema)?;
            *known = Some(Ok(cluster.clone()));
            Ok(SetupEntry::Done(cluster))
        }
        Verdict::Failed { error } => {
            *known = Some(Err(error.clone()));
            Err(error)
        }
    }
}

impl SetupWorker {
    async fn finish(mut self, outcome: Result<(), Box<dyn StdError + Send + Sync>>) -> Result<Cluster> {
        let outcome = match outcome {
            Ok(()) => match self.cluster.client() {
                Ok(client) => sql::refresh(client, &self.cluster.grant().schema).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(self.failed().because_of(&*error)),
        };
        self.end(outcome)
    }

    fn failed(&self) -> Error {
        Error::new(Kind::Session, format!("the setup `{}` failed", self.name))
            .hint("it is done once per session, so every test that needs it gets this error")
    }

    fn end(&mut self, outcome: Result<()>) -> Result<Cluster> {
        self.ended = true;
        let outcome = outcome.map(|()| self.cluster.clone());
        self.link.setup_ended(
            &self.name,
            match &outcome {
                Ok(_) => SetupOutcome::Done,
                Err(error) => SetupOutcome::Failed { error: error.clone() },
            },
        );
        *self.known = Some(outcome.clone());
        outcome
    }
}

impl Drop for SetupWorker {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            let error = self.failed().because("it panicked");
            let _ = self.end(Err(error));
        } else {
            self.link.setup_ended(&self.name, SetupOutcome::GivenUp);
        }
    }
}
