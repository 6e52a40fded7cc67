//! What a keeper says of itself to somebody who only looks.

use serde::{Deserialize, Serialize};

use super::words::{Mode, Policy};
use crate::host::process::Identity;

/// Everything about one keeper that people may want to know. No secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) pid: u32,
    pub(crate) key: String,
    pub(crate) phase: Phase,
    /// Whether something is or may be up that this keeper has to let go of.
    pub(crate) owes: bool,
    /// Unix seconds: when it lets go if nobody comes, at the latest when no test begins any more.
    pub(crate) until: Option<i64>,
    pub(crate) provider: Option<String>,
    /// The cluster or container, for people.
    pub(crate) resource: Option<String>,
    /// The last step of what is under way.
    pub(crate) step: Option<String>,
    /// The policy that a release now would follow.
    pub(crate) policy: Policy,
    pub(crate) sessions: Vec<SessionState>,
    /// The names of explicit sessions that ended in this keeper's life, the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ended: Vec<String>,
}

/// The machine's states, in the words of the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Starting,
    Looking,
    Down,
    Acquiring,
    Up,
    Warm,
    Releasing,
    Owed,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionState {
    /// Of an explicit one.
    pub(crate) name: Option<String>,
    /// Those that live: its runners, or who holds it.
    pub(crate) runners: Vec<Identity>,
    /// Unix seconds.
    pub(crate) since: i64,
    /// Only processes that have up to 30 s are left of it.
    pub(crate) over: bool,
    /// Connected.
    pub(crate) processes: usize,
    /// What ends it, for people.
    pub(crate) ends: String,
    /// Unix seconds: when it ends if nothing happens.
    pub(crate) until: Option<i64>,
    pub(crate) turns: Vec<Turn>,
}

/// An attempt that runs or waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) test: String,
    pub(crate) schema: String,
    pub(crate) mode: Mode,
    pub(crate) runs: bool,
    /// Unix seconds: since when it runs or waits, as far as this keeper knows.
    pub(crate) since: i64,
    pub(crate) pid: u32,
}
