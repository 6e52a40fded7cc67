//! The SDK for programs that are not async.

use std::path::Path;

use super::Query;
use crate::background;
use crate::cloud::model::{
    Cluster, ExportJob, ImportJob, Jwt, NewExportJob, NewImportJob, Operation, Restore, UploadedFile,
};
use crate::cloud::{Client, Health, ManagedClusterBuilder};
use crate::error::Result;

/// [`cratedb_test::ManagedCluster`](crate::ManagedCluster) for programs that are not async.
///
/// ```no_run
/// use cratedb_test::blocking::ManagedCluster;
///
/// let cluster = ManagedCluster::from_env()?;
/// cluster.start()?;
/// let version: String = cluster.query("SELECT version()").scalar()?;
/// cluster.stop()?;
/// # Ok::<(), cratedb_test::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManagedCluster(crate::ManagedCluster);

/// One call after another, each on a clone of the handle.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        ///
        /// The same.
        pub fn $name(&self, $($arg: $type),*) -> Result<$result> {
            let cluster = self.0.clone();
            background::wait(async move { cluster.$name($($arg),*).await })
        }
    )*};
}

impl ManagedCluster {
    /// See [`crate::ManagedCluster::from_env`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_env() -> Result<Self> {
        crate::ManagedCluster::from_env().map(Self)
    }

    /// See [`crate::ManagedCluster::builder`]; what it builds is turned into this by `.into()`.
    ///
    /// ```no_run
    /// use cratedb_test::blocking::ManagedCluster;
    ///
    /// let cluster: ManagedCluster = ManagedCluster::builder().cluster_name("ci").build()?.into();
    /// # Ok::<(), cratedb_test::Error>(())
    /// ```
    pub fn builder() -> ManagedClusterBuilder {
        crate::ManagedCluster::builder()
    }

    calls! {
        /// See [`crate::ManagedCluster::start`].
        start() -> Cluster;
        /// See [`crate::ManagedCluster::deploy`].
        deploy() -> Cluster;
        /// See [`crate::ManagedCluster::resume`].
        resume() -> Cluster;
        /// See [`crate::ManagedCluster::suspend`].
        suspend() -> Cluster;
        /// See [`crate::ManagedCluster::stop`].
        stop() -> Cluster;
        /// See [`crate::ManagedCluster::delete`].
        delete() -> ();
        /// See [`crate::ManagedCluster::info`].
        info() -> Cluster;
        /// See [`crate::ManagedCluster::health`].
        health() -> Health;
        /// See [`crate::ManagedCluster::jwt`].
        jwt() -> Jwt;
        /// See [`crate::ManagedCluster::scale`].
        scale(nodes: u32) -> Cluster;
    }

    /// See [`crate::ManagedCluster::upgrade`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn upgrade(&self, version: &str) -> Result<Cluster> {
        let (cluster, version) = (self.0.clone(), version.to_owned());
        background::wait(async move { cluster.upgrade(&version).await })
    }

    /// See [`crate::ManagedCluster::follow`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn follow(&self, operation_id: &str) -> Result<Operation> {
        let (cluster, id) = (self.0.clone(), operation_id.to_owned());
        background::wait(async move { cluster.follow(&id).await })
    }

    /// See [`crate::ManagedCluster::import`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn import(&self, job: &NewImportJob) -> Result<ImportJob> {
        let (cluster, job) = (self.0.clone(), job.clone());
        background::wait(async move { cluster.import(&job).await })
    }

    /// See [`crate::ManagedCluster::export`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn export(&self, job: &NewExportJob) -> Result<ExportJob> {
        let (cluster, job) = (self.0.clone(), job.clone());
        background::wait(async move { cluster.export(&job).await })
    }

    /// See [`crate::ManagedCluster::upload`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn upload(&self, path: impl AsRef<Path>) -> Result<UploadedFile> {
        let (cluster, path) = (self.0.clone(), path.as_ref().to_owned());
        background::wait(async move { cluster.upload(path).await })
    }

    /// See [`crate::ManagedCluster::restore`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn restore(&self, restore: &Restore) -> Result<()> {
        let (cluster, restore) = (self.0.clone(), restore.clone());
        background::wait(async move { cluster.restore(&restore).await })
    }

    /// See [`crate::ManagedCluster::query`].
    pub fn query(&self, stmt: impl Into<String>) -> Query {
        Query(self.0.query(stmt))
    }

    /// See [`crate::ManagedCluster::execute`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn execute(&self, stmt: impl Into<String>) -> Result<u64> {
        self.query(stmt).execute()
    }

    /// Starts the cluster, calls `body` with it and, with
    /// [`stop_on_exit`](crate::cloud::ManagedClusterBuilder::stop_on_exit), suspends it after that: whether `body` returned a
    /// value or an error, or panicked. See [`crate::ManagedCluster::run`].
    ///
    /// ```no_run
    /// use cratedb_test::blocking::ManagedCluster;
    ///
    /// let cluster: ManagedCluster = ManagedCluster::builder().stop_on_exit(true).build()?.into();
    /// let count: i64 = cluster.run(|cluster| cluster.query("SELECT count(*) FROM readings").scalar())?;
    /// # Ok::<(), cratedb_test::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the start or `body` failed with; what the suspension failed with, if nothing else failed.
    pub fn run<T>(self, body: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let handle = self.clone();
        self.0.run_blocking(|_| body(&handle))
    }

    /// See [`crate::ManagedCluster::client`]; [`wait`] waits for its answers.
    pub fn client(&self) -> &Client {
        self.0.client()
    }

    /// See [`crate::ManagedCluster::notes`].
    pub fn notes(&self) -> &[String] {
        self.0.notes()
    }
}

