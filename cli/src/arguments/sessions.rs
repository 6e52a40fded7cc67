//! Arguments of the commands about test sessions, and about the cache of releases that tests use.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration;
use super::projects::{DOCTOR_EXAMPLES, Doctor, INIT_EXAMPLES, Init};
use super::report::{REPORT_EXAMPLES, Report};
use super::standing::{DOWN_EXAMPLES, ENV_EXAMPLES, SHELL_EXAMPLES, Shell, UP_EXAMPLES, Up};

const FINISH_EXAMPLES: &str = "\
This is for runs whose end can't be seen, such as the first process of a container: there, run it after the tests, \
with --wait. --timeout says how long --wait waits. The exit code is 1 if the cluster could not be released.

Examples:
  cargo cratedb finish
  cargo cratedb finish ci-42 --wait --timeout 5m";

const KEPT_EXAMPLES: &str = "\
A failed test leaves its schema for inspection on a cluster that outlives the run; a run after `until` drops it. Tests \
that run on other machines have schemas here too, and this machine does not know that they are in use.

Examples:
  cargo cratedb kept
  cargo cratedb kept --drop cratedb_test_htdm1_kxrr3p8k_sees_its_own_rows
  cargo cratedb kept --drop --all";

const LOG_EXAMPLES: &str = "\
Examples:
  cargo cratedb log
  cargo cratedb log ci-42 | tail";

const TEST_EXAMPLES: &str = "\
Test processes find the session by CRATEDB_TEST_SESSION, which is set for the command. Ctrl-C goes to the command, and \
the session is finished in any case. The exit code is that of the command: 127 if it is not found, 126 if it can't be \
run, 1 if it succeeded but the cluster could not be released.

If COMMAND is `cargo test` or `cargo nextest run`, the tests are built while the cluster is waited for, by the same \
command with --no-run. If that fails, the session ends with its exit code.

Examples:
  cargo cratedb test -- cargo test
  cargo cratedb test --cluster-name ci -- docker compose run tests
  cargo cratedb test --session ci-42 -- sh -c 'cargo test && cargo test --release'";

const CACHE_EXAMPLES: &str = "\
Tests that run CrateDB as a local process take releases from the cache and put them there. CRATEDB_TEST_MIRROR and \
CRATEDB_TEST_SHA256 say where releases come from and which archives are accepted. The cache is below XDG_CACHE_HOME \
(~/.cache).

Examples:
  cargo cratedb cache
  cargo cratedb cache fetch 6.4
  cargo cratedb cache prune --older-than 7d
  cargo cratedb cache prune --all --dry-run";

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Write a first test for a package, with all that it needs; never overwrites a file.
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Show what the next test run would use and why, and what would keep it from starting.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// End a test session now instead of when its run is over.
    #[command(after_help = FINISH_EXAMPLES)]
    Finish(Finish),
    /// Show what a test session did, how long its cluster ran, and what that cost.
    #[command(after_help = REPORT_EXAMPLES)]
    Report(Report),
    /// List the schemas that failed tests left on the cluster, or drop them.
    #[command(after_help = KEPT_EXAMPLES)]
    Kept(Kept),
    /// Show the log of the keeper, the process that holds a cluster for tests.
    #[command(after_help = LOG_EXAMPLES)]
    Log(Log),
    /// Run a command in a test session: the cluster is available before it starts and released after it ends.
    #[command(after_help = TEST_EXAMPLES)]
    Test(Test),
    /// Start a CrateDB on this machine to develop against, or show the one that is up.
    #[command(after_help = UP_EXAMPLES)]
    Up(Up),
    /// Remove the servers that `up` started for this project.
    #[command(after_help = DOWN_EXAMPLES)]
    Down,
    /// Print the address of the server that `up` started, as variables of a shell.
    #[command(after_help = ENV_EXAMPLES)]
    Env,
    /// Run a shell or a command with the address of the server that `up` started.
    #[command(after_help = SHELL_EXAMPLES)]
    Shell(Shell),
    /// List the CrateDB releases in this machine's cache, fetch one, or remove old ones.
    #[command(after_help = CACHE_EXAMPLES)]
    Cache(Cache),
}

#[derive(Args, Debug)]
pub(crate) struct Finish {
    /// The key or the session, as `status` shows them; the key of this directory's settings if not given.
    #[arg(value_name = "KEY|SESSION")]
    pub(crate) selector: Option<String>,
    /// Wait until the cluster is released.
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Kept {
    /// Drop these schemas with all that is in them.
    #[arg(long, value_name = "NAME", num_args = 0..)]
    pub(crate) drop: Option<Vec<String>>,
    /// With --drop: drop all of them, except those in which a test of this machine runs.
    #[arg(long, requires = "drop")]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Log {
    /// The key or the session, as `status` shows them; the key of this directory's settings if not given.
    #[arg(value_name = "KEY|SESSION")]
    pub(crate) selector: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Test {
    /// The session's name; CRATEDB_TEST_SESSION or a new one if not given.
    #[arg(long, value_name = "NAME", value_parser = session)]
    pub(crate) session: Option<String>,
    /// Do not build while the cluster is waited for: start COMMAND once it is there, and nothing before.
    #[arg(long)]
    pub(crate) no_overlap: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Args, Debug)]
pub(crate) struct Cache {
    #[command(subcommand)]
    pub(crate) command: Option<CacheCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List what is cached: its kind, its size, when it was last used.
    List,
    /// Remove what was not used for a while, unless a process uses it now.
    Prune(Prune),
    /// Fetch a release, so that tests find it.
    Fetch(Fetch),
}

#[derive(Args, Debug)]
pub(crate) struct Prune {
    /// Only what was not used for this long: 12h, 7d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30d")]
    pub(crate) older_than: Duration,
    /// Everything, however new.
    #[arg(long, conflicts_with = "older_than")]
    pub(crate) all: bool,
    /// Only show what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Fetch {
    /// 6.4.3, or 6.4 for its newest patch.
    #[arg(value_name = "VERSION")]
    pub(crate) version: String,
}

/// Parses the name of a test session, which becomes part of a variable and of file names.
fn session(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("accepted: 1 to 64 letters, digits, `.`, `_` and `-`".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_sessions_hold_what_file_names_may() {
        assert_eq!(session("ci-42.a_B"), Ok("ci-42.a_B".into()));
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(session(bad).is_err(), "{bad}");
        }
    }
}
