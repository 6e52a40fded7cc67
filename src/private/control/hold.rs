//! Holding an explicit session: the cluster is there before the command that needs it, and is let go of after it.

use std::path::Path;
use std::time::Duration;

use super::Finished;
use crate::error::{Error, Kind, Result};

/// An explicit session that this process holds. Dropping it ends the session.
pub struct Held {
    session: String,
}

/// Joins as the explicit session `session` with this process as its runner, and waits for the cluster. What is waited for
/// goes to standard error, as in tests.
///
/// # Errors
///
/// When the name or a setting can't be read, and when no cluster can be had.
pub fn hold(manifest_dir: &Path, session: &str) -> Result<Held> {
    hold_with(manifest_dir, session, |_| ())
}

/// The same; what is waited for goes to `on_progress` instead, each step once.
///
/// # Errors
///
/// See [`hold`].
pub fn hold_with(
    _manifest_dir: &Path,
    _session: &str,
    _on_progress: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Held> {
    Err(Error::new(Kind::Session, "not built yet"))
}

impl Held {
    /// The variables that make a process part of this session. No secrets: such a process finds the keeper by the same
    /// settings as this one, and the keeper's files (`CRATEDB_TEST_DIR`) where it runs.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![("CRATEDB_TEST_SESSION".into(), self.session.clone())]
    }

    /// The cluster, for people.
    pub fn describe(&self) -> String {
        String::new()
    }

    /// Ends the session; with `wait`, returns once the cluster is let go of or others hold it.
    ///
    /// # Errors
    ///
    /// When that takes longer than `wait`, and when letting go fails.
    pub fn release(self, _wait: Option<Duration>) -> Result<Finished> {
        Err(Error::new(Kind::Session, "not built yet"))
    }
}
