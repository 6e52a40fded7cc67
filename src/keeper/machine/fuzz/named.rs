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
