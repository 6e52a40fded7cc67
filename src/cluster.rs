//! Holds the handle that a test gets: a cluster, and in it a schema of its own.

pub(crate) mod current;
mod faulty;
mod login;
mod trace;
mod unseen;
mod writers;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::background;
use crate::error::{Error, Kind, Result};
use crate::faults::Proxies;
use crate::host::say;
use crate::query::{Execution, Executor, Query};
use crate::sql::{self, Answer, SqlClient, Statement, Wallet};
use crate::version::Version;

use self::current::LinkedAttempt;
pub use self::login::UserCredentials;
pub(crate) use self::trace::Trace;
pub(crate) use self::writers::{InFlight, Writers};

/// A CrateDB cluster, as one test sees it: names without a schema mean tables in a schema that belongs to this test
/// alone.
///
/// CrateDB makes the schema with its first table, and the harness drops it after the test. Neither costs the test a
/// statement. Handles are cheap to clone and may be used from any thread and any async runtime. After the test they
/// answer with an error.
///
/// Each test has connections of its own. `SET SESSION …` applies to one connection, and the next statement may use
/// another.
///
/// ```no_run
/// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
/// cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)").await?;
/// cluster.query("INSERT INTO readings VALUES (?, ?)").bind(1).bind(2.5).execute().await?;
/// cluster.refresh().await?;
/// let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;
/// assert_eq!(rows, [(1, 2.5)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cluster(Arc<Parts>);

struct Parts {
    client: SqlClient,
    grant: Arc<Grant>,
    /// The way round, by a proxy of the test's own; none for the straight one.
    route: Option<Route>,
    /// Dropped with the last handle.
    ending: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// Addresses of a proxy before the cluster.
struct Route {
    http_url: String,
    pg_url: Result<String>,
}

/// Finds the reason why the cluster did not answer a statement; none if there is nothing to tell.
pub(crate) type Explain = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Option<Error>> + Send>> + Send + Sync>;

/// The schema of one attempt on a cluster, granted by the session.
pub(crate) struct Grant {
    pub(crate) http_url: String,
    /// An error where the PostgreSQL protocol has no way in; it says what to do.
    pub(crate) pg_url: Result<String>,
    pub(crate) wallet: Wallet,
    pub(crate) version: Version,
    pub(crate) schema: String,
    /// The test's name, for errors.
    pub(crate) test: String,
    /// SQL was sent or an address handed out: there may be something to drop.
    pub(crate) used: AtomicBool,
    /// The test has ended.
    pub(crate) over: AtomicBool,
    /// The statements that it sent.
    pub(crate) trace: Trace,
    /// The writers of the schema.
    pub(crate) writers: Writers,
    /// The proxies between the test and its cluster.
    pub(crate) proxies: Proxies,
    /// Tells why a statement had no answer; none where nobody knows more.
    pub(crate) explain: Option<Explain>,
    /// Other tests read the schema at the same time.
    pub(crate) readonly: bool,
    /// None in a schema that belongs to the whole session.
    pub(crate) attempt: Option<LinkedAttempt>,
}

impl Grant {
    /// Notes that something is sent or handed out; an error if the test is over.
    pub(crate) fn note_use(&self) -> Result<()> {
        if self.over.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Usage, format!("the test `{}` is over and its schema is gone", self.test))
                .hint("a cluster belongs to the test that it was given to: don't keep one in a static or a `#[once]` fixture"));
        }
        self.used.store(true, Ordering::Release);
        Ok(())
    }

    /// Warns that a statement has no effect, once per test.
    pub(crate) fn warn_of(&self, stmt: &str) {
        if let Some(text) = self.trace.warning(stmt) {
            say(&format!("`{}`: {text}", self.test));
        }
    }
}

impl Cluster {
    /// Makes the first handle of an attempt. Nothing is sent.
    pub(crate) fn new(grant: impl Into<Arc<Grant>>) -> Result<Self> {
        let grant = grant.into();
        let client = SqlClient::for_statements(&grant.http_url, Some(&grant.schema), grant.wallet.clone())?;
        Ok(Self(Arc::new(Parts { client, grant, route: None, ending: OnceLock::new() })))
    }

