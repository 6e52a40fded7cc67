//! Reasons for attempts to wait: schemas that are not dropped yet, and nodes that ended by themselves.

use super::*;

impl World {
    /// Changes how many schemas wait to be dropped.
    pub(super) fn drops_change(&mut self) {
        self.drops.count = [0, FEW, FEW + 1, MANY - 1, MANY, MANY + 50][self.random.usize(..6)];
        self.drops.until = match self.drops.count {
            few if few <= FEW => None,
            many if many >= MANY => Some(self.drops.until.unwrap_or(self.now + MachineLimits::default().backlog)),
            _ => self.drops.until,
        };
        self.feed(Event::Dropping(self.drops.count));
    }

    pub(super) fn is_held_up(&self) -> bool {
        self.drops.until.is_some_and(|until| self.now < until)
    }

    /// Checks that no attempt is held up without a reason: one that fits runs.
    pub(super) fn check_no_attempt_waits_in_vain(&self) {
        let machine = &self.machine;
        let settled = machine.state() == MachineState::Up && !machine.term && machine.aftermath == Aftermath::Nothing;
        let settled = settled && self.lost.is_none();
        if settled && let Some((key, exclusive)) = machine.grants.next() {
            let held_up = self.is_held_up() && machine.grants.has_holders() && !exclusive;
            assert!(held_up || !self.has_room(exclusive), "{key:?} fits and waits");
        }
    }

    /// Ends some of the nodes, or all. Only a cluster that the harness started is watched.
    pub(super) fn lose_nodes(&mut self) {
        if !self.is_up() || !self.machine.owes() {
            return;
        }
        let all = self.random.bool();
        self.lost = Some(all || self.lost == Some(true));
        self.feed(Event::Lost { all });
        let held = self.clients.values().any(|client| !client.granted.is_empty());
        assert!(!self.is_up() || (held && !all), "a cluster without all its nodes stays");
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.machine.state(), MachineState::Up | MachineState::Warm { .. })
    }

    /// The cluster goes with all that tests changed. Its clients wait for another one, and are answered once more.
    pub(super) fn cluster_goes(&mut self) {
        let ends = self.term || self.limit_passed || self.tethered;
        let runs = |client: &FakeClient| !client.granted.is_empty() && self.is_fresh(client);
        let disturbed = self.lost == Some(false) && !ends && self.clients.values().any(runs);
        assert!(!disturbed, "replaced under a holder");
        (self.look, self.noted, self.changed) = (None, false, false);
        self.clients.values_mut().for_each(|client| client.answered = false);
    }
}
