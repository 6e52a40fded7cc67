//! The answer of the server: columns and types, unread cells, and the row counts of a bulk request.

use std::collections::HashSet;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::failure::{ErrorObject, Statement};
use super::row::{self, Row};
use crate::error::{Error, Kind, Refusal, Result};
use crate::foreign;

/// An error lists this many failed rows of a bulk request.
const FAILURES_SHOWN: usize = 5;
const MESSAGE_CHARS: usize = 300;

/// The row count of a row that failed.
const FAILED: i64 = -2;

/// The answer to one statement.
#[derive(Debug)]
pub(crate) struct Answer {
    columns: Vec<AnswerColumn>,
    /// Still JSON: a cell is read when its Rust type is known, so that nothing is lost on the way.
    rows: Box<RawValue>,
    rowcount: i64,
}

/// The name and type of one column.
#[derive(Debug)]
pub(crate) struct AnswerColumn {
    pub(crate) name: String,
    /// A column before it has the same name.
    pub(crate) repeats: bool,
    pub(crate) kind: ColumnType,
}

#[derive(Deserialize)]
struct AnswerBody {
    cols: Vec<String>,
    #[serde(default)]
    col_types: Vec<ColumnType>,
    rows: Box<RawValue>,
    rowcount: i64,
}

impl Answer {
    /// Reads the body of an answer. The error says what is missing.
    pub(crate) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let body: AnswerBody = serde_json::from_slice(body)?;
        let (mut kinds, mut names) = (body.col_types.into_iter(), HashSet::new());
        let column = |name: String| AnswerColumn {
            repeats: !names.insert(name.clone()),
            name,
            kind: kinds.next().unwrap_or(ColumnType::Unknown),
        };
        let columns = body.cols.into_iter().map(column).collect();
        Ok(Self { columns, rows: body.rows, rowcount: body.rowcount })
    }

    /// Returns how many rows the statement affected or returned; 0 if the server doesn't know.
    pub(crate) fn count(&self) -> u64 {
        self.known_count().unwrap_or(0)
    }

    /// Returns how many rows the statement affected or returned, if the server knows.
    pub(crate) fn known_count(&self) -> Option<u64> {
        u64::try_from(self.rowcount).ok()
    }

    /// Returns the names and types of the columns.
    pub(crate) fn columns(&self) -> Vec<(String, String)> {
        self.columns.iter().map(|column| (column.name.clone(), column.kind.to_string())).collect()
    }

    /// Returns all cells as they were written.
    pub(crate) fn cells(&self, statement: Statement<'_>) -> Result<Vec<Vec<Box<RawValue>>>> {
        self.parsed(statement)
    }

    fn parsed<'a, T: Deserialize<'a>>(&'a self, statement: Statement<'_>) -> Result<T> {
        serde_json::from_str(self.rows.get()).map_err(|error| {
            statement.failed(Kind::Decode).because("the rows of the answer can't be read").because_of(&error)
        })
    }

    /// Reads all rows, each as a `T`.
    pub(crate) fn rows<T: DeserializeOwned>(&self, statement: Statement<'_>) -> Result<Vec<T>> {
        self.read_rows(statement, |row| T::deserialize(row))
    }

    /// Reads the one cell of every row, each as a `T`.
    pub(crate) fn scalars<T: DeserializeOwned>(&self, statement: Statement<'_>) -> Result<Vec<T>> {
        self.read_rows(statement, |row| row.scalar())
    }

    fn read_rows<T>(
        &self,
        statement: Statement<'_>,
        read: impl Fn(Row<'_>) -> Result<T, row::Error>,
    ) -> Result<Vec<T>> {
        if self.columns.is_empty() {
            return Err(statement
                .failed(Kind::Usage)
                .because("it was executed, and it is of a kind that returns no rows")
                .hint("use `execute` for it"));
        }
        let rows: Vec<Vec<&RawValue>> = self.parsed(statement)?;
        let mut values = Vec::with_capacity(rows.len());
        for (index, cells) in rows.iter().enumerate() {
            let value = Row::new(&self.columns, cells).and_then(&read);
            values.push(value.map_err(|error| unreadable::<T>(index + 1, statement, &error))?);
        }
        Ok(values)
    }
}

