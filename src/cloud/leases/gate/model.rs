//! Checks the gate as it ships against every order of events, with a model of the world around it.
//!
//! Keepers crash at any step, are stopped past the end of their lease and come back; writes are lost, applied without
//! an answer, or applied late; suspensions are slow, fail, or are asked for late; a person suspends, resumes and
//! deletes the row. Time is counted from now in ticks of one renewal, and times that are too old to matter keep only
//! their order, so that the number of states is finite. A tick passes when no running keeper has anything left to do:
//! a keeper that is not stopped is in time.

mod world;

use stateright::{Model, Property};
use world::{Action, Bounds, Fault, World};

use super::{Limits, Rule};
use crate::explore::explore;

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
    /// The limits of the first keeper.
    limits: Limits,
    without: Option<Rule>,
    /// Only this property is checked.
    only: Option<&'static str>,
}

impl Model for Check {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let mut all = World::beginnings(self.keepers, self.bounds, LIMITS, self.without);
        all.iter_mut().for_each(|world| world.limit_first(self.limits));
        all
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
        let mut all = vec![
            Property::always(LIVE, |_, world: &World| world.fault != Some(Fault::LiveLease)),
            Property::always(TESTS, |_, world: &World| world.fault != Some(Fault::RunningTests)),
            Property::always(TWICE, |_, world: &World| world.fault != Some(Fault::ResumedTwice)),
            Property::always(NOT_OURS, |_, world: &World| world.fault != Some(Fault::NotOurs)),
            Property::always(TOLD, |_, world: &World| world.fault != Some(Fault::Dark)),
            Property::always(ALONE, |_, world: &World| !world.shares_exclusive()),
            Property::always(ENDS, |_, world: &World| world.settles()),
        ];
        all.retain(|property| self.only.is_none_or(|only| property.name == only));
        all
    }
}

impl Check {
    fn of(keepers: usize, bounds: Bounds) -> Self {
        Self { keepers, bounds, limits: LIMITS, without: None, only: None }
    }

    fn without(self, rule: Rule) -> Self {
        Self { without: Some(rule), ..self }
    }

    fn only(self, property: &'static str) -> Self {
        Self { only: Some(property), ..self }
    }

    fn with(self, change: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = self.limits;
        change(&mut limits);
        Self { limits, ..self }
    }

    /// Returns the properties that fail.
    fn run(self, name: &str, most: usize) -> Vec<&'static str> {
        explore(self, name, most, |state| state.short())
    }
}

const NONE: Bounds = Bounds { crashes: 0, stops: 0, losses: 0, person: 0, deletions: 0, wishes: 0 };
const CRASH: Bounds = Bounds { crashes: 1, ..NONE };
const STOP: Bounds = Bounds { stops: 1, ..NONE };
const LOSS: Bounds = Bounds { losses: 1, ..NONE };
const PERSON: Bounds = Bounds { person: 2, ..NONE };
const DELETION: Bounds = Bounds { deletions: 1, ..NONE };
const WISHES: Bounds = Bounds { wishes: 2, ..NONE };

const LIVE: &str = "no suspend request meets a live lease of another keeper";
const TESTS: &str = "no suspend request meets a keeper whose tests may begin";
const TWICE: &str = "a closing is followed by at most one resumption";
const NOT_OURS: &str = "what a person started is not suspended";
const TOLD: &str = "tests on a suspended cluster are told";
const ALONE: &str = "an exclusive test is alone";
const ENDS: &str = "the cluster ends suspended";

/// Short enough for every run of the tests.
#[test]
fn two_keepers() {
    for (name, bounds) in [("nothing fails", NONE), ("a keeper crashes", CRASH), ("a row is deleted", DELETION)] {
        assert_eq!(Check::of(2, bounds).run(&format!("two keepers, {name}"), usize::MAX), [""; 0]);
    }
}

