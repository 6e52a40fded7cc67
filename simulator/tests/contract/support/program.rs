//! A home for each test, and programs that run in it, with their output.

use std::fs;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::DEADLINE;
use super::cloud::{Cloud, KEY, SECRET};
use super::python::Environment;

/// Configuration, data and working directory of programs, apart from those of the user.
pub(crate) struct Home {
    dir: tempfile::TempDir,
    bin: &'static Path,
    variables: Vec<(String, String)>,
}

impl Home {
    /// Makes a home with a profile that has the simulator's address, key and secret.
    pub(crate) fn new(environment: &'static Environment, cloud: &Cloud) -> Self {
        let home = Self::empty(environment);
        home.write_profile(&cloud.url, &[("key", KEY), ("secret", SECRET), ("organization-id", &cloud.organization)]);
        home
    }

    /// Makes a home without a profile.
    pub(crate) fn empty(environment: &'static Environment) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), bin: &environment.bin, variables: Vec::new() }
    }

    /// Sets a variable for the programs.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Returns the directory for files of tests, where programs run.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn profile_path(&self) -> PathBuf {
        self.path().join("config/Crate/croud.yaml")
    }

    /// Writes `croud.yaml` with one profile that has this endpoint and these further entries.
    pub(crate) fn write_profile(&self, endpoint: &str, entries: &[(&str, &str)]) {
        let mut text = format!(
            "current-profile: local\ndefault-format: json\nprofiles:\n  local:\n    endpoint: {endpoint}\n    region: _any_\n"
        );
        if !entries.iter().any(|(name, _)| *name == "auth-token") {
            text += "    auth-token: null\n";
        }
        entries.iter().for_each(|(name, value)| text += &format!("    {name}: {value}\n"));
        fs::create_dir_all(self.profile_path().parent().unwrap()).unwrap();
        fs::write(self.profile_path(), text).unwrap();
    }

    /// Returns the present profile file.
    pub(crate) fn profile(&self) -> String {
        fs::read_to_string(self.profile_path()).unwrap_or_default()
    }

    /// Runs one of the environment's programs to its end.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        self.run_with_input(program, arguments, "")
    }

    /// Runs one with this standard input.
    #[track_caller]
    pub(crate) fn run_with_input(&self, program: &str, arguments: &[&str], input: &str) -> Ran {
        finish(self.command(program, arguments), format!("{program} {}", arguments.join(" ")), input, DEADLINE)
    }

    /// Runs one that takes longer than others.
    #[track_caller]
    pub(crate) fn run_for(&self, program: &str, arguments: &[&str], limit: Duration) -> Ran {
        finish(self.command(program, arguments), format!("{program} {}", arguments.join(" ")), "", limit)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.bin.display())).env("HOME", self.path());
        command.env("XDG_CONFIG_HOME", self.path().join("config")).env("XDG_DATA_HOME", self.path().join("data"));
        // A width for programs that ask for one.
        command.env("PYTHONUTF8", "1").env("COLUMNS", "120").env("NO_COLOR", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a script from the directory of these tests.
    #[track_caller]
    pub(crate) fn run_script(&self, script: &str, arguments: &[&str]) -> Ran {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract").join(script);
        self.run("python", &[&[path.to_str().unwrap()], arguments].concat())
    }
}

#[track_caller]
fn finish(mut command: Command, what: String, input: &str, limit: Duration) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end without reading it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let (stdout, stderr) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!("`{what}` took longer than {limit:?}\n{}{}", stdout.join().unwrap(), stderr.join().unwrap());
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    Ran { what, code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    what: String,
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Asserts its exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Returns the only JSON document on its standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let mut all = self.documents();
        assert_eq!(all.len(), 1, "{self}");
        all.remove(0)
    }

    /// Returns the JSON documents on its standard output. `croud` writes two to show before and after.
    #[track_caller]
    pub(crate) fn documents(&self) -> Vec<Value> {
        let documents = serde_json::Deserializer::from_str(&self.stdout).into_iter();
        documents.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error} in the output of {self}"))
    }

    /// Returns the messages of `croud`: `Error: …`, `Info: …`, `Success: …`.
    pub(crate) fn said(&self) -> Vec<String> {
        let text = without_colours(&self.stderr);
        text.split("==> ").skip(1).map(|part| part.lines().next().unwrap_or_default().trim().to_owned()).collect()
    }

    /// Asserts that its error output has this.
    #[track_caller]
    pub(crate) fn says(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "`{part}` is missing: {self}");
        self
    }

    /// Asserts that its standard output has this.
    #[track_caller]
    pub(crate) fn prints(self, part: &str) -> Self {
        assert!(self.stdout.contains(part), "`{part}` is missing: {self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, code, stdout, stderr } = self;
        write!(f, "`{what}`, which ended with {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| {
        out + part.split_once(|c: char| c.is_ascii_alphabetic()).map_or(part, |(_, rest)| rest)
    })
}
