//! Arguments of `report`.

use std::path::PathBuf;

use clap::Args;

pub(super) const REPORT_EXAMPLES: &str = "\
The keeper, the process that holds a cluster for tests, records the last 20 sessions of each project. The page is one \
file that needs no network. A trace is for https://ui.perfetto.dev or chrome://tracing.

The price of a cluster for an hour is --price, else CRATEDB_TEST_PRICE, else for a cluster of CrateDB Cloud what its \
products cost. The exit code is 4 if no such session is recorded.

Examples:
  cargo cratedb report
  cargo cratedb report --html report.html
  cargo cratedb report --session ci-42 --markdown >> \"$GITHUB_STEP_SUMMARY\"
  cargo cratedb report --list --price '0.35 USD'";

#[derive(Args, Debug)]
pub(crate) struct Report {
    /// The last session of the project around the working directory, which is the default.
    #[arg(long, conflicts_with_all = ["session", "list"])]
    pub(crate) last: bool,
    /// The session, by its id as --list shows it or the beginning of that, or by its name.
    #[arg(long, value_name = "ID|NAME", conflicts_with = "list")]
    pub(crate) session: Option<String>,
    /// List the recorded sessions, and what they cost together.
    #[arg(long, conflicts_with_all = ["html", "chrome_trace", "markdown"])]
    pub(crate) list: bool,
    /// The sessions of all projects.
    #[arg(long)]
    pub(crate) all: bool,
    /// Write a page for a browser to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write a trace in Chrome's Trace Event Format to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) chrome_trace: Option<PathBuf>,
    /// Print Markdown, for the summary of a job on GitHub.
    #[arg(long)]
    pub(crate) markdown: bool,
    /// The price of a cluster for an hour, with or without a currency: 0.35, '0.35 USD'.
    #[arg(long, value_name = "PRICE")]
    pub(crate) price: Option<String>,
}