#[test]
#[ignore = "minutes: run it in release"]
fn two_keepers_and_one_fault_of_each_kind() {
    for (name, bounds) in [
        ("one is stopped", STOP),
        ("a write or request is lost", LOSS),
        ("a person acts twice", PERSON),
        ("both want to be alone", WISHES),
        ("crash and loss", Bounds { crashes: 1, losses: 1, ..NONE }),
        ("crash and person", Bounds { crashes: 1, person: 1, ..NONE }),
        ("crash and deletion", Bounds { crashes: 1, deletions: 1, ..NONE }),
        ("crash and wish", Bounds { crashes: 1, wishes: 1, ..NONE }),
        ("stop and person", Bounds { stops: 1, person: 1, ..NONE }),
        ("crash and stop", Bounds { crashes: 1, stops: 1, ..NONE }),
    ] {
        assert_eq!(Check::of(2, bounds).run(&format!("two keepers, {name}"), most()), [""; 0]);
    }
}

#[test]
#[ignore = "minutes: run it in release"]
fn three_keepers() {
    for (name, bounds) in [
        ("nothing fails", NONE),
        ("one crashes", CRASH),
        ("a row is deleted", DELETION),
        ("a write or request is lost", LOSS),
        ("a person acts", Bounds { person: 1, ..NONE }),
        ("one wants to be alone", Bounds { wishes: 1, ..NONE }),
        ("two crash", Bounds { crashes: 2, ..NONE }),
        ("one is stopped", STOP),
        ("a person acts twice", PERSON),
    ] {
        assert_eq!(Check::of(3, bounds).run(&format!("three keepers, {name}"), most()), [""; 0]);
    }
}

/// The number of states after which an exploration ends, for memory's sake.
fn most() -> usize {
    std::env::var("GATE_STATES").ok().and_then(|most| most.parse().ok()).unwrap_or(10_000_000)
}

/// Each rule is needed: without it, a property fails.
#[test]
fn every_rule_protects_a_property() {
    let mut missed = Vec::new();
    for (rule, bounds, fails) in [
        (Rule::Compare, NONE, LIVE),
        (Rule::Reread, LOSS, LIVE),
        (Rule::Confirm, LOSS, LIVE),
        (Rule::LookFirst, STOP, TESTS),
        (Rule::Boot, PERSON, NOT_OURS),
        (Rule::Vacant, DELETION, TESTS),
        (Rule::AwaitSign, CRASH, ENDS),
        (Rule::Lapse, STOP, TESTS),
        (Rule::Undrain, WISHES, ALONE),
        (Rule::Withdraw, WISHES, ALONE),
        (Rule::Rejoin, STOP, TESTS),
    ] {
        let failed = Check::of(2, bounds).without(rule).only(fails).run(&format!("without {rule:?}"), most());
        missed.extend(failed.is_empty().then_some(rule));
    }
    assert_eq!(missed, []);
}

/// These need two faults, and so more states.
#[test]
#[ignore = "minutes: run it in release"]
fn every_rule_for_two_faults_protects_a_property() {
    let mut missed = Vec::new();
    for (rule, fails) in [(Rule::Fresh, LIVE), (Rule::Written, NOT_OURS)] {
        let check = Check::of(2, Bounds { stops: 1, person: 1, ..NONE }).without(rule).only(fails);
        missed.extend(check.run(&format!("without {rule:?}"), most()).is_empty().then_some(rule));
    }
    assert_eq!(missed, []);
}

/// Each limit is needed: if one keeper has another one, a property fails.
#[test]
fn every_limit_protects_a_property() {
    type Change = fn(&mut Limits);
    let mut missed = Vec::new();
    let changes: [(&str, Change, Bounds, &str); 3] = [
        ("a late request is sent", |limits| limits.guard = 9 * world::TICK, STOP, LIVE),
        ("a closing is taken over at once", |limits| limits.takeover = 0, NONE, LIVE),
        ("live leases count as dead", |limits| limits.dead = 0, NONE, TESTS),
    ];
    for (name, change, bounds, fails) in changes {
        let failed = Check::of(2, bounds).with(change).only(fails).run(name, most());
        missed.extend(failed.is_empty().then_some(name));
    }
    assert_eq!(missed, [""; 0]);
}
