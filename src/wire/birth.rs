//! The terms of a keeper's birth: the variable, the lock file's content, the exit codes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Makes a keeper of the process in which it stands: `1:<hash>` or `2:<hash>` for the two steps.
pub(crate) const VARIABLE: &str = "CRATEDB_TEST_KEEPER";
/// What the keeper's lock file says about its holder: where to find it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) protocol: u32,
    pub(crate) socket: PathBuf,
    pub(crate) journal: PathBuf,
}

/// Exit codes of a keeper and of the step before it.
pub(crate) mod exit {
    /// Nothing is held any more, or what is owed stands in the journal.
    pub(crate) const DONE: i32 = 0;
    pub(crate) const NOT_STARTED: i32 = 70;
    pub(crate) const NO_FILES: i32 = 71;
    /// Another keeper lives.
    pub(crate) const NOT_ALONE: i32 = 72;
    pub(crate) const PANICKED: i32 = 73;

    /// What went wrong, for the error of the test that wanted a keeper.
    pub(crate) fn describe(code: i32) -> &'static str {
        match code {
            NOT_STARTED => "it could not start itself again",
            NO_FILES => "its directories can't be used",
            NOT_ALONE => "another keeper lives",
            PANICKED => "it panicked",
            _ => "its program ended before it could begin",
        }
    }
}
