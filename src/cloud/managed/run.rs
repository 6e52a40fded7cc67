//! Start, do something, stop: however it ends.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
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
        let inner = self.0.clone();
        self.run_after(async move { inner.start_and_tell().await }, body).await
    }

    async fn run_after<T, F, B>(self, start: impl Start, body: B) -> Result<T>
    where
        B: FnOnce(Self) -> F,
        F: Future<Output = Result<T>>,
    {
        let mut owed = Owed::new(&self);
        let outcome = match caught(owed.start(start)).await {
            Ok(Ok(())) => caught(async { body(self.clone()).await }).await,
            Ok(Err(error)) => Ok(Err(error)),
            Err(panic) => Err(panic),
        };
        let stopped = match owed.inner.clone() {
            Some(inner) => background::run(async move { inner.stop_at_end().await }).await,
            None => Ok(()),
        };
        // Not before: who drops this future while it suspends still owes the suspension.
        owed.settled();
        concluded(&self, outcome, stopped)
    }

    /// The same for code that is not async, with calls that block.
    #[cfg_attr(not(doc), allow(rustdoc::private_intra_doc_links))]
    pub(crate) fn run_blocking<T>(self, body: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let inner = self.0.clone();
        self.run_blocking_after(async move { inner.start_and_tell().await }, body)
    }

    fn run_blocking_after<T>(self, start: impl Start, body: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let mut owed = Owed::new(&self);
        let outcome = match catch_unwind(AssertUnwindSafe(|| owed.start_blocking(start))) {
            Ok(Ok(())) => catch_unwind(AssertUnwindSafe(|| body(&self))),
            Ok(Err(error)) => Ok(Err(error)),
            Err(panic) => Err(panic),
        };
        let stopped = match owed.settled() {
            Some(inner) => background::wait(async move { inner.stop_at_end().await }),
            None => Ok(()),
        };
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

/// A start: what came of it, and whether it may have left something running.
trait Start: Future<Output = (Result<()>, bool)> + Send + 'static {}

impl<F: Future<Output = (Result<()>, bool)> + Send + 'static> Start for F {}

/// The suspension that is owed, also when nobody waits any more.
struct Owed {
    inner: Option<Arc<Inner>>,
    armed: bool,
}

impl Owed {
    fn new(cluster: &ManagedCluster) -> Self {
        Self { inner: cluster.0.stop_on_exit.then(|| cluster.0.clone()), armed: false }
    }

    /// The start, after which the suspension is owed, if only part of it was done as well.
    async fn start(&mut self, start: impl Start) -> Result<()> {
        self.armed = true;
        self.started(background::run(start).await)
    }

    fn start_blocking(&mut self, start: impl Start) -> Result<()> {
        self.armed = true;
        self.started(background::wait(start))
    }

    fn started(&mut self, (outcome, touched): (Result<()>, bool)) -> Result<()> {
        if outcome.is_err() && !touched {
            self.settled();
        }
        outcome
    }

    /// Whose suspension was owed; nobody's from here on.
    fn settled(&mut self) -> Option<Arc<Inner>> {
        self.inner.take()
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

// The simulator needs Unix.
#[cfg(all(test, unix))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};

    use super::*;

    /// The start of a cluster, which is done and then panics.
    async fn panics(cluster: ManagedCluster) -> (Result<()>, bool) {
        cluster.start().await.unwrap();
        panic!("of the start")
    }

    #[test]
    fn a_start_that_panics_is_undone_before_the_panic_goes_on() {
        let simulator = Simulator::start_blocking(Options::default().cluster(ClusterOptions::suspended("ci"))).unwrap();
        let builder = || ManagedCluster::builder().env(false).endpoint(simulator.url()).api_key("key", "secret");
        let cluster = || builder().cluster_name("ci").stop_on_exit(true).build().unwrap();
        let never = || unreachable!("it never started");
        let blocking = || cluster().run_blocking_after::<()>(panics(cluster()), |_| never());
        let awaited = || {
            let run = cluster().run_after(panics(cluster()), |_| async { never() });
            crate::background::tests::foreign_block_on(run)
        };
        for (count, run) in [&blocking as &dyn Fn() -> Result<()>, &awaited].into_iter().enumerate() {
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"of the start"));
            assert!(simulator.cloud().cluster("ci").suspended);
            let resumes = simulator.requests().iter().filter(|request| request.is_resume()).count();
            assert_eq!(resumes, count + 1, "it was running in between");
        }
    }
}
