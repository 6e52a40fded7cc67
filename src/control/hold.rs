//! Holds an explicit session, so that a cluster is available while a command runs and is released afterwards.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Finished;
use super::finish::finish_key;
use super::sweep::repair_once;
use crate::error::Result;
use crate::host::process::Identity;
use crate::host::{KeyFiles, Places};
use crate::session::Hold;
use crate::settings::{Settings, Wanted};
use crate::wire::ClusterOutcome;

/// An explicit session that this process holds. The process leaves it when this is dropped or the process ends. The
/// session ends when its last holder leaves.
pub struct HeldSession(Hold);

/// The acquisition of the cluster of an explicit session, which one thread waits for and another one may give up.
pub struct Acquisition {
    settings: Settings,
    files: KeyFiles,
    given_up: Arc<Notify>,
    /// Locked while a thread waits for the cluster.
    waits: Mutex<()>,
}

/// Joins the explicit session `session` with this process as its runner, and waits for the cluster. Progress goes to
/// standard error, as in tests.
///
/// # Errors
///
/// When the name or a setting can't be read, and when no cluster can be acquired.
pub fn hold(manifest_dir: &Path, session: &str) -> Result<HeldSession> {
    let settings = Settings::load(manifest_dir, Wanted::default())?.in_session(session)?;
    Ok(HeldSession(Hold::new(settings, None, std::future::pending())?))
}

impl Acquisition {
    /// Reads the settings. Nothing is acquired before [`wait`](Self::wait).
    ///
    /// # Errors
    ///
    /// When the name or a setting can't be read.
    pub fn new(manifest_dir: &Path, session: &str) -> Result<Self> {
        let settings = Settings::load(manifest_dir, Wanted::default())?.in_session(session)?;
        let files = Places::find()?.key(&settings.spec.key);
        Ok(Self { settings, files, given_up: Arc::default(), waits: Mutex::default() })
    }

    /// Does the same as [`hold`], with progress and notes going to `on_progress` instead.
    ///
    /// # Errors
    ///
    /// When no cluster can be acquired, and when the acquisition is given up.
    pub fn wait(&self, on_progress: impl Fn(&str) + Send + Sync + 'static) -> Result<HeldSession> {
        let _waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let given_up = self.given_up.clone();
        let given_up = async move { given_up.notified().await };
        Ok(HeldSession(Hold::new(self.settings.clone(), Some(Arc::new(on_progress)), given_up)?))
    }

    /// Ends the wait for the cluster, then does the same as [`HeldSession::release`].
    ///
    /// # Errors
    ///
    /// See [`HeldSession::release`].
    pub fn give_up(&self, wait: Option<Duration>, on_trouble: &dyn Fn(&str)) -> Result<Finished> {
        self.given_up.notify_one();
        // A thread that still waits could join the session after this process has left it.
        drop(self.waits.lock().unwrap_or_else(PoisonError::into_inner));
        leave(&self.files, &self.settings, &Identity::own()?, wait, on_trouble)
    }

    /// Returns the variables that make a process part of this session. See [`HeldSession::environment`].
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.settings)
    }
}

fn environment(settings: &Settings) -> Vec<(String, String)> {
    /// Processes that outlive the command must not keep the cluster for long.
    const IDLE: &str = "10s";
    vec![
        ("CRATEDB_TEST_SESSION".to_owned(), name(settings).to_owned()),
        ("CRATEDB_TEST_SESSION_IDLE".to_owned(), IDLE.to_owned()),
    ]
}

fn name(settings: &Settings) -> &str {
    settings.session.as_ref().map_or("", |named| &named.name)
}

/// Takes this process from its session. With `wait`, returns once the cluster is released, kept warm or held by others.
fn leave(
    files: &KeyFiles,
    settings: &Settings,
    own: &Identity,
    wait: Option<Duration>,
    on_trouble: &dyn Fn(&str),
) -> Result<Finished> {
    let mut finished = finish_key(files, &settings.spec.key, Some(name(settings)), Some(own), wait, on_trouble)?;
    // The keeper was killed, and no other process is known to repair what it left.
    if let Some(wait) = wait.filter(|_| finished.outcome == ClusterOutcome::Owed)
        && let Some(end) = repair_once(files, &settings.spec.target, wait, on_trouble)?
    {
        (finished.outcome, finished.detail) = end;
    }
    Ok(finished)
}

impl HeldSession {
    /// Returns the variables that make a process part of this session, and the cluster's address for programs that are
    /// no tests. They contain no secrets: the process must have the same settings as this one, and access to the
    /// keeper's directories (a container needs them mounted).
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = self.http_url().map(|url| ("CRATEDB_TEST_SESSION_URL".to_owned(), url));
        let mut all = environment(self.0.settings());
        all.extend(url);
        all
    }

    /// Returns the name of the session.
    pub fn session(&self) -> &str {
        name(self.0.settings())
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
        // Closed first, so that this process does not start another keeper if this one dies.
        self.0.close();
        leave(self.0.files(), self.0.settings(), self.0.process(), wait, on_trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acquisition_that_was_given_up_before_it_began_never_begins() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".env"), "CRATEDB_CLUSTER_URL=http://127.0.0.1:9\n").unwrap();
        let settings = Settings::load(dir.path(), Wanted::default()).unwrap().in_session("given-up").unwrap();
        let files = Places { runtime: dir.path().into(), state: dir.path().into() }.key(&settings.spec.key);
        let acquisition = Acquisition { settings, files, given_up: Arc::default(), waits: Mutex::default() };
        let finished = acquisition.give_up(None, &|_| {}).unwrap();
        assert_eq!((finished.sessions, finished.held_by), (Vec::<String>::new(), Vec::<String>::new()));
        let error = acquisition.wait(|_| panic!("it has begun")).map(drop).unwrap_err().to_string();
        assert!(error.contains("not waited for any more"), "{error}");
    }
}
