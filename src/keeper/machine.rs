//! The keeper's decisions: when to acquire, who waits, who is granted what, when to release, what a restart must repair.
//!
//! A plain state machine without I/O, clock or thread. The loop turns sockets, process deaths and timers into [`Event`]s
//! and [`Effect`]s into calls; it decides nothing. The fuzzer in `machine/fuzz.rs` drives exactly this code.

mod aftermath;
mod backlog;
mod effects;
mod event;
#[cfg(test)]
mod fuzz;
mod grants;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aftermath::Aftermath;
use backlog::Backlog;
pub(crate) use event::{ClientId, Effect, Event, FailReason, Join, LookId, RefuseReason, RunnerId, SessionId, Word};
use grants::Grants;
use sessions::{Lease, Session};

use crate::wire::{AttemptId, Millis, Mode, Policy};

/// Waits and limits of the machine, in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// How long a new keeper waits for its first client.
    pub(crate) first_hello: Millis,
    /// How long a lease counts after the death of its run.
    pub(crate) orphan_lease: Millis,
    /// After an adoption nothing new is granted for this long, so that open attempts are repeated first.
    pub(crate) adoption_quiet: Millis,
    /// What ends a tethered session: this long without a lease.
    pub(crate) tethered_idle: Millis,
    /// What ends an explicit session that has no cluster, if that is less than its own idle time: long enough for all
    /// processes of a run to be told the same failure, short enough for the next run to try afresh.
    pub(crate) failed_idle: Millis,
    /// First and largest pause between attempts to release.
    pub(crate) backoff: (Millis, Millis),
    /// How long the look before an exclusive attempt, and the repair after it, may keep others waiting.
    pub(crate) look: Millis,
    pub(crate) restore: Millis,
    /// How long schemas that wait to be dropped may keep attempts waiting.
    pub(crate) backlog: Millis,
    /// After this long a release that keeps failing is left to the journal.
    pub(crate) owed: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_hello: 1_000,
            orphan_lease: 30_000,
            adoption_quiet: 1_000,
            tethered_idle: 10_000,
            failed_idle: 10_000,
            backoff: (1_000, 60_000),
            look: 10_000,
            restore: 30_000,
            backlog: 10_000,
            owed: 600_000,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Just born: waits for the first client, whatever the journal says.
    Recovering {
        until: Millis,
    },
    /// Asks the provider what a killed predecessor left.
    Probing,
    Down,
    Acquiring,
    Up,
    /// Kept warm after the last session.
    Warm {
        until: Millis,
    },
    Releasing {
        since: Millis,
        tries: u32,
    },
    /// A release failed and will be tried again.
    Owed {
        since: Millis,
        tries: u32,
        at: Millis,
    },
    /// An acquisition failed; the sessions in `told` know.
    Failed,
    Gone,
}

/// The machine. Feed it with [`Machine::on`]; wake it with [`Event::Due`] at [`Machine::deadline`].
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    limits: Limits,
    /// Of the event that is being handled.
    now: Millis,
    state: State,
    word: Word,
    /// Whether what is up must be released by us.
    ours: bool,
    /// Alive, or dead since.
    runners: BTreeMap<RunnerId, bool>,
    leases: BTreeMap<ClientId, Lease>,
    waiting: BTreeSet<ClientId>,
    sessions: BTreeMap<SessionId, Session>,
    /// Explicit sessions whose holder died: whoever comes to one belongs to a run that is over.
    buried: BTreeSet<SessionId>,
    told: BTreeSet<SessionId>,
    /// Of the session that ended last, else of the one that joined last.
    policy: Policy,
    last_begin: Millis,
    term: bool,
    tethered: bool,
    last_lease: Millis,
    /// Tethered, and the last lease ended too short ago to call it the end.
    tether_wait: bool,
    /// Nobody wants it kept warm, until somebody joins.
    cool: bool,
    grants: Grants,
    aftermath: Aftermath,
    backlog: Backlog,
    last_look: u64,
    effects: Vec<Effect>,
}

