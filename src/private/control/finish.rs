//! Ending sessions by name, and what keeps a cluster warm.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Kind, Result};

/// What became of one key.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    /// The key in clear.
    pub key: String,
    /// Names its files, and selects it.
    pub hash: String,
    /// Explicit sessions that were ended.
    pub sessions: Vec<String>,
    /// Who still holds the cluster.
    pub held_by: Vec<String>,
    /// What became of the cluster, as far as was waited for: `suspended`, `removed`, `deleted`, `left`, `owed`, `held`
    /// (by others), `warm`, `releasing` (not waited for) or `nothing` (was held).
    pub outcome: String,
    /// More about the outcome, for people.
    pub detail: String,
}

/// Ends explicit sessions and the time for which a cluster is kept warm. Without a selector: those of the settings of the
/// working directory. A live run's session ends only if it is named.
///
/// No key in the answer: nothing is held. With `wait`, returns once each cluster is let go of or others hold it.
///
/// # Errors
///
/// When the selector names nothing, when only live runs hold the key (the error names them), when letting go takes longer
/// than `wait`.
pub fn finish(_selector: Option<&str>, _wait: Option<Duration>) -> Result<Vec<Finished>> {
    Err(Error::new(Kind::Session, "not built yet"))
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.outcome)
    }
}
