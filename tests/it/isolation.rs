//! Tests that tests do not see each other, and that exclusive ones run alone.

use std::collections::BTreeSet;

use cratedb_cloud_simulator::{ClusterOptions, Options};

use crate::support::cloud::{CLUSTER, TestCloud};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Runner, runners};
use crate::support::server::ask;

/// Returns the schemas that are left in a cluster that outlives its runs, without those of every server and that of the
/// leases.
pub fn schemas(cloud: &TestCloud) -> Vec<String> {
    let url = cloud.simulator.cloud().cluster(CLUSTER).url;
    let rows = ask(&url, "SELECT schema_name FROM information_schema.schemata");
    let names = rows["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap().to_owned());
    let lasting = ["blob", "cratedb_test", "doc", "information_schema", "pg_catalog", "sys"];
    names.filter(|name| !lasting.contains(&name.as_str())).collect()
}

pub fn lives_on(version: &str) -> TestCloud {
    let cluster = ClusterOptions::running(CLUSTER).with("auth", "off").unwrap().with("version", version).unwrap();
    TestCloud::with(Options::default().cluster(cluster))
}

#[test]
fn two_hundred_and_fifty_six_tests_with_the_same_table_names_see_only_their_own_rows() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("many", runner), lives_on("6.4.3"));
        Plan::new(&consumer, runner)
            .args(if runner == Runner::Nextest { &["-j32"] } else { &[] })
            .cloud(&cloud)
            .run()
            .passed();
        cloud.ends_with(0, 0);
        assert_eq!(schemas(&cloud), Vec::<String>::new(), "schemas of passed tests are left");
    }
}

#[test]
fn schemas_are_dropped_object_by_object_where_cascade_is_unknown() {
    let (consumer, cloud) = (Consumer::of("basic", Runner::Cargo), lives_on("5.10.16"));
    Plan::new(&consumer, Runner::Cargo).args(&["--tests"]).cloud(&cloud).run().passed();
    cloud.ends_with(0, 0);
    assert_eq!(schemas(&cloud), Vec::<String>::new(), "schemas of passed tests are left");
    let statements: Vec<String> = cloud
        .simulator
        .requests()
        .iter()
        .filter_map(|request| Some(request.body["stmt"].as_str()?.to_owned()))
        .collect();
    assert!(statements.iter().any(|stmt| stmt.starts_with("DROP TABLE IF EXISTS")), "{statements:?}");
    assert!(!statements.iter().any(|stmt| stmt.contains("CASCADE")), "{statements:?}");
}

#[test]
fn the_schema_of_a_failed_test_is_kept_and_the_failure_says_where() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), lives_on("6.4.3"));
    let meet = tempfile::tempdir().unwrap();
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("DEATH", "middle:panic");
    let finished = plan.env("DEATH_DIR", meet.path().display().to_string()).in_order().run().failed();
    cloud.ends_with(0, 0);
    let kept = schemas(&cloud);
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    finished
        .says(kept)
        .says("is kept on")
        .says("until:   20")
        .says("open it: cargo cratedb start --cluster-name ")
        .says(&format!("--drop {kept}"))
        .says("sent statements (seconds since the test began, time taken):");
}

#[test]
fn a_test_that_read_without_a_refresh_is_told_so() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("basic", runner), TestCloud::suspended());
        let plan = Plan::new(&consumer, runner).cloud(&cloud).args(&["--test", "unseen", "--no-fail-fast"]);
        let ignored = match runner {
            Runner::Cargo => ["--", "--ignored"],
            Runner::Nextest => ["--run-ignored", "only"],
        };
        let finished = plan.args(&ignored).run().failed();
        let told = |part: &str| finished.output.matches(part).count();
        assert_eq!(told("ms before the SELECT that found nothing, without a refresh in between"), 1, "{finished:?}");
        assert_eq!(told("`readings` was written"), 2, "{finished:?}");
        cloud.ends_with(1, 1);
    }
}

/// Reads what tests wrote down: nothing else may be open while an exclusive one is.
fn overlaps(turns: &str) -> Vec<String> {
    let (mut open, mut wrong) = (BTreeSet::new(), Vec::new());
    for line in turns.lines() {
        let [what, mode, name] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if what == "begin" {
            let alone = mode == "exclusive" || open.iter().any(|(mode, _)| *mode == "exclusive");
            if alone && !open.is_empty() {
                wrong.push(format!("{name} began beside {open:?}"));
            }
            open.insert((mode, name));
        } else {
            open.remove(&(mode, name));
        }
    }
    wrong
}

#[test]
fn exclusive_tests_overlap_with_no_other_test_of_any_process_or_session() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("turns", runner), lives_on("6.4.3"));
        let turns = cloud.path().join("turns");
        let plan = || Plan::new(&consumer, runner).cloud(&cloud).env("TURNS", turns.display().to_string());
        let parallel: &[&str] = if runner == Runner::Nextest { &["-j8"] } else { &["--", "--test-threads=8"] };
        let (first, second) = (plan().args(parallel).start(), plan().args(parallel).start());
        first.finish().passed();
        second.finish().passed();
        cloud.ends_with(0, 0);
        let text = std::fs::read_to_string(turns).unwrap();
        assert_eq!(text.lines().count(), 2 * 2 * 24, "all tests of both sessions");
        assert_eq!(overlaps(&text), Vec::<String>::new());
    }
}

#[test]
fn a_killed_holder_frees_its_place() {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let (consumer, cloud) = (Consumer::of("turns", Runner::Nextest), lives_on("6.4.3"));
    let turns = cloud.path().join("turns");
    let plan = Plan::new(&consumer, Runner::Nextest).args(&["-j8", "--no-fail-fast"]).cloud(&cloud);
    let plan = plan.env("TURNS", turns.display().to_string()).env("DIE", "firstb_alone");
    plan.run().failed().says("24 tests run: 23 passed, 1 failed");
    cloud.ends_with(0, 0);
}
