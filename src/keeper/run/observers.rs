//! Observers, which want no cluster: what they are told, and what they may end.

use std::time::Duration;

use super::{Keeper, Outbox};
use crate::host::process::Identity;
use crate::keeper::clients::SessionFacts;
use crate::keeper::machine::{ClientId, Event, MachineState, RunnerId, SessionId};
use crate::keeper::unix_seconds;
use crate::secret::Secret;
use crate::wire::{FromKeeper, KeeperSnapshot, Millis, Phase, SessionState, Turn};

/// A connection of a process that wants no cluster.
pub(super) struct ConnectedObserver {
    outbox: Outbox,
    watches: bool,
    /// The last answer it was sent.
    told: Option<KeeperSnapshot>,
}

impl ConnectedObserver {
    fn tell(&mut self, snapshot: KeeperSnapshot) {
        self.told = Some(snapshot.clone());
        self.outbox.send(&FromKeeper::State(Box::new(snapshot)));
    }
}

impl Keeper {
    pub(super) fn observe(&mut self, id: ClientId, outbox: Outbox) {
        self.observers.insert(id, ConnectedObserver { outbox, watches: false, told: None });
    }

    /// Answers an observer that asks who holds what.
    pub(super) fn status(&mut self, id: ClientId, watch: bool) {
        let snapshot = self.snapshot();
        let Some(observer) = self.observers.get_mut(&id) else { return };
        observer.watches |= watch;
        observer.tell(snapshot);
    }

    /// Sends the observers that watch what has changed.
    pub(super) fn tell_observers(&mut self) {
        if !self.observers.values().any(|observer| observer.watches) {
            return;
        }
        let snapshot = self.snapshot();
        for observer in self.observers.values_mut().filter(|observer| observer.watches) {
            if observer.told.as_ref() != Some(&snapshot) {
                observer.tell(snapshot.clone());
            }
        }
    }

    /// Sends a message to the observers that watch.
    pub(super) fn tell_watching(&self, message: &FromKeeper) {
        for observer in self.observers.values().filter(|observer| observer.watches) {
            observer.outbox.send(message);
        }
    }

    /// Ends a session by its name, or all explicit ones without a holder. With `now`, and if no session is left, it
    /// also ends the time for which the cluster is kept warm.
    ///
    /// A `holder` gives up its own part: a session with other holders goes on, and so does one that it never held.
    pub(super) fn finish(&mut self, id: ClientId, session: Option<&str>, holder: Option<&Identity>, now: bool) {
        let ends: Vec<SessionId> = match session {
            Some(name) => self.clients.named(name).into_iter().collect(),
            None => {
                let explicit = self.clients.sessions().filter(|(_, facts)| facts.explicit.is_some());
                explicit.map(|(id, _)| id).filter(|id| !self.machine.is_held(*id)).collect()
            }
        };
        let ends: Vec<SessionId> = ends.into_iter().filter(|id| self.machine.is_alive(*id)).collect();
        let (ends, parts) = match holder {
            Some(holder) => self.parts(ends, holder),
            None => (ends, Vec::new()),
        };
        let (ending, left): (Vec<_>, Vec<_>) = self.clients.sessions().partition(|(id, _)| ends.contains(id));
        let name = |facts: &SessionFacts| facts.explicit.as_ref().map(|named| named.name.clone());
        let sessions: Vec<String> = ending.into_iter().filter_map(|(_, facts)| name(facts)).collect();
        tracing::info!(?sessions, now, "sessions are finished");
        let left = left.into_iter().filter(|(id, _)| self.machine.is_alive(*id));
        let held_by: Vec<String> = left.map(|(id, facts)| self.describe(id, facts)).collect();
        // Before the events, which may cut the client that asked.
        let message = FromKeeper::Finished { sessions, held_by: held_by.clone() };
        match self.observers.get(&id) {
            Some(observer) => observer.outbox.send(&message),
            None => self.clients.send(id, &message),
        }
        // First of all: observers must not see the cluster warm in between.
        if now && held_by.is_empty() {
            self.feed(Event::Cool);
        }
        ends.into_iter().for_each(|id| self.feed(Event::Finish(id)));
        parts.into_iter().for_each(|(id, runner)| self.feed(Event::LetGo(id, runner)));
    }

    /// Returns which of these sessions end when `holder` gives up its part, and which of them only lose it.
    fn parts(&mut self, sessions: Vec<SessionId>, holder: &Identity) -> (Vec<SessionId>, Vec<(SessionId, RunnerId)>) {
        let (mut ends, mut parts) = (Vec::new(), Vec::new());
        for id in sessions {
            match self.clients.let_go(id, holder) {
                Some(runner) if self.is_held_beside(id, runner) => parts.push((id, runner)),
                Some(_) => ends.push(id),
                // This keeper followed a killed one, and the holder has not come back to it.
                None if !self.clients.had_holders(id) => ends.push(id),
                None => {}
            }
        }
        (ends, parts)
    }

    fn is_held_beside(&self, session: SessionId, holder: RunnerId) -> bool {
        let facts = self.clients.sessions().find(|(id, _)| *id == session);
        facts.is_some_and(|(_, facts)| facts.runners.keys().any(|id| *id != holder && self.machine.runs(*id)))
    }

