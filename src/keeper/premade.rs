//! Decides which schemas are made ahead for tests with migrations: how many, which test gets one, and what is dropped.
//!
//! A pure core, as [`machine`](super::machine) is. A schema is made for a checksum and handed out only when everything
//! was applied to it. A test that is over may hand it back: it is looked at, cleaned, and handed out again. A schema
//! that is not handed out is dropped.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::machine::ClientId;
use crate::wire::{AttemptId, Millis};

/// Numbers of schemas, and times in milliseconds.
#[derive(Clone, Debug)]
struct PremadeLimits {
    /// The number kept ready for a set whose tests run one after another.
    least: usize,
    /// The largest number kept ready, of all sets together: their tables count against a limit of the cluster.
    most: usize,
    /// The number made at the same time. More would take the cluster's time from the tests' own statements.
    at_once: usize,
    /// After so long without a test of the set, no more are made for it.
    quiet: Millis,
    /// After so long without a test of the set, those that are ready are dropped.
    idle: Millis,
    /// After so many failures in a row, the set is left to its tests, which get the error.
    failures: u32,
    /// None are made while so many schemas wait to be dropped.
    dropping: usize,
    /// The time for which none are made after the cluster had no room.
    full: Millis,
}

impl Default for PremadeLimits {
    fn default() -> Self {
        Self { least: 4, most: 16, at_once: 2, quiet: 10_000, idle: 60_000, failures: 2, dropping: 3, full: 5_000 }
    }
}

/// The outcome of making a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PremadeOutcome {
    /// Everything was applied. `measured` says whether the cluster's room for shards is known.
    Ready { measured: bool },
    /// Nothing was made: it would have come too near the cluster's limit of shards.
    Full,
    /// It was told to stop.
    Stopped,
    /// A statement failed.
    Failed,
}

/// The answer to a test that begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Handout {
    /// A schema to which its migrations were applied.
    pub(super) schema: Option<String>,
    /// The keeper does not know the text of its migrations yet, and wants it.
    pub(super) wants: bool,
}

/// The premade schemas of one set of migrations.
#[derive(Clone, Debug, Default)]
struct PremadeSet {
    text: Text,
    ready: VecDeque<ReadySchema>,
    making: BTreeSet<String>,
    /// Handed back, and being looked at.
    returning: BTreeSet<String>,
    running: BTreeSet<(ClientId, AttemptId)>,
    /// Those that wait for a schema.
    waiting: VecDeque<WaitingTest>,
    /// The history is long.
    long: bool,
    /// A schema was made, so that what the history ends in is known.
    made: bool,
    /// The largest number of its tests that ran at the same time.
    peak: usize,
    /// When one of its tests began or ended.
    seen: Millis,
    /// Failures in a row.
    failures: u32,
}

#[derive(Clone, Debug)]
struct ReadySchema {
    name: String,
    /// No test had it.
    is_new: bool,
}

/// A test that was granted its turn, and is told so when there is a schema for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct WaitingTest {
    client: ClientId,
    attempt: AttemptId,
    fresh: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Unknown,
    AskedOf(ClientId),
    Known,
}

impl PremadeSet {
    /// Counts the schemas that no test has.
    fn free(&self) -> usize {
        self.ready.len() + self.making.len() + self.returning.len()
    }

    /// Takes a schema that is ready. Those that are new are left to tests that want one.
    fn take(&mut self, fresh: bool) -> Option<String> {
        let used = self.ready.iter().position(|schema| !schema.is_new).filter(|_| !fresh);
        let first = used.or_else(|| self.ready.iter().position(|schema| schema.is_new));
        first.and_then(|index| self.ready.remove(index)).map(|schema| schema.name)
    }

