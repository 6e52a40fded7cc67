//! `query`.

use std::io::{self, IsTerminal, Read};
use std::time::Instant;

use serde_json::json;
use serde_json::value::RawValue;

use crate::arguments::{self, Query};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, Document, People, Rows, is_number};

pub(super) async fn run(context: &Context, query: Query) -> Result<Document, Failure> {
    let cluster = context.cluster()?;
    let statement = statement(query).await?;
    context.progress.say_in_passing("running the statement");
    let begun = Instant::now();
    let table = cluster.query(statement).fetch_table().await?;
    let seconds = begun.elapsed().as_secs_f64();
    context.progress.clear();
    context.terminal.note(&told(table.rowcount, !table.columns.is_empty(), seconds));
    let columns: Vec<_> = table.columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
    // CrateDB tells of one row without columns where there is nothing to tell.
    let rows = table.rows.iter().filter(|row| !row.is_empty());
    let rows = rows.map(|row| row.iter().map(AsRef::as_ref).collect()).collect();
    let document = Answer { columns, rows, rowcount: table.rowcount, seconds };
    Document::new(&document, People::Rows(for_people(&table.columns, &document.rows)))
}

/// The result as JSON: values as CrateDB wrote them.
#[derive(serde::Serialize)]
struct Answer<'a> {
    columns: Vec<serde_json::Value>,
    rows: Vec<Vec<&'a RawValue>>,
    rowcount: Option<u64>,
    seconds: f64,
}

fn for_people(columns: &[(String, String)], rows: &[Vec<&RawValue>]) -> Rows {
    let head = |(name, kind): &(String, String)| Column { name: name.clone(), right: is_number(kind) };
    let cells = |row: &Vec<&RawValue>| row.iter().zip(columns).map(|(cell, (_, kind))| Cell::of(cell, kind)).collect();
    Rows { columns: columns.iter().map(head).collect(), rows: rows.iter().map(cells).collect() }
}

fn told(count: Option<u64>, returned: bool, seconds: f64) -> String {
    let what = match (count, returned) {
        (Some(1), true) => "1 row".to_owned(),
        (Some(count), true) => format!("{count} rows"),
        (Some(1), false) => "1 row affected".to_owned(),
        (Some(count), false) => format!("{count} rows affected"),
        (None, _) => "done".to_owned(),
    };
    format!("{what} ({seconds:.3} s)")
}

/// The statement, from wherever it comes.
async fn statement(query: Query) -> Result<String, Failure> {
    let from_file = arguments::file(&query.file).map(|path| path.to_owned());
    let text = match (query.statement.filter(|text| text != "-"), from_file) {
        (Some(text), _) => text,
        (None, Some(path)) => std::fs::read_to_string(&path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?,
        (None, None) => from_stdin().await?,
    };
    // CrateDB takes one at the end, and nobody means an empty statement after it.
    let text = text.trim().trim_end_matches(';').trim_end();
    match text.is_empty() {
        true => Err(Failure::usage("the statement is empty").hint("give it as an argument, with --file or on stdin")),
        false => Ok(text.to_owned()),
    }
}

async fn from_stdin() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("there is no statement")
            .hint("for example: cargo cratedb query 'SELECT * FROM sys.summits LIMIT 3'"));
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    });
    let read = read.await.map_err(io::Error::other).and_then(|read| read);
    read.map_err(|error| Failure::usage(format!("cannot read the statement from stdin: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_many_rows_there_were_or_are() {
        assert_eq!(told(Some(1), true, 0.0123), "1 row (0.012 s)");
        assert_eq!(told(Some(0), true, 0.0), "0 rows (0.000 s)");
        assert_eq!(told(Some(2), false, 1.0), "2 rows affected (1.000 s)");
        assert_eq!(told(None, false, 1.0), "done (1.000 s)");
    }
}
