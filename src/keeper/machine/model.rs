//! Checks the machine as it ships against every order of events, with a model of the world around it.
//!
//! The keeper is killed at any step, also between two effects of one event, and its clients come back to the next one;
//! calls of the provider fail, or fail and have their effect; runs die under their clients; nodes are lost; keepers of
//! other machines take their turns, and the cluster away. Time is counted from now in ticks, and what is older than a
//! limit is as old as the limit, so that the number of states is finite. A tick passes when nothing is due and no
//! client is on its way back to a keeper: how long calls, looks and attempts take is open.
//!
//! One thing is taken for granted: clients of a killed keeper are back before the next one has acquired a cluster that
//! was found running. The journal has no word for such a cluster, so nothing waits for them there.

mod world;

use stateright::{Model, Property};
use world::{Action, Bounds, FOREVER, Fault, ORPHAN_LEASE, Origin, Setting, TICK, World};

use super::{MachineLimits, Rule};
use crate::explore::explore;
use crate::target::{OnExit, OnSuspended};
use crate::wire::Policy;

/// The limits in ticks. Each lasts one, or two if that makes a difference.
const LIMITS: MachineLimits = MachineLimits {
    first_hello: TICK,
    orphan_lease: ORPHAN_LEASE * TICK,
    adoption_quiet: TICK,
    tethered_idle: TICK,
    failed_idle: TICK,
    backoff: (TICK, TICK),
    look: TICK,
    restore: TICK,
    backlog: TICK,
    owed: 2 * TICK,
};

#[derive(Clone, Debug)]
struct Check {
    setting: Setting,
    bounds: Bounds,
    limits: MachineLimits,
    without: Option<Rule>,
    /// Only this property is checked.
    only: Option<&'static str>,
    /// The ends of an eighth of the states are followed.
    samples: bool,
}

impl Model for Check {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        World::beginnings(&self.setting, self.bounds, &self.limits, self.without)
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.take(action).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn followed(check: &Check, world: &World) -> bool {
            world.fault.is_none() && (!check.samples || world.is_sample())
        }
        let mut all = vec![
            Property::always(HELD, |_, world: &World| world.fault != Some(Fault::Held)),
            Property::always(AWAY, |_, world: &World| world.fault != Some(Fault::SentAway)),
            Property::always(ALONE, |_, world: &World| !world.shares_exclusive()),
            Property::always(UP, |_, world: &World| world.fault != Some(Fault::NotUp)),
            Property::always(RESTORED, |_, world: &World| world.fault != Some(Fault::Unrestored)),
            Property::always(WHOLE, |_, world: &World| world.fault != Some(Fault::Broken)),
            Property::always(ROOM, |_, world: &World| world.fault != Some(Fault::Room)),
            Property::always(INTENT, |_, world: &World| world.fault != Some(Fault::Intent)),
            Property::always(NAMED, |_, world: &World| world.fault != Some(Fault::Unnamed)),
            Property::always(ANSWER, |_, world: &World| world.fault != Some(Fault::Answer)),
            Property::always(ONE_CALL, |_, world: &World| world.fault != Some(Fault::TwoCalls)),
            Property::always(OVER, |_, world: &World| world.fault != Some(Fault::OverRun)),
            Property::always(ANSWERS, |check, world: &World| !followed(check, world) || world.answers()),
            Property::always(ENDS, |check, world: &World| !followed(check, world) || world.ends()),
            Property::always(GIVES_UP, |check, world: &World| !followed(check, world) || world.gives_up()),
        ];
        all.retain(|property| self.only.is_none_or(|only| property.name == only));
        all
    }
}

impl Check {
    fn of(clients: &'static [Origin], bounds: Bounds) -> Self {
        let setting = Setting { clients, policy: POLICY, idle: TICK };
        Self { setting, bounds, limits: LIMITS, without: None, only: None, samples: false }
    }

    fn without(self, rule: Rule) -> Self {
        Self { without: Some(rule), ..self }
    }

    fn only(self, property: &'static str) -> Self {
        Self { only: Some(property), ..self }
    }

    fn samples(self) -> Self {
        Self { samples: true, ..self }
    }

