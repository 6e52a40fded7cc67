//! A cluster that is available when it is needed, and suspended when it isn't.

mod builder;
mod connection;
mod health;
mod run;
mod stop;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use builder::ManagedClusterBuilder;
pub use health::{Health, SqlHealth, TableHealth};
#[doc(hidden)]
pub use stop::Swept;

use serde_json::value::RawValue;

use self::connection::{Connection, suspended};
use super::client::Client;
use super::lifecycle::{Change, Hooks, Intent, Lifecycle, May, NameLookup, Run, Stopped, Tell, is_taken, named};
use super::model::{
    ClusterInfo, ExportJob, ImportJob, JobProgress, Jwt, NewExportJob, NewImportJob, Operation, Restore, Status,
    UploadedFile,
};
use super::operation::{OperationEnd, Which, failure, passing};
use super::token;
use crate::background;
use crate::environment::{Remarks, Server};
use crate::error::{Error, Kind, Result};
use crate::foreign;
use crate::query::{Execution, Executor, Query};
use crate::sql::connections::{self, HttpLimits};
use crate::target::ClusterAddress;
use crate::wait::{self, Look};

/// A cluster of CrateDB Cloud by its name, its id or its URL: started, queried and stopped.
///
/// ```no_run
/// use cratedb_test::ManagedCluster;
///
/// # async fn example() -> cratedb_test::Result<()> {
/// let cluster = ManagedCluster::from_env()?; // CRATEDB_CLUSTER_NAME, CRATEDB_CLOUD_API_KEY, CRATEDB_CLOUD_API_SECRET
/// cluster.start().await?; // resumes or deploys it, or waits for the operation that is under way
/// let summits: Vec<(String, i32)> =
///     cluster.query("SELECT mountain, height FROM sys.summits WHERE height > ?").bind(4500).fetch_all().await?;
/// cluster.stop().await?; // suspends it
/// # Ok(())
/// # }
/// ```
///
/// Cheap to clone. The futures can be awaited on any executor.
/// [`blocking::ManagedCluster`](crate::blocking::ManagedCluster) is the same without async. Dropping a future ends the
/// wait, not the operation in CrateDB Cloud. Dropping the last handle does not suspend the cluster; to have it
/// suspended in every case, use [`run`](Self::run).
#[derive(Clone)]
pub struct ManagedCluster(Arc<ManagedInner>);

/// Time limit for the upload of a file. Larger files should be imported from an address that the service can reach.
const UPLOAD: Duration = Duration::from_secs(60 * 60);

type Callback = Arc<dyn Fn(&str) + Send + Sync>;

struct ManagedInner {
    lifecycle: Arc<Lifecycle>,
    /// The server of a cluster that is given by its URL.
    server: Option<Server>,
    start_timeout: Duration,
    stop_on_exit: bool,
    /// Leases of others don't keep it from being stopped.
    although_in_use: bool,
    /// The ids of this handle among the leases.
    me: stop::Me,
    notes: Vec<String>,
    /// Notes on settings from which a failure may come.
    remarks: Remarks,
    on_progress: Option<Callback>,
    /// The connection to the cluster's SQL, once it is found.
    connection: Mutex<Option<Connection>>,
}

/// The effect of a start on the cluster.
#[derive(Clone, Copy, Debug, Default)]
struct Touched {
    /// A request was sent that may leave it running.
    maybe_up: bool,
    /// It was found suspended and resumed, or deployed.
    woken: bool,
}

impl Hooks for ManagedInner {
    fn step(&self, text: String) {
        if let Some(callback) = &self.on_progress {
            // A callback that panics, at a closed pipe perhaps, must not keep the cluster from being suspended.
            let text = foreign::block(&text);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| callback(&text)));
        }
    }

    fn intend(&self, _: &Intent<'_>) -> Result<()> {
        Ok(())
    }
}

impl ManagedCluster {
    /// Selects the cluster that the environment names, by `CRATEDB_CLUSTER_URL`, else `CRATEDB_CLUSTER_ID`, else
    /// `CRATEDB_CLUSTER_NAME`. A variable that is not set is read from [`.env` files](crate::cloud#which-cluster). For
    /// all other variables see [the crate's page](crate#environment). Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When no cluster is named, when there are no credentials, and when a variable can't be read.
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// Selects and sets up a cluster in code. Settings that the code leaves out come from the environment.
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

