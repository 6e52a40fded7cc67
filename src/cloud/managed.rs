//! A cluster that is there when it is needed, and suspended when it isn't.

mod builder;
mod health;
mod jobs;
mod life;
mod run;
mod sql;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use builder::ManagedClusterBuilder;
pub use health::{Health, SqlHealth, TableHealth};

use super::client::Client;
use super::lifecycle::{Hooks, Intent, Lifecycle};
use super::model::{Cluster, Jwt, Operation};
use serde_json::value::RawValue;

use crate::background;
use crate::environment::Server;
use crate::error::Result;
use crate::query::{Execution, Executor, Query};

/// A cluster of CrateDB Cloud by its name, its id or its URL: made available, asked, let go of.
///
/// ```no_run
/// use cratedb_test::ManagedCluster;
///
/// # async fn example() -> cratedb_test::Result<()> {
/// let cluster = ManagedCluster::from_env()?; // CRATEDB_CLUSTER_NAME, CRATEDB_CLOUD_API_KEY, CRATEDB_CLOUD_API_SECRET
/// cluster.start().await?; // resumes or deploys it, or waits for what is under way
/// let summits: Vec<(String, i32)> =
///     cluster.query("SELECT mountain, height FROM sys.summits WHERE height > ?").bind(4500).fetch_all().await?;
/// cluster.stop().await?; // suspends it
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone. The futures can be awaited on any executor; [`blocking::ManagedCluster`](crate::blocking::ManagedCluster)
/// waits itself. Dropping a future ends the waiting, not what CrateDB Cloud does. Nothing is suspended when the last handle
/// goes, unless it is asked for: see [`run`](Self::run).
#[derive(Clone)]
pub struct ManagedCluster(Arc<Inner>);

/// No clock can add what is much longer to the time of day.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

pub(super) type Callback = Arc<dyn Fn(&str) + Send + Sync>;

struct Inner {
    lifecycle: Lifecycle,
    /// Of a cluster that is given by its URL.
    server: Option<Server>,
    start_timeout: Duration,
    stop_on_exit: bool,
    notes: Vec<String>,
    on_progress: Option<Callback>,
    /// The way to the cluster's SQL, once it was found.
    connection: Mutex<Option<sql::Connection>>,
}

impl Hooks for Inner {
    fn step(&self, text: String) {
        if let Some(callback) = &self.on_progress {
            // One that panics, at a closed pipe perhaps, must not keep the cluster from being suspended.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| callback(&text)));
        }
    }

    fn intend(&self, _: &Intent<'_>) -> Result<()> {
        Ok(())
    }
}

impl ManagedCluster {
    /// The cluster that the environment names, by `CRATEDB_CLUSTER_URL`, else `CRATEDB_CLUSTER_ID`, else
    /// `CRATEDB_CLUSTER_NAME`. Where a variable is not set, the `.env` file of the working directory may say it. For all
    /// other variables see [the crate's page](crate#environment); nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When no cluster is named, when there are no credentials, and when a variable can't be read.
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// A cluster that code sets up; what code doesn't say, the environment does.
    ///
    /// ```no_run
    /// use cratedb_test::ManagedCluster;
    ///
    /// let cluster = ManagedCluster::builder().cluster_name("ci").product("cr1").stop_on_exit(true).build()?;
    /// # Ok::<(), cratedb_test::Error>(())
    /// ```
    pub fn builder() -> ManagedClusterBuilder {
        ManagedClusterBuilder::default()
    }

    /// Makes the cluster run and answer SQL: deploys it if no cluster has its name, resumes it if it is suspended, waits for
    /// what is under way, and does nothing if it runs.
    ///
    /// What a new cluster is to be is what was said, else the only choice there is; see
    /// [the builder](ManagedClusterBuilder). A choice that is not clear is an error that lists the choices.
    ///
    /// # Errors
    ///
    /// When CrateDB Cloud refuses or an operation there fails, with the service's words; when it takes longer than the
    /// [start time-out](ManagedClusterBuilder::start_timeout); when an id or a URL is nobody's.
    pub async fn start(&self) -> Result<Cluster> {
        self.work(|inner| async move { inner.start().await }).await
    }

    /// Makes the cluster, which must not exist, and waits until it answers SQL.
    ///
    /// # Errors
    ///
    /// Like [`start`](Self::start); and when there is a cluster of that name, or when only an id or a URL is known.
    pub async fn deploy(&self) -> Result<Cluster> {
        self.work(|inner| async move { inner.deploy().await }).await
    }

    /// Makes the cluster, which has to exist, run and answer SQL.
    ///
    /// # Errors
    ///
    /// Like [`start`](Self::start).
    pub async fn resume(&self) -> Result<Cluster> {
        self.work(|inner| async move { inner.resume().await }).await
    }

    /// Suspends the cluster and waits for the end of it. Its data stay. What is under way is waited for first; a cluster
    /// that is suspended is left so.
    ///
    /// # Errors
    ///
    /// When there is no such cluster, when its product can't be suspended, when the operation fails.
    pub async fn suspend(&self) -> Result<Cluster> {
        self.work(|inner| async move { inner.suspend().await }).await
    }

