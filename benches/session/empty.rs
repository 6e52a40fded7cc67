//! Times what the harness adds to a test under nextest, where every test is a process.

use crate::Scale;
use crate::project::{Project, time};
use crate::samples::{Samples, millis};
use crate::support::cloud::TestCloud;
use crate::support::run::Runner;
use crate::support::wait_for;
use crate::table::Table;

/// The number of tests in each file.
const TESTS: f64 = 200.0;

pub fn measure(project: &Project, scale: Scale, table: &mut Table) {
    let cloud = TestCloud::suspended();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    // The session exists before and after every run, so that its start and its end are not part of a test's time.
    let run = |file: &str| {
        let plan = project.plan(Runner::Nextest, file).args(&["-j1"]).cloud(&cloud);
        millis(time(&plan.env("CRATEDB_TEST_LOG", "info").env("CRATEDB_TEST_KEEP_WARM", "1h"), &log)) / TESTS
    };
    eprintln!("empty: tests of one process each");
    run("empty");
    let pairs: Vec<(f64, f64)> = (0..scale.pairs).map(|_| (run("plain"), run("empty"))).collect();
    table.row(
        "an empty test without a harness, one process each",
        "ms",
        &[],
        &Samples::new(pairs.iter().map(|(plain, _)| *plain).collect()),
    );
    table.row(
        "added by an empty annotated test",
        "ms",
        &[],
        &Samples::new(pairs.iter().map(|(plain, annotated)| annotated - plain).collect()),
    );
    let keeper = rustix::process::Pid::from_raw(i32::try_from(cloud.keeper()).unwrap()).unwrap();
    rustix::process::kill_process(keeper, rustix::process::Signal::TERM).unwrap();
    wait_for("the suspension", || if cloud.counts() == (1, 1) { Ok(()) } else { Err(cloud.counts()) });
    cloud.ends_with(1, 1);
}
