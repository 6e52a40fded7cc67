//! The words that both sides of the socket use.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::target::OnExit;

/// Milliseconds on the keeper's own clock, which starts at its birth.
pub(crate) type Millis = u64;

/// One attempt, chosen by its client; unique within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AttemptId(pub(crate) u64);

/// Whether an attempt shares the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// When a release is due, and how it is done: the settings of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Policy {
    /// Milliseconds to keep the cluster after the last session.
    pub(crate) keep_warm: Millis,
    /// Milliseconds after the beginning of the last attempt at which the cluster is released whatever is connected.
    pub(crate) max_lifetime: Millis,
    /// Milliseconds that an attempt may wait for its turn.
    pub(crate) start_timeout: Millis,
    /// What a release does, and whether what was found running is released too.
    pub(crate) on_exit: OnExit,
}

impl Default for Policy {
    fn default() -> Self {
        Self { keep_warm: 0, max_lifetime: 7_200_000, start_timeout: 900_000, on_exit: OnExit::Auto }
    }
}

/// Why a client is sent away. Said before every deliberate close, or it would attach again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CutReason {
    /// The keeper was told to stop.
    Terminated,
    /// The maximum lifetime passed.
    MaxLifetime,
    /// The run this process belongs to is over.
    RunOver,
}

/// The end of a session for its cluster, in the words of reports and of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterOutcome {
    /// The cluster is suspended.
    Suspended,
    /// A local server is gone, with its data.
    Removed,
    /// A Cloud cluster is gone, with its data.
    Deleted,
    /// The cluster is left as it is.
    Left,
    /// The release failed.
    Owed,
    /// The cluster was found running and left alone.
    #[serde(rename = "found running")]
    FoundRunning,
    /// There never was a cluster.
    Failed,
    /// Other sessions go on with the cluster.
    Shared,
    /// The cluster waits for the next session.
    Warm,
    /// Other processes hold the session.
    Held,
    /// The release is not awaited.
    Releasing,
    /// There was nothing to release.
    Nothing,
    /// It is not known.
    Unknown,
}

impl ClusterOutcome {
    /// Returns whether the cluster may run on although it should not.
    pub fn is_owed(self) -> bool {
        matches!(self, Self::Owed | Self::Unknown)
    }
}

impl fmt::Display for ClusterOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
