//! Checks the gate as it ships against every order of events, with a model of the world around it.
//!
//! Keepers crash at any step, are stopped past the end of their lease and come back; writes are lost, applied without
//! an answer, or applied late; suspensions are slow, fail, or are asked for late; a person suspends, resumes and
//! deletes the row. Time is counted from now in ticks of one renewal, and times that are too old to matter keep only
//! their order, so that the number of states is finite. A tick passes when no running keeper has anything left to do:
//! a keeper that is not stopped is in time.

mod world;

use std::time::Instant;

use stateright::{Checker, Model, Property};
use world::{Action, Bounds, Fault, World};

use super::{Limits, Rule};

/// The limits in ticks, with the relations of [`Limits::default`].
const LIMITS: Limits = Limits {
    renew: world::TICK,
    overdue: world::TICK,
    dead: 3 * world::TICK,
    margin: world::TICK,
    guard: world::TICK,
    takeover: 2 * world::TICK,
    poll: world::TICK,
    retry: world::TICK,
    owed: 4 * world::TICK,
};

#[derive(Clone, Debug)]
struct Check {
    keepers: usize,
    bounds: Bounds,
    limits: Limits,
    without: Option<Rule>,
}

impl Model for Check {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        World::beginnings(self.keepers, self.bounds, self.limits, self.without)
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.take(action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no suspend request meets a live lease of another keeper", |_, world: &World| {
                world.fault != Some(Fault::LiveLease)
            }),
            Property::always("no suspend request meets a keeper whose tests may begin", |_, world: &World| {
                world.fault != Some(Fault::RunningTests)
            }),
            Property::always("a closing is followed by at most one resumption", |_, world: &World| {
                world.fault != Some(Fault::ResumedTwice)
            }),
            Property::always("what a person started is not suspended", |_, world: &World| {
                world.fault != Some(Fault::NotOurs)
            }),
            Property::always("tests on a suspended cluster are told", |_, world: &World| {
                world.fault != Some(Fault::Dark)
            }),
            Property::always("an exclusive test is alone", |_, world: &World| !world.shares_exclusive()),
            Property::always("the cluster ends suspended", |_, world: &World| world.settles()),
            Property::sometimes("it was suspended and resumed", |_, world: &World| world.resumes > 1),
        ]
    }
}

impl Check {
    fn of(keepers: usize, bounds: Bounds) -> Self {
        Self { keepers, bounds, limits: LIMITS, without: None }
    }

    fn without(self, rule: Rule) -> Self {
        Self { without: Some(rule), ..self }
    }

    fn with(self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = self.limits;
        change(&mut limits);
        Self { limits, ..self }
    }

    /// Explores all states, or those that are reached first, and prints how many. Returns the properties that fail.
    fn run(self, name: &str, most: usize) -> Vec<&'static str> {
        let begin = Instant::now();
        let checker = self.checker().threads(1).target_state_count(most).spawn_bfs().join();
        let (states, unique, depth) = (checker.state_count(), checker.unique_state_count(), checker.max_depth());
        let all = if checker.is_done() && unique < most { "all" } else { "the first" };
        println!("{name}: {all} {unique} states ({states} steps), depth {depth}, {:.1?}", begin.elapsed());
        let mut failed = Vec::new();
        for (property, path) in checker.discoveries() {
            if property.starts_with("it was") {
                continue;
            }
            println!("  fails: {property}");
            if std::env::var_os("GATE_PATHS").is_some() {
                let last = path.last_state().clone();
                for (state, action) in path.into_vec() {
                    println!("    {}\n   {action:?}", state.short());
                }
                println!("    {}", last.short());
            }
            failed.push(property);
        }
        failed.sort_unstable();
        failed
    }
}

const NONE: Bounds = Bounds { crashes: 0, stops: 0, losses: 0, person: 0, deletions: 0, wishes: 0 };


fn probe(name: &str, bounds: Bounds) {
    assert_eq!(Check::of(2, bounds).run(name, 6_000_000), [""; 0]);
}

#[test]
fn p0() {
    probe("none", NONE);
}
#[test]
fn p1_crash() {
    probe("crash", Bounds { crashes: 1, ..NONE });
}
#[test]
fn p2_stop() {
    probe("stop", Bounds { stops: 1, ..NONE });
}
#[test]
fn p3_loss() {
    probe("loss", Bounds { losses: 1, ..NONE });
}
#[test]
fn p4_person() {
    probe("person", Bounds { person: 2, ..NONE });
}
#[test]
fn p5_delete() {
    probe("delete", Bounds { deletions: 1, ..NONE });
}
#[test]
fn p6_wish() {
    probe("wish", Bounds { wishes: 2, ..NONE });
}
