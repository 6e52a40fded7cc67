//! Those who only look: what they are told, and what they may end.

use super::{ClientId, Event, Keeper, Outbox, State};
use crate::error::{Error, Kind};
use crate::host::process::Identity;
use crate::keeper::clients::About;
use crate::keeper::machine::{RunnerId, SessionId};
use crate::target::Target;
use crate::wire::FromKeeper;
use crate::wire::Millis;
use crate::wire::{Named, Phase, SessionState, Snapshot, Turn};

/// Somebody who wants no cluster.
pub(super) struct Observer {
    outbox: Outbox,
    watches: bool,
    /// What it was told last.
    told: Option<Snapshot>,
}

impl Keeper {
    pub(super) fn observe(&mut self, id: ClientId, outbox: Outbox) {
        self.observers.insert(id, Observer { outbox, watches: false, told: None });
    }

    /// Somebody asked who holds what.
    pub(super) fn status(&mut self, id: ClientId, watch: bool) {
        let snapshot = self.snapshot();
        let Some(observer) = self.observers.get_mut(&id) else { return };
        observer.watches |= watch;
        observer.told = Some(snapshot.clone());
        observer.outbox.send(&FromKeeper::State(Box::new(snapshot)));
    }

    /// What changed goes to those who watch.
    pub(super) fn tell_observers(&mut self) {
        if !self.observers.values().any(|observer| observer.watches) {
            return;
        }
        let snapshot = self.snapshot();
        for observer in self.observers.values_mut().filter(|observer| observer.watches) {
            if observer.told.as_ref() != Some(&snapshot) {
                observer.told = Some(snapshot.clone());
                observer.outbox.send(&FromKeeper::State(Box::new(snapshot.clone())));
            }
        }
    }

    pub(super) fn tell_progress(&self, text: &str) {
        self.tell(&FromKeeper::Progress { text: text.to_owned(), speak: true });
    }

    /// To those who watch.
    pub(super) fn tell(&self, message: &FromKeeper) {
        for observer in self.observers.values().filter(|observer| observer.watches) {
            observer.outbox.send(message);
        }
    }

    /// Ends a session by its name, or all explicit ones that nobody holds; and, if nobody is left who wants the cluster,
    /// the time for which it is kept warm.
    ///
    /// A `holder` gives up its own part: a session that others hold too goes on, and so does one that it never held.
    pub(super) fn finish(&mut self, id: ClientId, session: Option<&str>, holder: Option<&Identity>, now: bool) {
        let ends: Vec<SessionId> = match session {
            Some(name) => self.clients.named(name).into_iter().collect(),
            None => {
                let explicit = self.clients.sessions().filter(|(_, about)| about.explicit.is_some());
                explicit.map(|(id, _)| id).filter(|id| !self.machine.is_held(*id)).collect()
            }
        };
        let ends: Vec<SessionId> = ends.into_iter().filter(|id| self.machine.is_alive(*id)).collect();
        let (ends, parts) = match holder {
            Some(holder) => self.parts(ends, holder),
            None => (ends, Vec::new()),
        };
        let named = |about: &About| about.explicit.as_ref().map(|named| named.name.clone());
        let sessions: Vec<String> =
            self.clients.sessions().filter(|(id, _)| ends.contains(id)).filter_map(|(_, about)| named(about)).collect();
        tracing::info!(?sessions, now, "somebody finishes sessions");
        let left = self.clients.sessions().filter(|(id, _)| !ends.contains(id) && self.machine.is_alive(*id));
        let held_by: Vec<String> = left.map(|(id, about)| self.describe(id, about)).collect();
        // Before the events: what they lead to may cut whoever asked.
        let message = FromKeeper::Finished { sessions, held_by: held_by.clone() };
        match self.observers.get(&id) {
            Some(observer) => observer.outbox.send(&message),
            None => self.clients.send(id, &message),
        }
        // First of all: those who watch must not see it warm in between.
        if now && held_by.is_empty() {
            self.feed(Event::Cool);
        }
        ends.into_iter().for_each(|id| self.feed(Event::Finish(id)));
        parts.into_iter().for_each(|(id, runner)| self.feed(Event::LetGo(id, runner)));
    }

