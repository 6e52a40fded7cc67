//! The trouble that keeps a call from going on, and since when a release is owed: for people, the log and the journal.

use super::{Keeper, MachineState};
use crate::keeper::journal::Debt;
use crate::keeper::machine::{ClientId, Word};
use crate::keeper::{Record, clock, unix_seconds};

/// Enough of a reason to understand it. A record of the journal has no room for more.
const REASON: usize = 500;

/// The loop's knowledge of what is owed.
#[derive(Default)]
pub(super) struct Debts {
    /// The release that is owed, since when, and the last reason.
    debt: Option<Debt>,
    /// Set if a release was begun and is not known to have ended.
    is_due: bool,
    /// The reason why the call that is under way can't go on.
    trouble: Option<String>,
    /// The error of the last release.
    failed: Option<String>,
}

impl Debts {
    pub(super) fn of_a_predecessor(record: &Record) -> Self {
        let owes = record.word != Word::Clean && record.held.is_some();
        let since_then = || Debt { since: record.at, why: None };
        Self {
            debt: owes.then(|| record.debt.clone().unwrap_or_else(since_then)),
            is_due: owes && (record.word == Word::MaybeDown || record.debt.is_some()),
            ..Self::default()
        }
    }

    /// Follows the words of the machine. Returns what the journal has to say.
    pub(super) fn follow(&mut self, word: Word) -> Option<Debt> {
        match word {
            Word::Clean | Word::Up => *self = Self::default(),
            Word::MaybeDown => {
                self.debt.get_or_insert_with(|| Debt { since: unix_seconds(), why: None });
                self.is_due = true;
            }
            // What an earlier release left stays owed until the cluster is there again.
            Word::MaybeUp => {}
        }
        self.debt.clone().filter(|_| self.is_due)
    }

    /// Says since when something is owed, if it is.
    pub(super) fn since(&self) -> Option<i64> {
        self.debt.as_ref().map(|debt| debt.since)
    }
}

impl Keeper {
    /// Notes the trouble of the call that is under way, or that there is none.
    pub(super) fn note_trouble(&mut self, trouble: Option<String>) {
        if self.debts.trouble == trouble {
            return;
        }
        if let Some(text) = &trouble {
            tracing::warn!(text, "the work can't go on for now");
            self.note_reason(text);
        }
        self.debts.trouble = trouble;
    }

    /// Notes that a call failed. A release is tried again, with this reason until it succeeds.
    pub(super) fn note_failure(&mut self, why: &str) {
        self.note_reason(why);
        (self.debts.trouble, self.debts.failed) = (None, Some(why.to_owned()));
    }

    /// Says why the work can't go on for now, or why the last call failed.
    pub(super) fn reason(&self) -> Option<String> {
        let failure = self.supply.failure.as_ref().filter(|_| self.machine.state() == MachineState::Failed);
        let known = self.debts.trouble.as_ref().or(self.debts.failed.as_ref());
        known.cloned().or_else(|| failure.map(crate::error::Error::first_line))
    }

    fn note_reason(&mut self, why: &str) {
        let Some(debt) = &mut self.debts.debt else { return };
        debt.why = Some(why.chars().take(REASON).collect());
        self.debts.is_due = true;
        let debt = debt.clone();
        self.journal.note("why a release is owed", |record| record.debt = Some(debt));
    }

    /// Notes that nothing is owed: what a predecessor left is used again, or is gone.
    pub(super) fn settle_debt(&mut self) {
        self.debts = Debts::default();
        self.journal.note("that nothing is owed", |record| record.debt = None);
    }

    /// Tells a new session first of all what an earlier one still owes.
    pub(super) fn tell_debt(&self, id: ClientId) {
        let Some(debt) = self.debts.debt.as_ref().filter(|_| self.debts.is_due) else { return };
        // Under way, and nothing is known to be wrong.
        if debt.why.is_none() && matches!(self.machine.state(), MachineState::Releasing { .. }) {
            return;
        }
        let name =
            self.held().and_then(|held| held.name().map(str::to_owned)).unwrap_or_else(|| "a cluster".to_owned());
        let why = debt.why.as_deref().unwrap_or("its keeper ended before that was done");
        let since = clock(debt.since);
        self.clients.notify(id, format!("`{name}` may be up still: it was to be let go of at {since}, but {why}"));
    }

    /// Says what a keeper that ends leaves to the next one.
    pub(super) fn leave_debt(&self) {
        if let Some(debt) = self.debts.debt.as_ref().filter(|_| self.debts.is_due) {
            let (since, why) = (clock(debt.since), debt.why.as_deref().unwrap_or_default());
            tracing::error!(since, why, "gave up: the next run on this cluster or `cargo cratedb sweep` lets go of it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(word: Word, debt: Option<Debt>) -> Record {
        let held = Some(serde_json::from_value(serde_json::json!({ "provider": "x", "name": "ci" })).unwrap());
        Record { word, held, debt, at: 1_790_000_000, ..Record::default() }
    }

    fn debt(since: i64, why: Option<&str>) -> Debt {
        Debt { since, why: why.map(str::to_owned) }
    }

    #[test]
    fn a_release_is_owed_from_its_begin_until_it_succeeds() {
        let mut debts = Debts::default();
        assert_eq!((debts.follow(Word::MaybeUp), debts.follow(Word::Up), debts.since()), (None, None, None));
        let begun = debts.follow(Word::MaybeDown).unwrap();
        // A new session uses the cluster although it was to be released.
        assert_eq!(debts.follow(Word::MaybeUp), Some(begun.clone()));
        assert_eq!(debts.follow(Word::MaybeDown), Some(begun));
        assert_eq!((debts.follow(Word::Clean), debts.since()), (None, None));
    }

    #[test]
    fn what_a_predecessor_owes_stays_owed_since_then() {
        let failed = debt(1_780_000_000, Some("no answer"));
        for (record, since, is_due) in [
            (record(Word::MaybeDown, Some(failed.clone())), 1_780_000_000, true),
            (record(Word::MaybeDown, None), 1_790_000_000, true),
            // It died while tests ran.
            (record(Word::Up, None), 1_790_000_000, false),
        ] {
            let mut debts = Debts::of_a_predecessor(&record);
            assert_eq!((debts.since(), debts.is_due), (Some(since), is_due), "{record:?}");
            assert_eq!(debts.follow(Word::MaybeDown).map(|debt| debt.since), Some(since), "{record:?}");
        }
        assert_eq!(Debts::of_a_predecessor(&record(Word::Clean, None)).since(), None);
        // No intent was written, so nothing was touched.
        let nothing = Record { held: None, ..record(Word::MaybeUp, None) };
        assert_eq!(Debts::of_a_predecessor(&nothing).since(), None);
    }
}
