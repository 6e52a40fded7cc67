//! The project whose test processes are started, held up and killed, and the files in which they meet the observer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::cloud::{CLUSTER, TestCloud};
use crate::support::consumer::{Consumer, clean};
use crate::support::processes;
use crate::support::run::{self, Plan, Runner};

/// A keeper that needs longer after the last process is one that stays.
const QUIET: Duration = Duration::from_secs(90);

/// Both runners, or the one that is here, which is said once.
pub fn runners() -> &'static [Runner] {
    static HERE: OnceLock<Vec<Runner>> = OnceLock::new();
    HERE.get_or_init(run::runners)
}

/// The project, built once for all runners that are here.
pub fn consumer(runner: Runner) -> &'static Consumer {
    static BUILT: OnceLock<Vec<(Runner, Consumer)>> = OnceLock::new();
    let build = || runners().iter().map(|runner| (*runner, Consumer::of("reliability", *runner))).collect();
    let built: &Vec<(Runner, Consumer)> = BUILT.get_or_init(build);
    &built.iter().find(|(known, _)| *known == runner).expect("a runner that is here").1
}

/// The program of one file of tests. Started directly, without a runner, each process is a session of its own.
pub fn program(file: &str) -> PathBuf {
    let mut command = clean(Command::new("cargo"));
    command.current_dir(&consumer(Runner::Cargo).dir);
    let output = command.args(["test", "--no-run", "--message-format=json", "--test", file]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let programs = messages.filter(|message| message["target"]["name"] == file);
    programs.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back().expect("the program")
}

/// A test of such a program, alone, with its output in a file.
pub fn process(program: &Path, test: &str, cloud: &TestCloud, meet: &Meet, log: &Path) -> Command {
    let output = std::fs::File::create(log).unwrap();
    let mut command = clean(Command::new(program));
    command.args(["--exact", test, "--nocapture"]).current_dir(&consumer(Runner::Cargo).dir);
    command.envs(cloud.environment()).env("CRATEDB_TEST_LOG", "info").env("RELIABILITY_DIR", meet.path());
    command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
    command
}

/// A run of one file of tests, whose test stands still where `phase` says.
pub fn plan(runner: Runner, file: &str, cloud: &TestCloud, meet: &Meet, phase: &str) -> Plan {
    let plan = Plan::new(consumer(runner), runner).args(&["--test", file]).cloud(cloud);
    plan.env("RELIABILITY_DIR", meet.path().display().to_string()).env("RELIABILITY_PHASE", phase)
}

/// The directory in which test processes say that they stand still, and hear how to go on.
pub struct Meet(tempfile::TempDir);

impl Meet {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn here(&self) -> PathBuf {
        self.path().join("here")
    }

    /// `on`, `panic` or `exit`.
    pub fn order(&self, what: &str) {
        let new = self.path().join("go.new");
        std::fs::write(&new, what).unwrap();
        std::fs::rename(new, self.path().join("go")).unwrap();
    }

    pub fn served(&self) -> usize {
        let entries = std::fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.to_string_lossy().into_owned()).filter(|name| is_served(name)).count()
    }
}

fn is_served(name: &str) -> bool {
    name.starts_with("served.") && !name.ends_with(".new")
}

/// Looks until a condition holds or the time is up, and returns whether it holds.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// The state in which a run leaves the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Suspended,
    /// No keeper is there that could suspend it.
    Running,
    /// A keeper is there after a time in which others have long ended.
    Held,
}

/// Waits until no keeper is left, and looks at the cluster.
pub fn left(cloud: &TestCloud) -> Left {
    left_within(QUIET, cloud)
}

pub fn left_within(limit: Duration, cloud: &TestCloud) -> Left {
    let none = || processes::keepers(cloud.path()).is_empty();
    let runs = || cloud.simulator.cloud().cluster(CLUSTER).running;
    match holds_within(limit, none) {
        false => Left::Held,
        // The service may be busy with the suspension.
        true if holds_within(Duration::from_secs(2), || !runs()) => Left::Suspended,
        true => Left::Running,
    }
}
