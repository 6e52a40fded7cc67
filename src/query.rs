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
/// A row is read into whatever implements serde's `Deserialize`:
///
/// - a tuple by position, and then its arity must be the number of columns;
/// - a struct or a map by column name (columns that a struct doesn't name are ignored);
/// - any other type from the only column. To read one ARRAY column, write `(Vec<i32>,)` or use [`scalar`](Self::scalar):
///   `Vec<i32>` is a whole row.
///
/// Nothing is lost on the way: integers keep all 64 bits, an integer that a smaller type can't hold is an error, and so is
/// NULL for what is no `Option`. Every error names the row, the column and its type.
///
/// | CrateDB | Rust |
/// |---|---|
/// | SMALLINT, INTEGER, BIGINT | any integer that holds the value; `f64` if it is exact |
/// | DOUBLE PRECISION, REAL | `f64`, `f32` (rounded to the nearest), NaN and infinities included |
/// | NUMERIC | `String`, or a decimal type that reads itself from a string, such as `rust_decimal::Decimal`; `f64` (rounded) |
/// | TIMESTAMP, DATE | `i64`: milliseconds since the epoch. Types that read themselves from a string (`jiff::Timestamp`, `chrono::DateTime<Utc>`, `String`) get RFC 3339; a TIMESTAMP WITHOUT TIME ZONE has no `Z`. `time::OffsetDateTime` needs `#[serde(with = "time::serde::rfc3339")]` |
/// | OBJECT | a struct, a map, `serde_json::Value` |
/// | ARRAY, GEO_POINT, FLOAT_VECTOR | `Vec<T>`, a tuple, an array |
/// | TEXT | `String`, `char`, an enum of unit variants |
///
/// A field of type `Option` or with `#[serde(default)]` that no column has the name of is silently `None` or its default:
/// serde does that. `serde_json::Value` and other self-describing targets (`#[serde(flatten)]`, untagged enums) get
/// timestamps as numbers, NUMERIC, NaN and infinities as strings.
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
    /// Begins to execute a statement: what can be refused without sending it is refused now. The future runs on the
    /// background thread.
    fn execute(self: Arc<Self>, stmt: Arc<str>, args: Vec<Box<RawValue>>) -> Result<Execution>;
}

/// A statement on its way.
pub(crate) type Execution = Pin<Box<dyn Future<Output = Result<Answer>> + Send>>;

/// The answer to a statement as it came, for programs that show answers whose columns they don't know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Table {
    /// Names and types, the latter as CrateDB's documentation writes them.
    pub columns: Vec<(String, String)>,
    /// Cells as they were written; numbers keep all their digits.
    pub rows: Vec<Vec<Box<RawValue>>>,
    /// How many rows were affected or returned, where CrateDB knows.
    pub rowcount: Option<u64>,
}

impl Query {
    pub(crate) fn new(executor: Arc<dyn Executor>, stmt: String) -> Self {
        Self { executor, stmt, args: Vec::new(), unbound: None }
    }

    /// Adds the value of the next placeholder, `?` or `$1`, `$2`, ….
    ///
    /// Anything that implements serde's `Serialize` can be bound: a sequence or a tuple is one ARRAY, a struct or a map one
    /// OBJECT, an enum's unit variant its name, `None` is NULL. A time is milliseconds since the epoch or ISO 8601. Floats that JSON has no number for arrive as what they are,
    /// and integers of more than 64 bits as text, which CrateDB reads into a NUMERIC. A value that CrateDB has no type for
    /// (bytes, an enum variant with data) makes the query fail when it is executed, with an error that names the parameter.
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

    /// Executes the statement and returns how many rows it affected, or returned; 0 where CrateDB doesn't know, as for
    /// `ALTER TABLE`.
    ///
    /// An `INSERT` of several rows drops those with a key that exists, without an error: compare the count.
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

    /// All rows.
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

    /// The only row; none or several are an error.
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

    /// The only row, or `None` if there is none; several are an error.
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

    /// The only column of the only row.
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

    /// Executes the statement and returns its answer as it came, also if that has no rows.
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

/// An answer, and the statement for errors about it. Rows are read on the thread of the caller: they need not be `Send`.
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
        // A statement that returns none answers one row with nothing in it.
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