    /// Makes the cluster run and answer SQL: deploys it if no cluster has its name, resumes it if it is suspended,
    /// waits for an operation that is under way, and does nothing if it already runs.
    ///
    /// A setting of a new cluster that is not given is the only choice there is; see [the
    /// builder](ManagedClusterBuilder). If there are several choices, the error lists them.
    ///
    /// # Errors
    ///
    /// When CrateDB Cloud refuses or an operation there fails, with the service's message; when it takes longer than
    /// the [start timeout](ManagedClusterBuilder::start_timeout); when no cluster has the given id or URL.
    pub async fn start(&self) -> Result<ClusterInfo> {
        self.work(|inner| async move { inner.bring_up_to_stay(May::DeployAndResume).await }).await
    }

    /// Creates the cluster, which must not exist, and waits until it answers SQL.
    ///
    /// # Errors
    ///
    /// Like [`start`](Self::start); also when a cluster of that name exists, or when the cluster is given by an id or a
    /// URL.
    pub async fn deploy(&self) -> Result<ClusterInfo> {
        let deploy = |inner: Arc<ManagedInner>| async move {
            let ClusterAddress::Name(name) = &inner.lifecycle.target.cluster else {
                return Err(Error::new(Kind::Usage, format!("cannot deploy {}", inner.lifecycle.target.cluster))
                    .because("a new cluster gets its id and its URL from the service")
                    .hint("give it a name: cluster_name(…), or CRATEDB_CLUSTER_NAME"));
            };
            if let NameLookup::One(cluster) = inner.lifecycle.by_name(name).await? {
                return Err(is_taken(&cluster));
            }
            inner.forget_connection();
            inner.bring_up_to_stay(May::Deploy).await
        };
        self.work(deploy).await
    }

    /// Makes the cluster, which has to exist, run and answer SQL.
    ///
    /// # Errors
    ///
    /// Like [`start`](Self::start).
    pub async fn resume(&self) -> Result<ClusterInfo> {
        self.work(|inner| async move { inner.bring_up_to_stay(May::Resume).await }).await
    }

    /// Suspends the cluster and waits until it is suspended. Its data stay. An operation that is under way is waited
    /// for first. A cluster that is already suspended stays so.
    ///
    /// # Errors
    ///
    /// When tests or other programs use it: the error names their [`leases`](Self::leases), and
    /// [`stop_although_in_use`](ManagedClusterBuilder::stop_although_in_use) suspends it nevertheless. A cluster that
    /// does not answer SQL, or has no leases, is suspended without that question. Also when there is no such cluster,
    /// when its product can't be suspended, and when the operation fails.
    pub async fn suspend(&self) -> Result<ClusterInfo> {
        let suspend = |inner: Arc<ManagedInner>| async move {
            match inner.suspend_or_delete(false, inner.deadline()).await? {
                (_, Stopped::Suspended) => inner.lifecycle.look().await,
                (cluster, Stopped::Deleted) => {
                    Err(Error::new(Kind::Missing, format!("cannot suspend {}", named(&cluster)))
                        .because("it was deleted meanwhile"))
                }
                (_, Stopped::NotAllowed(error)) => {
                    Err(error.hint("its product can't be suspended (allow_suspend is false)"))
                }
                (_, Stopped::NeverDeployed(error)) => Err(error.hint("its deployment failed; delete it")),
                (_, Stopped::Unchanged(error)) => Err(error),
            }
        };
        self.work(suspend).await
    }

    /// The same as [`suspend`](Self::suspend).
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn stop(&self) -> Result<ClusterInfo> {
        self.suspend().await
    }

    /// Deletes the cluster together with its data.
    ///
    /// # Errors
    ///
    /// When tests or other programs use it, as [`suspend`](Self::suspend) has it; when there is no such cluster, and
    /// when it is protected from deletion.
    pub async fn delete(&self) -> Result<()> {
        let delete = |inner: Arc<ManagedInner>| async move {
            let (cluster, gone) = inner.suspend_or_delete(true, inner.deadline()).await?;
            inner.forget_connection();
            debug_assert!(matches!(gone, Stopped::Deleted));
            inner.step(format!("{} is deleted", named(&cluster)));
            Ok(())
        };
        self.work(delete).await
    }

    /// Returns the cluster as it is now, by a new request at every call.
    ///
    /// # Errors
    ///
    /// When there is no such cluster.
    pub async fn info(&self) -> Result<ClusterInfo> {
        self.work(|inner| async move { inner.lifecycle.look().await }).await
    }

