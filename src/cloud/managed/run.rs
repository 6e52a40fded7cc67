//! Starts a cluster, runs a body and suspends the cluster, however the body ends.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::builder::START_TIMEOUT;
use super::{ManagedCluster, ManagedInner};
use crate::background::{self, caught};
use crate::cloud::lifecycle::{Hooks as _, May, Stopped};
use crate::error::{Error, Result};

impl ManagedCluster {
    /// Starts the cluster, calls `body` with it and, with [`stop_on_exit`](super::ManagedClusterBuilder::stop_on_exit),
    /// suspends it afterwards: whether `body` returned a value or an error, or panicked, and also if the start failed
    /// halfway.
    ///
    /// A panic continues after the suspension. If this future is dropped before it is done, the suspension is requested
    /// in the background, which works as long as the process lives. A cluster whose product can't be suspended is left
    /// running; [`on_progress`](super::ManagedClusterBuilder::on_progress) receives a message about it.
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
    /// The error of the start or of `body`, else the error of the suspension.
    pub async fn run<T, F: Future<Output = Result<T>>>(self, body: impl FnOnce(Self) -> F) -> Result<T> {
        let inner = self.0.clone();
        let start = async move {
            let (started, touched) = inner.bring_up(May::DeployAndResume).await;
            (started.map(drop), touched)
        };
        self.run_after(start, body).await
    }

    /// Runs `body` after `start`, which also reports whether it may have left something running.
    async fn run_after<T, F: Future<Output = Result<T>>>(
        self,
        start: impl Future<Output = (Result<()>, bool)> + Send + 'static,
        body: impl FnOnce(Self) -> F,
    ) -> Result<T> {
        let mut owed = Owed(self.0.stop_on_exit.then(|| self.0.clone()));
        let outcome = match background::run(async { Ok(start.await) }).await {
            Ok((Ok(()), _)) => caught(async { body(self.clone()).await }).await,
            Ok((Err(error), touched)) => {
                owed.0 = owed.0.take().filter(|_| touched);
                Ok(Err(error))
            }
            // It panicked, and may have left something running.
            Err(error) => Ok(Err(error)),
        };
        let stopped = match owed.0.clone() {
            Some(inner) => background::run(async move { inner.stop_at_end().await }).await,
            None => Ok(()),
        };
        // Not before: if this future is dropped during the suspension, it is still owed.
        owed.0 = None;
        concluded(&self, outcome, stopped)
    }
}

impl ManagedInner {
    async fn stop_at_end(&self) -> Result<()> {
        // Even if the start timeout is short: a cluster that is not suspended costs money.
        match self.suspend_or_delete(false, self.deadline().max(Instant::now() + START_TIMEOUT)).await? {
            (_, Stopped::NotAllowed(error)) => {
                let why = error.message().unwrap_or("its product can't be suspended").to_owned();
                self.step(format!("{} is left running: {why}", self.lifecycle.target.cluster));
                Ok(())
            }
            (_, Stopped::NeverDeployed(error) | Stopped::Unchanged(error)) => Err(error),
            (_, Stopped::Suspended | Stopped::Deleted) => Ok(()),
        }
    }
}

/// Combines the outcomes. The first failure counts; a later one is added to it.
fn concluded<T>(cluster: &ManagedCluster, outcome: thread::Result<Result<T>>, stopped: Result<()>) -> Result<T> {
    let left = |error: &Error| format!("and {} could not be suspended: {error}", cluster.address());
    match (outcome, stopped) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Ok(_)), Err(error)) => Err(error.hint("what was to be done with the cluster succeeded")),
        (Ok(Err(error)), Ok(())) => Err(error),
        (Ok(Err(error)), Err(stop)) => Err(error.hint(left(&stop))),
        (Err(panic), stopped) => {
            if let Err(stop) = stopped {
                cluster.0.step(left(&stop));
                tracing::error!("{} could not be suspended: {stop}", cluster.address());
            }
            resume_unwind(panic)
        }
    }
}

/// A suspension that is owed, even if its future is dropped.
struct Owed(Option<Arc<ManagedInner>>);

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            let address = inner.lifecycle.target.cluster.to_string();
            let told = move |error: Error| tracing::error!("{address} could not be suspended: {error}");
            match background::handle() {
                Ok(handle) => drop(handle.spawn(async move { inner.stop_at_end().await.unwrap_or_else(told) })),
                Err(error) => told(error),
            }
        }
    }
}

// The simulator needs Unix.
#[cfg(all(test, unix))]
mod tests {
    use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};

    use super::*;

    /// The start of a cluster, which is done and then panics.
    async fn panics(cluster: ManagedCluster) -> (Result<()>, bool) {
        cluster.start().await.unwrap();
        panic!("of the start")
    }

    #[test]
    fn a_start_that_panics_is_undone_and_is_an_error() {
        let simulator = Simulator::start_blocking(Options::default().cluster(ClusterOptions::suspended("ci"))).unwrap();
        let builder = || ManagedCluster::builder().env(false).endpoint(simulator.url()).api_key("key", "secret");
        let cluster = || builder().cluster_name("ci").stop_on_exit(true).build().unwrap();
        let never = || unreachable!("it never started");
        let run = || cluster().run_after::<(), _>(panics(cluster()), |_| async { never() });
        let blocking = || background::block_on(run());
        let awaited = || background::tests::foreign_block_on(run());
        for (count, run) in [&blocking as &dyn Fn() -> Result<()>, &awaited].into_iter().enumerate() {
            assert_eq!(run().unwrap_err().to_string(), "cratedb-test panicked: of the start");
            assert!(simulator.cloud().cluster("ci").suspended);
            let resumes = simulator.requests().iter().filter(|request| request.is_resume()).count();
            assert_eq!(resumes, count + 1, "it was running in between");
        }
    }
}
