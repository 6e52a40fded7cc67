//! What a test process and its keeper say to each other, and how: one Unix stream, a length, then JSON.
//!
//! Neither side names the other; both name this. Frozen by the golden file beside it. `type` and `protocol` of the first
//! frame never change, so that a client and a keeper of different versions understand that they don't understand each
//! other.

mod birth;
mod frame;
mod message;
mod snapshot;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use self::birth::{Holder, VARIABLE, exit};
pub(crate) use self::frame::{
    Decoder, MAX_DESCRIPTORS, MAX_FRAME, encode, receive_with_descriptors, send_with_descriptors,
};
pub(crate) use self::message::{
    FromClient, FromKeeper, Greeting, Hello, KnownSetup, MigrationFile, MigrationSet, Named, Open, PROTOCOL, Ready,
    SetupOutcome, Spec, Verdict,
};
pub(crate) use self::snapshot::{Phase, SessionState, Snapshot, Turn};
pub use self::words::ClusterOutcome;
pub(crate) use self::words::{AttemptId, CutReason, Millis, Mode, Policy};
