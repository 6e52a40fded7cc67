//! The SDK for CrateDB Cloud, for programs that are not async.

use std::path::Path;

use super::Query;
use crate::background;
use crate::cloud::model::{
    ClusterInfo, ExportJob, ImportJob, Jwt, NewExportJob, NewImportJob, Operation, Restore, UploadedFile,
};
use crate::cloud::{Client, Health, Leases, ManagedClusterBuilder};
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

/// Calls that wait for the method of the same name.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        ///
        /// The same.
        pub fn $name(&self, $($arg: $type),*) -> Result<$result> {
            wait(self.0.$name($($arg),*))
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

    /// Sets up a cluster; see [`crate::ManagedCluster::builder`]. Use `.into()` to turn the result into this type.
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
        start() -> ClusterInfo;
        /// See [`crate::ManagedCluster::deploy`].
        deploy() -> ClusterInfo;
        /// See [`crate::ManagedCluster::resume`].
        resume() -> ClusterInfo;
        /// See [`crate::ManagedCluster::suspend`].
        suspend() -> ClusterInfo;
        /// See [`crate::ManagedCluster::stop`].
        stop() -> ClusterInfo;
        /// See [`crate::ManagedCluster::delete`].
        delete() -> ();
        /// See [`crate::ManagedCluster::info`].
        info() -> ClusterInfo;
        /// See [`crate::ManagedCluster::health`].
        health() -> Health;
        /// See [`crate::ManagedCluster::leases`].
        leases() -> Leases;
        /// See [`crate::ManagedCluster::jwt`].
        jwt() -> Jwt;
        /// See [`crate::ManagedCluster::scale`].
        scale(nodes: u32) -> ClusterInfo;
        /// See [`crate::ManagedCluster::upgrade`].
        upgrade(version: &str) -> ClusterInfo;
        /// See [`crate::ManagedCluster::follow`].
        follow(operation_id: &str) -> Operation;
        /// See [`crate::ManagedCluster::import`].
        import(job: &NewImportJob) -> ImportJob;
        /// See [`crate::ManagedCluster::export`].
        export(job: &NewExportJob) -> ExportJob;
        /// See [`crate::ManagedCluster::upload`].
        upload(path: impl AsRef<Path>) -> UploadedFile;
        /// See [`crate::ManagedCluster::restore`].
        restore(restore: &Restore) -> ();
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
    /// [`stop_on_exit`](crate::cloud::ManagedClusterBuilder::stop_on_exit), suspends it afterwards: whether `body`
    /// returned a value or an error, or panicked. See [`crate::ManagedCluster::run`].
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
    /// The error of the start or of `body`, else the error of the suspension.
    pub fn run<T>(self, body: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        wait(self.0.run(async |cluster| body(&Self(cluster))))
    }

    /// See [`crate::ManagedCluster::client`]. Use [`wait`] for its futures.
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
/// The futures of this crate do their work on a thread of their own, so this function only has to wait. It does not
/// suit a future that needs a runtime of its own.
///
/// ```no_run
/// use cratedb_test::blocking;
/// use cratedb_test::cloud::Client;
///
/// let clusters = blocking::wait(Client::from_env()?.clusters())?;
/// # Ok::<(), cratedb_test::Error>(())
/// ```
pub fn wait<F: Future>(future: F) -> F::Output {
    if let Err(error) = background::refuse_to_wait_for_itself() {
        panic!("{error}");
    }
    background::block_on(future)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::task::Poll;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Completes on the background thread, and not at the first poll.
    async fn seven() -> u8 {
        background::run(async {
            tokio::task::yield_now().await;
            Ok(7)
        })
        .await
        .unwrap()
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
        // A wait without an end would hang only this thread.
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
        let inner = async {
            wait(async {});
            Ok(())
        };
        let text = background::wait(inner).unwrap_err().to_string();
        assert!(text.contains("would wait for itself"), "{text}");
    }
}