    fn policy(mut self, policy: Policy) -> Self {
        self.setting.policy = policy;
        self
    }

    fn limits(self, change: impl FnOnce(&mut MachineLimits)) -> Self {
        let mut limits = self.limits.clone();
        change(&mut limits);
        Self { limits, ..self }
    }

    /// Returns the properties that fail.
    fn run(self, name: &str, most: usize) -> Vec<&'static str> {
        explore(self, name, most, |state| state.short())
    }
}

const POLICY: Policy = Policy {
    keep_warm: 0,
    max_lifetime: FOREVER,
    start_timeout: FOREVER,
    on_exit: OnExit::Auto,
    on_suspended: OnSuspended::Fail,
};

const NONE: Bounds = Bounds { failures: 0, crashes: 0, signals: 0, tethers: 0, losses: 0, cuts: 0, turns: 0, again: 0 };
const CRASH: Bounds = Bounds { crashes: 1, ..NONE };
const FAILURE: Bounds = Bounds { failures: 1, ..NONE };
const LOSS: Bounds = Bounds { losses: 1, ..NONE };
const SIGNAL: Bounds = Bounds { signals: 1, ..NONE };
const TETHER: Bounds = Bounds { tethers: 1, ..NONE };
const CUT: Bounds = Bounds { cuts: 1, turns: 1, ..NONE };
const TURNS: Bounds = Bounds { turns: 2, ..NONE };

const RUNS: &[Origin] = &[Origin::Run, Origin::Run];
const BOTH: &[Origin] = &[Origin::Run, Origin::Named];
const HELD_SESSION: &[Origin] = &[Origin::Holder, Origin::Named];
const ALL: &[Origin] = &[Origin::Run, Origin::Holder, Origin::Named];

const HELD: &str = "no cluster is released under an attempt";
const AWAY: &str = "clients are sent away, and sessions end, for a reason only";
const ALONE: &str = "an exclusive attempt is alone";
const UP: &str = "attempts are granted to clients that have a cluster";
const RESTORED: &str = "nothing is granted during a look, or before what was changed is restored";
const WHOLE: &str = "nothing is granted on a cluster without all its nodes";
const ROOM: &str = "attempts begin only where other machines leave room";
const INTENT: &str = "a call is written down before it begins";
const NAMED: &str = "the journal names what runs because of us";
const ANSWER: &str = "each client and each attempt that waits gets one answer";
const ONE_CALL: &str = "there is one call at a time";
const OVER: &str = "nothing is started for runs that are over";
const ANSWERS: &str = "no client and no attempt waits for ever";
const ENDS: &str = "when all runs are over, the keeper ends and nothing is left running";
const GIVES_UP: &str = "a keeper whose releases fail leaves the debt to the journal";

/// Short enough for every run of the tests.
#[test]
fn two_clients() {
    for (name, clients, bounds) in [
        ("two of a run, nothing fails", RUNS, NONE),
        ("two of a run, a crash", RUNS, CRASH),
        ("a run and a session, nothing fails", BOTH, NONE),
        ("a holder, nothing fails", HELD_SESSION, NONE),
    ] {
        assert_eq!(Check::of(clients, bounds).samples().run(name, usize::MAX), [""; 0]);
    }
}

#[test]
#[ignore = "minutes: run it in release"]
fn two_clients_and_faults_of_each_kind() {
    for (what, bounds) in [
        ("nothing fails", NONE),
        ("calls fail", Bounds { failures: 2, ..NONE }),
        ("two crashes", Bounds { crashes: 2, ..NONE }),
        ("a signal", SIGNAL),
        ("a tether", TETHER),
        ("nodes are lost", Bounds { losses: 3, ..NONE }),
        ("others take turns", TURNS),
        ("others take the cluster", CUT),
        ("crash and failure", Bounds { crashes: 1, failures: 1, ..NONE }),
        ("crash and signal", Bounds { crashes: 1, signals: 1, ..NONE }),
        ("crash and loss", Bounds { crashes: 1, losses: 1, ..NONE }),
        ("crash and turns", Bounds { crashes: 1, turns: 1, ..NONE }),
        ("crash and cut", Bounds { crashes: 1, cuts: 1, turns: 1, ..NONE }),
        ("failure and loss", Bounds { failures: 1, losses: 1, ..NONE }),
        ("failure and signal", Bounds { failures: 1, signals: 1, ..NONE }),
    ] {
        for (who, clients) in [("a run", RUNS), ("a run and a session", BOTH), ("a holder", HELD_SESSION)] {
            assert_eq!(Check::of(clients, bounds).samples().run(&format!("{who}, {what}"), most()), [""; 0]);
        }
    }
}

