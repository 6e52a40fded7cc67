//! Tests that share one Cloud cluster from several machines: here, keepers with directories of their own, which know of
//! each other only through the cluster.

use std::path::Path;
use std::time::Duration;

use cratedb_cloud_simulator::Pace;
use rustix::process::Signal;

use crate::support::cloud::{CLUSTER, TestCloud};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Run, Runner};
use crate::support::{processes, wait_for, wait_within};

/// A machine with its files, and the file system in which its tests meet the observer.
struct Machine {
    dir: tempfile::TempDir,
    meet: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
        Self { dir, meet: tempfile::tempdir().unwrap() }
    }

    fn plan(&self, consumer: &Consumer, cloud: &TestCloud) -> Plan {
        let own = |dir: &tempfile::TempDir| dir.path().display().to_string();
        let plan = Plan::new(consumer, Runner::Cargo).cloud(cloud).env("CRATEDB_TEST_DIR", own(&self.dir));
        plan.env("DEATH_DIR", own(&self.meet)).in_order()
    }

    /// Starts a run, and returns once one of its tests waits in the middle.
    fn working(&self, consumer: &Consumer, cloud: &TestCloud) -> Run {
        let mut run = self.plan(consumer, cloud).env("DEATH", "middle:wait").start();
        run.wait_for_file(&self.meet.path().join("here"));
        run
    }

    fn go_on(&self) {
        std::fs::write(self.meet.path().join("go"), "").unwrap();
    }

    /// Kills the run and the keeper, as a machine that loses its power does.
    fn die(&self, run: Run) {
        run.signal_group(Signal::KILL);
        processes::keepers(self.dir.path()).into_iter().for_each(processes::kill_and_wait);
        run.finish().failed();
        std::fs::remove_file(self.meet.path().join("here")).unwrap();
    }

    #[track_caller]
    fn is_quiet_within(&self, limit: Duration) {
        wait_within(limit, "the keeper's end", || match processes::keepers(self.dir.path()) {
            none if none.is_empty() => Ok(()),
            some => Err((some, log(self.dir.path()))),
        });
    }

    #[track_caller]
    fn is_quiet(&self) {
        self.is_quiet_within(crate::support::DEADLINE);
    }
}

fn log(dir: &Path) -> String {
    let logs = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let logs = logs.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
    logs.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
}

fn logs(machines: &[&Machine]) -> String {
    machines.iter().map(|machine| format!("--- a keeper:\n{}", log(machine.dir.path()))).collect()
}

#[test]
fn the_machine_that_ends_last_suspends_what_the_first_one_resumed() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), TestCloud::suspended());
    let [first, second] = [Machine::new(), Machine::new()];
    let run = first.working(&consumer, &cloud);
    let other = second.working(&consumer, &cloud);
    first.go_on();
    run.finish().passed();
    first.is_quiet();
    assert_eq!(cloud.counts(), (1, 0), "{}", logs(&[&first, &second]));
    second.go_on();
    other.finish().passed().says("other machines use it, too; the last one suspends it");
    second.is_quiet();
    assert_eq!(cloud.counts(), (1, 1), "{}", logs(&[&first, &second]));
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
}

#[test]
fn three_machines_that_end_together_suspend_once() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), TestCloud::suspended());
    let machines = [Machine::new(), Machine::new(), Machine::new()];
    let runs: Vec<Run> = machines.iter().map(|machine| machine.working(&consumer, &cloud)).collect();
    machines.iter().for_each(Machine::go_on);
    for run in runs {
        run.finish().passed();
    }
    machines.iter().for_each(Machine::is_quiet);
    assert_eq!(cloud.counts(), (1, 1), "{}", logs(&machines.each_ref()));
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
}

#[test]
fn a_cluster_that_a_person_started_is_left_running_by_all() {
    let consumer = Consumer::of("deaths", Runner::Cargo);
    let cloud = TestCloud::with(
        cratedb_cloud_simulator::Options::default().cluster(cratedb_cloud_simulator::ClusterOptions::running(CLUSTER)),
    );
    let [first, second] = [Machine::new(), Machine::new()];
    let run = first.working(&consumer, &cloud);
    second.plan(&consumer, &cloud).run().passed();
    first.go_on();
    run.finish().passed();
    [&first, &second].into_iter().for_each(Machine::is_quiet);
    assert_eq!(cloud.counts(), (0, 0), "{}", logs(&[&first, &second]));
    assert!(cloud.simulator.cloud().cluster(CLUSTER).running);
}

/// The lease of the dead machine counts until it has missed renewals for 90 s. A machine that ends before waits for
/// that.
#[test]
fn a_machine_that_dies_keeps_the_cluster_only_until_its_lease_is_dead() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), TestCloud::suspended());
    let [dead, alive] = [Machine::new(), Machine::new()];
    let run = dead.working(&consumer, &cloud);
    let other = alive.working(&consumer, &cloud);
    dead.die(run);
    alive.go_on();
    other.finish().passed();
    assert_eq!(cloud.counts(), (1, 0), "the lease is not dead yet: {}", logs(&[&dead, &alive]));
    alive.is_quiet_within(Duration::from_secs(120));
    assert_eq!(cloud.counts(), (1, 1), "{}", logs(&[&dead, &alive]));
}

