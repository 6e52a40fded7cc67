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
pub(super) type SharedSetup = Arc<tokio::sync::Mutex<Option<Result<DoneSetup>>>>;

/// A setup that is done.
#[derive(Clone)]
pub(super) struct DoneSetup {
    pub(super) cluster: Cluster,
    /// The digest of its schema, if tests may not write to it.
    pub(super) digest: Option<String>,
}

/// The answer to a process that asks for a setup.
pub(super) enum SetupEntry {
    Done(DoneSetup),
    /// This process has to do it.
    Ours(SetupWorker),
}

/// A setup that this process does. Dropped in the middle, it is left to another process; in a panic, it has failed.
pub(super) struct SetupWorker {
    link: Link,
    name: String,
    pub(super) cluster: Cluster,
    known: OwnedMutexGuard<Option<Result<DoneSetup>>>,
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
            SetupEntry::Done(done) => Ok(done.cluster),
            SetupEntry::Ours(worker) => {
                let outcome = work(&worker.cluster).await.map(drop).map_err(Into::into);
                background::run(worker.finish(outcome)).await.map(|done| done.cluster)
            }
        }
    }
}

/// Asks for a setup. Runs on the background thread.
pub(super) async fn enter(link: Link, name: String) -> Result<SetupEntry> {
    if name.is_empty() || name.len() > LONGEST {
        return Err(Error::new(Kind::Usage, format!("a setup can't be called `{name}`"))
            .hint(format!("accepted: 1 to {LONGEST} bytes")));
    }
    let mut known = link.setup(&name).lock_owned().await;
    match &*known {
        // After the death of a keeper, a local server is another, and what was in it is gone.
        Some(Ok(done)) if done.cluster.grant().http_url == link.ready()?.http_url => {
            return Ok(SetupEntry::Done(done.clone()));
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
                link.setup_ended(&name, SetupOutcome::GivenUp, None);
                Err(error)
            }
        },
        Verdict::Done { schema, digest } => {
            let done = DoneSetup { cluster: cluster(schema)?, digest };
            *known = Some(Ok(done.clone()));
            Ok(SetupEntry::Done(done))
        }
        Verdict::Failed { error } => {
            *known = Some(Err(error.clone()));
            Err(error)
        }
    }
}

impl SetupWorker {
    async fn finish(mut self, outcome: Result<(), Box<dyn StdError + Send + Sync>>) -> Result<DoneSetup> {
        let outcome = match outcome {
            Ok(()) => match self.cluster.client() {
                Ok(client) => sql::refresh(client, &self.cluster.grant().schema).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(self.failed().because_of(&*error)),
        };
        self.end(outcome.map(|()| None))
    }

    fn failed(&self) -> Error {
        Error::new(Kind::Session, format!("the setup `{}` failed", self.name))
            .hint("it is done once per session, so every test that needs it gets this error")
    }

    /// Tells the outcome to the keeper. A schema that tests may not write to has a digest.
    pub(super) fn end(&mut self, outcome: Result<Option<String>>) -> Result<DoneSetup> {
        self.ended = true;
        let outcome = outcome.map(|digest| DoneSetup { cluster: self.cluster.clone(), digest });
        let (told, digest) = match &outcome {
            Ok(done) => (SetupOutcome::Done, done.digest.clone()),
            Err(error) => (SetupOutcome::Failed { error: error.clone() }, None),
        };
        self.link.setup_ended(&self.name, told, digest);
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
            self.link.setup_ended(&self.name, SetupOutcome::GivenUp, None);
        }
    }
}