    /// Returns what CrateDB Cloud reports about the cluster, and what the cluster itself reports if it answers. A
    /// cluster that is suspended or does not answer is not an error; the result says so.
    ///
    /// # Errors
    ///
    /// When there is no such cluster.
    pub async fn health(&self) -> Result<Health> {
        self.work(|inner| async move { inner.health().await }).await
    }

    /// Prepares a statement, to bind arguments to and to execute. The cluster is not started for it.
    ///
    /// SQL is sent over HTTP with the cluster's [token](Self::jwt), or, to a URL without Cloud credentials, with
    /// `CRATEDB_USERNAME` and `CRATEDB_PASSWORD`. Names without a schema refer to the schema `doc`.
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

    /// Executes a statement without arguments. Short for `query(stmt).execute()`.
    ///
    /// # Errors
    ///
    /// When CrateDB refuses the statement, and when the cluster can't be reached.
    pub async fn execute(&self, stmt: impl Into<String>) -> Result<u64> {
        self.query(stmt).execute().await
    }

    /// Returns a token for the cluster's HTTP port that is valid for at least five minutes. All users in this process
    /// share it. It is renewed when it is about to expire, and never stored.
    ///
    /// # Errors
    ///
    /// When there is no such cluster, and when CrateDB Cloud gives no token.
    pub async fn jwt(&self) -> Result<Jwt> {
        // Only the account can issue tokens, so a URL alone is not enough.
        let jwt = |inner: Arc<ManagedInner>| async move {
            let cluster = inner.lifecycle.look().await?;
            token::token(&inner.lifecycle.client, &cluster.id).jwt().await
        };
        self.work(jwt).await
    }

    /// Changes the number of nodes, and waits until it is changed.
    ///
    /// # Errors
    ///
    /// When the product doesn't have that size, and when the operation fails.
    pub async fn scale(&self, nodes: u32) -> Result<ClusterInfo> {
        let scale = move |inner: Arc<ManagedInner>| async move {
            let Some(unit) = nodes.checked_sub(1) else {
                return Err(Error::new(Kind::Usage, "cannot scale a cluster to 0 nodes").hint("`suspend` stops it"));
            };
            let cluster = inner.lifecycle.look().await?;
            let plural = if nodes == 1 { "" } else { "s" };
            let doing = format!("scaling {} to {nodes} node{plural}", named(&cluster));
            let ask = || inner.lifecycle.client.scale(&cluster.id, unit);
            inner.change(&cluster, "SCALE", doing, move |now| now.product_unit == unit, ask).await
        };
        self.work(scale).await
    }

    /// Upgrades CrateDB to a version, and waits until it is upgraded.
    ///
    /// # Errors
    ///
    /// When the cluster can't be upgraded to that version, and when the operation fails.
    pub async fn upgrade(&self, version: &str) -> Result<ClusterInfo> {
        let version = version.to_owned();
        let upgrade = move |inner: Arc<ManagedInner>| async move {
            let cluster = inner.lifecycle.look().await?;
            let doing = format!("upgrading {} from {} to {version}", named(&cluster), cluster.crate_version);
            let ask = || inner.lifecycle.client.upgrade(&cluster.id, &version);
            inner.change(&cluster, "UPGRADE", doing, |now| now.crate_version == version, ask).await
        };
        self.work(upgrade).await
    }

    /// Waits for the end of one operation of the cluster, by its id, and returns the operation.
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
    /// When the operation fails, with the service's message; when there is none with that id; when it takes longer than
    /// the [start timeout](ManagedClusterBuilder::start_timeout).
    pub async fn follow(&self, operation_id: &str) -> Result<Operation> {
        let id = operation_id.to_owned();
        let follow = move |inner: Arc<ManagedInner>| async move {
            let cluster = inner.lifecycle.look().await?;
            inner.lifecycle.operation(&cluster, &id, inner.deadline(), &*inner).await
        };
        self.work(follow).await
    }

    /// Imports data into a table and waits for the end of the import.
    ///
    /// ```no_run
    /// use cratedb_test::cloud::model::NewImportJob;
    ///
    /// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
    /// let source = "https://example.org/weather.csv.gz";
    /// let job = NewImportJob::from_url(source, "csv", "weather").gzip().create_table(true);
    /// println!("{:?} records", cluster.import(&job).await?.progress.records);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the import fails, with the service's message; when it takes longer than the
    /// [start timeout](ManagedClusterBuilder::start_timeout).
    pub async fn import(&self, job: &NewImportJob) -> Result<ImportJob> {
        let job = job.clone();
        let import = move |inner: Arc<ManagedInner>| async move {
            let (cluster, client) = (inner.lifecycle.look().await?, &inner.lifecycle.client);
            let doing = format!("importing into {} of {}", job.destination.table, named(&cluster));
            inner.step(doing.clone());
            let done = async {
                let made = client.create_import_job(&cluster.id, &job).await?;
                let look = || client.import_job(&cluster.id, &made.id);
                inner.until_done(&doing, &made.id, look, |now: &ImportJob| (&now.status, &now.progress)).await
            };
            done.await.map_err(|error| error.hints(suspended(&cluster)))
        };
        self.work(import).await
    }

