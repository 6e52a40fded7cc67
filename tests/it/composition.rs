//! Tests the attribute together with others and under other names: every order that works, and every test that must
//! fail.

use std::collections::BTreeSet;

use crate::support::cloud::TestCloud;
use crate::support::consumer::Consumer;
use crate::support::run::{Finished, Plan, Runner, runners};

/// Tests of the consumer that are not ignored: one that vanishes would not be missed otherwise.
const COMPOSED: usize = 76;
const RENAMED: usize = 4;

/// Tests of the file `failing`.
const FAILING: [&str; 10] = [
    "a_case_that_returns_an_error",
    "a_harness_error_is_not_the_panic_that_should_be",
    "a_harness_error_is_not_the_panic_that_should_be_sync",
    "a_panic",
    "a_parameter_that_cannot_be_made",
    "an_error_is_returned",
    "an_exit_code_of_failure",
    "no_panic_where_one_should_be",
    "registered_twice",
    "test_case_1_seven",
];

/// Returns how many tests passed. libtest reports this for every binary, nextest once.
fn passed(finished: &Finished, runner: Runner) -> usize {
    let mark = if runner == Runner::Cargo { "test result: ok. " } else { "tests run: " };
    let after = finished.output.lines().filter_map(|line| Some(line.split_once(mark)?.1));
    after.filter_map(|text| text.split_once(" passed")?.0.parse::<usize>().ok()).sum()
}

#[track_caller]
fn all_pass_without_a_warning(name: &str, expected: usize) {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of(name, runner), TestCloud::suspended());
        // Cargo shows the warnings of a build again when it has nothing to build.
        let finished = Plan::new(&consumer, runner).cloud(&cloud).run().passed();
        let finished = finished.never_says("LEAK").never_says("warning");
        assert_eq!(passed(&finished, runner), expected, "{}", finished.output);
        cloud.ends_with(1, 1);
    }
}

#[test]
fn the_attribute_goes_together_with_everything_it_should() {
    all_pass_without_a_warning("composition", COMPOSED);
}

#[test]
fn the_attribute_finds_a_crate_that_was_renamed_or_handed_on() {
    all_pass_without_a_warning("renamed", RENAMED);
}

/// A run of those tests of a file that no other run may meet.
fn ignored(runner: Runner, cloud: &TestCloud, file: &str) -> Plan {
    let plan = Plan::new(&Consumer::of("composition", runner), runner).cloud(cloud);
    let plan = plan.args(&["--test", file, "--no-fail-fast"]);
    match runner {
        Runner::Cargo => plan.args(&["--", "--ignored"]),
        Runner::Nextest => plan.args(&["--run-ignored", "only"]),
    }
}

#[test]
fn a_test_that_leaves_its_process_leaves_the_session() {
    for runner in runners() {
        let cloud = TestCloud::suspended();
        ignored(runner, &cloud, "alone").args(&["never_returns"]).run().passed();
        // No other test asked for the cluster.
        cloud.ends_with(1, 1);
    }
}

#[test]
fn tests_that_must_fail_fail() {
    for runner in runners() {
        let cloud = TestCloud::suspended();
        let finished = ignored(runner, &cloud, "failing").run().failed();
        assert_eq!(failed(&finished, runner), BTreeSet::from(FAILING.map(str::to_owned)), "{}", finished.output);
        finished
            .says("this test was not run, so it did not panic")
            .says("there is no such thing")
            .says("no_such_table");
        cloud.ends_with(1, 1);
    }
}

/// A process that may have no further thread can't make one with so large a stack either. Not even a test that should
/// panic takes that for success.
#[test]
fn tests_that_can_not_be_run_for_want_of_a_thread_fail() {
    let (consumer, cloud) = (Consumer::of("composition", Runner::Cargo), TestCloud::suspended());
    let huge = "target.'cfg(unix)'.runner = ['env', 'RUST_MIN_STACK=1125899906842624']";
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).args(&["--config", huge, "--test", "panics"]);
    let finished = plan.run().failed().says("cannot start a thread").says("test result: FAILED. 0 passed");
    assert_eq!(passed(&finished, Runner::Cargo), 0);
    cloud.ends_with(0, 0);
}

/// Names of the tests that failed. Of the two tests that one function was registered as, the first may pass.
fn failed(finished: &Finished, runner: Runner) -> BTreeSet<String> {
    let name = |line: &str| match runner {
        Runner::Cargo => Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.replace(" - should panic", "")),
        Runner::Nextest => Some(line.trim_start().strip_prefix("FAIL [")?.rsplit(' ').next()?.to_owned()),
    };
    let name = |line: &str| Some(name(line)?.rsplit("::").next()?.to_owned());
    let passed = finished.output.lines().filter(|line| line.starts_with("test ") && line.ends_with(" ... ok"));
    let passed: Vec<&str> = passed.filter(|line| !line.contains("registered_twice")).collect();
    assert!(passed.is_empty(), "{passed:?} passed:\n{}", finished.output);
    finished.output.lines().filter_map(name).collect()
}
