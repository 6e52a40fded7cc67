//! Sessions: who belongs to which, when one is over, and what becomes of those who still belong to it.

use std::collections::BTreeSet;

use super::{ClientId, Effect, FailReason, Join, Machine, RefuseReason, RunnerId, SessionId, State};
use crate::wire::{CutReason, Millis, Policy};

#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) session: SessionId,
    /// Of an implicit session: the runners above this process.
    runners: Vec<RunnerId>,
    /// The process belongs to a run that was dead before it joined.
    pub(super) orphan: bool,
    /// When the last of its runners died, or its explicit session ended.
    pub(super) dead_since: Option<Millis>,
    /// It was told that the cluster is there.
    pub(super) ready: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    policy: Policy,
    /// Of an explicit session: its holders.
    runners: BTreeSet<RunnerId>,
    explicit: Option<Explicit>,
}

/// What a session with a name lives by, instead of runners.
#[derive(Clone, Copy, Debug)]
struct Explicit {
    /// How long it lives without a lease.
    idle: Millis,
    /// When its last lease ended.
    quiet_since: Millis,
    /// Finished, idle for too long, or its holder died. It does not come back.
    over: bool,
}

impl Session {
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
        // An orphan of a killed run may join what others have up. What comes to a session that was ended may not.
        let orphan = explicit.is_none() && (orphan || !alive);
        self.leases.insert(client, Lease { session, runners, orphan, dead_since, ready: false });
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
        } else if self.state == State::Failed {
            if self.told.contains(&session) {
                self.fail(client, FailReason::NotAcquired);
            } else {
                self.state = State::Down;
            }
        }
    }

    /// A killed run must not start a second session, but it may use what is there, and say whose journal this is.
    fn welcomes_the_dead(&self, explicit: bool) -> bool {
        match self.state {
            State::Recovering { .. } => true,
            State::Up | State::Warm { .. } => !explicit,
            _ => false,
        }
    }

    /// Makes a session, or what a newcomer changes of it.
    fn enter(&mut self, now: Millis, id: SessionId, policy: Policy, runners: &[RunnerId], explicit: Option<Millis>) {
        let buried = self.buried.contains(&id);
        let session = self.sessions.entry(id).or_insert_with(|| Session {
            policy,
            runners: BTreeSet::new(),
            explicit: explicit.map(|idle| Explicit { idle, quiet_since: now, over: buried }),
        });
        session.policy = policy;
        session.runners.extend(runners);
        if let (Some(known), Some(idle)) = (&mut session.explicit, explicit) {
            known.idle = idle;
        }
        // A holder that died before it was heard.
        self.end_unheld();
    }

    pub(super) fn leave(&mut self, client: ClientId) {
        if self.unlease(client) {
            self.last_lease = self.now;
        }
    }

    /// Forgets a client and what it held; whether it was there.
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

    /// Somebody ended an explicit session.
    pub(super) fn finish(&mut self, now: Millis, session: SessionId) {
        if let Some(explicit) = self.sessions.get_mut(&session).and_then(|session| session.explicit.as_mut()) {
            explicit.over = true;
        }
        self.bury_leases(now);
    }

    /// A holder of an explicit session wants it no more; others that hold it keep it.
    pub(super) fn give_up_part(&mut self, now: Millis, session: SessionId, holder: RunnerId) {
        let Some(known) = self.sessions.get_mut(&session) else { return };
        known.runners.remove(&holder);
        if !self.is_held(session) {
            self.finish(now, session);
        }
    }

    /// Explicit sessions that had holders end with the last of them, and their name stays with the dead: what the holder
    /// had started may come to it still.
    fn end_unheld(&mut self) {
        for (id, session) in &mut self.sessions {
            let held = session.runners.iter().any(|runner| self.runners.get(runner) == Some(&true));
            if let Some(explicit) = &mut session.explicit
                && !session.runners.is_empty()
                && !held
                && !explicit.over
            {
                explicit.over = true;
                self.buried.insert(*id);
            }
        }
    }

    /// Notes which leases belong to the dead, and takes back what they wait for.
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
            // Whoever still waits for the cluster would start it for a run that is over.
            if !matches!(self.state, State::Recovering { .. } | State::Up | State::Warm { .. }) {
                self.fail(client, FailReason::RunOver);
            }
        }
    }

    /// When explicit sessions without a lease and without a holder end.
    pub(crate) fn idle_ends(&self) -> impl Iterator<Item = (SessionId, Millis)> {
        // Where there is nothing that could be held, a name alone need not be kept for long.
        let nothing = matches!(self.state, State::Failed | State::Down);
        self.sessions.iter().filter_map(move |(id, session)| {
            let explicit = session.explicit.filter(|explicit| !explicit.over)?;
            let held = self.any_alive(&session.runners);
            let idle = if nothing { explicit.idle.min(self.limits.failed_idle) } else { explicit.idle };
            (!held && !self.is_leased(*id)).then(|| (*id, explicit.quiet_since.saturating_add(idle)))
        })
    }

    pub(super) fn end_idle(&mut self, now: Millis) {
        let ends: Vec<SessionId> = self.idle_ends().filter(|(_, at)| now >= *at).map(|(id, _)| id).collect();
        ends.into_iter().for_each(|id| self.finish(now, id));
    }

    /// What belongs to an explicit session that is over and holds no turn has nothing more to do here.
    pub(super) fn cut_finished(&mut self) {
        let over = |lease: &Lease| self.sessions.get(&lease.session).is_some_and(Session::is_over);
        let idle = |client: ClientId, lease: &Lease| lease.ready && over(lease) && !self.grants.holds_any(client);
        let all = self.leases.iter().filter(|(client, lease)| idle(**client, lease));
        let clients: Vec<ClientId> = all.map(|(client, _)| *client).collect();
        for client in clients {
            self.cut(client, CutReason::RunOver);
        }
    }

    /// The policy of the session that ends last holds.
    pub(super) fn end_sessions(&mut self) {
        let ended: Vec<SessionId> =
            self.sessions.keys().filter(|id| !self.is_leased(**id) && !self.is_alive(**id)).copied().collect();
        for id in ended {
            if let Some(session) = self.sessions.remove(&id) {
                self.policy = session.policy;
            }
        }
        if self.sessions.is_empty() {
            self.runners.retain(|_, alive| *alive);
        }
    }

    fn is_leased(&self, id: SessionId) -> bool {
        self.leases.values().any(|lease| lease.session == id)
    }

    /// Whether a session may still want the cluster, though nobody of it may be connected.
    pub(crate) fn is_alive(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| match session.explicit {
            Some(explicit) => !explicit.over,
            None => !self.tethered && self.any_alive(&session.runners),
        })
    }

    fn any_alive(&self, runners: &BTreeSet<RunnerId>) -> bool {
        runners.iter().any(|runner| self.runners.get(runner) == Some(&true))
    }

    /// Whether anything of a session is left.
    pub(crate) fn has(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
    }

    /// Whether this runner lives, as far as is known.
    pub(crate) fn runs(&self, runner: RunnerId) -> bool {
        self.runners.get(&runner) == Some(&true)
    }

    pub(crate) fn is_tethered(&self) -> bool {
        self.tethered
    }

    /// Whether somebody whose life is the session lives: a runner of an implicit one, the holder of an explicit one.
    pub(crate) fn is_held(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| self.any_alive(&session.runners))
    }

    /// Whether a newcomer of an explicit session belongs to the one of this number: because it lives, or because its
    /// holder died and everybody who comes to it is a left-over, but for a new holder.
    pub(crate) fn takes(&self, id: SessionId, holder: bool) -> bool {
        self.is_alive(id) || (!holder && self.buried.contains(&id))
    }

    /// Whether anybody may still want the cluster.
    pub(super) fn needed(&self) -> bool {
        !self.leases.is_empty() || self.tether_wait || self.sessions.keys().any(|id| self.is_alive(*id))
    }

    /// Whether some run is not over, be it one that waits for this keeper.
    pub(super) fn somebody_alive(&self) -> bool {
        let alive = |session: &Session| match session.explicit {
            Some(explicit) => !explicit.over,
            None => self.any_alive(&session.runners),
        };
        self.sessions.values().any(alive)
    }
}
