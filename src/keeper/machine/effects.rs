//! The moves that follow from the machine's state without a new event. States move by themselves nowhere else.

use super::{ClientId, Effect, FailReason, Machine, MachineState, RefuseReason, Rule, Word};
use crate::target::OnExit;
use crate::wire::{CutReason, Millis};

impl Machine {
    /// Moves on until nothing more follows. Every path ends: no step leads back, without an event, to a state that was
    /// left.
    pub(super) fn settle(&mut self, now: Millis) {
        self.expire_leases(now);
        self.end_idle(now);
        self.cut_finished();
        self.end_sessions();
        self.expire_queue(now);
        self.settle_backlog(now);
        while self.step(now) {}
        if matches!(self.state, MachineState::Up | MachineState::Warm { .. }) {
            self.settle_aftermath(now);
        }
        if self.state == MachineState::Up && !self.term && !(self.lacks_nodes() && self.keeps(Rule::Whole)) {
            self.grant(now);
        }
        self.settle_neighbours();
    }

    fn step(&mut self, now: Millis) -> bool {
        match self.state {
            MachineState::Recovering { until } => self.step_recovering(now, until),
            MachineState::Down => self.step_down(),
            MachineState::Up => self.step_up(now),
            MachineState::Warm { until } => self.step_warm(now, until),
            MachineState::Failed => self.step_failed(),
            MachineState::Owed { since, tries, at } => self.step_owed(now, since, tries, at),
            MachineState::Probing | MachineState::Acquiring | MachineState::Releasing { .. } => self.step_busy(),
            MachineState::Gone => false,
        }
    }

    fn step_recovering(&mut self, now: Millis, until: Millis) -> bool {
        if !self.waiting.is_empty() {
            if self.word == Word::Clean {
                self.state = MachineState::Down;
                self.fail_orphans();
            } else {
                self.state = MachineState::Probing;
                self.effects.push(Effect::Probe);
            }
            return true;
        }
        // Without a client there are no credentials: what is owed stays in the journal for the next run.
        if now >= until || self.term {
            return self.exit();
        }
        false
    }

    fn step_down(&mut self) -> bool {
        self.fail_orphans();
        if self.term {
            self.cut_all(CutReason::Terminated);
        }
        if self.term || !self.needed() {
            return self.exit();
        }
        if self.waiting.is_empty() {
            return false;
        }
        self.acquire();
        true
    }

    fn acquire(&mut self) {
        if self.keeps(Rule::Intent) {
            self.write(Word::MaybeUp);
        }
        self.effects.push(Effect::Acquire);
        self.state = MachineState::Acquiring;
    }

    /// Sends clients away that can't be served any more. Nothing else is done while a call is under way.
    fn step_busy(&mut self) -> bool {
        if self.term {
            self.cut_all(CutReason::Terminated);
        }
        false
    }

    fn step_up(&mut self, now: Millis) -> bool {
        if self.term {
            self.cut_all(CutReason::Terminated);
            return self.let_go(now);
        }
        if now >= self.last_begin.saturating_add(self.policy.max_lifetime) {
            self.cut_all(CutReason::MaxLifetime);
            return self.let_go(now);
        }
        if self.is_broken() && self.needed() {
            self.replace(now);
            return false;
        }
        for client in std::mem::take(&mut self.waiting) {
            self.effects.push(Effect::Ready(client));
            if let Some(lease) = self.leases.get_mut(&client) {
                lease.ready = true;
            }
        }
        if self.needed() || (self.awaits_return(now) && self.keeps(Rule::Return)) {
            return false;
        }
        if self.policy.keep_warm > 0 && !self.cool && !self.lacks_nodes() && self.releasable() {
            self.state = MachineState::Warm { until: now.saturating_add(self.policy.keep_warm) };
            return true;
        }
        self.let_go(now)
    }

    fn step_warm(&mut self, now: Millis, until: Millis) -> bool {
        if !self.waiting.is_empty() && !self.term {
            self.state = MachineState::Up;
            // Coming back counts as use, or the limit could cut the client that just came.
            self.last_begin = now;
            return true;
        }
        let limit = self.last_begin.saturating_add(self.policy.max_lifetime);
        if self.term || self.cool || self.lacks_nodes() || now >= until || now >= limit {
            self.cut_all(CutReason::Terminated);
            return self.let_go(now);
        }
        false
    }

