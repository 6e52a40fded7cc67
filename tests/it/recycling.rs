//! Tests schemas that are used again: no test finds what another one wrote, in whatever way, and none is left.

use serde_json::Value;

use crate::isolation::{lives_on, schemas};
use crate::support::consumer::Consumer;
use crate::support::run::{Finished, Plan, Runner, runners};

/// Returns what became of the schemas, as the report counts it.
fn counts(report: &std::path::Path) -> Value {
    let text = std::fs::read_to_string(report).unwrap();
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    line["recycled"].clone()
}

/// Checks that no test failed but those that fail on purpose.
fn failed_on_purpose(runner: Runner, finished: &Finished) {
    let (failed, planned) = match runner {
        Runner::Cargo => (finished.output.matches(" ... FAILED").count(), "\nfails on purpose"),
        // Its summary names each once more.
        Runner::Nextest => (finished.output.matches("        FAIL [").count() / 2, "    fails on purpose"),
    };
    let planned = finished.output.matches(planned).count();
    assert!(failed == planned && planned > 0, "{failed} failed, {planned} on purpose:\n{}", finished.output);
}

#[test]
fn no_test_finds_what_another_one_wrote() {
    for (runner, round) in runners().into_iter().zip(["1", "2"]) {
        let (consumer, cloud, out) =
            (Consumer::of("recycling", runner), lives_on("6.4.3"), tempfile::tempdir().unwrap());
        let [found, report] = ["found", "report"].map(|name| out.path().join(name));
        let plan =
            Plan::new(&consumer, runner).cloud(&cloud).env("ROUND", round).env("CRATEDB_TEST_KEEP_SCHEMA", "never");
        let plan =
            plan.env("FOUND", found.display().to_string()).env("CRATEDB_TEST_REPORT", report.display().to_string());
        let finished = plan
            .args(match runner {
                Runner::Cargo => &["--", "--test-threads=4"],
                Runner::Nextest => &["-j4", "--no-fail-fast"],
            })
            .run();
        cloud.ends_with(0, 0);
        assert_eq!(std::fs::read_to_string(&found).unwrap_or_default(), "", "{}", cloud.log());
        failed_on_purpose(runner, &finished);
        let counts = counts(&report);
        let again = counts["untouched"].as_u64().unwrap() + counts["emptied"].as_u64().unwrap();
        assert!(again >= 10 && counts["emptied"].as_u64() > Some(0), "{counts}\n{}", cloud.log());
        assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
    }
}
