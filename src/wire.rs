//! The wire between test processes and keepers: one Unix stream with frames, each a length and a message in JSON.
//!
//! Neither side names the other; both name this module. The golden file beside it freezes the frames. `type` and
//! `protocol` of the first frame never change, so that a client and a keeper of different versions understand that they
//! don't understand each other. Before there is a stream, a client that starts a keeper agrees with it on a variable,
//! on the content of a lock file and on exit codes.

mod frame;
mod message;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use self::frame::{
    Decoder, MAX_DESCRIPTORS, MAX_FRAME, encode, receive_with_descriptors, send_with_descriptors,
};
pub use self::message::ClusterOutcome;
pub(crate) use self::message::{
    AttemptId, CutReason, Ended, FromClient, FromKeeper, Greeting, Hello, KeeperSnapshot, KnownSetup, MigrationFile,
    MigrationSet, Millis, Mode, Named, Open, PROTOCOL, Phase, Policy, Ready, SessionState, SetupOutcome, Spec, Turn,
    Verdict,
};

/// The variable that makes a keeper of the process in which it is set: `1:<hash>` or `2:<hash>` for the two steps.
pub(crate) const VARIABLE: &str = "CRATEDB_TEST_KEEPER";

/// The content of the keeper's lock file: where its holder is found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    pub(crate) protocol: u32,
    pub(crate) socket: PathBuf,
    pub(crate) journal: PathBuf,
}

/// Exit codes of a keeper and of the step before it.
pub(crate) mod exit {
    /// Nothing is held any more, or the journal says what is owed.
    pub(crate) const DONE: i32 = 0;
    pub(crate) const NOT_STARTED: i32 = 70;
    pub(crate) const NO_FILES: i32 = 71;
    /// Another keeper lives.
    pub(crate) const NOT_ALONE: i32 = 72;
    pub(crate) const PANICKED: i32 = 73;

    /// Says what went wrong, for the error of the test that wanted a keeper.
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
