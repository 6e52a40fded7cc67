//! Rows of a file, read and inserted in batches.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::unreadable;
use crate::error::{Error, Result};
use crate::sql::{self, SqlClient};

/// One request inserts so much at most; the server takes 100 MB.
const ROWS: usize = 1000;
const BYTES: usize = 4 << 20;

/// One row: its line in the file, its columns and their values.
#[derive(Debug)]
pub(super) struct Row {
    line: usize,
    columns: Vec<String>,
    values: Vec<Box<RawValue>>,
}

/// What can't be read: the line, and why.
#[derive(Debug)]
pub(super) struct Unreadable {
    line: usize,
    why: String,
}

/// One object on each line; empty lines don't count. What a row does not name gets the column's default.
pub(super) fn ndjson(text: &str) -> impl Iterator<Item = Result<Row, Unreadable>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, text)| {
        let line = index + 1;
        let why = |error: serde_json::Error| Unreadable { line, why: error.to_string() };
        let Object(mut fields) = serde_json::from_str(text).map_err(why)?;
        // So that rows with the same columns go together, whoever wrote them in which order.
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (columns, values) = fields.into_iter().unzip();
        Ok(Row { line, columns, values })
    })
}

/// Values under the columns that the first line names, as texts, which the server converts; an empty one is NULL.
pub(super) fn csv(text: &str) -> impl Iterator<Item = Result<Row, Unreadable>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut headers = Some(reader.headers().cloned());
    let mut columns = Vec::new();
    std::iter::from_fn(move || {
        match headers.take() {
            Some(Ok(names)) => columns = names.iter().map(str::to_owned).collect(),
            Some(Err(error)) => return Some(Err(malformed(&error, 1))),
            None => {}
        }
        let line = lines.of(reader.position().byte());
        let mut record = csv::StringRecord::new();
        match reader.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => Some(Ok(Row { line, columns: columns.clone(), values: record.iter().map(cell).collect() })),
            Err(error) => Some(Err(malformed(&error, line))),
        }
    })
}

/// The reader's own numbers are those of the line on which the one before ended.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the first record from `byte` on.
    fn of(&mut self, byte: u64) -> usize {
        let bytes = self.text.as_bytes();
        let from = usize::try_from(byte).map_or(bytes.len(), |byte| byte.clamp(self.at, bytes.len()));
        let ends = bytes[from..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.line += bytes[self.at..from + ends].iter().filter(|byte| **byte == b'\n').count();
        self.at = from + ends;
        self.line
    }
}

fn cell(text: &str) -> Box<RawValue> {
    let value = Some(text).filter(|text| !text.is_empty());
    serde_json::value::to_raw_value(&value).expect("a text is JSON")
}

fn malformed(error: &csv::Error, line: usize) -> Unreadable {
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} fields, and the first line names {expected_len} columns")
        }
        _ => error.to_string(),
    };
    Unreadable { line, why }
}

/// Inserts all rows; those in a row that have the same columns go together.
pub(super) async fn insert(
    client: &SqlClient,
    name: &str,
    table: &str,
    rows: impl Iterator<Item = Result<Row, Unreadable>>,
) -> Result<()> {
    let mut batch = Batch::default();
    for row in rows {
        let row = row.map_err(|Unreadable { line, why }| unreadable(name, line, why))?;
        if row.columns.is_empty() {
            return Err(unreadable(name, row.line, "the row names no column"));
        }
        if !batch.takes(&row) {
            std::mem::take(&mut batch).send(client, name, table).await?;
        }
        batch.add(row);
    }
    batch.send(client, name, table).await
}

/// Rows of one request.
#[derive(Debug, Default)]
struct Batch {
    columns: Vec<String>,
    lines: Vec<usize>,
    rows: Vec<Vec<Box<RawValue>>>,
    bytes: usize,
}

impl Batch {
    fn takes(&self, row: &Row) -> bool {
        self.rows.is_empty() || (self.columns == row.columns && self.rows.len() < ROWS && self.bytes < BYTES)
    }

    fn add(&mut self, row: Row) {
        self.columns = row.columns;
        self.lines.push(row.line);
        self.bytes += row.values.iter().map(|value| value.get().len()).sum::<usize>();
        self.rows.push(row.values);
    }

    async fn send(self, client: &SqlClient, name: &str, table: &str) -> Result<()> {
        let (Some(first), Some(last)) = (self.lines.first(), self.lines.last()) else { return Ok(()) };
        let failed = |error: Error| {
            let rows_are_named = error.to_string().contains(" row ");
            let error = error.during(format!("cannot insert {name}, lines {first} to {last}, into {table}"));
            if rows_are_named { error.hint(format!("row 1 is line {first}")) } else { error }
        };
        client.bulk(&statement(table, &self.columns), &self.rows).await.map_err(failed).map(drop)
    }
}

/// Columns are quoted, since files name them as they are.
fn statement(table: &str, columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|name| sql::quoted(name)).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(", "))
}

/// A JSON object with its values as they are written: a number keeps all its digits.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object, one on each line")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests;
