//! One line per session: when it is over where others go on, with the release where it was the last.

use super::{Keeper, State};
use crate::keeper::machine::SessionId;
use crate::keeper::report::unix_millis;
use crate::wire::{ClusterOutcome, FromKeeper};

impl Keeper {
    /// A session that is over while the cluster stays has its line at once.
    pub(super) fn report_ended(&mut self) {
        let ended = self.clients.forget_ended(&self.machine);
        if ended.is_empty() {
            return;
        }
        let outcome = match self.machine.state() {
            State::Warm { .. } => ClusterOutcome::Warm,
            State::Up if self.clients.sessions().next().is_some() => ClusterOutcome::Shared,
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

    /// How a release ended, for all whose session is over, and those who watch.
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
        self.tell(&FromKeeper::Released { outcome, detail: detail.to_owned() });
    }

    /// The last thing: what was not said yet.
    pub(super) fn write_reports(&mut self) {
        let failure = self.failure.as_ref().map(ToString::to_string).unwrap_or_default();
        let kept = self.resource.is_some();
        for report in self.clients.reports.values_mut() {
            if report.outcome.is_none() {
                (report.outcome, report.detail) = match kept {
                    true => (Some(ClusterOutcome::FoundRunning), String::new()),
                    false => (Some(ClusterOutcome::Failed), failure.clone()),
                };
            }
            report.write();
        }
    }
}
