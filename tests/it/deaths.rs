//! Tests that the cluster is suspended however the run ends: eleven deaths at three moments.

use rustix::process::Signal;

use cratedb_cloud_simulator::Options;

use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::consumer::Consumer;
use crate::support::processes;
use crate::support::run::{Plan, Run, Runner, runners};

/// The deaths that a test process causes itself.
const OWN: [&str; 5] = ["fail", "panic", "exit", "abort", "kill"];

struct Scene {
    cloud: TestCloud,
    meet: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let options = Options::default().cluster(suspendable()).operation_time(std::time::Duration::from_millis(200));
        Self { cloud: TestCloud::with(options), meet: tempfile::tempdir().unwrap() }
    }

    fn start(&self, consumer: &Consumer, runner: Runner, moment: &str, death: &str) -> Run {
        let plan = Plan::new(consumer, runner).cloud(&self.cloud).env("DEATH", format!("{moment}:{death}"));
        plan.env("DEATH_DIR", self.meet.path().display().to_string()).in_order().start()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.meet.path().join(name)
    }

    /// Lets the tests that wait for this die once the cluster resumes.
    fn now_while_it_resumes(&self) {
        self.cloud.wait_for_counts(1, 0);
        std::fs::write(self.path("now"), "x").unwrap();
    }
}

fn own_death_at(moment: &str) {
    for runner in runners() {
        let consumer = Consumer::of("deaths", runner);
        for death in OWN {
            let scene = Scene::new();
            let run = scene.start(&consumer, runner, moment, death);
            if moment == "acquiring" {
                scene.now_while_it_resumes();
            }
            let finished = run.finish();
            // A thread that panics beside its test fails nothing; all other deaths fail the run.
            if moment != "acquiring" {
                finished.failed();
            }
            scene.cloud.ends_with(1, 1);
        }
    }
}

#[test]
fn test_processes_that_die_while_the_cluster_resumes() {
    own_death_at("acquiring");
}

#[test]
fn test_processes_that_die_in_the_middle() {
    own_death_at("middle");
}

#[test]
fn test_processes_that_die_in_the_last_test() {
    own_death_at("last");
}

fn kill_the_runner(run: &mut Run, signal: Signal) {
    match signal {
        // As a terminal does: all processes in the foreground get it.
        Signal::INT => run.signal_group(signal),
        _ => run.signal(signal),
    }
}

fn runner_dies_at(moment: &str) {
    for runner in runners() {
        let consumer = Consumer::of("deaths", runner);
        for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
            let scene = Scene::new();
            let mut run = scene.start(&consumer, runner, moment, "wait");
            match moment {
                "acquiring" => scene.cloud.wait_for_counts(1, 0),
                _ => drop(run.wait_for_file(&scene.path("here"))),
            }
            kill_the_runner(&mut run, signal);
            run.wait();
            // An orphan that was waiting goes on with its tests; they must not start anything.
            std::fs::write(scene.path("now"), "x").unwrap();
            std::fs::write(scene.path("go"), "x").unwrap();
            run.finish().failed();
            scene.cloud.ends_with(1, 1);
        }
    }
}

#[test]
fn a_runner_that_dies_while_the_cluster_resumes() {
    runner_dies_at("acquiring");
}

#[test]
fn a_runner_that_dies_in_the_middle() {
    runner_dies_at("middle");
}

#[test]
fn a_runner_that_dies_in_the_last_test() {
    runner_dies_at("last");
}

/// The Cloud refuses a second operation while one runs, so the keeper waits for the resume and then suspends.
#[test]
fn ctrl_c_while_the_cluster_resumes_ends_the_operation_and_then_suspends() {
    for runner in runners() {
        let consumer = Consumer::of("deaths", runner);
        let scene = Scene::new();
        scene.cloud.simulator.cloud().hold_next_operation(CLUSTER);
        let mut run = scene.start(&consumer, runner, "none", "none");
        scene.cloud.wait_for_counts(1, 0);
        run.signal_group(Signal::INT);
        run.wait();
        run.finish().failed();
        assert_eq!(scene.cloud.counts(), (1, 0), "nothing may be asked for while an operation runs");
        scene.cloud.simulator.cloud().release(CLUSTER);
        scene.cloud.ends_with(1, 1);
    }
}

/// The next run repairs a run that was killed together with its keeper.
#[test]
fn after_the_death_of_everybody_the_next_run_repairs_it() {
    for runner in runners() {
        let consumer = Consumer::of("deaths", runner);
        let scene = Scene::new();
        let mut run = scene.start(&consumer, runner, "middle", "wait");
        run.wait_for_file(&scene.path("here"));
        let keeper = rustix::process::Pid::from_raw(scene.cloud.keeper() as i32).unwrap();
        // Stopped first: a test that lives a moment longer would start another keeper, and a keeper would release.
        rustix::process::kill_process(keeper, Signal::STOP).unwrap();
        run.signal_group(Signal::KILL);
        run.wait();
        // nextest puts each test into a process group of its own.
        processes::kill_and_wait(std::fs::read_to_string(scene.path("here")).unwrap().parse().unwrap());
        rustix::process::kill_process(keeper, Signal::KILL).unwrap();
        run.finish().failed();
        assert!(scene.cloud.simulator.cloud().cluster(CLUSTER).running, "nobody is left who could suspend it");
        scene.start(&consumer, runner, "none", "none").finish().passed();
        scene.cloud.ends_with(1, 1);
    }
}