    /// The same as [`suspend`](Self::suspend).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn stop(&self) -> Result<Cluster> {
        self.suspend().await
    }

    /// Deletes the cluster with its data.
    ///
    /// # Errors
    ///
    /// When there is no such cluster, and when it is protected from deletion.
    pub async fn delete(&self) -> Result<()> {
        self.work(|inner| async move { inner.delete().await }).await
    }

    /// The cluster as it is now: asked anew at every call.
    ///
    /// # Errors
    ///
    /// When there is no such cluster.
    pub async fn info(&self) -> Result<Cluster> {
        self.work(|inner| async move { inner.lifecycle.look().await }).await
    }

    /// What CrateDB Cloud says about the cluster, and what the cluster itself says, if it answers. A cluster that is
    /// suspended or does not answer is no error: the answer says so.
    ///
    /// # Errors
    ///
    /// When there is no such cluster.
    pub async fn health(&self) -> Result<Health> {
        self.work(|inner| async move { inner.health().await }).await
    }

    /// A statement to bind arguments to, and to execute. The cluster is not started for it.
    ///
    /// SQL is sent over HTTP with the cluster's [token](Self::jwt); on a URL without Cloud credentials, with
    /// `CRATEDB_USERNAME` and `CRATEDB_PASSWORD`. Names without a schema mean schema `doc`.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
    /// let version: String = cluster.query("SELECT version()").scalar().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self, stmt: impl Into<String>) -> Query {
        Query::new(Arc::new(self.clone()), stmt.into())
    }

    /// Executes a statement without arguments; short for `query(stmt).execute()`.
    ///
    /// # Errors
    ///
    /// When CrateDB refuses the statement, and when the cluster is not to be reached.
    pub async fn execute(&self, stmt: impl Into<String>) -> Result<u64> {
        self.query(stmt).execute().await
    }

    /// A token for the cluster's HTTP port that is good for five minutes at least. All users in this process share it; it
    /// is asked for anew when it is about to expire, and never written down.
    ///
    /// # Errors
    ///
    /// When there is no such cluster, and when CrateDB Cloud gives no token.
    pub async fn jwt(&self) -> Result<Jwt> {
        self.work(|inner| async move { inner.jwt().await }).await
    }

    /// Gives the cluster another number of nodes, and waits for the end of it.
    ///
    /// # Errors
    ///
    /// When the product doesn't have that size, and when the operation fails.
    pub async fn scale(&self, nodes: u32) -> Result<Cluster> {
        self.work(move |inner| async move { inner.scale(nodes).await }).await
    }

    /// Upgrades CrateDB to a version, and waits for the end of it.
    ///
    /// # Errors
    ///
    /// When the cluster can't be upgraded to it, and when the operation fails.
    pub async fn upgrade(&self, version: &str) -> Result<Cluster> {
        let version = version.to_owned();
        self.work(move |inner| async move { inner.upgrade(&version).await }).await
    }

    /// Waits for the end of one operation of the cluster, by its id, and brings it.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
    /// let id = cluster.info().await?.id;
    /// let answer = cluster.client().change_product(&id, "cr2").await?;
    /// if let Some(operation) = answer.last_async_operation {
    ///     cluster.follow(&operation.id).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the operation fails, with the service's words; when there is none of that id; when it takes longer than the
    /// [start time-out](ManagedClusterBuilder::start_timeout).
    pub async fn follow(&self, operation_id: &str) -> Result<Operation> {
        let id = operation_id.to_owned();
        self.work(move |inner| async move { inner.follow(&id).await }).await
    }

    /// The client that asks CrateDB Cloud about this cluster.
    pub fn client(&self) -> &Client {
        &self.0.lifecycle.client
    }

    /// What was given and is not used, such as "CRATEDB_CLUSTER_NAME is ignored: CRATEDB_CLUSTER_ID is set too
    /// (environment)". [`on_progress`](ManagedClusterBuilder::on_progress) hears it too.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// How the cluster is addressed, for people: "cluster `ci`".
    pub fn address(&self) -> String {
        self.0.lifecycle.target.cluster.to_string()
    }

    /// Runs on the background thread of this process.
    async fn work<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        background::run(work(self.0.clone())).await
    }
}

impl Inner {
    /// When the operation that begins now has to be done.
    fn deadline(&self) -> Instant {
        Instant::now() + self.start_timeout.min(LONGEST)
    }
}

impl Executor for ManagedCluster {
    fn execute(self: Arc<Self>, stmt: Arc<str>, args: Vec<Box<RawValue>>) -> Result<Execution> {
        Ok(Box::pin(async move { self.send(&stmt, &args).await }))
    }
}

impl fmt::Debug for ManagedCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedCluster")
            .field("cluster", &format_args!("{}", self.address()))
            .field("client", self.client())
            .field("stop_on_exit", &self.0.stop_on_exit)
            .finish_non_exhaustive()
    }
}
