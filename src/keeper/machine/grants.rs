//! The order of grants: first come, first served. An exclusive attempt runs alone, and later shared ones wait behind
//! it.
//!
//! Dropping that falls behind holds shared attempts up, too. CrateDB puts `DROP SCHEMA` behind every `CREATE TABLE`
//! that waits (priorities NORMAL and URGENT in its `TransportDropSchema` and `TransportCreateTable`, 6.4). Tests that
//! make tables without a pause keep it from dropping at all, and every change takes it longer the more schemas there
//! are. So attempts that would make more wait for a while.

use std::collections::{BTreeMap, VecDeque};

use super::aftermath::Aftermath;
use super::{ClientId, Effect, Machine, MachineState, Rule};
use crate::wire::{AttemptId, Millis, Mode};

/// From so many schemas that wait to be dropped on, attempts are held up, until there are no more than a few.
pub(super) const MANY: usize = 12;
pub(super) const FEW: usize = 4;

pub(super) type AttemptKey = (ClientId, AttemptId);

#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
struct QueuedAttempt {
    key: AttemptKey,
    mode: Mode,
    until: Millis,
}

#[derive(Clone, Debug, Default)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(super) struct Grants {
    holders: BTreeMap<AttemptKey, Mode>,
    queue: VecDeque<QueuedAttempt>,
    /// Until then nothing new is granted: open attempts of a killed keeper come first.
    closed_until: Option<Millis>,
}

impl Grants {
    pub(super) fn holds(&self, client: ClientId, attempt: AttemptId) -> bool {
        self.holders.contains_key(&(client, attempt))
    }

    pub(super) fn holds_any(&self, client: ClientId) -> bool {
        self.holders.keys().any(|key| key.0 == client)
    }

    /// Adds an attempt that is granted already: one that was open when a keeper was killed, or one inside another
    /// attempt.
    pub(super) fn repeat(&mut self, client: ClientId, attempt: AttemptId, mode: Mode) {
        self.holders.insert((client, attempt), mode);
    }

    pub(super) fn queue(&mut self, client: ClientId, attempt: AttemptId, mode: Mode, until: Millis) {
        self.queue.push_back(QueuedAttempt { key: (client, attempt), mode, until });
    }

    pub(super) fn close_until(&mut self, until: Millis) {
        self.closed_until = Some(until);
    }

    pub(super) fn end(&mut self, client: ClientId, attempt: AttemptId) {
        self.holders.remove(&(client, attempt));
        self.queue.retain(|waiting| waiting.key != (client, attempt));
    }

    pub(super) fn leave(&mut self, client: ClientId) {
        self.holders.retain(|key, _| key.0 != client);
        self.queue.retain(|waiting| waiting.key.0 != client);
    }

    /// Removes what a client waits for, and returns it.
    pub(super) fn forget_queued(&mut self, client: ClientId) -> Vec<AttemptId> {
        let (gone, rest): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(|waiting| waiting.key.0 == client);
        self.queue = rest;
        gone.into_iter().map(|waiting| waiting.key.1).collect()
    }

    /// Visits the times at which something is due, for the model checker.
    #[cfg(test)]
    pub(super) fn visit_times(&mut self, visit: &mut dyn FnMut(&mut Millis)) {
        self.queue.iter_mut().map(|waiting| &mut waiting.until).chain(&mut self.closed_until).for_each(visit);
    }

    /// Removes what has waited too long, and returns it.
    pub(super) fn expire(&mut self, now: Millis) -> Vec<AttemptKey> {
        let (late, rest): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(|waiting| now >= waiting.until);
        self.queue = rest;
        late.into_iter().map(|waiting| waiting.key).collect()
    }

    /// Returns whether nothing new is granted yet.
    pub(super) fn is_closed(&self) -> bool {
        self.closed_until.is_some()
    }

    pub(super) fn opens_at(&self) -> Option<Millis> {
        self.closed_until
    }

    pub(super) fn open_if(&mut self, now: Millis) {
        self.closed_until = self.closed_until.filter(|until| now < *until);
    }

    /// Returns the front of the queue if it may begin now, and whether it is exclusive.
    pub(super) fn next(&self) -> Option<(AttemptKey, bool)> {
        let front = self.queue.front().filter(|front| !self.is_closed() && self.fits(front.mode))?;
        Some((front.key, front.mode == Mode::Exclusive))
    }

    /// Returns whether this attempt is at the front of the queue.
    pub(super) fn is_next(&self, key: AttemptKey) -> bool {
        self.queue.front().is_some_and(|front| front.key == key)
    }

