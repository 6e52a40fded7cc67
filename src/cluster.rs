//! What a test gets: a cluster, and in it a schema of its own.

pub(crate) mod current;
mod grant;
mod trace;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::background;
use crate::error::{Kind, Result};
use crate::query::{Query, Whom};
use crate::sql::{self, Answer, Client, Statement};
use crate::version::Version;

pub(crate) use grant::{Grant, OnDrop};
pub(crate) use trace::Trace;

/// A CrateDB cluster, as one test sees it: names without a schema mean tables in a schema that belongs to this test alone.
///
/// CrateDB makes the schema with its first table, and the harness drops it after the test; neither costs the test a
/// statement. Handles are cheap to clone and may be used from any thread and any async runtime. After the test they answer
/// with an error.
///
/// Each test has connections of its own. `SET SESSION …` holds for one connection: the next statement may take another.
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
pub struct Cluster(Arc<Inner>);

struct Inner {
    client: Client,
    grant: Grant,
}

impl Cluster {
    /// The handle of one attempt. Nothing is sent.
    pub(crate) fn new(grant: Grant) -> Result<Self> {
        let client = Client::new(&grant.http_url, Some(&grant.schema), grant.wallet.clone())?;
        Ok(Self(Arc::new(Inner { client, grant })))
    }

    pub(crate) fn grant(&self) -> &Grant {
        &self.0.grant
    }

    /// The client, for something that is sent now; an error if the test is over.
    pub(crate) fn client(&self) -> Result<&Client> {
        self.0.grant.note_use()?;
        Ok(&self.0.client)
    }

    /// The cluster of the test that runs on this thread, if one does.
    ///
    /// ```no_run
    /// use cratedb_test::Cluster;
    ///
    /// let cluster = Cluster::current().expect("called from a test with a cluster");
    /// ```
    pub fn current() -> Option<Self> {
        current::RunningTest::of_this_thread().cluster()
    }

    /// A statement to bind arguments to, and to execute.
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
        Query::new(Whom::Test(self.clone()), stmt.into())
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

    /// Executes several statements one after another, separated by semicolons, and stops at the first that fails. The error
    /// names it and its number; what ran before it stays.
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

    /// Executes an `INSERT`, `UPDATE` or `DELETE` once for each row of arguments, in one request, and returns how many rows
    /// each affected. A row is a tuple or a sequence of arguments, or the only argument.
    ///
    /// If some rows fail, the error names them and why; the others are written all the same. A request may have 100 MB.
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
    /// CrateDB shows new rows to a query by primary key at once, to all others after a refresh, which it does by itself
    /// about once a second.
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

    /// The HTTP address of the cluster, without credentials.
    ///
    /// Clients of your own have to send the header `Default-Schema` with [`schema`](Self::schema) on every connection, or
    /// use qualified names.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) {
    /// let endpoint = format!("{}/_sql", cluster.http_url());
    /// # }
    /// ```
    pub fn http_url(&self) -> &str {
        let _ = self.grant().note_use();
        &self.grant().http_url
    }

    /// The address for the PostgreSQL protocol, with this test's schema as the database, which makes it the schema of names
    /// without one. It holds the password, if there is one.
    ///
    /// On CrateDB Cloud without `CRATEDB_PASSWORD` it is that of a user who was made for the session and goes with it.
    ///
    /// An error where there is no way in; it says why.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let url = cluster.pg_url()?; // postgres://crate@localhost:5432/cratedb_test_…
    /// # Ok(())
    /// # }
    /// ```
    pub fn pg_url(&self) -> Result<&str> {
        self.grant().note_use()?;
        self.grant().pg_url.as_deref().map_err(Clone::clone)
    }

    /// The schema of this test.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::Cluster) {
    /// let table = format!("{}.readings", cluster.schema());
    /// # }
    /// ```
    pub fn schema(&self) -> &str {
        &self.grant().schema
    }

    /// The version of the server.
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

/// What is to be done on the background thread: one place for the async and the blocking API.
impl Cluster {
    pub(crate) fn batch_work(&self, text: String) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        let client = self.client()?.clone();
        sql::split(&text).into_iter().for_each(|statement| self.grant().warn_of(statement));
        let trace = self.grant().trace.clone();
        Ok(async move {
            let statements = sql::split(&text);
            for (index, statement) in statements.iter().enumerate() {
                let numbered = Statement::numbered(statement, index + 1, statements.len());
                trace.follow(statement, Answer::count, client.send_one(numbered, &[])).await?;
            }
            Ok(())
        })
    }

    pub(crate) fn bulk_work(
        &self,
        stmt: String,
        rows: Rows,
    ) -> Result<impl Future<Output = Result<Vec<u64>>> + Send + use<>> {
        let (client, trace) = (self.client()?.clone(), self.grant().trace.clone());
        let count = |counts: &Vec<u64>| counts.iter().sum();
        Ok(async move { trace.follow(&stmt, count, client.bulk(&stmt, &rows)).await })
    }

    pub(crate) fn refresh_work(&self) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        let (client, schema) = (self.client()?.clone(), self.schema().to_owned());
        let trace = self.grant().trace.clone();
        Ok(async move { trace.follow("REFRESH of all tables", |()| 0, sql::refresh(&client, &schema)).await })
    }
}

/// The arguments of many rows.
pub(crate) type Rows = Vec<Vec<Box<RawValue>>>;

/// Binds every row; the error names the first that can't be.
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
        let Grant { http_url, schema, version, test, .. } = self.grant();
        f.debug_struct("Cluster")
            .field("test", test)
            .field("schema", schema)
            .field("http_url", http_url)
            .field("server_version", &format_args!("{version}"))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
