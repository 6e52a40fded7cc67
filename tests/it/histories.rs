//! Long histories of migrations: they are gone through once, and tests wait for what they end in.

use crate::isolation::{lives_on, schemas};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Runner, runners};

/// Runs the tests of one module, eight at a time.
fn plan(consumer: &Consumer, runner: Runner, module: &str) -> Plan {
    let plan = Plan::new(consumer, runner).args(&["--test", "histories"]).env("CRATEDB_TEST_KEEP_SCHEMA", "never");
    match runner {
        Runner::Cargo => plan.args(&["--", "--test-threads=8", module]),
        Runner::Nextest => plan.args(&["-j8", "--no-fail-fast", module]),
    }
}

#[test]
fn a_long_history_is_gone_through_once_and_its_end_is_what_tests_get() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("migrations", runner), lives_on("6.4.3"));
        plan(&consumer, runner, "long::").cloud(&cloud).run().passed();
        cloud.ends_with(0, 0);
        let log = cloud.log();
        assert!(log.contains("what migrations make is known") && log.contains("statements=3"), "{log}");
        assert!(!log.contains("a schema was not made by a replay"), "{log}");
        assert_eq!(schemas(&cloud), [""; 0], "{log}");
    }
}

#[test]
fn every_test_is_told_what_is_wrong_with_a_long_history_and_none_waits_for_it() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("migrations", runner), lives_on("6.4.3"));
        let finished = plan(&consumer, runner, "wrong::").cloud(&cloud).run().failed();
        cloud.ends_with(0, 0);
        let failures = match runner {
            Runner::Cargo => finished.output.matches(" ... FAILED").count(),
            Runner::Nextest => finished.output.matches("        FAIL [").count() / 2,
        };
        assert_eq!(failures, 8, "{}", finished.output);
        finished.says("broken/0063_step.sql, line 1");
        assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
    }
}
