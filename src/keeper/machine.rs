//! Decides about the cluster: when to acquire it, which attempts are granted, when to release it, what a restart must
//! repair.
//!
//! A plain state machine without I/O, clock or thread. The loop turns sockets, deaths of processes and timers into
//! [`Event`]s and [`Effect`]s into calls. Two more pure cores decide beside it: [`premade`](super::premade) about
//! schemas that are made ahead, and [`setups`](super::setups) about what is done once per session. The fuzzer in
//! `machine/fuzz.rs` and the model checker in `machine/model.rs` drive exactly this code.

mod aftermath;
mod effects;
mod event;
#[cfg(test)]
mod fuzz;
mod grants;
mod loss;
#[cfg(test)]
mod model;
mod neighbours;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use aftermath::Aftermath;
pub(crate) use event::{ClientId, Effect, Event, FailReason, Join, LookId, RefuseReason, RunnerId, SessionId, Word};
use grants::{Backlog, Grants};
use loss::Losses;
use neighbours::Neighbours;
use sessions::{ClientLease, TrackedSession};

use crate::wire::{AttemptId, Millis, Mode, Policy};

/// Waits and limits of the machine, in milliseconds.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(crate) struct MachineLimits {
    /// The time that a new keeper waits for its first client.
    pub(crate) first_hello: Millis,
    /// The time that a lease counts after the death of its run.
    pub(crate) orphan_lease: Millis,
    /// For so long after an adoption nothing new is granted, so that open attempts are repeated first.
    pub(crate) adoption_quiet: Millis,
    /// After so long without a lease a tethered session ends.
    pub(crate) tethered_idle: Millis,
    /// After so long without a lease an explicit session without a cluster ends, unless its own idle time is shorter.
    /// That is long enough for all processes of a run to be told the same failure, and short enough for the next run to
    /// try again.
    pub(crate) failed_idle: Millis,
    /// First and largest pause between attempts to release.
    pub(crate) backoff: (Millis, Millis),
    /// The time that the look before an exclusive attempt may keep others waiting.
    pub(crate) look: Millis,
    /// The time that the repair after an exclusive attempt may keep others waiting.
    pub(crate) restore: Millis,
    /// The time that schemas that wait to be dropped may keep attempts waiting.
    pub(crate) backlog: Millis,
    /// After so long a release that keeps failing is left to the journal.
    pub(crate) owed: Millis,
}

impl Default for MachineLimits {
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
#[cfg_attr(test, derive(Hash))]
pub(crate) enum MachineState {
    /// New: it waits for the first client, whatever the journal says.
    Recovering { until: Millis },
    /// The provider looks for what a killed predecessor left.
    Probing,
    /// There is no cluster.
    Down,
    /// The provider acquires the cluster.
    Acquiring,
    /// The cluster is there for tests.
    Up,
    /// The cluster is kept warm after the last session.
    Warm { until: Millis },
    /// The provider releases the cluster.
    Releasing { since: Millis, tries: u32 },
    /// A release failed and will be tried again.
    Owed { since: Millis, tries: u32, at: Millis },
    /// An acquisition failed, and the sessions in `told` know it.
    Failed,
    /// The keeper ends.
    Gone,
}

/// A rule whose need the model checker shows by leaving it out. Further rules are in [`MachineLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Rule {
    /// An acquisition is written down before it begins.
    Intent,
    /// A failed acquisition may have left something that is ours.
    MaybeUp,
    /// A debt that can't be looked at is still owed.
    Unseen,
    /// A cluster that is owed stays ours although it is found running.
    StillOurs,
    /// A client keeps the cluster.
    Lease,
    /// An adopted cluster is kept until clients of the killed keeper can be back.
    Return,
    /// A client whose run is over starts nothing.
    RunOver,
    /// Changes of an exclusive attempt are restored before anything else is granted.
    Repair,
    /// After the loss of nodes nothing begins on what is left.
    Whole,
    /// Clients of a lost cluster wait for the next one.
    AwaitAnother,
    /// A wish to be alone that is taken back gives no turn any more.
    Withdraw,
}