    /// Drops `ending` with the last handle.
    pub(crate) fn end_with_last_handle(&self, ending: impl Any + Send + Sync) {
        let _ = self.0.ending.set(Box::new(ending));
    }

    pub(crate) fn grant(&self) -> &Grant {
        &self.0.grant
    }

    /// Returns the client, for work of the harness that is sent now; an error if the test is over.
    pub(crate) fn client(&self) -> Result<&SqlClient> {
        self.0.grant.note_use()?;
        self.0.grant.writers.note_own();
        Ok(&self.0.client)
    }

    /// Returns the cluster of the test that runs on this thread, if there is one.
    ///
    /// A thread that the test started and the workers of a multi-threaded runtime are other threads, which may belong
    /// to any test: give them a clone of the cluster. Tasks of a single-threaded runtime run on the test's own thread.
    ///
    /// ```no_run
    /// use cratedb_test::Cluster;
    ///
    /// let cluster = Cluster::current().expect("called from a test with a cluster");
    /// ```
    pub fn current() -> Option<Self> {
        current::RunningTest::of_this_thread().cluster()
    }

    /// Prepares a statement, to bind arguments to and to execute.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let names: Vec<String> = cluster
    ///     .query("SELECT mountain FROM sys.summits WHERE height > ? ORDER BY 1")
    ///     .bind(4500)
    ///     .fetch_all()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self, stmt: impl Into<String>) -> Query {
        Query::new(self.0.clone(), stmt.into())
    }

    /// Executes a statement without arguments; short for `query(stmt).execute()`.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn execute(&self, stmt: impl Into<String>) -> Result<u64> {
        self.query(stmt).execute().await
    }

    /// Executes several statements one after another, separated by semicolons, and stops at the first that fails. The
    /// error names it and its number. The statements before it keep their effect.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// cluster
    ///     .execute_batch(
    ///         "CREATE TABLE stations (id INT PRIMARY KEY, name TEXT);
    ///          INSERT INTO stations VALUES (1, 'Lyon; Part-Dieu'); -- one statement",
    ///     )
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn execute_batch(&self, statements: impl Into<String>) -> Result<()> {
        background::run(self.batch_work(statements.into())?).await
    }

    /// Executes an `INSERT`, `UPDATE` or `DELETE` once for each row of arguments, in one request, and returns how many
    /// rows each affected. A row is a tuple or a sequence of arguments, or the only argument.
    ///
    /// If some rows fail, the error names them and says why; the others are written all the same. A request may have
    /// 100 MB.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let rows = [(1, "a"), (2, "b")];
    /// cluster.bulk("INSERT INTO letters (id, letter) VALUES (?, ?)", rows).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bulk(
        &self,
        stmt: impl Into<String>,
        rows: impl IntoIterator<Item = impl Serialize>,
    ) -> Result<Vec<u64>> {
        let stmt = stmt.into();
        let rows = bind_rows(&stmt, rows)?;
        background::run(self.bulk_work(stmt, rows)?).await
    }

    /// Makes everything written so far visible to every query, in all tables of this test.
    ///
    /// CrateDB shows new rows at once to a query by primary key, and to all others after a refresh, which it does by
    /// itself about once a second.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// cluster.execute("INSERT INTO readings VALUES (1, 2.5)").await?;
    /// cluster.refresh().await?;
    /// let count: i64 = cluster.query("SELECT count(*) FROM readings").scalar().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn refresh(&self) -> Result<()> {
        background::run(self.refresh_work()?).await
    }

    /// Returns the HTTP address of the cluster, without credentials.
    ///
    /// Clients of your own have to send the header `Default-Schema` with [`schema`](Self::schema) on every connection,
    /// or use qualified names.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) {
    /// let endpoint = format!("{}/_sql", cluster.http_url());
    /// # }
    /// ```
    pub fn http_url(&self) -> &str {
        let _ = self.grant().note_use();
        self.grant().writers.note_address();
        self.route().0
    }

    /// Returns the address for the PostgreSQL protocol, with this test's schema as the database: names without a schema
    /// mean tables there. It holds the password, if there is one.
    ///
    /// On CrateDB Cloud without `CRATEDB_PASSWORD` it names a user that is made for the session and dropped with it.
    ///
    /// It is an error where the protocol has no way in; the error says why.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let url = cluster.pg_url()?; // postgres://crate@localhost:5432/cratedb_test_…
    /// # Ok(())
    /// # }
    /// ```
    pub fn pg_url(&self) -> Result<&str> {
        self.grant().note_use()?;
        self.grant().writers.note_address();
        self.route().1.as_deref().map_err(Clone::clone)
    }

    /// Returns the addresses of HTTP and of the PostgreSQL protocol, and notes nothing.
    pub(crate) fn route(&self) -> (&str, &Result<String>) {
        match &self.0.route {
            Some(Route { http_url, pg_url }) => (http_url, pg_url),
            None => (&self.grant().http_url, &self.grant().pg_url),
        }
    }

    /// Returns the name of this test's schema.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) {
    /// let table = format!("{}.readings", cluster.schema());
    /// # }
    /// ```
    pub fn schema(&self) -> &str {
        self.grant().writers.note_address();
        &self.grant().schema
    }

    /// Returns the version of the server.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) {
    /// if cluster.server_version().major >= 6 {
    ///     // …
    /// }
    /// # }
    /// ```
    pub fn server_version(&self) -> Version {
        self.grant().version
    }
}

