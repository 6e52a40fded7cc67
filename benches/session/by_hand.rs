//! Compares two hundred trivial tests with the harness to the same tests with a hand-started server and a plain client.

use std::path::Path;

use cratedb_cloud_simulator::{ClusterOptions, Options};

use crate::Scale;
use crate::project::{Project, time};
use crate::samples::{Samples, millis};
use crate::support::cloud::{CLUSTER, TestCloud};
use crate::support::run::{Plan, Runner};
use crate::support::{processes, wait_for};
use crate::table::Table;

pub fn measure(project: &Project, scale: Scale, table: &mut Table) {
    let open = ClusterOptions::running(CLUSTER).with("auth", "off").unwrap();
    let cloud = TestCloud::with(Options::default().cluster(open));
    let url = cloud.simulator.cloud().cluster(CLUSTER).url;
    compare(project, scale, table, "embedded engine", url.trim_end_matches('/'));
    match std::env::var("CRATEDB_BENCH_URL") {
        Ok(url) => compare(project, scale, table, "CrateDB", url.trim_end_matches('/')),
        Err(_) => eprintln!("skipped: CRATEDB_BENCH_URL names no CrateDB to compare on"),
    }
}

fn compare(project: &Project, scale: Scale, table: &mut Table, server: &str, url: &str) {
    let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
    for runner in [Runner::Cargo, Runner::Nextest] {
        let name = if runner == Runner::Cargo { "cargo test" } else { "nextest" };
        eprintln!("by hand: {name}, {server}");
        let both = Both { project, runner, url, dir: dir.path() };
        both.harness();
        let pairs: Vec<(f64, f64)> = (0..scale.pairs).map(|_| (both.by_hand(), both.harness())).collect();
        let column = |of: fn(&(f64, f64)) -> f64| Samples::new(pairs.iter().map(of).collect());
        table.row(&format!("200 tests by hand, {name}, {server}"), "ms", &[], &column(|(by_hand, _)| *by_hand));
        table.row(&format!("200 tests with the harness, {name}, {server}"), "ms", &[], &column(|(_, ours)| *ours));
        let ratio = column(|(by_hand, ours)| ours / by_hand);
        table.row(&format!("their ratio, {name}, {server}"), "×", &[(50, 1.05)], &ratio);
    }
}

struct Both<'a> {
    project: &'a Project,
    runner: Runner,
    url: &'a str,
    dir: &'a Path,
}

impl Both<'_> {
    fn plan(&self, file: &str) -> Plan {
        let plan = self.project.plan(self.runner, file).env("BENCH_URL", self.url).env("CRATEDB_CLUSTER_URL", self.url);
        plan.env("CRATEDB_TEST_DIR", self.dir.display().to_string())
    }

    /// Returns how long a run by hand takes. Its schemas are dropped afterwards, and that is not timed: the harness
    /// drops its schemas during the run.
    fn by_hand(&self) -> f64 {
        let log = self.dir.join("output");
        let took = millis(time(&self.plan("by_hand"), &log));
        time(&Plan::dropping(self.project, self.url), &log);
        took
    }

    /// Returns how long a run with the harness takes, with the start of the keeper. The keeper has ended by then.
    fn harness(&self) -> f64 {
        let took = millis(time(&self.plan("trivial"), &self.dir.join("output")));
        wait_for("the keeper's end", || match processes::keepers(self.dir) {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        });
        took
    }
}

impl Plan {
    /// Drops the schemas of the tests by hand.
    fn dropping(project: &Project, url: &str) -> Self {
        project.plan(Runner::Cargo, "by_hand").env("BENCH_URL", url).args(&["--", "--ignored", "drop_all"])
    }
}
