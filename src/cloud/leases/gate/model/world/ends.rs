//! The ends of the world: what becomes of the cluster if nothing fails any more.

use super::super::super::{AtEnd, Event, Gate, Lease, Memory};
use super::*;
use std::hash::{Hash, Hasher};

impl World {
    /// Returns whether an exclusive test has begun while tests of another keeper, which the row names, may run.
    pub(in super::super) fn shares_exclusive(&self) -> bool {
        let live = |keeper: &Keeper| {
            let lease = self.row.as_ref().and_then(|(row, _)| row.lease(&keeper.gate.me.id));
            keeper.life == Life::Alive
                && !keeper.is_due()
                && lease.is_some_and(|lease| lease.age(SERVER) <= super::super::LIMITS.dead)
        };
        let alone = |(at, keeper): (usize, &Keeper)| {
            keeper.exclusive
                && live(keeper)
                && self.keepers.iter().enumerate().any(|(other, keeper)| other != at && keeper.tests && live(keeper))
        };
        self.keepers.iter().enumerate().any(alone)
    }

    /// Returns whether the cluster ends suspended if nothing fails from now on: if all keepers are dead, by a sweep; if
    /// those that joined leave once the leases of the dead are overdue, by them.
    pub(in super::super) fn settles(&self) -> bool {
        if self.fault.is_some() || self.of_person || self.unclaimed || self.quick && !self.is_sample() {
            return true;
        }
        // Without a row, a sweep knows nothing.
        (self.row.is_none() || self.settles_by_sweep()) && self.settles_by_itself()
    }

    /// Returns whether this is one of the states, an eighth of all, whose ends are followed where there are many.
    fn is_sample(&self) -> bool {
        let mut hasher = std::hash::DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish().is_multiple_of(8)
    }

    fn settles_by_sweep(&self) -> bool {
        let mut world = Self { left: NOTHING, ..self.clone() };
        (0..world.keepers.len()).for_each(|number| world.crash(number));
        let limits = world.keepers[0].gate.limits;
        let me = Lease { id: "s".to_owned(), ..Lease::default() };
        let gate = Gate { without: self.keepers[0].gate.without, ..Gate::new(me, Memory::default(), limits) };
        world.keepers.push(Keeper {
            gate,
            life: Life::Alive,
            call: None,
            tests: false,
            exclusive: false,
            owes: false,
            dark: 0,
        });
        for _ in 0..4 {
            world.rest();
        }
        let sweep = world.keepers.len() - 1;
        world.feed(sweep, Event::Leave(AtEnd::Auto));
        world.runs_out()
    }

    fn settles_by_itself(&self) -> bool {
        let in_or_over = |keeper: &Keeper| match keeper.life {
            Life::Idle | Life::Over => true,
            _ => keeper.is_joined(),
        };
        if !self.keepers.iter().any(Keeper::is_joined) || !self.keepers.iter().all(in_or_over) {
            return true;
        }
        let mut world = Self { left: NOTHING, ..self.clone() };
        for keeper in &mut world.keepers {
            match keeper.life {
                Life::Idle => keeper.life = Life::Over,
                Life::Stopped => keeper.life = Life::Alive,
                _ => {}
            }
        }
        for _ in 0..3 {
            world.rest();
        }
        for number in 0..world.keepers.len() {
            if world.keepers[number].life == Life::Alive {
                world.take(Action::Leave(number));
            }
        }
        world.runs_out()
    }

    /// Lets everything happen that is to happen now, and then a tick.
    fn rest(&mut self) {
        for _ in 0..200 {
            let mut actions = Vec::new();
            self.actions(&mut actions);
            let next = actions.into_iter().find(|action| {
                matches!(
                    action,
                    Action::Serve(_)
                        | Action::Due(_)
                        | Action::Retry(_)
                        | Action::Quiet(_)
                        | Action::End
                        | Action::ArriveLate
                )
            });
            match next {
                Some(action) => self.take(action),
                None => break,
            }
        }
        if self.may_tick() {
            self.take(Action::Tick);
        }
    }

    fn runs_out(&mut self) -> bool {
        for _ in 0..20 {
            if self.keepers.iter().all(|keeper| matches!(keeper.life, Life::Over)) && !self.is_busy() {
                break;
            }
            self.rest();
        }
        let over = self.keepers.iter().all(|keeper| keeper.life == Life::Over);
        over && (self.cluster == Cluster::Suspended || self.of_person)
    }
}