fn unreadable<T>(number: usize, statement: Statement<'_>, cause: &row::Error) -> Error {
    let target = std::any::type_name::<T>();
    let (what, how) = (format!("read row {number} of"), format!(" as `{target}`"));
    statement.failed_to(Kind::Decode, &what, &how).because(cause).hints(cause.hint())
}
/// The type of a column as `?types` reports it: a number, or `[100, inner]` for an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Scalar(i64),
    Array(Box<ColumnType>),
    /// The type of a value inside an object, or of a column in an answer without types.
    Unknown,
}

const ARRAY: i64 = 100;
const ROW: i64 = 18;

/// The form in which values of a type are written in JSON, as far as JSON alone doesn't tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Plain,
    /// A number with as many digits as the value has.
    Numeric,
    /// Milliseconds since the epoch, in UTC.
    TimestampWithTimeZone,
    /// Milliseconds since the epoch, in local time of an unknown zone.
    Timestamp,
    /// Milliseconds since the epoch, always midnight.
    Date,
    /// A value inside an object, of any type.
    Unknown,
}

impl ColumnType {
    pub(crate) fn writing(&self) -> Writing {
        match self {
            Self::Scalar(11) => Writing::TimestampWithTimeZone,
            Self::Scalar(15) => Writing::Timestamp,
            Self::Scalar(22) => Writing::Numeric,
            Self::Scalar(24) => Writing::Date,
            Self::Unknown => Writing::Unknown,
            _ => Writing::Plain,
        }
    }

    /// Returns the type of the elements, if values of this type are arrays.
    pub(crate) fn element(&self) -> &ColumnType {
        match self {
            Self::Array(inner) => inner,
            Self::Unknown | Self::Scalar(ROW) => &Self::Unknown,
            // GEO_POINT, TIMETZ, FLOAT_VECTOR, OIDVECTOR: numbers that JSON represents exactly.
            Self::Scalar(_) => &Self::Scalar(0),
        }
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A form that this client doesn't know must not make the whole answer unreadable.
        fn from_json(value: &Value) -> ColumnType {
            match value {
                Value::Number(id) => id.as_i64().map_or(ColumnType::Unknown, ColumnType::Scalar),
                Value::Array(parts) if parts.len() == 2 && parts[0] == ARRAY => {
                    ColumnType::Array(Box::new(from_json(&parts[1])))
                }
                _ => ColumnType::Unknown,
            }
        }
        Value::deserialize(deserializer).map(|value| from_json(&value))
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Array(inner) => return write!(f, "ARRAY({inner})"),
            Self::Unknown => "of unknown type",
            Self::Scalar(id) => match *id {
                0 => "NULL",
                2 => "BYTE",
                3 => "BOOLEAN",
                4 => "TEXT",
                5 => "IP",
                6 => "DOUBLE PRECISION",
                7 => "REAL",
                8 => "SMALLINT",
                9 => "INTEGER",
                10 => "BIGINT",
                11 => "TIMESTAMP WITH TIME ZONE",
                12 | 16 => "OBJECT",
                13 => "GEO_POINT",
                14 => "GEO_SHAPE",
                15 => "TIMESTAMP WITHOUT TIME ZONE",
                17 => "INTERVAL",
                ROW => "ROW",
                19 => "REGPROC",
                20 => "TIME WITH TIME ZONE",
                21 => "OIDVECTOR",
                22 => "NUMERIC",
                23 => "REGCLASS",
                24 => "DATE",
                25 => "BIT",
                26 => "JSON",
                27 => "CHARACTER",
                28 => "FLOAT_VECTOR",
                29 => "UUID",
                30 => "REGTYPE",
                id => return write!(f, "type {id}"),
            },
        };
        f.write_str(name)
    }
}

/// The results of a bulk request, one per row of arguments, in their order.
#[derive(Debug, Deserialize)]
pub(crate) struct BulkAnswer {
    results: Vec<BulkResult>,
}

#[derive(Debug, Deserialize)]
struct BulkResult {
    rowcount: i64,
    /// Since 5.10; at most ten per shard carry one.
    error: Option<ErrorObject>,
    /// Up to 5.9.
    error_message: Option<String>,
}

/// Returns the row counts, or an error that names the rows that failed.
pub(crate) fn counts(answer: BulkAnswer, statement: Statement<'_>, sent: usize, status: u16) -> Result<Vec<u64>> {
    let results = answer.results;
    if results.len() != sent {
        let cause = format!("{sent} rows were sent, and {} answered for", results.len());
        return Err(statement.failed(Kind::Decode).because(cause));
    }
    let failed: Vec<(usize, &BulkResult)> = (1..).zip(&results).filter(|(_, item)| item.rowcount == FAILED).collect();
    if failed.is_empty() {
        return Ok(results.iter().map(|item| u64::try_from(item.rowcount).unwrap_or(0)).collect());
    }
    Err(some_failed(&failed, statement, sent, status))
}

