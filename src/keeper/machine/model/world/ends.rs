//! The ends of the world: what becomes of clients and of the cluster if nothing fails any more.

use super::*;
use std::hash::{Hash, Hasher};

const NOTHING: Bounds =
    Bounds { failures: 0, crashes: 0, signals: 0, tethers: 0, losses: 0, cuts: 0, turns: 0, again: 0 };
/// No end takes more steps.
const STEPS: usize = 60;

impl World {
    /// Returns whether an exclusive attempt runs beside another one.
    pub(in super::super) fn shares_exclusive(&self) -> bool {
        let runs = || self.clients.iter().filter_map(|client| client.granted);
        runs().count() > 1 && runs().any(|mode| mode == Mode::Exclusive)
    }

    /// Returns whether this is one of the states, an eighth of all, whose ends are followed where there are many.
    pub(in super::super) fn is_sample(&self) -> bool {
        let mut hasher = std::hash::DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish().is_multiple_of(8)
    }

    /// Returns whether the keeper ends once all runs are over, and nothing is left running then, or after the next run.
    pub(in super::super) fn ends(&self) -> bool {
        let mut world = self.peaceful();
        world.all_leave();
        if !world.winds_down(Outcome::Done) || world.cluster != Cluster::Ours {
            return world.is_gone() || world.fault.is_some();
        }
        // What is owed, the next run's keeper releases.
        world.clients.push(Client::new(Origin::Run));
        world.run_lives = true;
        world.step(Step::Join(world.clients.len() - 1));
        world.all_leave();
        world.winds_down(Outcome::Done) && world.cluster != Cluster::Ours || world.fault.is_some()
    }

    /// Returns whether the keeper ends once all runs are over although no release succeeds.
    pub(in super::super) fn gives_up(&self) -> bool {
        let mut world = self.peaceful();
        world.all_leave();
        world.winds_down(Outcome::Failed) || world.fault.is_some()
    }

    /// Returns whether all clients and attempts that wait are answered, if clients stay and attempts end.
    pub(in super::super) fn answers(&self) -> bool {
        let mut world = self.peaceful();
        for number in 0..world.clients.len() {
            if world.clients[number].link == Link::Adrift {
                world.step(Step::Join(number));
            }
        }
        for _ in 0..STEPS {
            let waits = |client: &Client| client.is_waiting() || client.asked.is_some();
            if world.fault.is_some() || !world.clients.iter().any(waits) {
                return true;
            }
            match world.clients.iter().position(|client| client.granted.is_some()) {
                Some(number) => world.step(Step::End(number)),
                None => world.goes_on(Outcome::Done),
            }
        }
        false
    }

    /// Returns this world, in which nothing fails any more. What a name meant before is of no importance.
    fn peaceful(&self) -> Self {
        Self { left: Bounds { failures: u8::MAX, again: u8::MAX, ..NOTHING }, ..self.clone() }
    }

    fn all_leave(&mut self) {
        for number in 0..self.clients.len() {
            if self.clients[number].link != Link::Away {
                self.step(Step::Leave(number));
            }
        }
        if self.holder == Holder::Alive {
            self.step(Step::KillHolder);
        }
        if self.run_lives {
            self.step(Step::EndRun);
        }
    }

    fn winds_down(&mut self, releases: Outcome) -> bool {
        for _ in 0..STEPS {
            if self.is_gone() {
                return true;
            }
            self.goes_on(releases);
        }
        false
    }

    /// Takes the next step of the keeper, its provider or its neighbours; if there is none, time passes.
    fn goes_on(&mut self, releases: Outcome) {
        let wished = if self.wants_alone { Turns::Alone } else { Turns::Shared };
        let step = match (self.call, self.look) {
            (Some(Call::Release), _) => Step::Serve(releases),
            (Some(_), _) => Step::Serve(Outcome::Done),
            (_, Some(_)) => Step::Looked { ok: true },
            _ if self.is_due() => Step::Due,
            _ if self.is_up() && self.turns.is_some_and(|turns| turns != wished) => Step::Turns(wished),
            _ => Step::Tick,
        };
        self.step(step);
        self.normalize();
    }
}
