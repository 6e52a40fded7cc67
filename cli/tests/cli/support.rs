//! Runs the program in a world of its own, and waits for conditions with a deadline.

mod pty;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{Cloud, ClusterOptions, Options, Simulator};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) use pty::Screen;

/// Long enough for a loaded machine; tests end as soon as what they wait for is there.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// The longest run: it waits for the lease of a machine that died, for 90 s.
const LIFE: Duration = Duration::from_secs(180);

pub(crate) const KEY: &str = "key-of-the-tests";
pub(crate) const SECRET: &str = "secret-of-the-tests-4711";
pub(crate) const PASSWORD: &str = "password-of-the-tests-4711-long";

/// Secrets that must never be printed by any program of these tests.
const SECRETS: [&str; 4] = [SECRET, PASSWORD, "token-of-the-tests", JWT];

/// The beginning of every token for SQL: the base64 of `{"`.
const JWT: &str = "eyJ";

/// Secrets that are made while the tests run.
static SESSIONS: Mutex<Vec<String>> = Mutex::new(Vec::new());

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-cratedb");

/// Stops ignoring signals. Tests that run in the background or under `nohup` may inherit ignored signals and pass them
/// on, and the program would leave them ignored.
fn heed_signals() {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
        // SAFETY: a plain system call. It replaces no handler, since these tests install none.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// A home directory of its own, and in most tests a Cloud.
pub(crate) struct World {
    simulator: Option<Simulator>,
    home: TempDir,
}

impl World {
    /// A Cloud that knows one key and these clusters.
    pub(crate) fn with(clusters: impl IntoIterator<Item = ClusterOptions>) -> Self {
        Self::of(clusters.into_iter().fold(Options::default(), Options::cluster))
    }

    /// A Cloud with these options, which knows one key.
    pub(crate) fn of(mut options: Options) -> Self {
        (options.api_key, options.api_secret) = (Some(KEY.into()), Some(SECRET.into()));
        let clusters = options.clusters.drain(..).map(|one| one.with("password", PASSWORD).unwrap()).collect();
        options.clusters = clusters;
        Self { simulator: Some(Simulator::start_blocking(options).unwrap()), home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn without_cloud() -> Self {
        Self { simulator: None, home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn simulator(&self) -> &Simulator {
        self.simulator.as_ref().expect("this world has a Cloud")
    }

    pub(crate) fn cloud(&self) -> Cloud {
        self.simulator().cloud()
    }

    /// Makes a login session that the Cloud knows.
    pub(crate) fn session(&self) -> String {
        let token = self.cloud().session();
        SESSIONS.lock().unwrap_or_else(PoisonError::into_inner).push(token.clone());
        token
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Returns the path at which the program looks for the profile file.
    pub(crate) fn profile_file(&self) -> PathBuf {
        self.home().join("config/Crate/croud.yaml")
    }

    /// Writes a file into the working directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home().join(name), text).unwrap();
    }

    /// Prepares a run of the program with the key of this world.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Run {
        Run::of(self, PROGRAM, arguments).with_the_key()
    }

    /// Prepares a run of the program without credentials.
    pub(crate) fn stranger(&self, arguments: &[&str]) -> Run {
        Run::of(self, PROGRAM, arguments)
    }
}

impl Drop for World {
    /// Waits for the keeper, which would try for minutes to release its cluster once the Cloud is gone, and ends it
    /// after a while.
    fn drop(&mut self) {
        let begun = Instant::now();
        while let Some(keeper) = self.keeper() {
            if begun.elapsed() > DEADLINE / 4 {
                let _ = rustix::process::kill_process(keeper, rustix::process::Signal::KILL);
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl World {
    /// Returns the keeper of this world, if it is alive.
    fn keeper(&self) -> Option<rustix::process::Pid> {
        let state = self.home().join("state");
        if !state.exists() {
            return None;
        }
        let mut status = Command::new(PROGRAM);
        status.args(["status", "--output", "json"]).env("CRATEDB_TEST_DIR", state).stderr(Stdio::null());
        let keys: Value = serde_json::from_slice(&status.output().ok()?.stdout).ok()?;
        let keeper = keys.as_array()?.iter().find_map(|key| key["keeper"].as_i64())?;
        rustix::process::Pid::from_raw(i32::try_from(keeper).ok()?)
    }
}

/// A program about to run.
pub(crate) struct Run {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    input: Option<String>,
}

impl Run {
    pub(crate) fn of(world: &World, program: &str, arguments: &[&str]) -> Self {
        heed_signals();
        let own = |name: &OsStr| {
            let name = name.to_string_lossy();
            let strange =
                ["CRATEDB_", "CARGO", "NEXTEST", "CI", "NO_COLOR", "CLICOLOR", "TERM", "COLUMNS", "BROWSER", "XDG_"];
            !strange.iter().any(|prefix| name.starts_with(prefix))
        };
        let mut environment: Vec<_> = std::env::vars_os().filter(|(name, _)| own(name)).collect();
        // Cargo and rustup are not in the new home.
        for (name, directory) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let default = || Some(PathBuf::from(std::env::var_os("HOME")?).join(directory).into_os_string());
            environment.extend(std::env::var_os(name).or_else(default).map(|home| (name.into(), home)));
        }
        let home = world.home();
        environment.push(("HOME".into(), home.into()));
        // A sweep must not find the containers of others.
        environment.push(("DOCKER_HOST".into(), "unix:///nowhere/docker.sock".into()));
        environment.push(("XDG_CONFIG_HOME".into(), home.join("config").into()));
        environment.push(("CRATEDB_TEST_DIR".into(), home.join("state").into()));
        environment.push(("CRATEDB_TEST_OUTER".into(), std::process::id().to_string().into()));
        if let Some(simulator) = &world.simulator {
            environment.push(("CRATEDB_CLOUD_ENDPOINT".into(), simulator.url().into()));
        }
        let arguments = arguments.iter().map(OsString::from).collect();
        Self { program: program.into(), arguments, environment, directory: home.to_owned(), input: None }
    }

    /// Adds the key of this world.
    pub(crate) fn with_the_key(self) -> Self {
        self.env("CRATEDB_CLOUD_API_KEY", KEY).env("CRATEDB_CLOUD_API_SECRET", SECRET)
    }

    /// Runs it in a directory below the home directory.
    pub(crate) fn within(mut self, directory: &str) -> Self {
        self.directory.push(directory);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Sets the text on stdin, which is empty otherwise.
    pub(crate) fn input(mut self, text: &str) -> Self {
        self.input = Some(text.to_owned());
        self
    }

    pub(crate) fn with_the_program_in_path(self) -> Self {
        let here = Path::new(PROGRAM).parent().unwrap().to_owned();
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([here].into_iter().chain(std::env::split_paths(&paths))).unwrap();
        self.env("PATH", path)
    }

    /// Runs it in a terminal.
    pub(crate) fn in_a_terminal(self) -> Screen {
        let environment = self.environment.into_iter().collect();
        Screen::start(&self.program, &self.arguments, environment, &self.directory)
    }

    /// Runs it in a terminal that is closed as soon as `ready` returns something.
    pub(crate) fn hung_up(self, ready: impl FnMut() -> Option<()>) -> std::process::ExitStatus {
        let environment = self.environment.into_iter().collect();
        pty::hung_up(&self.program, &self.arguments, environment, &self.directory, ready)
    }

    pub(crate) fn start(self) -> Running {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment).current_dir(self.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.program));
        let mut stdin = child.stdin.take().unwrap();
        // A program that doesn't read it may be gone already.
        let _ = stdin.write_all(self.input.unwrap_or_default().as_bytes());
        Running { child, arguments: self.arguments }
    }

    pub(crate) fn done(self) -> Done {
        self.start().done()
    }
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    arguments: Vec<OsString>,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end without reading its output, since other processes may have inherited the pipes.
    pub(crate) fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn done(self) -> Done {
        let arguments = format!("{:?}", self.arguments);
        let pid = rustix::process::Pid::from_child(&self.child);
        let waiting = std::thread::spawn(move || self.child.wait_with_output().unwrap());
        let begun = Instant::now();
        while !waiting.is_finished() {
            if begun.elapsed() > LIFE {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                panic!("{arguments} did not end within {LIFE:?}: {:?}", waiting.join().map(Done::from));
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        Done::from(waiting.join().unwrap())
    }
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("all output is UTF-8");
        let done = Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert_no_secret(&done.stdout);
        assert_no_secret(&done.stderr);
        done
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// The one document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Asserts that stderr contains all of these.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "not said: {part}\n{self:#?}");
        }
        self
    }
}

/// Asserts that no secret is in an output. All outputs of these tests pass through here.
#[track_caller]
pub(crate) fn assert_no_secret(text: &str) {
    let sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // GitHub's runner takes such a line and shows none of it.
    let text = text.lines().filter(|line| !line.starts_with("::add-mask::")).collect::<Vec<_>>().join("\n");
    for secret in SECRETS.into_iter().chain(sessions.iter().map(String::as_str)) {
        assert!(!text.contains(secret), "a secret was printed: {text}");
    }
}

/// Waits until `ready` returns something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
