//! Results: one document, written in the form that was asked for.

mod cell;
mod csv;
mod table;

use std::io::{self, Write};

use serde::Serialize;

use crate::arguments::Output;
use crate::failure::Failure;
use crate::terminal::Terminal;

pub(crate) use cell::{Cell, is_number};

/// The result of a command.
#[derive(Debug)]
pub(crate) struct Document {
    /// Already JSON, so that numbers keep all their digits.
    json: String,
    people: People,
}

/// The same for people.
#[derive(Debug)]
pub(crate) enum People {
    /// A table, and CSV.
    Rows(Rows),
    /// One line for each fact; those without a value are left out.
    Facts(Vec<(&'static str, String)>),
    /// As it is.
    Text(String),
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
    /// Numbers stand on the right.
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
        Ok(Self { json, people })
    }

    pub(crate) fn print(&self, terminal: &Terminal) -> Result<(), Failure> {
        let text = match (terminal.output, &self.people) {
            (Output::Json, _) => format!("{}\n", self.json),
            (Output::Csv, People::Rows(rows)) => csv::written(rows),
            (_, People::Rows(rows)) => table::drawn(rows, terminal.width(), terminal.colors()),
            (_, People::Facts(facts)) => table::facts(facts, terminal.colors()),
            (_, People::Text(text)) => text.clone(),
        };
        print(&text)
    }
}

/// The one document of a command that failed.
pub(crate) fn print_failure(failure: &Failure, terminal: &Terminal) {
    if terminal.output == Output::Json {
        print_json_of(failure);
    }
}

/// The same, where it is known that JSON is wanted.
pub(crate) fn print_json_of(failure: &Failure) {
    // That stdout is closed is no news beside what is told anyway.
    let _ = print(&format!("{:#}\n", failure.json()));
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever read it has enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::failed(format!("cannot write to stdout: {error}"))),
    }
}