/// The machine. Feed it with [`Machine::on`]; wake it with [`Event::Due`] at [`Machine::deadline`].
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(crate) struct Machine {
    limits: MachineLimits,
    #[cfg(test)]
    without: Option<Rule>,
    /// The time of the event that is being handled.
    now: Millis,
    state: MachineState,
    word: Word,
    /// This keeper must release what is up.
    ours: bool,
    /// Each with whether it is alive.
    runners: BTreeMap<RunnerId, bool>,
    leases: BTreeMap<ClientId, ClientLease>,
    waiting: BTreeSet<ClientId>,
    sessions: BTreeMap<SessionId, TrackedSession>,
    /// Explicit sessions whose holder died: a client that comes to one belongs to a run that is over.
    buried: BTreeSet<SessionId>,
    told: BTreeSet<SessionId>,
    /// The policy of the session that ended last; before any ended, of the one that joined last.
    policy: Policy,
    last_begin: Millis,
    term: bool,
    tethered: bool,
    last_lease: Millis,
    /// It is tethered, and the last lease ended too recently to call it the end.
    tether_wait: bool,
    /// The cluster is not kept warm, until the next client joins.
    cool: bool,
    grants: Grants,
    aftermath: Aftermath,
    backlog: Backlog,
    losses: Losses,
    neighbours: Neighbours,
    last_look: u64,
    effects: Vec<Effect>,
}

impl Machine {
    /// Creates the machine of a keeper that found `word` in its journal.
    pub(crate) fn new(now: Millis, word: Word, limits: MachineLimits) -> Self {
        Self {
            state: MachineState::Recovering { until: now + limits.first_hello },
            limits,
            #[cfg(test)]
            without: None,
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
            losses: Losses::default(),
            neighbours: Neighbours::default(),
            last_look: 0,
            effects: Vec::new(),
        }
    }

    pub(crate) fn state(&self) -> MachineState {
        self.state
    }

    /// Returns the policy that a release now would follow.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns when the cluster is released if no client comes and no test begins.
    pub(crate) fn until(&self) -> Option<Millis> {
        let limit = self.last_begin.saturating_add(self.policy.max_lifetime);
        match self.state {
            MachineState::Up => Some(limit),
            MachineState::Warm { until } => Some(until.min(limit)),
            _ => None,
        }
    }

    /// Returns whether this keeper must release what is there, or may be there.
    pub(crate) fn owes(&self) -> bool {
        self.ours
    }

