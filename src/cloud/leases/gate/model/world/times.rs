//! Time, and what makes states equal: all times are counted from now.

use super::super::super::{Aim, Call, Gate, Lease, Memory, Row, RowState, Turns};
use super::*;
use crate::wait::Millis;

impl World {
    pub(super) fn tick(&mut self) {
        let runs = matches!(self.cluster, Cluster::Running | Cluster::Suspending { .. });
        if let Cluster::Resuming { ticked, .. } = &mut self.cluster {
            *ticked = true;
        }
        for keeper in &mut self.keepers {
            if let Some(Outgoing::Flight { ticked, .. }) = &mut keeper.call {
                *ticked = true;
            }
            let begins = keeper.life == Life::Alive && keeper.gate.turns() != Turns::None;
            keeper.dark = if begins && !runs { keeper.dark + 1 } else { 0 };
            if keeper.dark > 2 {
                self.fault = self.fault.or(Some(Fault::Dark));
            }
        }
        self.local_times(&mut |time| *time = time.saturating_sub(TICK).max(NOW - OLD));
        self.server_times(true, &mut |time| *time -= TICK);
        let mut old = Vec::new();
        self.server_times(true, &mut |time| old.extend((*time < SERVER - OLD).then_some(*time)));
        old.sort_unstable();
        old.dedup();
        let rank = |time: &Millis| old.iter().rev().position(|other| other == time);
        self.server_times(true, &mut |time| {
            if let Some(rank) = rank(time) {
                *time = SERVER - OLD - 1 - Millis::try_from(rank).unwrap();
            }
        });
    }

    /// Makes states equal that differ in nothing that matters.
    pub(super) fn normalize(&mut self) {
        let booted = self.booted;
        for keeper in &mut self.keepers {
            let gate = &mut keeper.gate;
            if keeper.life == Life::Over {
                let me = Lease { id: gate.me.id.clone(), ..Lease::default() };
                *gate = Gate { without: gate.without, ..Gate::new(me, Memory::default(), gate.limits) };
                keeper.call = None;
            }
            gate.wake = gate.wake.max(NOW);
            gate.held = if gate.held >= booted { booted } else { 0 };
            gate.closing = gate.closing.filter(|(_, before)| NOW < *before);
            if gate.view.is_none() && !matches!(gate.call, Some(Call::Write { .. })) {
                gate.clock = None;
            }
            // What a joined keeper knows of a row that has changed since leads to a write that is lost.
            let joined = gate.aim == Aim::In && gate.lease.is_some();
            if let Some(view) = gate.view.as_mut().filter(|view| joined && view.version == Some(BEFORE_IT)) {
                view.row.written = SERVER;
                view.row.leases.iter_mut().for_each(|lease| lease.renewed = SERVER);
            }
            // Giving up has tests of its own.
            if let Aim::Leave { since, .. } = &mut gate.aim {
                *since = NOW;
            }
        }
        self.rows(&mut |row| row.leases.sort_unstable_by(|one, other| one.id.cmp(&other.id)));
        // The time of a start matters by its order only.
        let mut times = Vec::new();
        self.server_times(false, &mut |time| times.push(*time));
        let earliest =
            |booted: Millis| times.iter().filter(|time| **time < booted).max().map_or(BEFORE, |time| time + 1);
        let new = earliest(booted);
        self.booted = new;
        for keeper in &mut self.keepers {
            let gate = &mut keeper.gate;
            if gate.held > 0 {
                gate.held = new;
            }
            if let Some(clock) = &mut gate.clock {
                clock.server.booted = earliest(clock.server.booted);
            }
        }
    }

    fn local_times(&mut self, visit: &mut dyn FnMut(&mut Millis)) {
        for keeper in &mut self.keepers {
            if let Some(Outgoing::Suspend { before, .. }) = &mut keeper.call {
                visit(before);
            }
            let gate = &mut keeper.gate;
            if let Aim::Leave { since, .. } = &mut gate.aim {
                visit(since);
            }
            match &mut gate.call {
                Some(Call::Read { sent }) => visit(sent),
                Some(Call::Write { lease, before, .. }) => {
                    lease.iter_mut().for_each(&mut *visit);
                    visit(before);
                }
                _ => {}
            }
            if let Some(clock) = &mut gate.clock {
                visit(&mut clock.sent);
                visit(&mut clock.received);
            }
            visit(&mut gate.wake);
            gate.lease.iter_mut().for_each(&mut *visit);
            if let Some((_, before)) = &mut gate.closing {
                visit(before);
            }
        }
    }

    /// Visits all copies of the row.
    fn rows(&mut self, visit: &mut dyn FnMut(&mut Row)) {
        self.row.iter_mut().for_each(|(row, _)| visit(row));
        self.late.iter_mut().for_each(|(row, _)| visit(row));
        for keeper in &mut self.keepers {
            if let Some(Outgoing::Write(row, _)) = &mut keeper.call {
                visit(row);
            }
            if let Some(Call::Write { row, .. }) = &mut keeper.gate.call {
                visit(row);
            }
            if let Some(view) = &mut keeper.gate.view {
                visit(&mut view.row);
            }
        }
    }

    fn server_times(&mut self, starts: bool, visit: &mut dyn FnMut(&mut Millis)) {
        if starts {
            visit(&mut self.booted);
        }
        self.rows(&mut |row| {
            if let RowState::Closing { since, .. } = &mut row.state {
                visit(since);
            }
            visit(&mut row.written);
            for lease in &mut row.leases {
                // When it joined is for people.
                lease.joined = 0;
                visit(&mut lease.renewed);
            }
        });
        for keeper in &mut self.keepers {
            let gate = &mut keeper.gate;
            if let Some(clock) = &mut gate.clock {
                visit(&mut clock.server.now);
                if starts {
                    visit(&mut clock.server.booted);
                }
            }
            if let Some((since, _)) = &mut gate.closing {
                visit(since);
            }
            if let Some((_, since)) = &mut gate.stale {
                visit(since);
            }
            if starts && gate.held > 0 {
                visit(&mut gate.held);
            }
        }
    }
}