    /// Describes a session, for a list of what holds the cluster.
    fn describe(&self, id: SessionId, facts: &SessionFacts) -> String {
        let runners = self.runners_of(facts);
        let who = runners.last().map(|runner| format!("`{}` (process {})", runner.name, runner.pid));
        match (&facts.explicit, who) {
            (Some(named), Some(holder)) => format!("session `{}`, held by {holder}", named.name),
            (Some(named), None) => format!("session `{}`", named.name),
            (None, Some(runner)) => format!("the run of {runner}"),
            (None, None) => match self.clients.of_session(id).next() {
                Some(client) => format!("process {}", client.process.pid),
                None => "a run that ends".to_owned(),
            },
        }
    }

    fn runners_of(&self, facts: &SessionFacts) -> Vec<Identity> {
        facts.runners.iter().filter(|(id, _)| self.machine.runs(**id)).map(|(_, process)| process.clone()).collect()
    }

    fn snapshot(&self) -> KeeperSnapshot {
        let state = self.machine.state();
        KeeperSnapshot {
            pid: std::process::id(),
            key: self
                .supply
                .spec
                .as_ref()
                .map_or_else(|| self.journal.read(|record| record.key.clone()), |spec| spec.key.clone()),
            phase: phase(state),
            owes: self.machine.owes()
                || !matches!(
                    state,
                    MachineState::Recovering { .. } | MachineState::Down | MachineState::Up | MachineState::Failed
                ),
            until: self.machine.until().map(|at| self.unix(at)),
            provider: self.supply.provider(),
            resource: self.supply.resource.as_ref().map(|resource| resource.name.clone()),
            http_url: self.supply.resource.as_ref().map(|resource| resource.http_url.clone()),
            pg_url: self.supply.resource.as_ref().and_then(|resource| without_password(resource.pg_url.as_ref()?)),
            step: self.last_progress.clone(),
            trouble: self.reason(),
            owed_since: self.debts.since(),
            policy: *self.machine.policy(),
            sessions: self.clients.sessions().map(|(id, facts)| self.session(id, facts)).collect(),
            ended: self.clients.ended().to_vec(),
        }
    }

    fn session(&self, id: SessionId, facts: &SessionFacts) -> SessionState {
        let runners = self.runners_of(facts);
        let turns = self.clients.of_session(id).flat_map(|client| {
            client.attempts.values().map(|attempt| Turn {
                test: attempt.open.test.clone(),
                schema: attempt.open.schema.clone(),
                mode: attempt.open.mode,
                runs: attempt.granted,
                since: attempt.since,
                pid: client.process.pid,
            })
        });
        SessionState {
            name: facts.explicit.as_ref().map(|named| named.name.clone()),
            since: facts.since,
            over: self.is_over(id),
            processes: self.clients.of_session(id).count(),
            ends: self.ends(id, facts, &runners),
            until: self.machine.idle_ends().find(|(session, _)| *session == id).map(|(_, at)| self.unix(at)),
            turns: turns.collect(),
            runners,
        }
    }

    fn is_over(&self, id: SessionId) -> bool {
        !self.machine.is_alive(id) && !self.machine.is_tethered()
    }

    /// Says what ends a session, for people.
    fn ends(&self, id: SessionId, facts: &SessionFacts, runners: &[Identity]) -> String {
        let all = |runners: &[Identity]| {
            let names = runners.iter().map(|runner| format!("`{}` ({})", runner.name, runner.pid));
            names.collect::<Vec<_>>().join(" and ")
        };
        match (&facts.explicit, runners) {
            _ if self.is_over(id) => "it is over; its processes have up to 30 s".to_owned(),
            (Some(named), []) => {
                format!("`cargo cratedb finish {}`, or {} without a test", named.name, idle(named.idle))
            }
            (Some(named), holders) => {
                format!("the end of {}, or `cargo cratedb finish {}`", all(holders), named.name)
            }
            (None, _) if self.machine.is_tethered() => "10 s without a test".to_owned(),
            (None, runners) => format!("the end of {}", all(runners)),
        }
    }

    /// Returns an instant of the machine in Unix seconds.
    fn unix(&self, at: Millis) -> i64 {
        let away = i64::try_from(at).unwrap_or(i64::MAX).saturating_sub_unsigned(self.now());
        unix_seconds().saturating_add(away.div_euclid(1000))
    }
}

fn idle(time: Millis) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_millis(time))
}

fn phase(state: MachineState) -> Phase {
    match state {
        MachineState::Recovering { .. } => Phase::Starting,
        MachineState::Probing => Phase::Looking,
        MachineState::Down | MachineState::Gone => Phase::Down,
        MachineState::Acquiring => Phase::Acquiring,
        MachineState::Up => Phase::Up,
        MachineState::Warm { .. } => Phase::Warm,
        MachineState::Releasing { .. } => Phase::Releasing,
        MachineState::Owed { .. } => Phase::Owed,
        MachineState::Failed => Phase::Failed,
    }
}

/// Returns an address, unless it has a password.
fn without_password(address: &Secret) -> Option<String> {
    let url = reqwest::Url::parse(address.expose()).ok()?;
    url.password().is_none().then(|| address.expose().to_owned())
}