    fn step_failed(&mut self) -> bool {
        if self.term || !self.needed() {
            self.state = MachineState::Down;
            return true;
        }
        // Clients may have come while the failed acquisition was being cleaned up.
        let (told, news): (Vec<ClientId>, Vec<ClientId>) = self
            .waiting
            .iter()
            .partition(|client| self.leases.get(client).is_some_and(|lease| self.told.contains(&lease.session)));
        for client in told {
            self.fail(client, FailReason::NotAcquired);
        }
        if news.is_empty() {
            return false;
        }
        self.state = MachineState::Down;
        true
    }

    fn step_owed(&mut self, now: Millis, since: Millis, tries: u32, at: Millis) -> bool {
        self.fail_orphans();
        if self.term {
            self.cut_all(CutReason::Terminated);
            return self.exit();
        }
        if !self.waiting.is_empty() {
            self.acquire();
            return true;
        }
        if now >= since.saturating_add(self.limits.owed) && !self.needed() {
            return self.exit();
        }
        if now >= at {
            self.release(since, tries);
        }
        false
    }

    /// Releases a cluster that is ours, or of which others have to know that it is not used here any more. Leaves alone
    /// any other.
    fn let_go(&mut self, now: Millis) -> bool {
        self.hurry_aftermath(now);
        if self.releasable() || self.is_leased() {
            self.release(now, 0);
            return false;
        }
        self.state = MachineState::Down;
        true
    }

    /// Returns whether the cluster is to be released in the end.
    pub(crate) fn releasable(&self) -> bool {
        self.ours || self.policy.on_exit == OnExit::Suspend
    }

    pub(super) fn release(&mut self, since: Millis, tries: u32) {
        self.losses.end_of_cluster();
        if self.releasable() {
            self.write(Word::MaybeDown);
        }
        self.effects.push(Effect::Release);
        self.state = MachineState::Releasing { since, tries };
    }

    fn exit(&mut self) -> bool {
        self.cut_all(CutReason::Terminated);
        self.effects.push(Effect::Exit);
        self.state = MachineState::Gone;
        true
    }

    /// Has a word written, before anything that follows it. The same word is not written twice.
    pub(super) fn write(&mut self, word: Word) {
        if self.word != word {
            self.word = word;
            self.effects.push(Effect::Write(word));
        }
    }

    pub(super) fn fail(&mut self, client: ClientId, reason: FailReason) {
        if self.waiting.remove(&client) {
            self.effects.push(Effect::Fail(client, reason));
        }
    }

    /// Fails clients whose run is over: they may not start a cluster.
    fn fail_orphans(&mut self) {
        if !self.keeps(Rule::RunOver) {
            return;
        }
        let dead = |client: &&ClientId| self.leases.get(client).is_none_or(|lease| lease.dead_since.is_some());
        let orphans: Vec<ClientId> = self.waiting.iter().filter(dead).copied().collect();
        for client in orphans {
            self.fail(client, FailReason::RunOver);
        }
    }

    pub(super) fn cut(&mut self, client: ClientId, reason: CutReason) {
        if self.unlease(client) {
            self.effects.push(Effect::Cut(client, reason));
        }
    }

    fn cut_all(&mut self, reason: CutReason) {
        let clients: Vec<ClientId> = self.leases.keys().copied().collect();
        for client in clients {
            self.cut(client, reason);
        }
    }

    fn expire_leases(&mut self, now: Millis) {
        let over = |since: Option<Millis>| since.is_some_and(|since| now >= since + self.limits.orphan_lease);
        let expired: Vec<ClientId> =
            self.leases.iter().filter(|(_, lease)| over(lease.dead_since)).map(|(client, _)| *client).collect();
        for client in expired {
            self.cut(client, CutReason::RunOver);
        }
        self.tether_wait = self.tethered && now < self.last_lease + self.limits.tethered_idle;
    }

    fn expire_queue(&mut self, now: Millis) {
        for (client, attempt) in self.grants.expire(now) {
            self.effects.push(Effect::Refused(client, attempt, RefuseReason::TimedOut));
        }
    }
}