    /// Exports a table to a file and waits for the end of the export. [`Client::file`] then returns the address to
    /// download it from.
    ///
    /// # Errors
    ///
    /// Like [`import`](Self::import).
    pub async fn export(&self, job: &NewExportJob) -> Result<ExportJob> {
        let job = job.clone();
        let export = move |inner: Arc<ManagedInner>| async move {
            let (cluster, client) = (inner.lifecycle.look().await?, &inner.lifecycle.client);
            let doing = format!("exporting {} of {}", job.source.table, named(&cluster));
            inner.step(doing.clone());
            let done = async {
                let made = client.create_export_job(&cluster.id, &job).await?;
                let look = || client.export_job(&cluster.id, &made.id);
                inner.until_done(&doing, &made.id, look, |now: &ExportJob| (&now.status, &now.progress)).await
            };
            done.await.map_err(|error| error.hints(suspended(&cluster)))
        };
        self.work(export).await
    }

    /// Uploads a file for an [import](NewImportJob::from_file). It is read into memory.
    ///
    /// # Errors
    ///
    /// When the file can't be read, and when the upload is refused.
    pub async fn upload(&self, path: impl AsRef<Path>) -> Result<UploadedFile> {
        let path = path.as_ref().to_owned();
        let upload = move |inner: Arc<ManagedInner>| async move {
            let fail = || Error::new(Kind::Usage, format!("cannot upload {}", path.display()));
            let bytes = std::fs::read(&path).map_err(|error| fail().because(error))?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let (cluster, client) = (inner.lifecycle.look().await?, &inner.lifecycle.client);
            let organization = client.project(&cluster.project_id).await?.organization_id;
            let file = client.create_file(&organization, &name).await?;
            inner.step(format!("uploading {} ({} bytes)", path.display(), bytes.len()));
            put(&file.upload_url, bytes).await.map_err(|cause| fail().because(cause))?;
            Ok(file)
        };
        self.work(upload).await
    }

    /// Restores data from a snapshot and waits for the end of the restore.
    ///
    /// # Errors
    ///
    /// When the operation fails, with the service's message; when it takes longer than the
    /// [start timeout](ManagedClusterBuilder::start_timeout).
    pub async fn restore(&self, restore: &Restore) -> Result<()> {
        let restore = restore.clone();
        let work = move |inner: Arc<ManagedInner>| async move {
            let lifecycle = &inner.lifecycle;
            let (cluster, deadline) = (lifecycle.look().await?, inner.deadline());
            let doing = format!("restoring snapshot {} on {}", restore.snapshot, named(&cluster));
            if let Some(kind) = cluster.busy() {
                lifecycle.sit_out(&cluster, kind, deadline, &*inner).await?;
            }
            let before = lifecycle.client.cluster(&cluster.id).await?;
            inner.step(doing.clone());
            lifecycle.client.restore_snapshot(&cluster.id, &restore).await?;
            let which = Which::NewestOf("RESTORE_SNAPSHOT", Some(before.last_operation().unwrap_or_default()));
            let tell = Tell::all(&*inner, &doing);
            // The cluster does not show that a snapshot was restored, so only the operation can tell.
            match lifecycle.client.follow(&before, &which, &doing, |_| false, deadline, tell).await? {
                OperationEnd::Succeeded => Ok(()),
                OperationEnd::Failed(error) | OperationEnd::Lost(error) => Err(error),
            }
        };
        self.work(work).await
    }

    /// Returns the client that this cluster uses for CrateDB Cloud.
    pub fn client(&self) -> &Client {
        &self.0.lifecycle.client
    }

    /// Lists settings that were given and are not used, such as "CRATEDB_CLUSTER_NAME is ignored: CRATEDB_CLUSTER_ID is
    /// set too (environment)". [`on_progress`](ManagedClusterBuilder::on_progress) receives them too.
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// Describes how the cluster is addressed: "cluster `ci`".
    pub fn address(&self) -> String {
        self.0.lifecycle.target.cluster.to_string()
    }

