//! One line of JSON per session, for whoever asked for it with `CRATEDB_TEST_REPORT`.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::wire::ClusterOutcome;

/// What one session did, as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of the keeper's sessions, counted from 1.
    pub(super) session: u64,
    /// Of an explicit session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) provider: String,
    /// For people: the cluster or container.
    pub(super) resource: String,
    /// Attempts but for those made inside another: a retried test counts again.
    pub(super) tests: u64,
    pub(super) processes: u64,
    pub(super) binaries: usize,
    /// Milliseconds since the Unix epoch.
    pub(super) began_at_ms: u64,
    /// From the first request of the session until the cluster was there; none if it never was.
    pub(super) ready_after_ms: Option<u64>,
    /// When the release was done, if it was.
    pub(super) released_at_ms: Option<u64>,
    /// What became of the cluster: `suspended`, `removed`, `deleted`, `left`, `found running`, `failed`, `owed`; where the
    /// session was not the last one `shared`, and `warm` where the cluster waits for the next one.
    pub(super) outcome: Option<ClusterOutcome>,
    /// More about the outcome, for people.
    pub(super) detail: String,
    /// Whether people were told which cluster it is.
    #[serde(skip)]
    pub(super) told: bool,
    #[serde(skip)]
    pub(super) path: Option<String>,
    #[serde(skip)]
    pub(super) seen: BTreeSet<String>,
}

impl Report {
    pub(super) fn new(session: u64, name: Option<String>, path: Option<String>) -> Self {
        Self {
            session,
            name,
            provider: String::new(),
            resource: String::new(),
            tests: 0,
            processes: 0,
            binaries: 0,
            began_at_ms: unix_millis(),
            ready_after_ms: None,
            released_at_ms: None,
            outcome: None,
            detail: String::new(),
            told: false,
            path,
            seen: BTreeSet::new(),
        }
    }

    pub(super) fn joined(&mut self, binary: &str) {
        self.processes += 1;
        self.seen.insert(binary.to_owned());
        self.binaries = self.seen.len();
    }

    /// Appends the line; in one write, so that two keepers don't mix theirs.
    pub(super) fn write(&self) {
        tracing::info!(report = %serde_json::to_string(self).unwrap_or_default(), "a session is over");
        let Some(path) = &self.path else { return };
        let Ok(mut line) = serde_json::to_vec(self) else { return };
        line.push(b'\n');
        let file = OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| file.write_all(&line)) {
            tracing::warn!(%error, path, "CRATEDB_TEST_REPORT was not written");
        }
    }
}

pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
