//! Holding an explicit session: the cluster is there before the command that needs it, and is let go of after it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Finished;
use super::finish::finish_key;
use super::sweep::repair_once;
use crate::error::Result;
use crate::session::Hold;
use crate::settings::{Settings, Wanted};
use crate::wire::ClusterOutcome;

/// An explicit session that this process holds. Dropping it gives up this process's part, and so does the end of this
/// process; the session ends with the last part.
pub struct HeldSession(Hold);

/// Joins as the explicit session `session` with this process as its runner, and waits for the cluster. What is waited for
/// goes to standard error, as in tests.
///
/// # Errors
///
/// When the name or a setting can't be read, and when no cluster can be had.
pub fn hold(manifest_dir: &Path, session: &str) -> Result<HeldSession> {
    Ok(HeldSession(Hold::new(Settings::load(manifest_dir, Wanted::default())?.in_session(session)?, None)?))
}

/// The same; what is waited for, and what people should know, goes to `on_progress` instead.
///
/// # Errors
///
/// See [`hold`].
pub fn hold_with(
    manifest_dir: &Path,
    session: &str,
    on_progress: impl Fn(&str) + Send + Sync + 'static,
) -> Result<HeldSession> {
    let settings = Settings::load(manifest_dir, Wanted::default())?.in_session(session)?;
    Ok(HeldSession(Hold::new(settings, Some(Arc::new(on_progress)))?))
}

impl HeldSession {
    /// The variables that make a process part of this session. No secrets: such a process finds the keeper by the same
    /// settings as this one, and by the keeper's directories where it runs (a container needs them mounted).
    pub fn environment(&self) -> Vec<(String, String)> {
        /// What the command leaves behind must not keep a cluster for long once nobody holds the session.
        const IDLE: &str = "10s";
        vec![
            ("CRATEDB_TEST_SESSION".to_owned(), self.session().to_owned()),
            ("CRATEDB_TEST_SESSION_IDLE".to_owned(), IDLE.to_owned()),
        ]
    }

    /// The name of the session.
    pub fn session(&self) -> &str {
        self.0.settings().session.as_ref().map_or("", |named| &named.name)
    }

    /// The cluster, for people: its name, address and version.
    pub fn describe(&self) -> String {
        match self.0.ready() {
            Ok(ready) => format!("{}, CrateDB {}, at {}", ready.name, ready.version, ready.http_url),
            Err(error) => error.to_string(),
        }
    }

    /// The HTTP address of the cluster, without credentials.
    pub fn http_url(&self) -> Option<String> {
        Some(self.0.ready().ok()?.http_url.clone())
    }

    /// Gives up this process's part, which ends the session unless others hold it too; with `wait`, returns once the cluster is let go of, kept warm or held by others.
    ///
    /// # Errors
    ///
    /// When that takes longer than `wait`.
    pub fn release(self, wait: Option<Duration>) -> Result<Finished> {
        let (files, key) = (self.0.files().clone(), self.0.settings().spec.key.clone());
        // It must not come back if the keeper dies: to let go is all that is wanted from here on.
        self.0.close();
        let mut finished = finish_key(&files, &key, Some(self.session()), Some(self.0.process()), wait)?;
        // Its keeper was killed: nobody else is there who would know.
        if let Some(wait) = wait.filter(|_| finished.outcome == ClusterOutcome::Owed)
            && let Some(end) = repair_once(&files, &self.0.settings().spec.target, wait)?
        {
            (finished.outcome, finished.detail) = end;
        }
        Ok(finished)
    }
}