#[test]
fn a_machine_that_died_and_comes_back_in_time_goes_on_with_its_lease() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), TestCloud::suspended());
    let [dead, alive] = [Machine::new(), Machine::new()];
    let run = dead.working(&consumer, &cloud);
    let other = alive.working(&consumer, &cloud);
    dead.die(run);
    let again = dead.working(&consumer, &cloud);
    alive.go_on();
    other.finish().passed();
    alive.is_quiet_within(Duration::from_secs(60));
    assert_eq!(cloud.counts(), (1, 0), "{}", logs(&[&dead, &alive]));
    dead.go_on();
    again.finish().passed();
    dead.is_quiet();
    assert_eq!(cloud.counts(), (1, 1), "{}", logs(&[&dead, &alive]));
}

#[test]
fn an_exclusive_test_is_alone_on_all_machines() {
    let (consumer, cloud) = (Consumer::of("turns", Runner::Cargo), TestCloud::suspended());
    let machines = [Machine::new(), Machine::new()];
    let turns = tempfile::NamedTempFile::new().unwrap();
    let plan =
        |machine: &Machine| machine.plan(&consumer, &cloud).env("TURNS", turns.path().display().to_string()).start();
    let runs = machines.each_ref().map(plan);
    for run in runs {
        run.finish().passed();
    }
    machines.iter().for_each(Machine::is_quiet);
    let mut running: Vec<(String, String)> = Vec::new();
    for line in std::fs::read_to_string(turns.path()).unwrap().lines() {
        let [what, mode, test] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        running.retain(|(_, other)| other != test);
        if what == "begin" {
            let alone = mode == "shared" && running.iter().all(|(mode, _)| mode == "shared") || running.is_empty();
            assert!(alone, "{test} ran beside {running:?}: {}", logs(&machines.each_ref()));
            running.push((mode.to_owned(), test.to_owned()));
        }
    }
    let (resumes, suspends) = cloud.counts();
    assert!(resumes >= 1 && suspends >= 1, "{}", logs(&machines.each_ref()));
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
}

#[test]
fn tests_whose_cluster_is_suspended_by_another_client_are_told_so() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), TestCloud::suspended());
    let machine = Machine::new();
    let run = machine.working(&consumer, &cloud);
    cloud.simulator.cloud().foreign_suspend(CLUSTER, Pace::Auto(Duration::ZERO));
    wait_for("the keeper to see it", || match log(machine.dir.path()) {
        log if log.contains("the cluster went away") => Ok(()),
        log => Err(log),
    });
    machine.go_on();
    run.finish().failed().says("was suspended by another client").says("CRATEDB_TEST_ON_SUSPENDED");
    machine.is_quiet();
    assert_eq!(cloud.counts(), (1, 0), "{}", logs(&[&machine]));
}

/// Its statement reaches the cluster before the keeper's next look.
#[test]
fn a_statement_in_the_middle_of_a_test_says_that_the_cluster_was_suspended() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), TestCloud::suspended());
    let machine = Machine::new();
    let plan = machine.plan(&consumer, &cloud).env("DEATH", "middle:wait").env("WORK_AFTER", "1");
    let mut run = plan.start();
    run.wait_for_file(&machine.meet.path().join("here"));
    cloud.simulator.cloud().foreign_suspend(CLUSTER, Pace::Auto(Duration::ZERO));
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
    machine.go_on();
    let output = run.finish().failed().output;
    let (_, told) = output.split_once("---- t3_middle stdout").expect(&output);
    let told = told.split("---- ").next().unwrap_or_default();
    for word in ["was suspended by another client", "since 20", "says CrateDB Cloud", "INSERT INTO t"] {
        assert!(told.contains(word), "`{word}` is not in what the test says:\n{told}\nof:\n{output}");
    }
    machine.is_quiet();
    assert_eq!(cloud.counts(), (1, 0), "{}", logs(&[&machine]));
}

#[test]
fn a_cluster_that_is_suspended_by_another_client_is_resumed_where_that_is_asked_for() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), TestCloud::suspended());
    let machine = Machine::new();
    let plan = machine.plan(&consumer, &cloud).env("DEATH", "middle:wait").env("CRATEDB_TEST_ON_SUSPENDED", "resume");
    let mut run = plan.start();
    run.wait_for_file(&machine.meet.path().join("here"));
    cloud.simulator.cloud().foreign_suspend(CLUSTER, Pace::Auto(Duration::ZERO));
    cloud.wait_for_counts(2, 0);
    machine.go_on();
    run.finish().passed();
    machine.is_quiet();
    assert_eq!(cloud.counts(), (2, 1), "{}", logs(&[&machine]));
}
