//! What the fuzzer does with explicit sessions, and what must be true of them.

use std::collections::BTreeMap;

use super::*;

/// What is true of an explicit session.
#[derive(Clone, Default)]
pub(super) struct Explicit {
    pub(super) holders: BTreeMap<RunnerId, bool>,
    pub(super) quiet_since: Millis,
    pub(super) ended: Option<Millis>,
}

/// How long an explicit session lives without a lease.
pub(super) const IDLE: Millis = 60_000;

impl World {
    pub(super) fn has_ended(&self, session: SessionId) -> bool {
        self.explicit.get(&session).is_some_and(|explicit| explicit.ended.is_some())
    }

    /// An explicit session keeps the cluster until it is finished, its holder is dead or it was idle.
    pub(super) fn check_nobody_wants_it(&self) {
        if self.term || self.limit_passed {
            return;
        }
        for (id, explicit) in self.explicit.iter().filter(|(_, explicit)| explicit.ended.is_none()) {
            let leased = self.clients.values().any(|client| client.session == *id);
            let held = explicit.holders.values().any(|alive| *alive);
            assert!(!leased && !held && self.now >= explicit.quiet_since + IDLE, "released under a living {id:?}");
        }
    }

    /// Time has passed, and the machine has heard of it.
    pub(super) fn check_the_dead_leave(&self) {
        for client in self.clients.values().filter(|client| !matches!(client.origin, Origin::Run(_))) {
            let late = self.explicit[&client.session].ended.map(|ended| ended.max(client.joined_at));
            let limit = Limits::default().orphan_lease;
            assert!(
                late.is_none_or(|late| self.now < late + limit),
                "somebody of a session that is over is still there"
            );
        }
    }

    pub(super) fn join_named(&mut self) {
        let name = self.random.u8(..3);
        let origin = match self.random.u8(..4) {
            0 => Origin::Holder(name, RunnerId(self.id())),
            _ => Origin::Named(name),
        };
        self.join_as(origin, Vec::new());
    }

    /// As the loop does: a name means the session that takes the newcomer, or a new one.
    pub(super) fn session_of(&mut self, name: u8, holder: bool) -> SessionId {
        let known = self.names.get(&name).copied().filter(|id| self.machine.takes(*id, holder));
        let id = known.unwrap_or_else(|| SessionId(self.id()));
        self.names.insert(name, id);
        let now = self.now;
        self.explicit.entry(id).or_insert_with(|| Explicit { quiet_since: now, ..Explicit::default() });
        id
    }

    pub(super) fn ended(&mut self, session: SessionId) {
        let now = self.now;
        if let Some(explicit) = self.explicit.get_mut(&session) {
            explicit.ended.get_or_insert(now);
        }
    }

    pub(super) fn finish(&mut self) {
        let ids: Vec<SessionId> = self.names.values().copied().collect();
        if !ids.is_empty() {
            let id = ids[self.random.usize(..ids.len())];
            self.ended(id);
            self.feed(Event::Finish(id));
        }
    }

    /// A holder gives up its part, as it does before its process ends: it is not connected any more.
    pub(super) fn let_go(&mut self) {
        let held = self.explicit.iter().flat_map(|(id, explicit)| {
            explicit.holders.iter().filter(|(_, alive)| **alive).map(move |(runner, _)| (*id, *runner))
        });
        let held: Vec<(SessionId, RunnerId)> = held.collect();
        if held.is_empty() {
            return;
        }
        let (session, runner) = held[self.random.usize(..held.len())];
        let connected = self
            .clients
            .iter()
            .filter(|(_, client)| matches!(client.origin, Origin::Holder(_, holder) if holder == runner));
        let connected: Vec<ClientId> = connected.map(|(id, _)| *id).collect();
        for client in connected {
            self.forget(client);
            self.feed(Event::Leave(client));
        }
        let Some(explicit) = self.explicit.get_mut(&session) else { return };
        explicit.holders.remove(&runner);
        let others = explicit.holders.values().any(|alive| *alive);
        if !others {
            self.ended(session);
        }
        let had_ended = self.has_ended(session);
        self.feed(Event::LetGo(session, runner));
        assert!(had_ended || self.machine.is_alive(session), "it ended under another holder");
        assert!(others || !self.machine.is_alive(session), "nobody holds it, and it lives");
    }

    pub(super) fn cool(&mut self) {
        self.feed(Event::Cool);
        assert!(!matches!(self.machine.state(), State::Warm { .. }), "still kept warm");
    }

    pub(super) fn kill_holder(&mut self) {
        let alive = |explicit: &Explicit| explicit.holders.iter().find(|(_, alive)| **alive).map(|(id, _)| *id);
        let Some((session, runner)) = self.explicit.iter().find_map(|(id, explicit)| Some((*id, alive(explicit)?)))
        else {
            return;
        };
        let explicit = self.explicit.get_mut(&session).unwrap();
        explicit.holders.insert(runner, false);
        if !explicit.holders.values().any(|alive| *alive) {
            self.ended(session);
        }
        self.feed(Event::RunnerGone(runner));
    }
}
