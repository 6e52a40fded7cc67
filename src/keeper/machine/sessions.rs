//! Sessions: which clients belong to one, when it is over, and what becomes of clients that still belong to it.

use std::collections::BTreeSet;

use super::{ClientId, Effect, FailReason, Join, Machine, MachineState, RefuseReason, Rule, RunnerId, SessionId};
use crate::wire::{CutReason, Millis, Policy};

/// The connection of one client, as long as it lasts.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(super) struct ClientLease {
    pub(super) session: SessionId,
    /// The runners above this process, in an implicit session.
    runners: Vec<RunnerId>,
    /// The process belongs to a run that was dead before it joined.
    pub(super) orphan: bool,
    /// When the last of its runners died, or its explicit session ended.
    pub(super) dead_since: Option<Millis>,
    /// The client was told that the cluster is there.
    pub(super) ready: bool,
}

#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(super) struct TrackedSession {
    policy: Policy,
    /// Its runners; the holders of an explicit session.
    runners: BTreeSet<RunnerId>,
    explicit: Option<Explicit>,
}

/// The life of a session with a name, which has no runners to live by.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
struct Explicit {
    /// The time that it lives without a lease.
    idle: Millis,
    /// When its last lease ended.
    quiet_since: Millis,
    /// It was finished, was idle for too long, or its holder died. It does not come back.
    over: bool,
}

impl TrackedSession {
    fn is_over(&self) -> bool {
        self.explicit.is_some_and(|explicit| explicit.over)
    }
}

impl Machine {
    pub(super) fn join(&mut self, now: Millis, client: ClientId, join: Join) {
        let Join { session, runners, policy, orphan, open, explicit } = join;
        for (runner, alive) in &runners {
            *self.runners.entry(*runner).or_insert(true) &= alive;
        }
        let runners: Vec<RunnerId> = runners.into_iter().map(|(runner, _)| runner).collect();
        self.enter(now, session, policy, &runners, explicit);
        let alive = match explicit {
            Some(_) => !self.sessions[&session].is_over(),
            None => !orphan && runners.iter().any(|runner| self.runners[runner]),
        };
        self.policy = policy;
        let dead_since = (!alive).then_some(now);
        // An orphan of a killed run may use the cluster of others. A client of an explicit session that has ended may
        // not.
        let orphan = explicit.is_none() && (orphan || !alive);
        self.leases.insert(client, ClientLease { session, runners, orphan, dead_since, ready: false });
        self.last_lease = now;
        self.cool = false;
        for (attempt, mode) in open {
            self.grants.repeat(client, attempt, mode);
            self.last_begin = now;
        }
        self.waiting.insert(client);
        if self.term {
            self.cut(client, CutReason::Terminated);
        } else if !alive && !self.welcomes_the_dead(explicit.is_some()) {
            self.fail(client, FailReason::RunOver);
        } else if self.state == MachineState::Failed {
            if self.told.contains(&session) {
                self.fail(client, FailReason::NotAcquired);
            } else {
                self.state = MachineState::Down;
            }
        }
    }

    /// Returns whether clients of a run that is over may join. A killed run must not start a second session, but it may
    /// use the cluster that is there, and bring the credentials for what the journal owes.
    fn welcomes_the_dead(&self, explicit: bool) -> bool {
        match self.state {
            MachineState::Recovering { .. } => true,
            MachineState::Up | MachineState::Warm { .. } => !explicit,
            _ => false,
        }
    }

    /// Creates the session of a client that joins, or updates it.
    fn enter(&mut self, now: Millis, id: SessionId, policy: Policy, runners: &[RunnerId], explicit: Option<Millis>) {
        let buried = self.buried.contains(&id);
        let session = self.sessions.entry(id).or_insert_with(|| TrackedSession {
            policy,
            runners: BTreeSet::new(),
            explicit: explicit.map(|idle| Explicit { idle, quiet_since: now, over: buried }),
        });
        session.policy = policy;
        session.runners.extend(runners);
        if let (Some(known), Some(idle)) = (&mut session.explicit, explicit) {
            known.idle = idle;
        }
        // A holder may have died before it was heard, and others may already be in its session.
        if self.end_unheld() {
            self.bury_leases(now);
        }
    }