    /// Runs work on the background thread of this process.
    async fn work<T, F>(&self, work: impl FnOnce(Arc<ManagedInner>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        background::run(work(self.0.clone())).await.map_err(|error| self.0.remarks.on(error))
    }
}

impl ManagedInner {
    /// Returns the deadline of an operation that begins now.
    fn deadline(&self) -> Instant {
        wait::deadline_in(self.start_timeout)
    }

    /// Makes the cluster run and answer SQL. Also reports what was done for that.
    async fn bring_up(&self, may: May) -> (Result<ClusterInfo>, Touched) {
        let run = Run::new(self.deadline(), self, may);
        let work = async {
            let cluster = self.lifecycle.make_available(&run).await?;
            run.step(format!("connecting to {}", named(&cluster)));
            self.until_it_answers(&cluster, &run).await?;
            Ok(cluster)
        };
        let outcome = self.lifecycle.in_time(&run, work).await;
        let outcome = outcome.map_err(|error| {
            let late = error.is_timeout() && Instant::now() >= run.deadline;
            error.hints(late.then_some("`start_timeout` is the time for all of it"))
        });
        (outcome, Touched { maybe_up: run.may_have_touched(), woken: run.has_woken() })
    }

    /// Does the same for a caller who stops the cluster some day. After a failure nobody would, so the error says what
    /// may run.
    async fn bring_up_to_stay(&self, may: May) -> Result<ClusterInfo> {
        let (outcome, touched) = self.bring_up(may).await;
        outcome.map_err(|error| {
            let left =
                || format!("{} may be running now and cost money; `stop` suspends it", self.lifecycle.target.cluster);
            error.hints(touched.maybe_up.then(left))
        })
    }

    async fn change<F: Future<Output = Result<ClusterInfo>> + Send>(
        &self,
        cluster: &ClusterInfo,
        kind: &'static str,
        doing: String,
        reached: impl Fn(&ClusterInfo) -> bool + Send + Sync,
        ask: impl Fn() -> F + Send + Sync,
    ) -> Result<ClusterInfo> {
        let change = Change { kind, doing, deadline: self.deadline(), hooks: self, reached: &reached };
        let done = self.lifecycle.change(&cluster.id, &change, ask).await;
        done.map_err(|error| self.lifecycle.with_place(error))
    }

    /// Follows a job by its id. Trouble with the API doesn't end the wait, since the job goes on without it.
    async fn until_done<T, F: Future<Output = Result<T>>>(
        &self,
        doing: &str,
        id: &str,
        look: impl Fn() -> F,
        state: impl Fn(&T) -> (&Status, &JobProgress),
    ) -> Result<T> {
        if id.is_empty() {
            return Err(Error::new(Kind::Decode, format!("{doing} can't be followed"))
                .because("the service took the job and did not say its id"));
        }
        let told = |status: &str| self.step(format!("{doing}: {status}"));
        let awaited = format!("the end of {doing}");
        wait::until(&awaited, wait::OPERATION, self.deadline(), told, || async {
            let found = look().await.and_then(|now| match state(&now) {
                (Status::Succeeded, _) => Ok(Look::Ready(now)),
                (Status::Failed, progress) => {
                    Err(failure(doing, &progress.message).hint(format!("job {id} ended as FAILED")))
                }
                (status, progress) => Ok(Look::NotYet(in_words(status, progress))),
            });
            wait::tolerate(passing, found)
        })
        .await
    }
}

/// Sends bytes to an address that needs no credentials. It is kept out of errors: anyone who knows it may write there.
async fn put(address: &str, bytes: Vec<u8>) -> Result<(), String> {
    let url =
        url::Url::parse(address).map_err(|error| format!("the address that the service gave is none: {error}"))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let limits = HttpLimits { silence: UPLOAD, ..HttpLimits::SQL };
    let client = connections::open(&url, None, None, limits).map_err(|error| error.to_string())?;
    let answer = client.put(url).body(bytes).send().await;
    let answer = answer.map_err(|error| format!("{host} did not take it: {}", error.without_url()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("{host} refused it: {status}")),
    }
}

fn in_words(status: &Status, progress: &JobProgress) -> String {
    let mut text = status.to_string();
    if let Some(percent) = progress.percent {
        text.push_str(&format!(", {percent:.0} %"));
    }
    if let Some(records) = progress.records {
        text.push_str(&format!(", {records} records"));
    }
    if !progress.message.is_empty() {
        text.push_str(&format!(" ({})", progress.message));
    }
    text
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
