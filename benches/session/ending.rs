//! Times how long the cluster keeps running, and costing money, after the run is over.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::time::{SystemTime, UNIX_EPOCH};

use cratedb_cloud_simulator::Options;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::Scale;
use crate::project::{Project, start};
use crate::samples::Samples;
use crate::support::cloud::{TestCloud, suspendable};
use crate::support::run::{Plan, Runner};
use crate::support::{processes, wait_for};
use crate::table::{Table, Target};

const TARGET: Target = &[(50, 4.0), (99, 25.0)];

struct Ending<'a> {
    project: &'a Project,
    cloud: TestCloud,
    dir: tempfile::TempDir,
}

pub fn measure(project: &Project, scale: Scale, table: &mut Table) {
    for runner in [Runner::Cargo, Runner::Nextest] {
        let name = if runner == Runner::Cargo { "cargo test" } else { "nextest" };
        for (test, what) in [("idle", "nothing to clean"), ("used", "a schema to drop")] {
            eprintln!("ending: {name}, {what}");
            let ending = Ending::new(project);
            let samples = Samples::new((0..scale.ends).map(|_| ending.normal(runner, test)).collect());
            table.row(&format!("end of {name} reaped → suspend request, {what}"), "ms", TARGET, &samples);
        }
        eprintln!("ending: {name}, killed");
        let ending = Ending::new(project);
        let (sent, gone) = (0..scale.ends).map(|_| ending.killed(runner)).unzip();
        let row = |from: &str| format!("{name} killed, {from} → suspend request");
        table.row(&row("SIGKILL sent to all of it"), "ms", &[], &Samples::new(sent));
        table.row(&row("all of it dead"), "ms", TARGET, &Samples::new(gone));
    }
}

impl<'a> Ending<'a> {
    fn new(project: &'a Project) -> Self {
        let cloud = TestCloud::with(Options::default().cluster(suspendable()));
        Self { project, cloud, dir: tempfile::tempdir().unwrap() }
    }

    fn plan(&self, runner: Runner, test: &str) -> Plan {
        let plan = self.project.plan(runner, "ending").cloud(&self.cloud).env("CRATEDB_TEST_LOG", "info");
        let plan = plan.env("BENCH_DIR", self.dir.path().display().to_string());
        match runner {
            Runner::Cargo => plan.args(&["--", "--exact", test]),
            Runner::Nextest => plan.args(&["-E", &format!("test(={test})")]),
        }
    }

    /// Lets a run end normally. Returns the milliseconds from its end to the suspend request.
    fn normal(&self, runner: Runner, test: &str) -> f64 {
        let (_, before) = self.cloud.counts();
        let log = self.dir.path().join("log");
        let status = start(&self.plan(runner, test), &log).wait().unwrap();
        let over = now();
        assert!(status.success(), "the run failed:\n{}", std::fs::read_to_string(log).unwrap_or_default());
        self.suspended_at(before) - over
    }

    /// Kills a run with all its processes. Returns the milliseconds from the signal, and from the death of the last
    /// process, to the suspend request.
    fn killed(&self, runner: Runner) -> (f64, f64) {
        let (_, before) = self.cloud.counts();
        let mut run = start(&self.plan(runner, "halted"), &self.dir.path().join("log"));
        let test = self.halted(&mut run);
        let (runner, test) = (Pid::from_child(&run), Pid::from_raw(test).unwrap());
        let watched = [runner, test].map(processes::watch);
        let sent = now();
        kill_process_group(runner, Signal::KILL).unwrap();
        // nextest gives every test its own process group.
        let _ = kill_process(test, Signal::KILL);
        watched.iter().for_each(wait_for_death);
        let gone = now();
        run.wait().unwrap();
        let at = self.suspended_at(before);
        (at - sent, at - gone)
    }

    /// Waits for the test that stands still, and returns its process id.
    fn halted(&self, run: &mut Child) -> i32 {
        let here = self.dir.path().join("here.halted");
        wait_for("the test to stand still", || match run.try_wait().unwrap() {
            _ if here.exists() => Ok(()),
            ended => Err(ended),
        });
        read_and_remove(&here).trim().parse().unwrap()
    }

    /// Waits for the next suspension and the end of the keeper. Returns the time of the suspend request.
    fn suspended_at(&self, before: usize) -> f64 {
        wait_for("the suspension", || match self.cloud.counts() {
            (_, after) if after > before => Ok(()),
            counts => Err((counts, self.cloud.log())),
        });
        wait_for("the keeper's end", || match processes::keepers(self.cloud.path()) {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        });
        let requests = self.cloud.simulator.requests();
        requests.iter().filter(|request| request.is_suspend()).nth(before).unwrap().at_ms
    }
}

fn read_and_remove(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::remove_file(path).unwrap();
    text
}

fn wait_for_death(process: &OwnedFd) {
    poll(&mut [PollFd::new(process, PollFlags::IN)], None).unwrap();
}

/// Returns the milliseconds since the Unix epoch, as the simulator counts them.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}
