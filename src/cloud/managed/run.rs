//! Start, do something, stop: however it ends.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::builder::START_TIMEOUT;
use super::{Inner, ManagedCluster};
use crate::background::{self, caught};
use crate::cloud::lifecycle::{Gone, May, Run};
use crate::error::{Error, Result};

impl ManagedCluster {
    /// Starts the cluster, calls `body` with it and, with [`stop_on_exit`](super::ManagedClusterBuilder::stop_on_exit),
    /// suspends it after that: whether `body` returned a value or an error, or panicked, and also if the start failed halfway.
    ///
    /// A panic goes on after the suspension. If this future is dropped before it is done, the suspension is asked for in the
    /// background, which helps as long as the process lives. A product that can't be suspended is left running, which
    /// [`on_progress`](super::ManagedClusterBuilder::on_progress) is told.
    ///
    /// ```no_run
    /// use cratedb_test::ManagedCluster;
    ///
    /// # async fn example() -> cratedb_test::Result<()> {
    /// let cluster = ManagedCluster::builder().stop_on_exit(true).build()?;
    /// let count: i64 =
    ///     cluster.run(|cluster| async move { cluster.query("SELECT count(*) FROM readings").scalar().await }).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// What the start or `body` failed with; what the suspension failed with, if nothing else failed.
    pub async fn run<T, F, B>(self, body: B) -> Result<T>
    where
        B: FnOnce(Self) -> F,
        F: Future<Output = Result<T>>,
    {
        let mut owed = Owed::new(&self);
        let outcome = match self.start_owing(&mut owed).await {
            Ok(()) => caught(async { body(self.clone()).await }).await,
            Err(error) => Ok(Err(error)),
        };
        let stopped = match owed.inner.clone() {
            Some(inner) => background::run(async move { inner.stop_at_end().await }).await,
            None => Ok(()),
        };
        // Not before: who drops this future while it suspends still owes the suspension.
        owed.settled();
        concluded(&self, outcome, stopped)
    }

    /// The start, after which the suspension is owed, if only part of it was done as well.
    async fn start_owing(&self, owed: &mut Owed) -> Result<()> {
        let inner = self.0.clone();
        owed.arm();
        let (started, touched) = background::run(async move { inner.start_and_tell().await }).await;
        if started.is_err() && !touched {
            owed.settled();
        }
        started
    }

    /// The same for code that is not async, with calls that block.
    #[cfg_attr(not(doc), allow(rustdoc::private_intra_doc_links))]
    pub(crate) fn run_blocking<T>(self, body: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let inner = self.0.clone();
        let (started, touched) = background::wait(async move { inner.start_and_tell().await });
        let owed = self.0.stop_on_exit && (started.is_ok() || touched);
        let outcome = match started {
            Ok(()) => std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&self))),
            Err(error) => Ok(Err(error)),
        };
        let inner = self.0.clone();
        let stopped = if owed { background::wait(async move { inner.stop_at_end().await }) } else { Ok(()) };
        concluded(&self, outcome, stopped)
    }
}

impl Inner {
    async fn start_and_tell(&self) -> (Result<()>, bool) {
        let run = Run::new(self.deadline(), self, May::DeployAndResume);
        let started = self.bring_up(&run).await.map(drop);
        (started, run.may_have_touched())
    }

    async fn stop_at_end(&self) -> Result<()> {
        // However short the time for a start is: a suspension that is not asked for is paid for.
        match self.let_go(false, self.deadline().max(Instant::now() + START_TIMEOUT)).await? {
            (_, Gone::NotAllowed(error)) => {
                let why = error.message().unwrap_or("its product can't be suspended").to_owned();
                self.told(format!("{} is left running: {why}", self.lifecycle.target.cluster));
                Ok(())
            }
            (_, Gone::NeverDeployed(error)) => Err(error),
            (_, Gone::Suspended | Gone::Deleted) => Ok(()),
        }
    }
}

/// What comes of it all. The first failure is the one that counts; a later one is told beside it.
fn concluded<T>(cluster: &ManagedCluster, outcome: thread::Result<Result<T>>, stopped: Result<()>) -> Result<T> {
    let left = |error: &Error| format!("and {} could not be suspended: {error}", cluster.address());
    match (outcome, stopped) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Ok(_)), Err(error)) => Err(error.hint("what was to be done with the cluster succeeded")),
        (Ok(Err(error)), Ok(())) => Err(error),
        (Ok(Err(error)), Err(stop)) => Err(error.hint(left(&stop))),
        (Err(panic), stopped) => {
            if let Err(stop) = stopped {
                cluster.0.told(left(&stop));
                tracing::error!("{} could not be suspended: {stop}", cluster.address());
            }
            resume_unwind(panic)
        }
    }
}

/// The suspension that is owed, also when nobody waits any more.
struct Owed {
    inner: Option<Arc<Inner>>,
    armed: bool,
}

impl Owed {
    fn new(cluster: &ManagedCluster) -> Self {
        Self { inner: cluster.0.stop_on_exit.then(|| cluster.0.clone()), armed: false }
    }

    fn arm(&mut self) {
        self.armed = true;
    }

    fn settled(&mut self) {
        self.inner = None;
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|_| self.armed) {
            background::handle().spawn(async move {
                if let Err(error) = inner.stop_at_end().await {
                    tracing::error!("{} could not be suspended: {error}", inner.lifecycle.target.cluster);
                }
            });
        }
    }
}
