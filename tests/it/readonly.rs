//! Tests with `readonly` migrations share one schema, and one that changes it is found out.

use std::collections::BTreeSet;

use crate::isolation::{lives_on, schemas};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Runner, runners};

fn plan(consumer: &Consumer, runner: Runner) -> Plan {
    Plan::new(consumer, runner).args(&["--test", "readonly"])
}

#[test]
fn all_tests_that_only_read_share_a_schema_that_takes_no_rows() {
    for version in ["6.4.3", "5.10.2"] {
        for runner in runners() {
            let (consumer, cloud) = (Consumer::of("migrations", runner), lives_on(version));
            let out = tempfile::tempdir().unwrap();
            let path = out.path().join("out");
            plan(&consumer, runner).cloud(&cloud).env("OUT", path.display().to_string()).run().passed();
            cloud.ends_with(0, 0);
            let text = std::fs::read_to_string(path).unwrap();
            let names: BTreeSet<&str> = text.lines().collect();
            assert_eq!((names.len(), text.lines().count()), (1, 21), "{text}");
            assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
        }
    }
}

#[test]
fn a_test_that_changes_the_schema_fails_and_is_named_by_all_that_come_later() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("migrations", runner), lives_on("6.4.3"));
        let plan = plan(&consumer, runner).cloud(&cloud).env("ROGUE", "1").in_order();
        let finished = plan.args(if runner == Runner::Nextest { &["--no-fail-fast"] } else { &[] }).run();
        cloud.ends_with(0, 0);
        let told = "`readonly::m_changes_what_is_shared` changed the schema that tests with `migrations(\"migrations\", readonly)` share";
        let failed = finished.failed().says(told).says("ALTER TABLE items ADD COLUMN more TEXT");
        // Itself, and those behind it.
        let failures = match runner {
            Runner::Cargo => failed.output.matches(" ... FAILED").count(),
            Runner::Nextest => failed.output.matches("        FAIL [").count() / 2,
        };
        assert_eq!(failures, 4, "{}", failed.output);
        assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
    }
}
