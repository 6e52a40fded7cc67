//! A statement with its arguments, not yet executed.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::background;
use crate::error::{Error, Kind, Result};
use crate::sql::{self, Answer, Statement};

/// A statement with its arguments, made by `query` of a test's `Cluster` or of a `ManagedCluster`.
///
/// # Rows
///
/// A row is read into a type that implements serde's `Deserialize`:
///
/// - a tuple by position, and then its arity must be the number of columns;
/// - a struct or a map by column name (columns that a struct doesn't name are ignored, and a name that two columns have
///   is an error for a map);
/// - any other type from the only column. To read one ARRAY column, write `(Vec<i32>,)` or use
///   [`scalar`](Self::scalar): `Vec<i32>` is a whole row.
///
/// No value changes silently: integers keep all 64 bits, and an integer that does not fit into a smaller type is an
/// error. So is NULL for a type that is not an `Option`. Every error names the row, the column and its type.
///
/// | CrateDB | Rust |
/// |---|---|
/// | SMALLINT, INTEGER, BIGINT | any integer that holds the value; `f64` if it is exact |
/// | DOUBLE PRECISION, REAL | `f64`, `f32` (rounded to the nearest), NaN and infinities included |
/// | NUMERIC | `String`, or a decimal type that deserializes from a string, such as `rust_decimal::Decimal`; `f64` (rounded) |
/// | TIMESTAMP, DATE | `i64`: milliseconds since the epoch. Types that deserialize from a string (`jiff::Timestamp`, `chrono::DateTime<Utc>`, `String`) get RFC 3339; a TIMESTAMP WITHOUT TIME ZONE has no `Z`. `time::OffsetDateTime` needs `#[serde(with = "time::serde::rfc3339")]` |
/// | OBJECT | a struct, a map, `serde_json::Value` |
/// | ARRAY, GEO_POINT, FLOAT_VECTOR | `Vec<T>`, a tuple, an array |
/// | TEXT | `String`, `char`, an enum of unit variants |
///
/// If no column has the name of a field, serde silently makes an `Option` field `None` and a field with
/// `#[serde(default)]` its default. `serde_json::Value` and other self-describing targets (`#[serde(flatten)]`,
/// untagged enums) get timestamps as numbers, NUMERIC, NaN and infinities as strings.
///
/// # Arguments
///
/// See [`bind`](Self::bind).
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is executed or its rows are fetched"]
pub struct Query {
    executor: Arc<dyn Executor>,
    stmt: String,
    args: Vec<Box<RawValue>>,
    /// The first argument that could not be bound, reported when the query is executed.
    unbound: Option<Error>,
}

/// Executes the statements of queries: a test's cluster or a managed one.
pub(crate) trait Executor: fmt::Debug + Send + Sync {
    /// Begins to execute a statement. Errors that need no request are returned at once. The future runs on the
    /// background thread.
    fn execute(self: Arc<Self>, stmt: Arc<str>, args: Vec<Box<RawValue>>) -> Result<Execution>;
}

/// The execution of a statement.
pub(crate) type Execution = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

/// An answer without conversion, for programs that show answers whose columns they don't know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Table {
    /// The names and types of the columns. Types are written as in CrateDB's documentation.
    pub columns: Vec<(String, String)>,
    /// The cells as JSON text. Numbers keep all their digits.
    pub rows: Vec<Vec<Box<RawValue>>>,
    /// The number of rows that were affected or returned, if CrateDB tells it.
    pub rowcount: Option<u64>,
}

impl Query {
    pub(crate) fn new(executor: Arc<dyn Executor>, stmt: String) -> Self {
        Self { executor, stmt, args: Vec::new(), unbound: None }
    }

