//! Which schemas are made ahead for tests with migrations: how many, who gets them, what is dropped again.
//!
//! Decisions only, as in `machine`: no I/O, no clock. A schema is made for a checksum, is handed out at most once and only
//! when everything was applied to it, and what is not handed out is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::machine::ClientId;
use crate::wire::{AttemptId, Millis};

/// Numbers of schemas, and times.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Kept ready for a set whose tests run one after another.
    pub(super) least: usize,
    /// Kept ready at most, of all sets together: what their tables are made of counts against a limit of the cluster.
    pub(super) most: usize,
    /// Made at the same time. More would take the tests' own statements the cluster's time.
    pub(super) at_once: usize,
    /// After so long without a test of the set nothing more is made for it.
    pub(super) quiet: Millis,
    /// After so long what is ready is dropped.
    pub(super) idle: Millis,
    /// So many failures in a row, and the set is left to its tests, which get the error.
    pub(super) failures: u32,
    /// Nothing is made while so many schemas wait to be dropped.
    pub(super) dropping: usize,
    /// How long nothing is made after the cluster had no room.
    pub(super) full: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self { least: 4, most: 16, at_once: 2, quiet: 10_000, idle: 60_000, failures: 2, dropping: 3, full: 5_000 }
    }
}

/// How the making of a schema ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Everything was applied; with whether the cluster's room for shards is known.
    Ready { measured: bool },
    /// Nothing was made: it would have come too near the cluster's limit of shards.
    Full,
    /// It was told to stop.
    Stopped,
    /// A statement failed.
    Failed,
}

/// What a test that begins is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// A schema to which its migrations were applied.
    pub(super) schema: Option<String>,
    /// The text of its migrations is not known yet.
    pub(super) wants: bool,
}

#[derive(Clone, Debug, Default)]
struct Set {
    text: Text,
    ready: VecDeque<String>,
    making: BTreeSet<String>,
    running: BTreeSet<(ClientId, AttemptId)>,
    /// So many of its tests ran at the same time.
    peak: usize,
    /// When one of its tests began or ended.
    seen: Millis,
    /// In a row.
    failures: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Unknown,
    AskedOf(ClientId),
    Known,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Prepared {
    limits: Limits,
    /// By checksum.
    sets: BTreeMap<String, Set>,
    /// There is a cluster, and nobody lets go of it.
    open: bool,
    /// The cluster says how many shards it takes.
    measured: bool,
    /// It had no room for more.
    full_until: Millis,
    /// So many schemas wait to be dropped there.
    dropping: usize,
}

impl Prepared {
    /// The cluster is there.
    pub(super) fn open(&mut self) {
        self.open = true;
        self.measured = false;
        self.full_until = 0;
    }

    /// The cluster is let go of; what has to be dropped. What is being made counts as dropped when its maker has ended.
    pub(super) fn close(&mut self) -> Vec<String> {
        self.open = false;
        let mut rest = Vec::new();
        for set in self.sets.values_mut() {
            rest.extend(set.ready.drain(..));
            set.making.clear();
        }
        rest
    }

    /// So many schemas wait to be dropped.
    pub(super) fn dropping(&mut self, count: usize) {
        self.dropping = count;
    }

    /// A test was granted its turn.
    pub(super) fn begin(&mut self, now: Millis, client: ClientId, attempt: AttemptId, checksum: &str) -> Turn {
        let set = self.sets.entry(checksum.to_owned()).or_default();
        set.seen = now;
        set.running.insert((client, attempt));
        set.peak = set.peak.max(set.running.len());
        if !self.open {
            return Turn::default();
        }
        let wants = set.text == Text::Unknown;
        if wants {
            set.text = Text::AskedOf(client);
        }
        Turn { schema: set.ready.pop_front(), wants }
    }

    pub(super) fn end(&mut self, now: Millis, client: ClientId, attempt: AttemptId) {
        for set in self.sets.values_mut() {
            if set.running.remove(&(client, attempt)) {
                set.seen = now;
            }
        }
    }

    /// A process is gone, and with it what it was asked for.
    pub(super) fn leave(&mut self, now: Millis, client: ClientId) {
        for set in self.sets.values_mut() {
            let before = set.running.len();
            set.running.retain(|(owner, _)| *owner != client);
            if set.running.len() < before {
                set.seen = now;
            }
            if set.text == Text::AskedOf(client) {
                set.text = Text::Unknown;
            }
        }
    }

    /// The text of a set has come; whether it is new.
    pub(super) fn knows(&mut self, checksum: &str) -> bool {
        let Some(set) = self.sets.get_mut(checksum) else { return false };
        std::mem::replace(&mut set.text, Text::Known) != Text::Known
    }

    /// Whether another schema is to be made now: its set and its name.
    pub(super) fn next(&mut self, now: Millis, name: impl FnOnce() -> String) -> Option<(String, String)> {
        let (making, stock) = self.sets.values().fold((0, 0), |(making, stock), set| {
            (making + set.making.len(), stock + set.making.len() + set.ready.len())
        });
        if !self.open
            || now < self.full_until
            || self.dropping >= self.limits.dropping
            || making >= self.limits.at_once
            || stock >= self.limits.most
        {
            return None;
        }
        let checksum =
            self.sets.iter().filter(|(_, set)| self.lacks(now, set)).max_by_key(|(_, set)| set.seen)?.0.clone();
        let name = name();
        self.sets.get_mut(&checksum)?.making.insert(name.clone());
        Some((checksum, name))
    }

    fn lacks(&self, now: Millis, set: &Set) -> bool {
        let Limits { least, most, quiet, failures, .. } = self.limits;
        // Where nobody knows how much room there is, growing could take it from the tests.
        let wanted = if self.measured { (set.peak + 2).clamp(least, most) } else { least };
        set.text == Text::Known
            // What is being made after a failure may be the next one.
            && (set.failures == 0 || set.failures as usize + set.making.len() < failures as usize)
            && now < set.seen.saturating_add(quiet)
            && set.making.len() + set.ready.len() < wanted
    }

    /// The making of a schema is over; whether it has to be dropped.
    pub(super) fn made(&mut self, now: Millis, name: &str, made: Made) -> bool {
        let Some(set) = self.sets.values_mut().find(|set| set.making.contains(name)) else {
            return made != Made::Full;
        };
        set.making.remove(name);
        match made {
            Made::Ready { measured } => {
                set.failures = 0;
                self.measured = measured;
                let wanted = now < set.seen.saturating_add(self.limits.idle);
                if wanted {
                    set.ready.push_back(name.to_owned());
                }
                !wanted
            }
            Made::Full => {
                self.full_until = now.saturating_add(self.limits.full);
                false
            }
            Made::Stopped => true,
            Made::Failed => {
                set.failures += 1;
                true
            }
        }
    }

    /// What nobody has wanted for long, to be dropped.
    pub(super) fn expired(&mut self, now: Millis) -> Vec<String> {
        let idle = self.limits.idle;
        let old = self.sets.values_mut().filter(|set| now >= set.seen.saturating_add(idle));
        old.flat_map(|set| set.ready.drain(..)).collect()
    }

    /// When [`Self::expired`] is to be asked next.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let with_stock = self.sets.values().filter(|set| !set.ready.is_empty());
        with_stock.map(|set| set.seen.saturating_add(self.limits.idle)).min()
    }
}

#[cfg(test)]
mod tests;
