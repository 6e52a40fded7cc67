//! One run of a consumer's tests: the runner, its output, its signals.

use std::collections::HashMap;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::cloud::{SECRET, TestCloud};
use super::consumer::{Consumer, clean};
use super::engine::TestEngine;
use super::home::TestHome;
use super::wait_for;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    Cargo,
    Nextest,
}

/// Both runners, or the one that is here.
pub fn runners() -> Vec<Runner> {
    static NEXTEST: OnceLock<bool> = OnceLock::new();
    let there = *NEXTEST.get_or_init(|| {
        let found = clean(Command::new("cargo")).args(["nextest", "--version"]).output();
        found.is_ok_and(|output| output.status.success())
    });
    if !there {
        super::skip("nextest", "cargo-nextest is not installed (cargo install cargo-nextest --locked)");
        return vec![Runner::Cargo];
    }
    vec![Runner::Cargo, Runner::Nextest]
}

/// The options of a run.
pub struct Plan {
    runner: Runner,
    dir: PathBuf,
    arguments: Vec<String>,
    environment: HashMap<String, String>,
}

impl Plan {
    pub fn new(consumer: &Consumer, runner: Runner) -> Self {
        Self { runner, dir: consumer.dir.clone(), arguments: Vec::new(), environment: HashMap::new() }
    }

    /// Arguments of the runner.
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|text| (*text).to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Everything the simulated Cloud needs, and files of its own for the keeper.
    pub fn cloud(mut self, cloud: &TestCloud) -> Self {
        self.environment.extend(cloud.environment());
        self
    }

    /// A container of the stand-in's image for a project that has nothing configured, and files for its keeper.
    pub fn engine(mut self, engine: &TestEngine) -> Self {
        self.environment.extend(engine.environment());
        self
    }

    /// A process of an installation, and files for its keeper.
    pub fn home(mut self, home: &TestHome) -> Self {
        self.environment.extend(home.environment());
        self
    }

    /// One test at a time.
    pub fn in_order(self) -> Self {
        match self.runner {
            Runner::Cargo => self.args(&["--", "--test-threads=1"]),
            Runner::Nextest => self.args(&["-j1"]),
        }
    }

    /// nextest's list of tests, for which it starts every test binary.
    pub fn listing(&self) -> Command {
        let mut command = clean(Command::new("cargo"));
        command.current_dir(&self.dir).envs(&self.environment).args(["nextest", "list"]).stdin(Stdio::null());
        command
    }

    pub fn command(&self) -> Command {
        let mut command = clean(Command::new("cargo"));
        command.current_dir(&self.dir).envs(&self.environment);
        match self.runner {
            Runner::Cargo => command.arg("test"),
            Runner::Nextest => command.args(["nextest", "run"]),
        };
        command.args(&self.arguments);
        command
    }

    /// Starts the run in a process group of its own, as a shell does with what is run at a terminal.
    pub fn start(self) -> Run {
        let mut command = self.command();
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipes: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        let readers = pipes.each_mut().map(|pipe| {
            let mut pipe = std::mem::replace(pipe, Box::new(std::io::empty()));
            std::thread::spawn(move || {
                let mut text = Vec::new();
                pipe.read_to_end(&mut text).unwrap();
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Run { child, readers: Vec::from(readers) }
    }

    /// Runs to the end.
    pub fn run(self) -> Finished {
        self.start().finish()
    }
}

/// A run under way.
pub struct Run {
    child: Child,
    readers: Vec<std::thread::JoinHandle<String>>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub output: String,
}

impl Run {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// To the runner alone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// To the runner and everything below it, as a terminal does.
    pub fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).unwrap();
    }

    /// A file that a test of this run makes, with what is in it.
    #[track_caller]
    pub fn wait_for_file(&mut self, path: &Path) -> String {
        let mut text = String::new();
        let mut over = false;
        wait_for(&format!("{}", path.display()), || {
            text = std::fs::read_to_string(path).unwrap_or_default();
            over = text.is_empty() && self.child.try_wait().unwrap().is_some();
            if over || !text.is_empty() { Ok(()) } else { Err("the run goes on") }
        });
        if over {
            let output: Vec<String> = self.readers.drain(..).map(|reader| reader.join().unwrap()).collect();
            panic!("the run ended without {}:\n{}", path.display(), output.join("\n"));
        }
        text
    }

    /// Waits for the runner's end. Processes that it left may still have its output open.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the runner's end", || {
            status = self.child.try_wait().unwrap();
            if status.is_some() { Ok(()) } else { Err("still running") }
        });
        status.unwrap()
    }

    pub fn finish(mut self) -> Finished {
        let output: Vec<String> =
            std::mem::take(&mut self.readers).into_iter().map(|reader| reader.join().unwrap()).collect();
        let output = output.join("\n");
        for secret in [SECRET, "eyJ"] {
            assert!(!output.contains(secret), "a secret or a token is printed:\n{output}");
        }
        Finished { status: self.child.wait().unwrap(), output }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Finished {
    #[track_caller]
    pub fn passed(self) -> Self {
        assert!(self.status.success(), "the run failed:\n{}", self.output);
        self
    }

    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(!self.status.success(), "the run passed:\n{}", self.output);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.output.contains(text), "`{text}` is not in:\n{}", self.output);
        self
    }

    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(!self.output.contains(text), "`{text}` is in:\n{}", self.output);
        self
    }
}