    /// Adds the value of the next placeholder, `?` or `$1`, `$2`, ….
    ///
    /// Any value that implements serde's `Serialize` can be bound. A sequence or a tuple is one ARRAY, a struct or a
    /// map is one OBJECT, a unit variant of an enum is its name, and `None` is NULL. A time is milliseconds since the
    /// epoch or ISO 8601. NaN and infinities keep their value. Integers of more than 64 bits are sent as text, which
    /// CrateDB reads into a NUMERIC. A value that CrateDB has no type for (bytes, an enum variant with data) makes the
    /// query fail when it is executed, with an error that names the parameter.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let insert = "INSERT INTO readings (id, value, tags) VALUES (?, ?, ?)";
    /// cluster.query(insert).bind(1).bind(f64::NAN).bind(["a", "b"]).execute().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(mut self, value: impl Serialize) -> Self {
        match sql::bind(&value) {
            Ok(arg) => self.args.push(arg),
            Err(error) => {
                let number = self.args.len() + 1;
                self.args.push(RawValue::NULL.to_owned());
                self.unbound.get_or_insert_with(|| {
                    Statement::new(&self.stmt)
                        .failed_to(Kind::Usage, &format!("bind parameter {number} of"), "")
                        .because(error)
                });
            }
        }
        self
    }

    /// Executes the statement and returns how many rows it affected or returned. The number is 0 if CrateDB does not
    /// tell it, as for `ALTER TABLE`.
    ///
    /// An `INSERT` of several rows skips those with an existing key, without an error. Compare the count.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let deleted = cluster.query("DELETE FROM readings WHERE id = ?").bind(1).execute().await?;
    /// assert_eq!(deleted, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn execute(self) -> Result<u64> {
        Ok(background::run(self.work()?).await?.count())
    }

    /// Executes the statement and returns all rows.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let rows: Vec<(i32, Option<f64>)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch_all<T: DeserializeOwned>(self) -> Result<Vec<T>> {
        background::run(self.work()?).await?.all()
    }

    /// Executes the statement and returns its only row. It is an error if there is none or more than one.
    ///
    /// ```no_run
    /// #[derive(serde::Deserialize)]
    /// struct Reading {
    ///     id: i32,
    ///     value: f64,
    /// }
    ///
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let reading: Reading = cluster.query("SELECT * FROM readings WHERE id = ?").bind(1).fetch_one().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch_one<T: DeserializeOwned>(self) -> Result<T> {
        background::run(self.work()?).await?.one()
    }

    /// Executes the statement and returns its only row, or `None` if there is none. More than one row is an error.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let value: Option<(f64,)> = cluster.query("SELECT value FROM readings WHERE id = 1").fetch_optional().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch_optional<T: DeserializeOwned>(self) -> Result<Option<T>> {
        background::run(self.work()?).await?.optional()
    }

    /// Executes the statement and returns the only column of the only row.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let count: i64 = cluster.query("SELECT count(*) FROM readings").scalar().await?;
    /// let tags: Vec<String> = cluster.query("SELECT tags FROM readings WHERE id = 1").scalar().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn scalar<T: DeserializeOwned>(self) -> Result<T> {
        background::run(self.work()?).await?.scalar()
    }

    /// Executes the statement and returns the answer without conversion, also if it has no rows.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
    /// let table = cluster.query("SHOW TABLES").fetch_table().await?;
    /// for (name, type_name) in &table.columns {
    ///     println!("{name}: {type_name}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch_table(self) -> Result<Table> {
        background::run(self.work()?).await?.table()
    }

    /// Returns the work that the background thread does.
    pub(crate) fn work(self) -> Result<impl Future<Output = Result<Answered>> + Send + use<>> {
        if let Some(error) = self.unbound {
            return Err(error);
        }
        let stmt: Arc<str> = self.stmt.into();
        let execution = self.executor.execute(stmt.clone(), self.args)?;
        Ok(async move { Ok(Answered { answer: execution.await?, stmt }) })
    }
}

/// An answer, and the statement for errors about it. Rows are read on the caller's thread, so they need not be `Send`.
pub(crate) struct Answered {
    answer: Answer,
    stmt: Arc<str>,
}

impl Answered {
    pub(crate) fn count(&self) -> u64 {
        self.answer.count()
    }

    pub(crate) fn table(&self) -> Result<Table> {
        let columns = self.answer.columns();
        // For a statement without result columns, CrateDB returns one empty row.
        let rows = if columns.is_empty() { Vec::new() } else { self.answer.cells(self.statement())? };
        Ok(Table { columns, rows, rowcount: self.answer.known_count() })
    }

    pub(crate) fn all<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        self.answer.rows(self.statement())
    }

    pub(crate) fn one<T: DeserializeOwned>(&self) -> Result<T> {
        self.only(self.all()?)
    }

    pub(crate) fn optional<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.at_most_one(self.all()?)
    }

    pub(crate) fn scalar<T: DeserializeOwned>(&self) -> Result<T> {
        self.only(self.answer.scalars(self.statement())?)
    }

    fn only<T>(&self, rows: Vec<T>) -> Result<T> {
        self.at_most_one(rows)?.ok_or_else(|| {
            self.not_one()
                .because("it returned no row")
                .hint("`fetch_optional` allows none; rows that were just written are found after `refresh`")
        })
    }

    fn at_most_one<T>(&self, mut rows: Vec<T>) -> Result<Option<T>> {
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            count => {
                Err(self.not_one().because(format!("it returned {count} rows")).hint("`fetch_all` takes them all"))
            }
        }
    }

    fn not_one(&self) -> Error {
        self.statement().failed_to(Kind::Usage, "take the only row of", "")
    }

    fn statement(&self) -> Statement<'_> {
        Statement::new(&self.stmt)
    }
}