    /// Grants the front of the queue, if it is this attempt.
    pub(super) fn take(&mut self, key: AttemptKey) {
        if let Some(front) = self.queue.pop_front_if(|front| front.key == key) {
            self.holders.insert(front.key, front.mode);
        }
    }

    pub(super) fn has_holders(&self) -> bool {
        !self.holders.is_empty()
    }

    pub(super) fn has_exclusive(&self) -> bool {
        self.holders.values().any(|held| *held == Mode::Exclusive)
    }

    /// Returns whether an exclusive attempt runs, or is next.
    pub(super) fn wants_exclusive(&self) -> bool {
        self.has_exclusive() || self.queue.front().is_some_and(|front| front.mode == Mode::Exclusive)
    }

    fn fits(&self, mode: Mode) -> bool {
        match mode {
            Mode::Shared => !self.has_exclusive(),
            Mode::Exclusive => self.holders.is_empty(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Millis> {
        let late = self.queue.iter().map(|waiting| waiting.until).min();
        let opens = self.closed_until.filter(|_| !self.queue.is_empty());
        late.into_iter().chain(opens).min()
    }

    /// Returns the attempts that hold the cluster, for the error of one that waited in vain.
    pub(super) fn holders(&self) -> impl Iterator<Item = AttemptKey> {
        self.holders.keys().copied()
    }
}

/// The extent to which dropping has fallen behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) enum Backlog {
    #[default]
    Small,
    /// Attempts run one at a time, so that there is always progress.
    Large { until: Millis },
    /// It does not get smaller, or a test waits for one that is held up: no attempt is held up any more.
    GivenUp,
}

impl Machine {
    /// Returns whether clients of a killed keeper may still come back to attempts that run on the cluster. A cluster
    /// that lost nodes is not kept for them.
    pub(super) fn awaits_return(&self, now: Millis) -> bool {
        !self.is_broken() && self.grants.opens_at().is_some_and(|until| now < until)
    }

    /// Grants from the front of the queue while the front fits, and stops at an exclusive attempt to look first.
    pub(super) fn grant(&mut self, now: Millis) {
        while self.may_grant() {
            let Some((key, exclusive)) = self.grants.next() else { return };
            if !self.fits_neighbours(exclusive) {
                return;
            }
            if exclusive {
                let id = self.next_look();
                self.effects.push(Effect::Look(id, key.0, key.1));
                self.aftermath = Aftermath::Looking { id, key, until: now.saturating_add(self.limits.look) };
            } else if self.holds_up() {
                return;
            } else {
                self.take(key);
            }
        }
    }

    fn may_grant(&self) -> bool {
        match self.aftermath {
            Aftermath::Nothing => true,
            Aftermath::Looking { .. } => false,
            Aftermath::Owed | Aftermath::Restoring { .. } => !self.keeps(Rule::Repair),
        }
    }

    fn take(&mut self, key: AttemptKey) {
        self.grants.take(key);
        self.losses.fruitful = true;
        self.effects.push(Effect::Granted(key.0, key.1));
    }

    /// Grants an exclusive attempt after its look. Returns false if it does not fit any more: meanwhile a client may
    /// have come back with an attempt that a killed keeper had granted.
    pub(super) fn grant_exclusive(&mut self, key: AttemptKey, seen: bool) -> bool {
        let here = self.state == MachineState::Up && !self.term && self.fits_neighbours(true);
        let fits = here && self.grants.next() == Some((key, true));
        if fits {
            self.take(key);
        }
        self.aftermath = if fits && seen { Aftermath::Owed } else { Aftermath::Nothing };
        fits
    }

    pub(super) fn dropping(&mut self, now: Millis, count: usize) {
        self.backlog = match self.backlog {
            Backlog::Small if count >= MANY => Backlog::Large { until: now.saturating_add(self.limits.backlog) },
            Backlog::Large { .. } | Backlog::GivenUp if count <= FEW => Backlog::Small,
            as_before => as_before,
        };
    }

    pub(super) fn settle_backlog(&mut self, now: Millis) {
        if matches!(self.backlog, Backlog::Large { until } if now >= until) {
            self.backlog = Backlog::GivenUp;
        }
    }

    /// Returns whether a shared attempt has to wait although it fits.
    pub(super) fn holds_up(&self) -> bool {
        matches!(self.backlog, Backlog::Large { .. }) && self.grants.has_holders()
    }

    pub(super) fn backlog_deadline(&self) -> Option<Millis> {
        match self.backlog {
            Backlog::Large { until } => Some(until),
            Backlog::Small | Backlog::GivenUp => None,
        }
    }
}
