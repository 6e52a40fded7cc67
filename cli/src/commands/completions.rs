//! `completions`: what a shell needs to complete the words of this program.

use clap::CommandFactory;
use serde_json::json;

use crate::arguments::{Cli, Completions};
use crate::failure::Failure;
use crate::output::{Document, People};

/// As the program is called in a shell; `cargo cratedb …` is completed by cargo's own completions, as far as they go.
const PROGRAM: &str = "cargo-cratedb";

pub(super) fn run(completions: &Completions) -> Result<Document, Failure> {
    let mut script = Vec::new();
    let mut command = Cli::command().bin_name(PROGRAM);
    clap_complete::generate(completions.shell, &mut command, PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let document = json!({ "shell": completions.shell.to_string(), "script": script });
    Document::new(&document, People::Text(script))
}