#[test]
#[ignore = "minutes: run it in release"]
fn two_clients_with_other_policies() {
    let policies = [
        ("kept warm", Policy { keep_warm: TICK, ..POLICY }),
        ("suspended in any case", Policy { on_exit: OnExit::Suspend, ..POLICY }),
        ("resumed", Policy { on_suspended: OnSuspended::Resume, ..POLICY }),
        ("with a short life", Policy { max_lifetime: 2 * TICK, ..POLICY }),
        ("with a short patience", Policy { start_timeout: TICK, ..POLICY }),
    ];
    let all = Bounds { failures: 1, crashes: 1, ..NONE };
    for (what, policy) in policies {
        for (how, bounds) in [("crash and failure", all), ("cut", CUT)] {
            let check = Check::of(BOTH, bounds).policy(policy).samples();
            assert_eq!(check.run(&format!("{what}, {how}"), most()), [""; 0]);
        }
    }
}

#[test]
#[ignore = "minutes: run it in release"]
fn three_clients() {
    for (name, bounds) in [
        ("nothing fails", NONE),
        ("a call fails", FAILURE),
        ("a crash", CRASH),
        ("nodes are lost", LOSS),
        ("others take turns", TURNS),
    ] {
        assert_eq!(Check::of(ALL, bounds).samples().run(&format!("three clients, {name}"), most()), [""; 0]);
    }
}

/// The number of states after which an exploration ends, for memory's sake.
fn most() -> usize {
    std::env::var("MACHINE_STATES").ok().and_then(|most| most.parse().ok()).unwrap_or(10_000_000)
}

/// Each rule is needed: without it, a property fails.
#[test]
fn every_rule_protects_a_property() {
    let mut missed = Vec::new();
    for (rule, clients, bounds, fails) in [
        (Rule::Intent, RUNS, NONE, INTENT),
        (Rule::MaybeUp, RUNS, FAILURE, NAMED),
        (Rule::Unseen, RUNS, Bounds { crashes: 1, failures: 1, ..NONE }, NAMED),
        (Rule::StillOurs, RUNS, Bounds { failures: 2, ..NONE }, NAMED),
        (Rule::Lease, RUNS, NONE, HELD),
        (Rule::Return, RUNS, CRASH, HELD),
        (Rule::RunOver, RUNS, CRASH, OVER),
        (Rule::Repair, RUNS, NONE, RESTORED),
        (Rule::Whole, RUNS, LOSS, WHOLE),
        (Rule::AwaitAnother, RUNS, LOSS, ANSWERS),
        (Rule::Withdraw, RUNS, TURNS, ROOM),
    ] {
        let failed = Check::of(clients, bounds).without(rule).only(fails).run(&format!("without {rule:?}"), most());
        missed.extend(failed.is_empty().then_some(rule));
    }
    assert_eq!(missed, []);
}

/// Each limit is needed: if it is none, a property fails.
#[test]
fn every_limit_protects_a_property() {
    type Change = fn(&mut MachineLimits);
    let mut missed = Vec::new();
    let changes: [(&str, Change, Bounds, &str); 2] = [
        ("an adopted cluster is used at once", |limits| limits.adoption_quiet = 0, CRASH, ALONE),
        ("clients of dead runs leave at once", |limits| limits.orphan_lease = 0, NONE, AWAY),
    ];
    for (name, change, bounds, fails) in changes {
        let failed = Check::of(RUNS, bounds).limits(change).only(fails).run(name, most());
        missed.extend(failed.is_empty().then_some(name));
    }
    assert_eq!(missed, [""; 0]);
}
