//! What a server answered to a statement: columns, and cells as they were written.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::failure::Statement;
use super::row::{self, Row};
use super::types::ColumnType;
use crate::error::{Error, Kind, Result};

/// The answer to one statement.
#[derive(Debug)]
pub(crate) struct Answer {
    columns: Vec<Column>,
    /// Still JSON: a cell is read when somebody says into what, so that nothing is lost on the way.
    rows: Box<RawValue>,
    rowcount: i64,
}

/// The name and type of one column.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: ColumnType,
}

#[derive(Deserialize)]
struct Body {
    cols: Vec<String>,
    #[serde(default)]
    col_types: Vec<ColumnType>,
    rows: Box<RawValue>,
    rowcount: i64,
}

impl Answer {
    /// Reads the body of an answer; the error says what is missing.
    pub(crate) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        let body: Body = serde_json::from_slice(body)?;
        let mut kinds = body.col_types.into_iter();
        let columns = body
            .cols
            .into_iter()
            .map(|name| Column { name, kind: kinds.next().unwrap_or(ColumnType::Unknown) })
            .collect();
        Ok(Self { columns, rows: body.rows, rowcount: body.rowcount })
    }

    /// How many rows the statement affected or returned; 0 where the server doesn't know.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.rowcount).unwrap_or(0)
    }

    /// How many rows the statement affected or returned, where the server knows.
    pub(crate) fn known_count(&self) -> Option<u64> {
        u64::try_from(self.rowcount).ok()
    }

    /// Names and types.
    pub(crate) fn columns(&self) -> Vec<(String, String)> {
        self.columns.iter().map(|column| (column.name.clone(), column.kind.to_string())).collect()
    }

    /// All cells as they were written.
    pub(crate) fn cells(&self, statement: Statement<'_>) -> Result<Vec<Vec<Box<RawValue>>>> {
        serde_json::from_str(self.rows.get()).map_err(|error| {
            statement.failed(Kind::Decode).because("the rows of the answer can't be read").because_of(&error)
        })
    }

    /// All rows, each as a `T`.
    pub(crate) fn rows<T: DeserializeOwned>(&self, statement: Statement<'_>) -> Result<Vec<T>> {
        self.read_rows(statement, |row| T::deserialize(row))
    }

    /// The one cell of every row, each as a `T`.
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
        let rows: Vec<Vec<&RawValue>> = serde_json::from_str(self.rows.get()).map_err(|error| {
            statement.failed(Kind::Decode).because("the rows of the answer can't be read").because_of(&error)
        })?;
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
    let error =
        statement.failed_to(Kind::Decode, &format!("read row {number} of"), &format!(" as `{target}`")).because(cause);
    match cause.hint() {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
