//! The cluster and the session of tests that are not async.

use std::path::PathBuf;

use serde::Serialize;

use super::Query;
use crate::background;
use crate::cluster::{UserCredentials, bind_rows};
use crate::error::Result;
use crate::faults::Faults;
use crate::version::Version;

/// [`cratedb_test::Cluster`](crate::Cluster) for tests that are not async.
///
/// ```no_run
/// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
/// cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)")?;
/// cluster.query("INSERT INTO readings VALUES (?, ?)").bind(1).bind(2.5).execute()?;
/// cluster.refresh()?;
/// let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all()?;
/// assert_eq!(rows, [(1, 2.5)]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Cluster(crate::Cluster);

impl Cluster {
    pub(crate) fn cluster(&self) -> &crate::Cluster {
        &self.0
    }

    /// Returns the cluster of the test that runs on this thread, if there is one.
    ///
    /// ```no_run
    /// use cratedb_test::blocking::Cluster;
    ///
    /// let cluster = Cluster::current().expect("called from a test with a cluster");
    /// ```
    pub fn current() -> Option<Self> {
        crate::Cluster::current().map(Self)
    }

    /// Prepares a statement, to bind arguments to and to execute; see [`Cluster::query`](crate::Cluster::query).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let count: i64 = cluster.query("SELECT count(*) FROM sys.summits WHERE height > ?").bind(4500).scalar()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self, stmt: impl Into<String>) -> Query {
        Query(self.0.query(stmt))
    }

    /// Executes a statement without arguments; see [`Cluster::execute`](crate::Cluster::execute).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute(&self, stmt: impl Into<String>) -> Result<u64> {
        self.query(stmt).execute()
    }

    /// Executes several statements one after another; see [`Cluster::execute_batch`](crate::Cluster::execute_batch).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// cluster.execute_batch("CREATE TABLE a (id INT); CREATE TABLE b (id INT)")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute_batch(&self, statements: impl Into<String>) -> Result<()> {
        background::wait(self.0.batch_work(statements.into())?)
    }

    /// Executes a statement once for each row of arguments; see [`Cluster::bulk`](crate::Cluster::bulk).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// cluster.bulk("INSERT INTO letters (id, letter) VALUES (?, ?)", [(1, "a"), (2, "b")])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bulk(&self, stmt: impl Into<String>, rows: impl IntoIterator<Item = impl Serialize>) -> Result<Vec<u64>> {
        let stmt = stmt.into();
        let rows = bind_rows(&stmt, rows)?;
        background::wait(self.0.bulk_work(stmt, rows)?)
    }

    /// Makes everything written so far visible to every query; see [`Cluster::refresh`](crate::Cluster::refresh).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// cluster.refresh()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn refresh(&self) -> Result<()> {
        background::wait(self.0.refresh_work()?)
    }

    /// Returns the HTTP address of the cluster, without credentials; see
    /// [`Cluster::http_url`](crate::Cluster::http_url).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let endpoint = format!("{}/_sql", cluster.http_url());
    /// # Ok(())
    /// # }
    /// ```
    pub fn http_url(&self) -> &str {
        self.0.http_url()
    }

    /// Returns the address for the PostgreSQL protocol; see [`Cluster::pg_url`](crate::Cluster::pg_url).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let url = cluster.pg_url()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn pg_url(&self) -> Result<&str> {
        self.0.pg_url()
    }

    /// Returns the user and the password with which requests over HTTP log in; see
    /// [`Cluster::credentials`](crate::Cluster::credentials).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) {
    /// let password = cluster.credentials().map(|user| user.password().to_owned());
    /// # }
    /// ```
    pub fn credentials(&self) -> Option<UserCredentials> {
        self.0.credentials()
    }

    /// Returns the certificate of the server's authority; see [`Cluster::ca_pem`](crate::Cluster::ca_pem).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) {
    /// let pem = cluster.ca_pem().expect("the server encrypts");
    /// # }
    /// ```
    pub fn ca_pem(&self) -> Option<String> {
        self.0.ca_pem()
    }

    /// Returns a file with that certificate; see [`Cluster::ca_file`](crate::Cluster::ca_file).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) {
    /// let path = cluster.ca_file().expect("the server encrypts");
    /// # }
    /// ```
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.0.ca_file()
    }

    /// Returns the same cluster behind a proxy of this test's own, and the handle that gives the network between them
    /// faults; see [`Cluster::with_faults`](crate::Cluster::with_faults).
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let (faulty, faults) = cluster.with_faults()?;
    /// faults.latency(Duration::from_millis(200))?;
    /// faulty.execute("SELECT 1")?; // takes 400 ms
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the test is over, or the process may have no further thread or socket.
    pub fn with_faults(&self) -> Result<(Self, Faults)> {
        let (cluster, faults) = self.0.with_faults()?;
        Ok((Self(cluster), faults))
    }

    /// Returns the schema of this test.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let table = format!("{}.readings", cluster.schema());
    /// # Ok(())
    /// # }
    /// ```
    pub fn schema(&self) -> &str {
        self.0.schema()
    }

    /// Returns the version of the server.
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let has_uuids = cluster.server_version() >= "6.2.0".parse()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn server_version(&self) -> Version {
        self.0.server_version()
    }
}

impl From<crate::Cluster> for Cluster {
    fn from(cluster: crate::Cluster) -> Self {
        Self(cluster)
    }
}

impl From<Cluster> for crate::Cluster {
    fn from(cluster: Cluster) -> Self {
        cluster.0
    }
}

/// A test run, for code that is not async; see [`crate::Session`].
///
/// ```no_run
/// use cratedb_test::blocking::Session;
///
/// fn helper() -> cratedb_test::Result<()> {
///     let cluster = Session::current()?.cluster("import_of_orders")?;
///     cluster.execute("CREATE TABLE orders (id INT)")?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Session(crate::Session);

