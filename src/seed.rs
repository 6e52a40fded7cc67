//! Fills the schema of a test with the statements and rows of files that are compiled into the test binary.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result};
use crate::sql::{self, RawObject, SqlClient, Statement};

/// Limits for one request that inserts rows. The server accepts 100 MB.
const ROWS: usize = 1000;
const BYTES: usize = 4 << 20;

/// A file that the attribute names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeedFile {
    /// Relative to the source file of the test.
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    pub(crate) content: Content,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    /// Statements, separated by semicolons.
    Sql,
    /// One JSON object per line, for this table.
    Ndjson(&'static str),
    /// Column names in the first line, for this table.
    Csv(&'static str),
}

/// Executes the statements and inserts the rows of files one after another, and refreshes the schema. `source` is the
/// source file of the test.
pub(crate) async fn plant(cluster: &Cluster, source: &str, files: &[SeedFile]) -> Result<()> {
    let client = cluster.client()?;
    for file in files {
        let name = named(source, file.path);
        let text = without_mark(file.text);
        match file.content {
            Content::Sql => execute(client, &name, text).await?,
            Content::Ndjson(table) => insert(client, &name, table, ndjson(text)).await?,
            Content::Csv(table) => insert(client, &name, table, csv(text)).await?,
        }
    }
    sql::refresh(client, &cluster.grant().schema).await
}

/// Removes the byte order mark that an editor on Windows may have added.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Returns the path of a file as seen from the root of the workspace.
fn named(source: &str, path: &str) -> String {
    let dir = Path::new(source).parent().unwrap_or(Path::new(""));
    dir.join(path).components().collect::<PathBuf>().display().to_string()
}

/// Executes the statements of a file, one after another.
pub(crate) async fn execute(client: &SqlClient, name: &str, text: &str) -> Result<()> {
    for statement in Statement::all(text) {
        execute_one(client, name, text, statement).await?;
    }
    Ok(())
}

/// Executes one of the statements of a file.
pub(crate) async fn execute_one(client: &SqlClient, name: &str, text: &str, statement: Statement<'_>) -> Result<()> {
    let failed = |error: Error| error.during(format!("cannot execute {name}, line {}", line_of(text, statement.text)));
    client.send_one(statement, &[]).await.map(drop).map_err(failed)
}

/// Returns the number of the line on which `part`, which lies in `text`, begins.
pub(crate) fn line_of(text: &str, part: &str) -> usize {
    let before = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    text.as_bytes()[..before].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn unreadable(name: &str, line: usize, cause: impl Display) -> Error {
    Error::new(Kind::Usage, format!("cannot read {name}, line {line}")).because(cause)
}

/// One row: its line in the file, its columns and their values.
#[derive(Debug)]
struct FileRow {
    line: usize,
    columns: Vec<String>,
    values: Vec<Box<RawValue>>,
}

/// Reads one object per line and skips empty lines. A column that a row does not name gets its default. An error is the
/// line that can't be read, and why.
fn ndjson(text: &str) -> impl Iterator<Item = Result<FileRow, (usize, String)>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(index, text)| {
        let line = index + 1;
        let why = |error: serde_json::Error| (line, error.to_string());
        let RawObject(mut fields) = serde_json::from_str(text).map_err(why)?;
        // Rows with the same columns go together, whatever their order in the file.
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        let (columns, values) = fields.into_iter().map(|(name, value)| (name, value.to_owned())).unzip();
        Ok(FileRow { line, columns, values })
    })
}

/// Reads values below the column names of the first line. They are sent as texts, which the server converts. An empty
/// value is NULL.
fn csv(text: &str) -> impl Iterator<Item = Result<FileRow, (usize, String)>> {
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
            Ok(true) => Some(Ok(FileRow { line, columns: columns.clone(), values: record.iter().map(cell).collect() })),
            Err(error) => Some(Err(malformed(&error, line))),
        }
    })
}

/// Counts lines. The reader's own number is that of the line on which the previous record ended.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// Returns the line of the first record from `byte` on.
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

fn malformed(error: &csv::Error, line: usize) -> (usize, String) {
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} fields, and the first line names {expected_len} columns")
        }
        _ => error.to_string(),
    };
    (line, why)
}

/// Inserts all rows. Consecutive rows with the same columns go together.
async fn insert(
    client: &SqlClient,
    name: &str,
    table: &str,
    rows: impl Iterator<Item = Result<FileRow, (usize, String)>>,
) -> Result<()> {
    let mut batch = Batch::default();
    for row in rows {
        let row = row.map_err(|(line, why)| unreadable(name, line, why))?;
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

/// The rows of one request.
#[derive(Debug, Default)]
struct Batch {
    columns: Vec<String>,
    lines: Vec<usize>,
    rows: Vec<Vec<Box<RawValue>>>,
    bytes: usize,
}

impl Batch {
    fn takes(&self, row: &FileRow) -> bool {
        self.rows.is_empty() || (self.columns == row.columns && self.rows.len() < ROWS && self.bytes < BYTES)
    }

    fn add(&mut self, row: FileRow) {
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

/// Column names are quoted, since files have them as they are.
fn statement(table: &str, columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|name| sql::quoted(name)).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(", "))
}

#[cfg(test)]
mod tests;
