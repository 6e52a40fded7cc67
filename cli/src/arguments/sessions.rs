//! Arguments of the commands about test sessions.

use std::ffi::OsString;

use clap::Args;

use super::values;

pub(super) const STATUS_EXAMPLES: &str = "\
Examples:
  cargo cratedb status
  cargo cratedb status --all
  cargo cratedb status --output json | jq -r '.[].key'";

pub(super) const FINISH_EXAMPLES: &str = "\
Needed where the end of a run can't be seen, such as in a container whose first process is the run: there put it after the run, with \
--wait. --timeout says how long --wait waits. Exit code 1 if the cluster could not be let go of.

Examples:
  cargo cratedb finish
  cargo cratedb finish ci-42 --wait --timeout 5m";

pub(super) const SWEEP_EXAMPLES: &str = "\
Needs the settings and the credentials with which the cluster was made available. Exit code 1 if something is still owed afterwards.

Examples:
  cargo cratedb sweep --dry-run
  cargo cratedb sweep";

pub(super) const KEPT_EXAMPLES: &str = "\
A failed test leaves its schema on a cluster that lives on, for whoever wants to look; a run after `until` drops it. Tests of other \
machines that run now have schemas here too: nobody here knows of them.

Examples:
  cargo cratedb kept
  cargo cratedb kept --drop cratedb_test_htdm1_kxrr3p8k_sees_its_own_rows
  cargo cratedb kept --drop --all";

pub(super) const LOG_EXAMPLES: &str = "\
Examples:
  cargo cratedb log
  cargo cratedb log ci-42 | tail";

pub(super) const TEST_EXAMPLES: &str = "\
The command finds the session by CRATEDB_TEST_SESSION, which test processes read. Ctrl-C goes to the command; the session is finished \
whatever happens, and the exit code is that of the command: 127 if it is not found, 126 if it can't be run, \
and 1 if it went well but the cluster could not be let go of.

Examples:
  cargo cratedb test -- cargo test
  cargo cratedb test --cluster-name ci -- docker compose run tests
  cargo cratedb test --session ci-42 -- sh -c 'cargo test && cargo test --release'";

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// Also those that are over and owe nothing.
    #[arg(long, short)]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Finish {
    /// The key or the session, as `status` shows them; the key of this directory's settings if not given.
    #[arg(value_name = "KEY|SESSION")]
    pub(crate) selector: Option<String>,
    /// Wait until the cluster is let go of.
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Sweep {
    /// Only tell what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Forget what this key's journal owes, after you have cleared it up yourself.
    #[arg(long, value_name = "KEY")]
    pub(crate) forget: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Kept {
    /// Drop these schemas with all that is in them.
    #[arg(long, value_name = "NAME", num_args = 0..)]
    pub(crate) drop: Option<Vec<String>>,
    /// With --drop: all of them, but for those in which a test of this machine runs.
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
    #[arg(long, value_name = "NAME", value_parser = values::session)]
    pub(crate) session: Option<String>,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