impl Session {
    /// Joins the session of this process; see [`crate::Session::current`].
    ///
    /// # Errors
    ///
    /// When a setting can't be read, and when no cluster is available.
    pub fn current() -> Result<Self> {
        background::wait(crate::Session::builder().join_work()).map(Self)
    }

    /// Joins the session that [`crate::Session::builder`] describes.
    ///
    /// ```no_run
    /// use cratedb_test::blocking::Session;
    ///
    /// fn helper() -> cratedb_test::Result<()> {
    ///     let session = Session::join(cratedb_test::Session::builder().version("5.10"))?;
    ///     session.cluster("import_of_orders")?.execute("CREATE TABLE orders (id INT)")?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`SessionBuilder::join`](crate::session::SessionBuilder::join).
    pub fn join(builder: crate::session::SessionBuilder) -> Result<Self> {
        background::wait(builder.join_work()).map(Self)
    }

    /// Runs `work` once per session; see [`crate::Session::once`].
    ///
    /// ```no_run
    /// use cratedb_test::blocking::{Cluster, Session};
    ///
    /// fn stations() -> cratedb_test::Result<Cluster> {
    ///     Session::current()?.once("stations", |cluster: &Cluster| {
    ///         cluster.execute("CREATE TABLE stations (id INT, name TEXT)")
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// The error of `work`, for every caller in this session.
    pub fn once<T, E>(&self, name: &str, work: impl FnOnce(&Cluster) -> Result<T, E>) -> Result<Cluster>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        background::refuse_to_wait_for_itself()?;
        let work = async |cluster: &crate::Cluster| work(&cluster.clone().into());
        background::block_on(self.0.once(name, work)).map(Cluster::from)
    }

    /// Returns the cluster for a test of the given name; see [`crate::Session::cluster`].
    ///
    /// # Errors
    ///
    /// When the run is over, or when an exclusive test held the cluster longer than `CRATEDB_TEST_START_TIMEOUT`.
    pub fn cluster(&self, name: &str) -> Result<Cluster> {
        background::wait(self.0.cluster_work(name)?).map(Cluster::from)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;

    use super::*;
    use crate::cluster::tests::{cluster, counting};
    use crate::sql::test_server::{Reaction, TestServer};

    #[test]
    fn the_blocking_handle_does_what_the_other_does() {
        let server = TestServer::start(|request| match request.stmt() {
            "INSERT …" => Reaction::json(200, &json!({"cols": [], "results": [{"rowcount": 1}]})),
            _ => counting(request),
        });
        let cluster = Cluster::from(cluster(&server));
        assert_eq!(cluster.query("DELETE FROM t WHERE a = ?").bind(1).execute().unwrap(), 3);
        assert_eq!(cluster.execute("DELETE FROM t").unwrap(), 3);
        assert_eq!(cluster.query("SELECT 2").fetch_all::<i32>().unwrap(), [1, 2]);
        assert_eq!(cluster.query("SELECT 1").fetch_one::<i32>().unwrap(), 1);
        assert_eq!(cluster.query("SELECT 0").fetch_optional::<i32>().unwrap(), None);
        assert_eq!(cluster.query("SELECT 1").scalar::<i32>().unwrap(), 1);
        cluster.execute_batch("DELETE FROM a; DELETE FROM b").unwrap();
        assert_eq!(cluster.bulk("INSERT …", [1]).unwrap(), [1]);
        cluster.refresh().unwrap();
        assert_eq!((cluster.http_url(), cluster.schema()), (server.url().as_str(), "test_schema"));
        assert_eq!(cluster.server_version().to_string(), "6.4.3");
        cluster.pg_url().unwrap_err();
    }

    #[test]
    fn a_network_with_faults_is_there_for_the_blocking_handle_too() {
        let server = TestServer::start(counting);
        let straight = Cluster::from(cluster(&server));
        let (faulty, faults) = straight.with_faults().unwrap();
        assert_eq!(faulty.query("SELECT 1").scalar::<i32>().unwrap(), 1);
        faults.reset_after(0).unwrap().refuse().unwrap();
        assert!(faulty.execute("DELETE FROM t").unwrap_err().is_transport());
        assert_eq!(straight.execute("DELETE FROM t").unwrap(), 3);
        faults.clear().unwrap();
        assert_eq!(faulty.execute("DELETE FROM t").unwrap(), 3);
    }

    #[test]
    fn after_the_test_every_call_says_so() {
        let server = TestServer::start(counting);
        let cluster = cluster(&server);
        cluster.grant().over.store(true, Ordering::Release);
        let cluster = Cluster::from(cluster);
        for error in [cluster.execute("SELECT 1").unwrap_err(), cluster.refresh().unwrap_err()] {
            let text = error.to_string();
            assert!(text.starts_with("the test `module::inserts` is over and its schema is gone\n"), "{text}");
        }
        assert_eq!(server.requests().len(), 0);
    }

    #[test]
    fn there_is_no_current_cluster_outside_of_a_test() {
        assert!(Cluster::current().is_none());
    }

    #[test]
    fn a_handle_keeps_the_attempt_open() {
        struct Hook(Arc<AtomicBool>);
        impl Drop for Hook {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let server = TestServer::start(counting);
        let (ended, cluster) = (Arc::<AtomicBool>::default(), cluster(&server));
        cluster.end_with_last_handle(Hook(ended.clone()));
        let blocking = Cluster::from(cluster);
        assert!(!ended.load(Ordering::Relaxed));
        drop(blocking);
        assert!(ended.load(Ordering::Relaxed));
    }
}