impl Executor for Parts {
    fn execute(self: Arc<Self>, stmt: Arc<str>, args: Vec<Box<RawValue>>) -> Result<Execution> {
        // Now: a test that is over is an error at once, and the schema counts as used.
        let mut statement = InFlight::begin(&self.grant)?;
        self.grant.warn_of(&stmt);
        // Not the handle: a statement in flight must not keep the attempt open, nor end it on the background thread.
        let client = self.client.clone();
        Ok(Box::pin(async move { statement.follow(&stmt, Answer::count, client.send(&stmt, &args)).await }))
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grant { http_url, schema, version, test, .. } = &*self.grant;
        let http_url = self.route.as_ref().map_or(http_url, |route| &route.http_url);
        f.debug_struct("Cluster")
            .field("test", test)
            .field("schema", schema)
            .field("http_url", http_url)
            .field("server_version", &format_args!("{version}"))
            .finish_non_exhaustive()
    }
}

/// The work for the background thread: one place for the async and the blocking API.
impl Cluster {
    pub(crate) fn batch_work(&self, text: String) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        let (client, mut batch) = (self.0.client.clone(), InFlight::begin(&self.0.grant)?);
        sql::split(&text).into_iter().for_each(|statement| self.grant().warn_of(statement));
        Ok(async move {
            for statement in Statement::all(&text) {
                batch.follow(statement.text, Answer::count, client.send_one(statement, &[])).await?;
            }
            Ok(())
        })
    }

    pub(crate) fn bulk_work(
        &self,
        stmt: String,
        rows: Rows,
    ) -> Result<impl Future<Output = Result<Vec<u64>>> + Send + use<>> {
        let (client, mut statement) = (self.0.client.clone(), InFlight::begin(&self.0.grant)?);
        let count = |counts: &Vec<u64>| counts.iter().sum();
        Ok(async move { statement.follow(&stmt, count, client.bulk(&stmt, &rows)).await })
    }

    pub(crate) fn refresh_work(&self) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        let (client, grant) = (self.client()?.clone(), self.0.grant.clone());
        Ok(async move {
            let refresh = sql::refresh(&client, &grant.schema);
            grant.trace.follow("REFRESH of all tables", |()| 0, refresh).await
        })
    }
}

/// The arguments of many rows.
pub(crate) type Rows = Vec<Vec<Box<RawValue>>>;

/// Binds every row; the error names the first that can't be bound.
pub(crate) fn bind_rows(stmt: &str, rows: impl IntoIterator<Item = impl Serialize>) -> Result<Rows> {
    let bind = |(index, row)| {
        sql::bind_row(&row).map_err(|error| {
            let what = format!("bind row {} of", index + 1);
            Statement::new(stmt).failed_to(Kind::Usage, &what, "").because(error)
        })
    };
    rows.into_iter().enumerate().map(bind).collect()
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
pub(crate) mod tests;
