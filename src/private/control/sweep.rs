//! Repairing what killed keepers left, key by key; what can't be repaired here is said and stops nothing.

use std::fmt;

use serde::Serialize;

use crate::error::{Error, Kind, Result};

/// What became of one key.
#[derive(Clone, Debug, Serialize)]
pub struct Swept {
    /// The key in clear; empty where the journal can't be read.
    pub key: String,
    /// Names its files, and selects it.
    pub hash: String,
    /// What its journal owed.
    pub owed: String,
    /// `repaired`, `would repair`, `forgotten`, `would forget`, `held` (by a live keeper), `skipped` or `failed`.
    pub outcome: String,
    /// More about the outcome, for people: what was let go of, or why it can't be.
    pub detail: String,
}

/// Lets go of what the journals of dead keepers owe, with the credentials of the working directory's settings. `dry_run`
/// only says what would be done; `forget` drops what one key's journal owes, saying what it was.
///
/// Keys that owe nothing are not in the answer.
///
/// # Errors
///
/// When the state directory can't be used, and when `forget` names no key. What is wrong with one key is its outcome.
pub fn sweep(_dry_run: bool, _forget: Option<&str>) -> Result<Vec<Swept>> {
    Err(Error::new(Kind::Session, "not built yet"))
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.outcome)
    }
}