impl Machine {
    /// A keeper that found `word` in its journal.
    pub(crate) fn new(now: Millis, word: Word, limits: Limits) -> Self {
        Self {
            state: State::Recovering { until: now + limits.first_hello },
            limits,
            now,
            word,
            ours: false,
            runners: BTreeMap::new(),
            leases: BTreeMap::new(),
            waiting: BTreeSet::new(),
            sessions: BTreeMap::new(),
            buried: BTreeSet::new(),
            told: BTreeSet::new(),
            policy: Policy::default(),
            last_begin: now,
            term: false,
            tethered: false,
            last_lease: now,
            tether_wait: false,
            cool: false,
            grants: Grants::default(),
            aftermath: Aftermath::default(),
            backlog: Backlog::default(),
            last_look: 0,
            effects: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// The policy that a release now would follow.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// When it is let go of if nobody comes or begins a test.
    pub(crate) fn until(&self) -> Option<Millis> {
        let limit = self.last_begin.saturating_add(self.policy.max_lifetime);
        match self.state {
            State::Up => Some(limit),
            State::Warm { until } => Some(until.min(limit)),
            _ => None,
        }
    }

    /// Whether what is there, or may be, is ours to release.
    pub(crate) fn owes(&self) -> bool {
        self.ours
    }

    /// Whether anybody waits for the cluster, or is still to come.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.term && self.needed()
    }

    /// Who holds the cluster now, for the error of whoever waited in vain.
    pub(crate) fn holders(&self) -> Vec<(ClientId, AttemptId)> {
        self.grants.holders().collect()
    }

    /// Clients that wait for the cluster, the speaker of each session first: who waits longest speaks.
    pub(crate) fn waiting(&self) -> Vec<(ClientId, bool)> {
        let mut spoken = BTreeSet::new();
        let session = |client| self.leases.get(client).map(|lease| lease.session);
        self.waiting.iter().map(|client| (*client, spoken.insert(session(client)))).collect()
    }

    /// Takes one event and says what to do about it, in this order.
    pub(crate) fn on(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        if self.state == State::Gone {
            return Vec::new();
        }
        self.now = now;
        match event {
            Event::Join(client, join) => self.join(now, client, join),
            Event::Leave(client) => self.leave(client),
            Event::RunnerGone(runner) => self.runner_gone(now, runner),
            Event::Probed { up } => self.probed(now, up),
            Event::NotProbed => self.not_probed(now),
            Event::Acquired { ours } => self.acquired(now, ours),
            Event::NotAcquired { maybe_up } => self.not_acquired(now, maybe_up),
            Event::Released { ok } => self.released(now, ok),
            Event::Begin { client, attempt, mode, parent } => self.begin(now, client, attempt, mode, parent),
            Event::End { client, attempt } => self.grants.end(client, attempt),
            Event::Looked { id, ok } => self.looked(id, ok),
            Event::Restored(id) => self.restored(id),
            Event::Dropping(count) => self.dropping(now, count),
            Event::Tethered => self.tethered = true,
            Event::Finish(session) => self.finish(now, session),
            Event::LetGo(session, holder) => self.give_up_part(now, session, holder),
            Event::Cool => self.cool = true,
            Event::Term => self.term = true,
            Event::Due => {}
        }
        self.settle(now);
        std::mem::take(&mut self.effects)
    }

    /// When the machine wants [`Event::Due`] next, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        if self.state == State::Gone {
            return None;
        }
        let of_state = match self.state {
            State::Recovering { until } | State::Warm { until } => Some(until),
            State::Owed { at, .. } => Some(at),
            State::Up => Some(self.last_begin.saturating_add(self.policy.max_lifetime)),
            _ => None,
        };
        let leases = self.leases.values().filter_map(|lease| Some(lease.dead_since? + self.limits.orphan_lease));
        let tether = (self.tether_wait && self.leases.is_empty()).then(|| self.last_lease + self.limits.tethered_idle);
        let warm_limit =
            matches!(self.state, State::Warm { .. }).then(|| self.last_begin.saturating_add(self.policy.max_lifetime));
        let idle = self.idle_ends().map(|(_, at)| at);
        let of_grants =
            self.grants.deadline().into_iter().chain(self.aftermath_deadline()).chain(self.backlog_deadline());
        leases.chain(of_state).chain(tether).chain(warm_limit).chain(idle).chain(of_grants).min()
    }

    fn begin(&mut self, now: Millis, client: ClientId, attempt: AttemptId, mode: Mode, parent: Option<AttemptId>) {
        let Some(lease) = self.leases.get(&client) else { return };
        let refuse = if lease.dead_since.is_some() && !(lease.orphan && self.somebody_alive()) {
            Some(RefuseReason::RunOver)
        } else if parent.is_some() && mode == Mode::Exclusive {
            Some(RefuseReason::NestedExclusive)
        } else {
            None
        };
        match refuse {
            Some(reason) => self.effects.push(Effect::Refused(client, attempt, reason)),
            None if parent.is_some_and(|parent| self.grants.holds(client, parent)) => {
                self.grants.repeat(client, attempt, mode);
                self.effects.push(Effect::Granted(client, attempt));
            }
            None => self.grants.queue(client, attempt, mode, now.saturating_add(self.policy.start_timeout)),
        }
        self.last_begin = now;
    }

    fn probed(&mut self, now: Millis, up: bool) {
        if self.state != State::Probing {
            return;
        }
        if up {
            self.ours = true;
            self.write(Word::Up);
            self.state = State::Up;
            self.last_begin = now;
            self.up_again(now, true);
        } else {
            self.write(Word::Clean);
            self.state = State::Down;
        }
    }

    /// What is owed is still owed: nobody gets the cluster, and it is released as far as the journal knows it.
    fn not_probed(&mut self, now: Millis) {
        if self.state == State::Probing {
            self.ours = true;
            self.state = State::Acquiring;
            self.not_acquired(now, true);
        }
    }

    fn acquired(&mut self, now: Millis, ours: bool) {
        if self.state != State::Acquiring {
            return;
        }
        // Sticky: what an earlier acquisition left to be released stays ours although it is found running.
        self.ours |= ours;
        self.write(if self.ours { Word::Up } else { Word::Clean });
        self.told.clear();
        self.last_begin = now;
        self.state = State::Up;
        self.up_again(now, false);
    }

    /// Whoever was granted something by a killed keeper comes back first.
    fn up_again(&mut self, now: Millis, adopted: bool) {
        self.resume_aftermath();
        if adopted || self.owes_aftermath() {
            self.grants.close_until(now + self.limits.adoption_quiet);
        }
    }

    fn not_acquired(&mut self, now: Millis, maybe_up: bool) {
        if self.state != State::Acquiring {
            return;
        }
        for client in std::mem::take(&mut self.waiting) {
            self.told.extend(self.leases.get(&client).map(|lease| lease.session));
            self.effects.push(Effect::Fail(client, FailReason::NotAcquired));
        }
        if maybe_up || self.ours {
            self.ours = true;
            self.release(now, 0);
        } else {
            self.write(Word::Clean);
            self.state = State::Failed;
        }
    }

    fn released(&mut self, now: Millis, ok: bool) {
        let State::Releasing { since, tries } = self.state else { return };
        if ok {
            self.ours = false;
            self.write(Word::Clean);
            self.state = if self.told.is_empty() { State::Down } else { State::Failed };
            return;
        }
        let (first, largest) = self.limits.backoff;
        let pause = first.saturating_mul(1 << tries.min(16)).min(largest);
        self.state = State::Owed { since, tries: tries + 1, at: now + pause };
    }
}
