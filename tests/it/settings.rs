//! Tests settings of CrateDB: tests with the same ones share a server, which is started with them or says why not.

use crate::support::consumer::Consumer;
use crate::support::engine::TestEngine;
use crate::support::home::TestHome;
use crate::support::run::{Plan, Runner, runners};

fn plan(consumer: &Consumer, runner: Runner) -> Plan {
    Plan::new(consumer, runner).args(&["--test", "settings"])
}

/// Runs a test that is usually ignored.
fn only(plan: Plan, runner: Runner, test: &str) -> Plan {
    match runner {
        Runner::Cargo => plan.args(&["--", "--ignored", test]),
        Runner::Nextest => plan.args(&["--run-ignored", "only", test]),
    }
}

/// The three are the default and those of two sets of settings.
fn each_set_of_settings_has_a_server(home: impl Fn() -> Option<TestHome>) {
    for runner in runners() {
        let consumer = Consumer::of("versions", runner);
        let Some(plain) = home() else { return };
        plan(&consumer, runner).home(&plain).run().passed();
        plain.ends_with(3);

        let Some(with_variable) = home() else { return };
        let set =
            plan(&consumer, runner).env("CRATEDB_TEST_SETTINGS", "stats.jobs_log_size = 5").env("JOBS_LOG_SIZE", "5");
        set.home(&with_variable).run().passed();
        with_variable.ends_with(3);
    }
}

#[test]
fn each_set_of_settings_has_a_process_of_its_own() {
    each_set_of_settings_has_a_server(|| Some(TestHome::with_stand_in()));
}

#[test]
fn each_set_of_settings_has_a_real_process_of_its_own() {
    each_set_of_settings_has_a_server(TestHome::real);
}

#[test]
fn each_set_of_settings_has_a_container_of_its_own() {
    for runner in runners() {
        let Some(engine) = TestEngine::with_stand_in() else { return };
        plan(&Consumer::of("versions", runner), runner).engine(&engine).run().passed();
        engine.ends_with(3);
    }
}

#[test]
fn a_real_server_gets_a_value_as_it_is() {
    let Some(home) = TestHome::real() else { return };
    let consumer = Consumer::of("versions", Runner::Cargo);
    only(plan(&consumer, Runner::Cargo), Runner::Cargo, "a_value_reaches").home(&home).run().passed();
}

/// Ignored tests, and what CrateDB says about their settings.
const REFUSALS: [(&str, &str); 2] = [
    ("wants_a_setting", "unknown setting [stats.no_such_thing]"),
    ("wants_a_value", "Failed to parse value [many] for setting [stats.jobs_log_size]"),
];

fn a_process_refuses_in_its_own_words(home: impl Fn() -> Option<TestHome>) {
    for runner in runners() {
        let consumer = Consumer::of("versions", runner);
        for (test, words) in REFUSALS {
            let Some(home) = home() else { return };
            only(plan(&consumer, runner), runner, test).home(&home).run().failed().says(words);
        }
    }
}

#[test]
fn what_a_process_refuses_is_told_in_its_own_words() {
    a_process_refuses_in_its_own_words(|| Some(TestHome::with_stand_in()));
}

#[test]
fn what_a_real_process_refuses_is_told_in_its_own_words() {
    a_process_refuses_in_its_own_words(TestHome::real);
}

#[test]
fn what_a_container_refuses_is_told_in_its_own_words() {
    for runner in runners() {
        let consumer = Consumer::of("versions", runner);
        for (test, words) in REFUSALS {
            let Some(engine) = TestEngine::with_stand_in() else { return };
            only(plan(&consumer, runner), runner, test).engine(&engine).run().failed().says(words);
        }
    }
}
