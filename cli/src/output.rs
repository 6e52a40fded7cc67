//! Results: one document, written as JSON, CSV or text for people.

mod cell;
mod rows;

use std::io::{self, Write};

use cratedb_test::private::foreign;
use serde::Serialize;

use crate::arguments::Output;
use crate::failure::{Code, Failure};
use crate::terminal::Terminal;

pub(crate) use cell::{Cell, is_number};

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Document {
    /// Already JSON, so that numbers keep all their digits.
    json: String,
    people: People,
    /// The exit code of the process.
    pub(crate) code: u8,
}

/// The form of a result for people.
#[derive(Debug)]
pub(crate) enum People {
    /// A table, and CSV.
    Rows(Rows),
    /// Several of them, one after another.
    Tables(Vec<Rows>),
    /// One line for each fact. Facts without a value are left out.
    Facts(Vec<(&'static str, String)>),
    /// Text for people.
    Text(String),
    /// A script, which is printed as it is.
    Script(String),
}

/// Columns and their rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// The head of a column.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Align the values to the right, as numbers are.
    pub(crate) right: bool,
}

impl Column {
    pub(crate) fn left(name: impl Into<String>) -> Self {
        Self { name: name.into(), right: false }
    }

    pub(crate) fn right(name: impl Into<String>) -> Self {
        Self { name: name.into(), right: true }
    }
}

impl Document {
    pub(crate) fn new(json: &impl Serialize, people: People) -> Result<Self, Failure> {
        let json = serde_json::to_string_pretty(json)
            .map_err(|error| Failure::failed(format!("cannot write the result as JSON: {error}")))?;
        Ok(Self { json, people, code: 0 })
    }

    /// Sets the exit code, which is 0 otherwise.
    pub(crate) fn exit_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Sets the exit code to that of a failure, if `failed`.
    pub(crate) fn failed_if(self, failed: bool) -> Self {
        if failed { self.exit_code(Code::Failed as u8) } else { self }
    }

    pub(crate) fn print(&self, terminal: &Terminal) -> Result<(), Failure> {
        let text = match (terminal.output, &self.people) {
            (Output::Json, _) => format!("{}\n", foreign::json(&self.json)),
            // For a program, CSV has to be the data as they are.
            (Output::Csv, People::Rows(rows)) if terminal.is_seen() => foreign::block(&rows::csv(rows)).into_owned(),
            (Output::Csv, People::Rows(rows)) => rows::csv(rows),
            (_, People::Rows(rows)) => rows::table(rows, terminal.width(), terminal.colors()),
            (Output::Csv, People::Tables(all)) => apart(all, rows::csv),
            (_, People::Tables(all)) => apart(all, |rows| rows::table(rows, terminal.width(), terminal.colors())),
            (_, People::Facts(facts)) => rows::facts(facts, terminal.colors()),
            (_, People::Text(text)) => foreign::block(text).into_owned(),
            (_, People::Script(script)) => script.clone(),
        };
        print(&text)
    }
}

/// Writes the tables that have columns, with an empty line between them.
fn apart(tables: &[Rows], write: impl Fn(&Rows) -> String) -> String {
    let written: Vec<String> = tables.iter().filter(|rows| !rows.columns.is_empty()).map(write).collect();
    written.join("\n")
}

/// Prints the one document of a command that failed, if JSON is wanted.
pub(crate) fn print_failure(failure: &Failure, terminal: &Terminal) {
    if terminal.output == Output::Json {
        print_json_of(failure);
    }
}

/// Prints the one JSON document of a command that failed.
pub(crate) fn print_json_of(failure: &Failure) {
    // The failure itself matters more than an error while printing it.
    let _ = print(&format!("{}\n", foreign::json(&format!("{:#}", failure.json()))));
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::failed(format!("cannot write to stdout: {error}"))),
    }
}