    pub(super) fn leave(&mut self, client: ClientId) {
        if self.unlease(client) {
            self.last_lease = self.now;
        }
    }

    /// Forgets a client and what it held. Returns true if it was there.
    pub(super) fn unlease(&mut self, client: ClientId) -> bool {
        self.waiting.remove(&client);
        self.grants.leave(client);
        let Some(lease) = self.leases.remove(&client) else { return false };
        let session = self.sessions.get_mut(&lease.session);
        if let Some(explicit) = session.and_then(|session| session.explicit.as_mut()) {
            explicit.quiet_since = self.now;
        }
        true
    }

    pub(super) fn runner_gone(&mut self, now: Millis, runner: RunnerId) {
        self.runners.insert(runner, false);
        self.end_unheld();
        self.bury_leases(now);
    }

    /// Ends an explicit session.
    pub(super) fn finish(&mut self, now: Millis, session: SessionId) {
        if let Some(explicit) = self.sessions.get_mut(&session).and_then(|session| session.explicit.as_mut()) {
            explicit.over = true;
        }
        self.bury_leases(now);
    }

    /// Takes a holder from an explicit session, which ends unless it has others.
    pub(super) fn give_up_part(&mut self, now: Millis, session: SessionId, holder: RunnerId) {
        let Some(known) = self.sessions.get_mut(&session) else { return };
        known.runners.remove(&holder);
        if !self.is_held(session) {
            self.finish(now, session);
        }
    }

    /// Ends explicit sessions whose holders are all dead. Returns true if there is one. Their names stay with the dead
    /// sessions: processes that a holder had started may still come to them.
    fn end_unheld(&mut self) -> bool {
        let mut any = false;
        for (id, session) in &mut self.sessions {
            let held = session.runners.iter().any(|runner| self.runners.get(runner) == Some(&true));
            if let Some(explicit) = &mut session.explicit
                && !session.runners.is_empty()
                && !held
                && !explicit.over
            {
                explicit.over = true;
                self.buried.insert(*id);
                any = true;
            }
        }
        any
    }

    /// Notes which leases belong to runs that are over, and refuses what they wait for.
    fn bury_leases(&mut self, now: Millis) {
        for lease in self.leases.values_mut().filter(|lease| lease.dead_since.is_none()) {
            let over = match self.sessions.get(&lease.session) {
                Some(session) if session.explicit.is_some() => session.is_over(),
                _ => !lease.runners.iter().any(|runner| self.runners[runner]),
            };
            lease.dead_since = over.then_some(now);
        }
        let over: Vec<ClientId> =
            self.leases.iter().filter(|(_, lease)| lease.dead_since.is_some()).map(|(client, _)| *client).collect();
        for client in over {
            for attempt in self.grants.forget_queued(client) {
                self.effects.push(Effect::Refused(client, attempt, RefuseReason::RunOver));
            }
            // A client that still waits for the cluster would start it for a run that is over.
            if !matches!(self.state, MachineState::Recovering { .. } | MachineState::Up | MachineState::Warm { .. }) {
                self.fail(client, FailReason::RunOver);
            }
        }
    }

    /// Returns when explicit sessions without a lease and without a holder end.
    pub(crate) fn idle_ends(&self) -> impl Iterator<Item = (SessionId, Millis)> {
        // Without a cluster that could be held, a name alone need not be kept for long.
        let nothing = matches!(self.state, MachineState::Failed | MachineState::Down);
        self.sessions.iter().filter_map(move |(id, session)| {
            let explicit = session.explicit.filter(|explicit| !explicit.over)?;
            let held = self.any_alive(&session.runners);
            let idle = if nothing { explicit.idle.min(self.limits.failed_idle) } else { explicit.idle };
            (!held && !self.has_lease(*id)).then(|| (*id, explicit.quiet_since.saturating_add(idle)))
        })
    }

