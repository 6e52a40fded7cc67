//! The consumer project whose runs are measured, as a debug or a release build.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::consumer::{Consumer, clean};
use crate::support::run::{Plan, Runner};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    Debug,
    Release,
}

pub struct Project {
    consumer: Consumer,
    pub build: Build,
}

impl Project {
    /// Copies the project and builds it for both runners.
    pub fn build(build: Build) -> Self {
        eprintln!("building the project to measure ({build:?})");
        let consumer = Consumer::of("bench", Runner::Nextest);
        if build == Build::Release {
            let command = clean(Command::new("cargo"))
                .current_dir(&consumer.dir)
                .args(["test", "--no-run", "--release"])
                .output();
            let built = command.unwrap();
            assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        }
        Self { consumer, build }
    }

    /// Plans a run of one file of tests.
    pub fn plan(&self, runner: Runner, file: &str) -> Plan {
        let plan = Plan::new(&self.consumer, runner).args(&["--test", file]);
        if self.build == Build::Release { plan.args(&["--release"]) } else { plan }
    }

    pub fn name(&self) -> &'static str {
        match self.build {
            Build::Debug => "debug",
            Build::Release => "release",
        }
    }
}

/// Starts a run in its own process group, with its output in a file.
pub fn start(plan: &Plan, log: &Path) -> Child {
    use std::os::unix::process::CommandExt as _;
    let out = std::fs::File::create(log).unwrap();
    let mut command = plan.command();
    command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    command.spawn().unwrap()
}

/// Runs a plan to the end of its runner, and returns how long that took.
pub fn time(plan: &Plan, log: &Path) -> Duration {
    let began = Instant::now();
    let status = start(plan, log).wait().unwrap();
    let took = began.elapsed();
    assert!(status.success(), "the run failed:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    took
}
