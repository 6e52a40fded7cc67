//! The keeper: the one process per user and resource that acquires a cluster, holds it and releases it.
//!
//! Elsewhere such a process is called a reaper. `takeover` is how it comes into being, `machine` decides, `run` does what
//! the machine says, and everything that has to survive it is in `journal`.

mod cleaner;
mod clients;
mod connection;
mod globals;
mod journal;
mod log;
mod machine;
mod maker;
mod prepared;
mod protocol;
mod report;
mod restorer;
mod run;
mod setups;
mod takeover;
mod watch;
mod work;

pub(crate) use cleaner::drop_schema;
pub(crate) use journal::{Journal, Left, Record};
pub(crate) use machine::{AttemptId, Mode, Policy, Word};
pub(crate) use protocol::{
    Decoder, FromClient, FromKeeper, Hello, Known, MAX_FRAME, Named, Open, Outcome as SetUpOutcome, PROTOCOL, Phase,
    Ready, SessionState, Snapshot, Spec, Turn, Verdict, encode, send_with_descriptors,
};
pub(crate) use takeover::VARIABLE;

/// What the keeper's lock file says about its holder: where to find it.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) protocol: u32,
    pub(crate) socket: std::path::PathBuf,
    pub(crate) journal: std::path::PathBuf,
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
