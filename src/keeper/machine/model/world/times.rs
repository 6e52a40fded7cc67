//! Time, and what makes states equal: all times are counted from now.

use super::*;

impl World {
    pub(super) fn tick(&mut self) {
        for since in self.clients.iter_mut().filter_map(|client| client.doomed.as_mut()) {
            *since = (*since + 1).min(ORPHAN_LEASE);
        }
        self.since_begin += 1;
        self.machine.due_times(&mut |time| *time -= TICK);
        self.machine.past_times(&mut |time, _| *time -= TICK);
    }

    /// Makes states equal that differ in nothing that matters.
    pub(super) fn normalize(&mut self) {
        let longest = self.policy.max_lifetime;
        self.since_begin = if longest > LONG { 0 } else { self.since_begin.min(longest / TICK) };
        let machine = &mut self.machine;
        machine.due_times(&mut |time| *time = if *time > NOW + LONG { NOW + FOREVER } else { (*time).max(NOW) });
        // Older than a limit is as old as the limit.
        machine.past_times(&mut |time, limit| *time = if limit > LONG { NOW } else { (*time).max(NOW - limit) });
        if !matches!(machine.state, MachineState::Up | MachineState::Warm { .. }) {
            machine.last_begin = NOW;
        }
        if !machine.tethered {
            machine.last_lease = NOW;
        }
        // All pauses are alike.
        if let MachineState::Releasing { tries, .. } | MachineState::Owed { tries, .. } = &mut machine.state {
            *tries = 0;
        }
        machine.last_look = 0;
        if let Aftermath::Looking { id, .. } | Aftermath::Restoring { id, .. } = &mut machine.aftermath {
            *id = LookId(1);
            machine.last_look = 1;
        }
        if self.is_gone() {
            // Only the journal survives it.
            let (limits, without) = (self.machine.limits.clone(), self.machine.without);
            let gone = Machine::new(NOW, self.journal, limits);
            self.machine = Machine { state: MachineState::Gone, without, ..gone };
            (self.name, self.held, self.ended, self.look) = (None, None, Vec::new(), None);
            (self.turns, self.wants_alone, self.signalled, self.tethered) = (None, false, false, false);
            self.unseen = false;
        }
    }
}

impl Machine {
    /// Visits the times at which something is due.
    fn due_times(&mut self, visit: &mut dyn FnMut(&mut Millis)) {
        match &mut self.state {
            MachineState::Recovering { until } | MachineState::Warm { until } => visit(until),
            MachineState::Owed { at, .. } => visit(at),
            _ => {}
        }
        if let Aftermath::Looking { until, .. } | Aftermath::Restoring { until, .. } = &mut self.aftermath {
            visit(until);
        }
        self.grants.visit_times(visit);
    }

    /// Visits the times since which something lasts, each with the limit that it is compared with.
    fn past_times(&mut self, visit: &mut dyn FnMut(&mut Millis, Millis)) {
        if let MachineState::Releasing { since, .. } | MachineState::Owed { since, .. } = &mut self.state {
            visit(since, self.limits.owed);
        }
        visit(&mut self.last_begin, self.policy.max_lifetime);
        visit(&mut self.last_lease, self.limits.tethered_idle);
        for since in self.leases.values_mut().filter_map(|lease| lease.dead_since.as_mut()) {
            visit(since, self.limits.orphan_lease);
        }
        self.visit_quiet(visit);
    }
}
