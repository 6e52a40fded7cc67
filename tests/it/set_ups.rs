//! Tests set-ups, which one process runs per session for all others, and another one only if the first dies.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::cloud::TestCloud;
use crate::support::consumer::Consumer;
use crate::support::run::{Finished, Plan, Runner, runners};

/// Tests of the consumer that use the shared tables.
const USERS: usize = 18;

fn run(runner: Runner, cloud: &TestCloud, dir: &Path, set: &[&str]) -> Finished {
    let consumer = Consumer::of("once", runner);
    let dir = dir.display().to_string();
    let plan = Plan::new(&consumer, runner).cloud(cloud).env("ONCE_DIR", &dir);
    let plan = set.iter().fold(plan, |plan, name| plan.env(name, &dir));
    match runner {
        Runner::Cargo => plan.args(&["--tests", "--no-fail-fast"]).run(),
        Runner::Nextest => plan.args(&["-j8", "--no-fail-fast"]).run(),
    }
}

fn notes(dir: &Path) -> Vec<String> {
    std::fs::read_to_string(dir.join("notes")).unwrap().lines().map(str::to_owned).collect()
}

fn count(notes: &[String], what: &str) -> usize {
    notes.iter().filter(|note| *note == what).count()
}

fn schemas(notes: &[String]) -> Vec<&String> {
    notes.iter().filter(|note| note.starts_with("cratedb_test_")).collect()
}

#[test]
fn is_prepared_by_one_process_and_used_by_all() {
    for runner in runners() {
        let (cloud, dir) = (crate::isolation::lives_on("6.4.3"), tempfile::tempdir().unwrap());
        run(runner, &cloud, dir.path(), &[]).passed();
        let notes = notes(dir.path());
        assert_eq!((count(&notes, "prepared"), count(&notes, "prepared for blocking")), (1, 1), "{notes:?}");
        let schemas = schemas(&notes);
        assert_eq!(schemas.len(), USERS);
        assert_eq!(BTreeSet::from_iter(schemas).len(), 1, "{notes:?}");
        cloud.ends_with(0, 0);
        assert_eq!(crate::isolation::schemas(&cloud), Vec::<String>::new());
    }
}

#[test]
fn its_failure_is_everybodys() {
    for runner in runners() {
        let (cloud, dir) = (crate::isolation::lives_on("6.4.3"), tempfile::tempdir().unwrap());
        let finished = run(runner, &cloud, dir.path(), &["ONCE_FAILS"]).failed();
        assert_eq!(count(&notes(dir.path()), "prepared"), 1);
        let said = "the setup `stations` failed: the reference data is not there";
        assert!(finished.output.matches(said).count() >= USERS, "{}", finished.output);
        cloud.ends_with(0, 0);
    }
}

#[test]
fn the_death_of_who_prepares_it_passes_it_on() {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let (cloud, dir) = (crate::isolation::lives_on("6.4.3"), tempfile::tempdir().unwrap());
    run(Runner::Nextest, &cloud, dir.path(), &["ONCE_DIES"]).failed();
    let notes = notes(dir.path());
    assert_eq!(count(&notes, "prepared"), 2, "{notes:?}");
    let schemas = schemas(&notes);
    assert_eq!((schemas.len(), BTreeSet::from_iter(schemas).len()), (USERS - 1, 1));
    cloud.ends_with(0, 0);
    assert_eq!(crate::isolation::schemas(&cloud), Vec::<String>::new());
}