    /// Returns whether nothing is on its way to the tests that wait.
    fn is_hopeless(&self, failures: u32) -> bool {
        match self.text {
            Text::Unknown => true,
            Text::AskedOf(_) => false,
            Text::Known => self.failures >= failures || self.making.is_empty() && self.returning.is_empty(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Premade {
    limits: PremadeLimits,
    /// By checksum.
    sets: BTreeMap<String, PremadeSet>,
    /// There is a cluster, and it is not being released.
    open: bool,
    /// The cluster says how many shards it takes.
    measured: bool,
    /// Until then the cluster counts as one without room.
    full_until: Millis,
    /// The number of schemas that wait to be dropped.
    dropping: usize,
}

impl Premade {
    /// The cluster is there.
    pub(super) fn open(&mut self) {
        self.open = true;
        self.measured = false;
        self.full_until = 0;
    }

    /// The cluster is released. Returns the schemas that are ready, which have to be dropped, and those that are being
    /// made or looked at, which have to be dropped when that has ended.
    pub(super) fn close(&mut self) -> (Vec<String>, Vec<String>) {
        self.open = false;
        let (mut ready, mut making) = (Vec::new(), Vec::new());
        for set in self.sets.values_mut() {
            ready.extend(set.ready.drain(..).map(|schema| schema.name));
            making.extend(std::mem::take(&mut set.making));
            making.extend(std::mem::take(&mut set.returning));
        }
        (ready, making)
    }

    /// So many schemas wait to be dropped.
    pub(super) fn dropping(&mut self, count: usize) {
        self.dropping = count;
    }

    /// A test was granted its turn. It may want a schema that no test had before.
    pub(super) fn begin(
        &mut self,
        now: Millis,
        client: ClientId,
        attempt: AttemptId,
        checksum: &str,
        fresh: bool,
    ) -> Handout {
        let set = self.sets.entry(checksum.to_owned()).or_default();
        set.seen = now;
        set.running.insert((client, attempt));
        set.peak = set.peak.max(set.running.len());
        if !self.open {
            return Handout::default();
        }
        let wants = set.text == Text::Unknown;
        if wants {
            set.text = Text::AskedOf(client);
        }
        Handout { schema: set.take(fresh), wants }
    }

    /// Lets a test wait that got no schema, if its own would take longer: one is being emptied for it, or its
    /// migrations are a `long` history, of which the keeper needs only the end. Returns false if it is to make its own.
    pub(super) fn waits(
        &mut self,
        now: Millis,
        (client, attempt): (ClientId, AttemptId),
        checksum: &str,
        fresh: bool,
        long: bool,
    ) -> bool {
        let room = now >= self.full_until && self.dropping < self.limits.dropping;
        let Some(set) = self.sets.get_mut(checksum).filter(|_| self.open) else { return false };
        let made = long && room && set.failures < self.limits.failures;
        let emptied = !fresh && set.returning.len() > set.waiting.len();
        if made || emptied {
            set.long |= long;
            set.waiting.push_back(WaitingTest { client, attempt, fresh });
        }
        made || emptied
    }

    /// Returns the next test whose wait is over, with its schema if there is one. Asked after [`Self::next`].
    pub(super) fn served(&mut self) -> Option<(ClientId, AttemptId, Option<String>)> {
        let (open, failures) = (self.open, self.limits.failures);
        for set in self.sets.values_mut() {
            for index in 0..set.waiting.len() {
                let schema = set.take(set.waiting[index].fresh);
                if schema.is_some() || !open || set.is_hopeless(failures) {
                    let WaitingTest { client, attempt, .. } = set.waiting.remove(index)?;
                    return Some((client, attempt, schema));
                }
            }
        }
        None
    }

    pub(super) fn end(&mut self, now: Millis, client: ClientId, attempt: AttemptId) {
        for set in self.sets.values_mut() {
            set.waiting.retain(|test| (test.client, test.attempt) != (client, attempt));
            if set.running.remove(&(client, attempt)) {
                set.seen = now;
            }
        }
    }

    /// A client is gone, and with it the answer that it owed.
    pub(super) fn leave(&mut self, now: Millis, client: ClientId) {
        for set in self.sets.values_mut() {
            let before = set.running.len();
            set.running.retain(|(owner, _)| *owner != client);
            set.waiting.retain(|test| test.client != client);
            if set.running.len() < before {
                set.seen = now;
            }
            if set.text == Text::AskedOf(client) {
                set.text = Text::Unknown;
            }
        }
    }

    /// The text of a set has come. Returns true if it is new.
    pub(super) fn knows(&mut self, checksum: &str) -> bool {
        let Some(set) = self.sets.get_mut(checksum) else { return false };
        std::mem::replace(&mut set.text, Text::Known) != Text::Known
    }

    /// Returns the set and the name of the next schema, if one is to be made now.
    pub(super) fn next(&mut self, now: Millis, name: impl FnOnce() -> String) -> Option<(String, String)> {
        let (making, all) =
            self.sets.values().fold((0, 0), |(making, all), set| (making + set.making.len(), all + set.free()));
        if !self.open
            || now < self.full_until
            || self.dropping >= self.limits.dropping
            || making >= self.limits.at_once
            || all >= self.limits.most
        {
            return None;
        }
        let checksum =
            self.sets.iter().filter(|(_, set)| self.lacks(now, set)).max_by_key(|(_, set)| set.seen)?.0.clone();
        let name = name();
        self.sets.get_mut(&checksum)?.making.insert(name.clone());
        Some((checksum, name))
    }

    fn lacks(&self, now: Millis, set: &PremadeSet) -> bool {
        let PremadeLimits { least, most, quiet, failures, .. } = self.limits;
        // If it is unknown how much room there is, more schemas could take it from the tests.
        let wanted = if self.measured { (set.peak + 2).clamp(least, most) } else { least };
        set.text == Text::Known
            // After a failure, each schema that is being made may be the next one.
            && (set.failures == 0 || set.failures as usize + set.making.len() < failures as usize)
            && (now < set.seen.saturating_add(quiet) || !set.waiting.is_empty())
            // A second one would go the same long way.
            && (set.made || !set.long || set.making.is_empty())
            && set.free() < wanted
    }

    /// The making of a schema is over. Returns true if the schema has to be dropped.
    pub(super) fn made(&mut self, now: Millis, name: &str, made: PremadeOutcome) -> bool {
        let Some(set) = self.sets.values_mut().find(|set| set.making.contains(name)) else {
            return made != PremadeOutcome::Full;
        };
        set.making.remove(name);
        match made {
            PremadeOutcome::Ready { measured } => {
                set.failures = 0;
                set.made = true;
                self.measured = measured;
                let wanted = now < set.seen.saturating_add(self.limits.idle) || !set.waiting.is_empty();
                if wanted {
                    set.ready.push_back(ReadySchema { name: name.to_owned(), is_new: true });
                }
                !wanted
            }
            PremadeOutcome::Full => {
                self.full_until = now.saturating_add(self.limits.full);
                false
            }
            PremadeOutcome::Stopped => true,
            PremadeOutcome::Failed => {
                set.failures += 1;
                true
            }
        }
    }

    /// A test is over, and nothing writes to its schema any more. Returns true if another test could use the schema: it
    /// has to be looked at, and [`Self::returned`] is told.
    pub(super) fn takes_back(&mut self, now: Millis, checksum: &str, name: &str) -> bool {
        let all: usize = self.sets.values().map(PremadeSet::free).sum();
        let PremadeLimits { least, most, idle, .. } = self.limits;
        let Some(set) = self.sets.get_mut(checksum).filter(|_| self.open && all < most) else { return false };
        let wanted = now < set.seen.saturating_add(idle) && set.free() < (set.peak + 2).clamp(least, most);
        wanted && set.returning.insert(name.to_owned())
    }

    /// A schema that was handed back is as it was made, or can't be used again. Returns true if it has to be dropped.
    pub(super) fn returned(&mut self, name: &str, as_made: bool) -> bool {
        let Some(set) = self.sets.values_mut().find(|set| set.returning.contains(name)) else { return true };
        set.returning.remove(name);
        if as_made {
            set.ready.push_back(ReadySchema { name: name.to_owned(), is_new: false });
        }
        !as_made
    }

    /// Takes the schemas of sets without a test for long. They have to be dropped.
    pub(super) fn expired(&mut self, now: Millis) -> Vec<String> {
        let idle = self.limits.idle;
        let old = self.sets.values_mut().filter(|set| now >= set.seen.saturating_add(idle));
        old.flat_map(|set| set.ready.drain(..)).map(|schema| schema.name).collect()
    }

    /// Returns when [`Self::expired`] is to be asked next.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let ready = self.sets.values().filter(|set| !set.ready.is_empty());
        ready.map(|set| set.seen.saturating_add(self.limits.idle)).min()
    }
}

#[cfg(test)]
mod tests;