    /// Which of these sessions end when `holder` lets go of them, and which of them only lose it.
    fn parts(&mut self, sessions: Vec<SessionId>, holder: &Identity) -> (Vec<SessionId>, Vec<(SessionId, RunnerId)>) {
        let (mut ends, mut parts) = (Vec::new(), Vec::new());
        for id in sessions {
            let part = self.clients.let_go(id, holder);
            match part {
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
        let about = self.clients.sessions().find(|(id, _)| *id == session);
        about.is_some_and(|(_, about)| about.runners.keys().any(|id| *id != holder && self.machine.runs(*id)))
    }

    /// A session, for a list of those who hold the cluster.
    fn describe(&self, id: SessionId, about: &About) -> String {
        let runners = self.runners_of(about);
        let who = runners.last().map(|runner| format!("`{}` (process {})", runner.name, runner.pid));
        match (&about.explicit, who) {
            (Some(named), Some(holder)) => format!("session `{}`, held by {holder}", named.name),
            (Some(named), None) => format!("session `{}`", named.name),
            (None, Some(runner)) => format!("the run of {runner}"),
            (None, None) => match self.clients.of_session(id).next() {
                Some(client) => format!("process {}", client.process.pid),
                None => "a run that ends".to_owned(),
            },
        }
    }

    fn runners_of(&self, about: &About) -> Vec<Identity> {
        about.runners.iter().filter(|(id, _)| self.machine.runs(**id)).map(|(_, process)| process.clone()).collect()
    }

    fn snapshot(&self) -> Snapshot {
        let state = self.machine.state();
        let provider = self.resource.as_ref().map(|resource| resource.provider.clone());
        Snapshot {
            pid: std::process::id(),
            key: self.spec.as_ref().map_or_else(|| self.journal_key(), |spec| spec.key.clone()),
            phase: phase(state),
            owes: self.machine.owes()
                || !matches!(state, State::Recovering { .. } | State::Down | State::Up | State::Failed),
            until: self.machine.until().map(|at| self.unix(at)),
            provider: provider.or_else(|| self.spec.as_ref().map(|spec| provider_of(&spec.target).to_owned())),
            resource: self.resource.as_ref().map(|resource| resource.name.clone()),
            step: self.last_progress.clone(),
            policy: *self.machine.policy(),
            sessions: self.clients.sessions().map(|(id, about)| self.session(id, about)).collect(),
            ended: self.clients.ended().to_vec(),
        }
    }

    fn journal_key(&self) -> String {
        self.with_journal(|journal| Ok(journal.record.key.clone())).unwrap_or_default()
    }

    fn session(&self, id: SessionId, about: &About) -> SessionState {
        let runners = self.runners_of(about);
        let idle_until = self.machine.idle_ends().find(|(session, _)| *session == id).map(|(_, at)| self.unix(at));
        let clients = self.clients.of_session(id);
        SessionState {
            name: about.explicit.as_ref().map(|named| named.name.clone()),
            since: about.since,
            over: self.is_over(id),
            processes: self.clients.of_session(id).count(),
            ends: self.ends(id, about, &runners),
            until: idle_until,
            turns: clients
                .flat_map(|client| {
                    client.attempts.values().map(|asked| Turn {
                        test: asked.open.test.clone(),
                        schema: asked.open.schema.clone(),
                        mode: asked.open.mode,
                        runs: asked.granted,
                        since: asked.since,
                        pid: client.process.pid,
                    })
                })
                .collect(),
            runners,
        }
    }

    fn is_over(&self, id: SessionId) -> bool {
        !self.machine.is_alive(id) && !self.machine.is_tethered()
    }

    /// What ends a session, for people.
    fn ends(&self, id: SessionId, about: &About, runners: &[Identity]) -> String {
        let all = |runners: &[Identity]| {
            let names = runners.iter().map(|runner| format!("`{}` ({})", runner.name, runner.pid));
            names.collect::<Vec<_>>().join(" and ")
        };
        match (&about.explicit, runners) {
            _ if self.is_over(id) => "it is over; its processes have up to 30 s".to_owned(),
            (Some(named), []) => format!("`cargo cratedb finish {}`, or {} without a test", named.name, idle(named)),
            (Some(named), holders) => {
                format!("the end of {}, or `cargo cratedb finish {}`", all(holders), named.name)
            }
            (None, _) if self.machine.is_tethered() => "10 s without a test".to_owned(),
            (None, runners) => format!("the end of {}", all(runners)),
        }
    }

    /// Why somebody gets no turn and no cluster any more.
    pub(super) fn run_over(&self, id: ClientId) -> Error {
        match self.clients.explicit(id) {
            Some(named) => Error::new(Kind::Session, format!("the session `{}` is over", named.name))
                .because("it was finished, or the process that held it ended"),
            None => Error::new(Kind::Session, "the test run that this process belongs to is over")
                .because("its runner was killed"),
        }
    }

    /// Unix seconds of an instant of the machine.
    fn unix(&self, at: Millis) -> i64 {
        let away = i64::try_from(at).unwrap_or(i64::MAX).saturating_sub_unsigned(self.now());
        time::OffsetDateTime::now_utc().unix_timestamp().saturating_add(away.div_euclid(1000))
    }
}

fn idle(named: &Named) -> humantime::FormattedDuration {
    humantime::format_duration(std::time::Duration::from_millis(named.idle))
}

fn phase(state: State) -> Phase {
    match state {
        State::Recovering { .. } => Phase::Starting,
        State::Probing => Phase::Looking,
        State::Down | State::Gone => Phase::Down,
        State::Acquiring => Phase::Acquiring,
        State::Up => Phase::Up,
        State::Warm { .. } => Phase::Warm,
        State::Releasing { .. } => Phase::Releasing,
        State::Owed { .. } => Phase::Owed,
        State::Failed => Phase::Failed,
    }
}

fn provider_of(target: &Target) -> &'static str {
    match target {
        Target::Url(_) => "url",
        Target::Cloud(_) => "cloud",
        Target::Local(target) if target.home.is_some() => "process",
        Target::Local(_) => "container",
    }
}
