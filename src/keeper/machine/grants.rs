//! Who may run now: first come, first served; exclusive attempts alone, later shared ones behind them.

use std::collections::{BTreeMap, VecDeque};

use super::ClientId;
use crate::wire::{AttemptId, Millis, Mode};

pub(super) type Key = (ClientId, AttemptId);

#[derive(Clone, Debug)]
struct Waiting {
    key: Key,
    mode: Mode,
    until: Millis,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Grants {
    holders: BTreeMap<Key, Mode>,
    queue: VecDeque<Waiting>,
    /// Nothing new before this: open attempts of a killed keeper come first.
    closed_until: Option<Millis>,
}

impl Grants {
    pub(super) fn holds(&self, client: ClientId, attempt: AttemptId) -> bool {
        self.holders.contains_key(&(client, attempt))
    }

    pub(super) fn holds_any(&self, client: ClientId) -> bool {
        self.holders.keys().any(|key| key.0 == client)
    }

    /// An attempt that holds already: repeated after a restart, or nested in another.
    pub(super) fn repeat(&mut self, client: ClientId, attempt: AttemptId, mode: Mode) {
        self.holders.insert((client, attempt), mode);
    }

    pub(super) fn queue(&mut self, client: ClientId, attempt: AttemptId, mode: Mode, until: Millis) {
        self.queue.push_back(Waiting { key: (client, attempt), mode, until });
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

    /// Takes back what a client waits for, and says what it was.
    pub(super) fn forget_queued(&mut self, client: ClientId) -> Vec<AttemptId> {
        let (gone, rest): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(|waiting| waiting.key.0 == client);
        self.queue = rest;
        gone.into_iter().map(|waiting| waiting.key.1).collect()
    }

    /// What waited too long.
    pub(super) fn expire(&mut self, now: Millis) -> Vec<Key> {
        let (late, rest): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.queue).into_iter().partition(|waiting| now >= waiting.until);
        self.queue = rest;
        late.into_iter().map(|waiting| waiting.key).collect()
    }

    /// Whether nothing new is granted yet.
    pub(super) fn is_closed(&self) -> bool {
        self.closed_until.is_some()
    }

    pub(super) fn opens_at(&self) -> Option<Millis> {
        self.closed_until
    }

    pub(super) fn open_if(&mut self, now: Millis) {
        self.closed_until = self.closed_until.filter(|until| now < *until);
    }

    /// The front of the queue if it may begin now, and whether it is exclusive.
    pub(super) fn next(&self) -> Option<(Key, bool)> {
        let front = self.queue.front().filter(|front| !self.is_closed() && self.fits(front.mode))?;
        Some((front.key, front.mode == Mode::Exclusive))
    }

    /// Whether this one would be next if it fitted.
    pub(super) fn is_next(&self, key: Key) -> bool {
        self.queue.front().is_some_and(|front| front.key == key)
    }

    /// The front of the queue begins.
    pub(super) fn take(&mut self, key: Key) {
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

    /// Holders, for the error of whoever waited in vain.
    pub(super) fn holders(&self) -> impl Iterator<Item = Key> {
        self.holders.keys().copied()
    }
}
