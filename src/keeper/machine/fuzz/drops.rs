//! Schemas that wait to be dropped: how many there are, and until when that may hold attempts up.

use super::*;
use crate::keeper::machine::backlog::{FEW, MANY};

#[derive(Default)]
pub(super) struct Drops {
    count: usize,
    /// Since it became large.
    until: Option<Millis>,
}

impl World {
    /// Some more or some less.
    pub(super) fn drops_change(&mut self) {
        self.drops.count = [0, FEW, FEW + 1, MANY - 1, MANY, MANY + 50][self.random.usize(..6)];
        self.drops.until = match self.drops.count {
            few if few <= FEW => None,
            many if many >= MANY => Some(self.drops.until.unwrap_or(self.now + Limits::default().backlog)),
            _ => self.drops.until,
        };
        self.feed(Event::Dropping(self.drops.count));
    }

    pub(super) fn is_held_up(&self) -> bool {
        self.drops.until.is_some_and(|until| self.now < until)
    }

    /// Nobody is held up without a reason: whoever fits, runs.
    pub(super) fn check_nobody_waits_in_vain(&self) {
        let machine = &self.machine;
        let settled = machine.state() == State::Up && !machine.term && machine.aftermath == Aftermath::Nothing;
        if settled && let Some((key, exclusive)) = machine.grants.next() {
            let held_up = self.is_held_up() && machine.grants.has_holders() && !exclusive;
            assert!(held_up, "{key:?} fits and waits");
        }
    }
}