fn some_failed(failed: &[(usize, &BulkResult)], statement: Statement<'_>, sent: usize, status: u16) -> Error {
    let listed: Vec<String> = failed.iter().map(|(row, item)| format!("row {row}: {}", item.reason())).collect();
    let more = match failed.len().saturating_sub(FAILURES_SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let first = failed.iter().find_map(|(_, item)| item.error.as_ref());
    let refusal = Refusal {
        status,
        code: first.map(|error| error.code),
        message: listed.join("\n"),
        request: statement.text.into(),
        errors: None,
    };
    let error = statement
        .failed_to(Kind::Server, "execute", &format!(" for {} of {sent} rows", failed.len()))
        .because(format!("{}{more}", listed[..listed.len().min(FAILURES_SHOWN)].join("; ")));
    let error = match sent > failed.len() {
        true => error.hint("the other rows are written: CrateDB has no transactions"),
        false => error,
    };
    error.refused(refusal)
}

impl BulkResult {
    fn reason(&self) -> String {
        match (&self.error, &self.error_message) {
            (Some(error), _) => format!("{} (code {})", foreign::line(&error.message, MESSAGE_CHARS), error.code),
            (None, Some(message)) => foreign::line(message, MESSAGE_CHARS),
            (None, None) => "no reason given".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_from_numbers_and_nested_arrays() {
        let types: Vec<ColumnType> = serde_json::from_str("[9, [100, 4], [100, [100, 9]], 77, \"new\"]").unwrap();
        let names: Vec<String> = types.iter().map(ColumnType::to_string).collect();
        assert_eq!(names, ["INTEGER", "ARRAY(TEXT)", "ARRAY(ARRAY(INTEGER))", "type 77", "of unknown type"]);
    }
    fn counts_of(json: &str, sent: usize) -> Result<Vec<u64>> {
        counts(serde_json::from_str(json).unwrap(), Statement::new("INSERT INTO t VALUES (?)"), sent, 200)
    }

    #[test]
    fn bulk_counts_come_in_the_order_of_the_rows() {
        assert_eq!(
            counts_of(r#"{"results": [{"rowcount": 1}, {"rowcount": 0}, {"rowcount": -1}]}"#, 3).unwrap(),
            [1, 0, 0]
        );
    }

    #[test]
    fn bulk_errors_name_the_rows_that_failed_and_why() {
        let error = counts_of(
            r#"{"results": [{"rowcount": 1}, {"rowcount": -2, "error": {"code": 4091, "message": "DuplicateKeyException[a]"}}, {"rowcount": -2}]}"#,
            3,
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot execute `INSERT INTO t VALUES (?)` for 2 of 3 rows: row 2: DuplicateKeyException[a] (code 4091); \
             row 3: no reason given\n  the other rows are written: CrateDB has no transactions"
        );
        assert_eq!((error.code(), error.statement()), (Some(4091), Some("INSERT INTO t VALUES (?)")));
    }

    #[test]
    fn bulk_answers_of_servers_before_5_10_are_understood() {
        let error = counts_of(r#"{"results": [{"rowcount": -2, "error_message": "DuplicateKeyException[a]"}]}"#, 1)
            .unwrap_err();
        assert!(error.to_string().contains("row 1: DuplicateKeyException[a]"), "{error}");
        assert!(!error.to_string().contains("other rows"), "there are none: {error}");
    }

    #[test]
    fn bulk_errors_show_some_failures_and_keep_all_in_the_message() {
        let items = [r#"{"rowcount": -2, "error_message": "no"}"#; 8].join(",");
        let error = counts_of(&format!(r#"{{"results": [{items}]}}"#), 8).unwrap_err();
        assert!(error.to_string().contains("row 5: no; and 3 more"), "{error}");
        assert_eq!(error.message().unwrap().lines().count(), 8);
    }

    #[test]
    fn bulk_counts_are_not_guessed_when_some_are_missing() {
        let error = counts_of(r#"{"results": [{"rowcount": 1}]}"#, 2).unwrap_err();
        assert!(error.to_string().contains("2 rows were sent, and 1 answered for"), "{error}");
    }
}