    pub(super) fn end_idle(&mut self, now: Millis) {
        let ends: Vec<SessionId> = self.idle_ends().filter(|(_, at)| now >= *at).map(|(id, _)| id).collect();
        ends.into_iter().for_each(|id| self.finish(now, id));
    }

    /// Cuts clients of explicit sessions that are over, once they hold no turn.
    pub(super) fn cut_finished(&mut self) {
        let over = |lease: &ClientLease| self.sessions.get(&lease.session).is_some_and(TrackedSession::is_over);
        let idle = |client: ClientId, lease: &ClientLease| lease.ready && over(lease) && !self.grants.holds_any(client);
        let all = self.leases.iter().filter(|(client, lease)| idle(**client, lease));
        let clients: Vec<ClientId> = all.map(|(client, _)| *client).collect();
        for client in clients {
            self.cut(client, CutReason::RunOver);
        }
    }

    /// Removes sessions that are over. The policy of the one that ends last is the one that holds.
    pub(super) fn end_sessions(&mut self) {
        // One pass over the leases for all of them: this follows every event, and there may be a thousand of both.
        let mut ended: BTreeSet<SessionId> = self.sessions.keys().filter(|id| !self.is_alive(**id)).copied().collect();
        if !ended.is_empty() {
            for lease in self.leases.values() {
                ended.remove(&lease.session);
            }
        }
        for id in ended {
            if let Some(session) = self.sessions.remove(&id) {
                self.policy = session.policy;
            }
        }
        if self.sessions.is_empty() {
            self.runners.retain(|_, alive| *alive);
        }
    }

    /// Visits the times since which explicit sessions have no lease, for the model checker.
    #[cfg(test)]
    pub(super) fn visit_quiet(&mut self, visit: &mut dyn FnMut(&mut Millis, Millis)) {
        for explicit in self.sessions.values_mut().filter_map(|session| session.explicit.as_mut()) {
            visit(&mut explicit.quiet_since, explicit.idle);
        }
    }

    fn has_lease(&self, id: SessionId) -> bool {
        self.leases.values().any(|lease| lease.session == id)
    }

    /// Returns whether a session may still want the cluster, even if no client of it is connected.
    pub(crate) fn is_alive(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| match session.explicit {
            Some(explicit) => !explicit.over,
            None => !self.tethered && self.any_alive(&session.runners),
        })
    }

    fn any_alive(&self, runners: &BTreeSet<RunnerId>) -> bool {
        runners.iter().any(|runner| self.runners.get(runner) == Some(&true))
    }

    /// Returns whether anything of a session is left.
    pub(crate) fn has(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Returns whether this runner lives, as far as is known.
    pub(crate) fn runs(&self, runner: RunnerId) -> bool {
        self.runners.get(&runner) == Some(&true)
    }

    pub(crate) fn is_tethered(&self) -> bool {
        self.tethered
    }

    /// Returns whether a process lives that keeps the session alive: a runner of an implicit one, the holder of an
    /// explicit one.
    pub(crate) fn is_held(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| self.any_alive(&session.runners))
    }

    /// Returns whether a new client of an explicit session belongs to the one of this number: the session lives, or its
    /// holder died, so that every client but a new holder is a left-over of it.
    pub(crate) fn takes(&self, id: SessionId, holder: bool) -> bool {
        self.is_alive(id) || (!holder && self.buried.contains(&id))
    }

    /// Returns whether any session may still want the cluster.
    pub(super) fn needed(&self) -> bool {
        (!self.leases.is_empty() && self.keeps(Rule::Lease))
            || self.tether_wait
            || self.sessions.keys().any(|id| self.is_alive(*id))
    }

    /// Returns whether some run is not over. A run that waits for this keeper counts, too.
    pub(super) fn any_session_alive(&self) -> bool {
        let alive = |session: &TrackedSession| match session.explicit {
            Some(explicit) => !explicit.over,
            None => self.any_alive(&session.runners),
        };
        self.sessions.values().any(alive)
    }
}