    /// Returns whether a client waits for the cluster, or may still come.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.term && self.needed()
    }

    /// Returns the attempts that hold the cluster, for the error of one that waited in vain.
    pub(crate) fn holders(&self) -> Vec<(ClientId, AttemptId)> {
        self.grants.holders().collect()
    }

    /// Returns the clients that wait for the cluster, each with whether it speaks for its session: the one that waits
    /// longest does.
    pub(crate) fn waiting(&self) -> Vec<(ClientId, bool)> {
        let mut spoken = BTreeSet::new();
        let session = |client| self.leases.get(client).map(|lease| lease.session);
        self.waiting.iter().map(|client| (*client, spoken.insert(session(client)))).collect()
    }

    /// Takes one event. Returns what to do about it, in this order.
    pub(crate) fn on(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        if self.state == MachineState::Gone {
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
            Event::Lost { all } => self.lost(all),
            Event::Turns(turns) => self.turns(turns),
            Event::CutOff => self.cut_off(),
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

    /// Returns when the machine wants [`Event::Due`] next, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        if self.state == MachineState::Gone {
            return None;
        }
        let of_state = match self.state {
            MachineState::Recovering { until } | MachineState::Warm { until } => Some(until),
            MachineState::Owed { at, .. } => Some(at),
            MachineState::Up => Some(self.last_begin.saturating_add(self.policy.max_lifetime)),
            _ => None,
        };
        let leases = self.leases.values().filter_map(|lease| Some(lease.dead_since? + self.limits.orphan_lease));
        let tether = (self.tether_wait && self.leases.is_empty()).then(|| self.last_lease + self.limits.tethered_idle);
        let warm_limit = matches!(self.state, MachineState::Warm { .. })
            .then(|| self.last_begin.saturating_add(self.policy.max_lifetime));
        let back = if self.state == MachineState::Up && !self.needed() { self.grants.opens_at() } else { None };
        let idle = self.idle_ends().map(|(_, at)| at);
        let of_grants =
            self.grants.deadline().into_iter().chain(self.aftermath_deadline()).chain(self.backlog_deadline());
        leases.chain(of_state).chain(back).chain(tether).chain(warm_limit).chain(idle).chain(of_grants).min()
    }

    fn begin(&mut self, now: Millis, client: ClientId, attempt: AttemptId, mode: Mode, parent: Option<AttemptId>) {
        let Some(lease) = self.leases.get(&client) else { return };
        let refuse = if lease.dead_since.is_some() && !(lease.orphan && self.any_session_alive()) {
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
        if self.state != MachineState::Probing {
            return;
        }
        if up {
            self.ours = true;
            self.write(Word::Up);
            self.state = MachineState::Up;
            self.last_begin = now;
            self.up_again(now, true);
        } else {
            self.write(Word::Clean);
            self.state = MachineState::Down;
        }
    }

    /// The provider could not look. What is owed is still owed: no client gets the cluster, and it is released as far
    /// as the journal knows it.
    fn not_probed(&mut self, now: Millis) {
        if self.state == MachineState::Probing {
            self.ours = self.keeps(Rule::Unseen);
            self.state = MachineState::Acquiring;
            self.not_acquired(now, self.ours);
        }
    }

    fn acquired(&mut self, now: Millis, ours: bool) {
        if self.state != MachineState::Acquiring {
            return;
        }
        // What an earlier acquisition left to be released stays ours although it is found running.
        self.ours = ours || (self.ours && self.keeps(Rule::StillOurs));
        self.write(if self.ours { Word::Up } else { Word::Clean });
        self.told.clear();
        self.last_begin = now;
        self.state = MachineState::Up;
        self.up_again(now, false);
    }

    /// Lets clients that a killed keeper had granted something come back first.
    fn up_again(&mut self, now: Millis, adopted: bool) {
        self.resume_aftermath();
        if adopted || self.owes_aftermath() {
            self.grants.close_until(now + self.limits.adoption_quiet);
        }
    }

    fn not_acquired(&mut self, now: Millis, maybe_up: bool) {
        if self.state != MachineState::Acquiring {
            return;
        }
        self.fail_waiting();
        if (maybe_up && self.keeps(Rule::MaybeUp)) || self.ours {
            self.ours = true;
            self.release(now, 0);
        } else {
            self.write(Word::Clean);
            self.state = MachineState::Failed;
        }
    }

    fn released(&mut self, now: Millis, ok: bool) {
        let MachineState::Releasing { since, tries } = self.state else { return };
        // A lease that is not given back ends by itself.
        if ok || !self.releasable() {
            self.ours = false;
            self.unleased();
            self.write(Word::Clean);
            self.state = if self.told.is_empty() { MachineState::Down } else { MachineState::Failed };
            return;
        }
        let (first, largest) = self.limits.backoff;
        let pause = first.saturating_mul(1 << tries.min(16)).min(largest);
        self.state = MachineState::Owed { since, tries: tries + 1, at: now + pause };
    }

    fn keeps(&self, rule: Rule) -> bool {
        #[cfg(test)]
        return self.without != Some(rule);
        #[cfg(not(test))]
        {
            let _ = rule;
            true
        }
    }
}
