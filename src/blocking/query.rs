//! A statement whose answer is waited for.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::background;
use crate::error::Result;

/// [`Query`](crate::query::Query) for tests that are not async. How rows are read and values are bound is told there.
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is executed or its rows are fetched"]
pub struct Query(pub(super) crate::query::Query);

impl Query {
    /// Adds the value of the next placeholder; see [`Query::bind`](crate::query::Query::bind).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// cluster.query("INSERT INTO readings (id, value) VALUES (?, ?)").bind(1).bind(f64::NAN).execute()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(self, value: impl Serialize) -> Self {
        Self(self.0.bind(value))
    }

    /// Executes the statement and returns how many rows it affected; see [`Query::execute`](crate::query::Query::execute).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let deleted = cluster.query("DELETE FROM readings WHERE id = ?").bind(1).execute()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn execute(self) -> Result<u64> {
        Ok(background::wait(self.0.work()?)?.count())
    }

    /// All rows; see [`Query::fetch_all`](crate::query::Query::fetch_all).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_all<T: DeserializeOwned>(self) -> Result<Vec<T>> {
        background::wait(self.0.work()?)?.all()
    }

    /// The only row; see [`Query::fetch_one`](crate::query::Query::fetch_one).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let (id, value): (i32, f64) = cluster.query("SELECT * FROM readings WHERE id = 1").fetch_one()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_one<T: DeserializeOwned>(self) -> Result<T> {
        background::wait(self.0.work()?)?.one()
    }

    /// The only row, or `None`; see [`Query::fetch_optional`](crate::query::Query::fetch_optional).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let value: Option<f64> = cluster.query("SELECT value FROM readings WHERE id = 1").fetch_optional()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch_optional<T: DeserializeOwned>(self) -> Result<Option<T>> {
        background::wait(self.0.work()?)?.optional()
    }

    /// The only column of the only row; see [`Query::scalar`](crate::query::Query::scalar).
    ///
    /// ```no_run
    /// # fn example(cluster: cratedb_test::blocking::Cluster) -> cratedb_test::Result<()> {
    /// let count: i64 = cluster.query("SELECT count(*) FROM readings").scalar()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn scalar<T: DeserializeOwned>(self) -> Result<T> {
        background::wait(self.0.work()?)?.scalar()
    }
}