impl From<crate::ManagedCluster> for ManagedCluster {
    fn from(cluster: crate::ManagedCluster) -> Self {
        Self(cluster)
    }
}

impl From<ManagedCluster> for crate::ManagedCluster {
    fn from(cluster: ManagedCluster) -> Self {
        cluster.0
    }
}

/// Waits for a future of this crate on the calling thread, also inside an async runtime, whose thread it blocks.
///
/// The futures of this crate do their work on a thread of their own, so nothing but waiting is left to do here; a future
/// that needs a runtime of its own is not for this function.
///
/// ```no_run
/// use cratedb_test::blocking;
/// use cratedb_test::cloud::Client;
///
/// let clusters = blocking::wait(Client::from_env()?.clusters())?;
/// # Ok::<(), cratedb_test::Error>(())
/// ```
pub fn wait<F: Future>(future: F) -> F::Output {
    background::refuse_to_wait_for_itself();
    background::block_on(future)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::panic::catch_unwind;
    use std::sync::mpsc;
    use std::task::Poll;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Done on the background thread, and not at the first look.
    async fn seven() -> u8 {
        background::run(async {
            tokio::task::yield_now().await;
            7
        })
        .await
    }

    #[test]
    fn waits_where_there_is_no_runtime_and_in_one() {
        assert_eq!(wait(seven()), 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(async { wait(seven()) }), 7);
    }

    #[test]
    fn waits_in_a_task_whose_budget_is_used_up() {
        let (done, outcome) = mpsc::channel();
        // A wait without an end would be one of this thread.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let task = poll_fn(|context| {
                while tokio::task::coop::has_budget_remaining() {
                    std::task::ready!(tokio::task::coop::poll_proceed(context)).made_progress();
                }
                Poll::Ready(wait(seven()))
            });
            let _ = done.send(runtime.block_on(async { tokio::spawn(task).await.unwrap() }));
        });
        assert_eq!(outcome.recv_timeout(Duration::from_secs(20)), Ok(7));
    }

    #[test]
    fn refuses_to_wait_on_the_thread_that_does_the_work() {
        let caught = catch_unwind(|| background::wait(async { wait(async {}) }));
        let text = *caught.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("would wait for itself"), "{text}");
    }
}
