//! Holds an explicit session, so that a cluster is available while a command runs and is released afterwards.

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

/// An explicit session that this process holds. The process leaves it when this is dropped or the process ends. The
/// session ends when its last holder leaves.
pub struct HeldSession(Hold);

/// Joins the explicit session `session` with this process as its runner, and waits for the cluster. Progress goes to
/// standard error, as in tests.
///
/// # Errors
///
/// When the name or a setting can't be read, and when no cluster can be acquired.
pub fn hold(manifest_dir: &Path, session: &str) -> Result<HeldSession> {
    Ok(HeldSession(Hold::new(Settings::load(manifest_dir, Wanted::default())?.in_session(session)?, None)?))
}

/// Does the same as [`hold`], with progress and notes going to `on_progress` instead.
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
    /// Returns the variables that make a process part of this session, and the cluster's address for programs that are
    /// no tests. They contain no secrets: the process must have the same settings as this one, and access to the
    /// keeper's directories (a container needs them mounted).
    pub fn environment(&self) -> Vec<(String, String)> {
        /// Processes that outlive the command must not keep the cluster for long.
        const IDLE: &str = "10s";
        let url = self.http_url().map(|url| ("CRATEDB_TEST_SESSION_URL".to_owned(), url));
        let mut all = vec![
            ("CRATEDB_TEST_SESSION".to_owned(), self.session().to_owned()),
            ("CRATEDB_TEST_SESSION_IDLE".to_owned(), IDLE.to_owned()),
        ];
        all.extend(url);
        all
    }

    /// Returns the name of the session.
    pub fn session(&self) -> &str {
        self.0.settings().session.as_ref().map_or("", |named| &named.name)
    }

    /// Describes the cluster by its name, version and address.
    pub fn describe(&self) -> String {
        match self.0.ready() {
            Ok(ready) => format!("{}, CrateDB {}, at {}", ready.name, ready.version, ready.http_url),
            Err(error) => error.to_string(),
        }
    }

    /// Returns the HTTP address of the cluster, without credentials.
    pub fn http_url(&self) -> Option<String> {
        Some(self.0.ready().ok()?.http_url.clone())
    }

    /// Leaves the session, which ends unless other processes hold it. With `wait`, returns once the cluster is
    /// released, kept warm or held by others. Until then, `on_trouble` hears why the release can't go on for now.
    ///
    /// # Errors
    ///
    /// When the release takes longer than `wait`.
    pub fn release(self, wait: Option<Duration>, on_trouble: &dyn Fn(&str)) -> Result<Finished> {
        let (files, key) = (self.0.files().clone(), self.0.settings().spec.key.clone());
        // Closed first, so that this process does not start another keeper if this one dies.
        self.0.close();
        let (session, holder) = (Some(self.session()), Some(self.0.process()));
        let mut finished = finish_key(&files, &key, session, holder, wait, on_trouble)?;
        // The keeper was killed, and no other process is known to repair what it left.
        if let Some(wait) = wait.filter(|_| finished.outcome == ClusterOutcome::Owed)
            && let Some(end) = repair_once(&files, &self.0.settings().spec.target, wait, on_trouble)?
        {
            (finished.outcome, finished.detail) = end;
        }
        Ok(finished)
    }
}
