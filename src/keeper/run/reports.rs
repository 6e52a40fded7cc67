//! One line of JSON per session for `CRATEDB_TEST_REPORT`: when it is over where others go on, with the release where
//! it was the last.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;

use serde::Serialize;

use super::{Keeper, MachineState};
use crate::keeper::machine::SessionId;
use crate::keeper::unix_millis;
use crate::wire::{ClusterOutcome, FromKeeper};

/// The line of one session.
#[derive(Debug, Default, Serialize)]
pub(in crate::keeper) struct Report {
    /// The number of the session in this keeper, from 1.
    session: u64,
    /// The name of an explicit session.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    pub(super) provider: String,
    /// The cluster or container, for people.
    pub(super) resource: String,
    /// The number of attempts but for those made inside another. A retried test counts again.
    pub(super) tests: u64,
    processes: u64,
    binaries: usize,
    /// Milliseconds since the Unix epoch.
    pub(super) began_at_ms: u64,
    /// From the first request of the session until the cluster was there; none if it never was.
    pub(super) ready_after_ms: Option<u64>,
    /// When the release was done, if it was.
    released_at_ms: Option<u64>,
    /// The fate of the cluster: `suspended`, `removed`, `deleted`, `left`, `found running`, `failed`, `owed`; where the
    /// session was not the last one `shared`, and `warm` where the cluster waits for the next one.
    outcome: Option<ClusterOutcome>,
    /// More about the outcome, for people.
    detail: String,
    /// True once people were told which cluster it is.
    #[serde(skip)]
    pub(super) told: bool,
    #[serde(skip)]
    path: Option<String>,
    #[serde(skip)]
    seen: BTreeSet<String>,
}

impl Report {
    pub(in crate::keeper) fn new(session: u64, name: Option<String>, path: Option<String>) -> Self {
        Self { session, name, path, began_at_ms: unix_millis(), ..Self::default() }
    }

    pub(in crate::keeper) fn joined(&mut self, binary: &str) {
        self.processes += 1;
        self.seen.insert(binary.to_owned());
        self.binaries = self.seen.len();
    }

    /// Appends the line, in one write, so that two keepers don't mix theirs.
    fn write(&self) {
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

impl Keeper {
    /// Writes the lines of sessions that are over while the cluster stays.
    pub(super) fn report_ended(&mut self) {
        let ended = self.clients.forget_ended(&self.machine);
        if ended.is_empty() {
            return;
        }
        let outcome = match self.machine.state() {
            MachineState::Warm { .. } => ClusterOutcome::Warm,
            MachineState::Up if self.clients.sessions().next().is_some() => ClusterOutcome::Shared,
            // What becomes of the cluster now is what became of this session.
            _ => return,
        };
        for session in ended {
            self.report(session, outcome);
        }
    }

    fn report(&mut self, session: SessionId, outcome: ClusterOutcome) {
        if let Some(mut report) = self.clients.reports.remove(&session) {
            report.outcome = Some(outcome);
            report.write();
        }
    }

    /// Reports how a release ended, for all whose session is over, and to observers that watch.
    pub(super) fn report_release(&mut self, outcome: ClusterOutcome, detail: &str, ok: bool) {
        for report in self.clients.reports.values_mut() {
            (report.outcome, report.detail) = (Some(outcome), detail.to_owned());
            report.released_at_ms = ok.then(unix_millis);
        }
        if ok {
            // A later acquisition is not theirs any more.
            let over: Vec<SessionId> =
                self.clients.reports.keys().filter(|id| !self.machine.has(**id)).copied().collect();
            over.into_iter().for_each(|session| self.report(session, outcome));
        }
        self.tell_watching(&FromKeeper::Released { outcome, detail: detail.to_owned() });
    }

    /// Writes the lines that are left, as the last thing that a keeper does.
    pub(super) fn write_reports(&mut self) {
        let (outcome, detail) = match &self.supply.resource {
            Some(_) => (ClusterOutcome::FoundRunning, String::new()),
            None => (ClusterOutcome::Failed, self.supply.failure.as_ref().map(ToString::to_string).unwrap_or_default()),
        };
        for report in self.clients.reports.values_mut() {
            if report.outcome.is_none() {
                (report.outcome, report.detail) = (Some(outcome), detail.clone());
            }
            report.write();
        }
    }
}
