//! Thousands of sessions, one after another, and what grows meanwhile.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::project::{Meet, consumer, holds_within, program};
use crate::support::cloud::CLUSTER;
use crate::support::consumer::clean;
use crate::support::run::Runner;
use crate::support::{processes, standin};

/// The simulator as a program of its own, so that its memory is not that of this one.
struct Service {
    process: Child,
    address: String,
    requests: PathBuf,
    dir: tempfile::TempDir,
    /// `TMPDIR` of the sessions.
    temporary: tempfile::TempDir,
}

/// What may grow.
#[derive(Clone, Debug, Default)]
struct Look {
    /// Kilobytes of resident memory and descriptors of the simulator, and of the keeper where one stays.
    simulator: (usize, usize),
    keeper: Option<(usize, usize)>,
    /// Number and bytes of the files in the keepers' directory.
    files: (usize, u64),
    /// Entries of the directory for temporary files.
    temporary: usize,
    /// Schemas of tests and users in the cluster; each includes one of the test that looks.
    cluster: String,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, descriptors) = self.simulator;
        write!(f, "simulator {memory} kB, {descriptors} descriptors; ")?;
        if let Some((memory, descriptors)) = self.keeper {
            write!(f, "keeper {memory} kB, {descriptors} descriptors; ")?;
        }
        let (files, bytes) = self.files;
        let (temporary, cluster) = (self.temporary, &self.cluster);
        write!(f, "{files} files, {bytes} bytes; {temporary} temporary; schemas and users {cluster}")
    }
}

fn resident(pid: u32) -> usize {
    let output = Command::new("ps").args(["-o", "rss=", "-p", &pid.to_string()]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_default()
}

fn holds(pid: u32) -> (usize, usize) {
    (resident(pid), processes::descriptors(pid).len())
}

impl Service {
    fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
        let requests = dir.path().with_extension("requests");
        let mut command = Command::new(standin::binary());
        command.args(["serve", "--cluster", &format!("name={CLUSTER},state=suspended"), "--requests"]).arg(&requests);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        output.read_line(&mut first).unwrap();
        std::thread::spawn(move || output.lines().for_each(drop));
        let address = first.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, address, requests, dir, temporary: tempfile::tempdir().unwrap() }
    }

    fn command(&self, program: &Path, test: &str, meet: &Meet) -> Command {
        let mut command = clean(Command::new(program));
        command.args(["--exact", test]).current_dir(&consumer(Runner::Cargo).dir).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).envs([
            ("CRATEDB_CLOUD_ENDPOINT", self.address.as_str()),
            ("CRATEDB_CLOUD_API_KEY", "test-key"),
            ("CRATEDB_CLOUD_API_SECRET", "secret-of-the-tests"),
            ("CRATEDB_CLUSTER_NAME", CLUSTER),
        ]);
        command.env("CRATEDB_TEST_DIR", self.dir.path()).env("RELIABILITY_DIR", meet.path());
        command.env("TMPDIR", self.temporary.path());
        command
    }

    /// Starts one session, or in a keeper that stays, takes part in its session. Returns whether it passed.
    fn session(&self, program: &Path, test: &str, meet: &Meet, stays: bool) -> bool {
        let mut command = self.command(program, test, meet);
        if stays {
            command.env("CRATEDB_TEST_KEEP_WARM", "1h");
        }
        command.status().unwrap().success() && (stays || self.is_quiet())
    }

    fn is_quiet(&self) -> bool {
        holds_within(Duration::from_secs(60), || processes::keepers(self.dir.path()).is_empty())
    }

    fn look(&self, program: &Path, meet: &Meet, stays: bool) -> Look {
        assert!(self.session(program, "looks", meet, stays), "the test that looks failed");
        // What it used is dropped.
        std::thread::park_timeout(Duration::from_secs(1));
        let entries = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        let sizes: Vec<u64> = entries.map(|about| about.len()).collect();
        Look {
            simulator: holds(self.process.id()),
            keeper: processes::keepers(self.dir.path()).first().map(|keeper| holds(*keeper)),
            files: (sizes.len(), sizes.iter().sum()),
            temporary: std::fs::read_dir(self.temporary.path()).unwrap().count(),
            cluster: std::fs::read_to_string(meet.path().join("looks")).unwrap().trim().to_owned(),
        }
    }

    /// The requests to resume and to suspend.
    fn counts(&self) -> (usize, usize) {
        let text = std::fs::read_to_string(&self.requests).unwrap();
        let of = |value: &str| text.lines().filter(|line| line.contains("/suspend/") && line.contains(value)).count();
        (of("\"suspended\":false"), of("\"suspended\":true"))
    }

    /// Asks the simulator itself whether the cluster runs.
    fn runs(&self) -> bool {
        use std::io::Read as _;
        let host = self.address.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let head = format!("GET /_simulator/clusters/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"running\""), "{answer}");
        answer.replace(' ', "").contains("\"running\":true")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.requests);
    }
}

/// Runs sessions, with a keeper each, or with one keeper that stays for all.
fn repeat(sessions: usize, stays: bool) {
    let (service, meet, program) = (Service::start(), Meet::new(), program("one"));
    let kind = if stays { "one keeper" } else { "a keeper each" };
    let (began, mut failed, mut looks) = (Instant::now(), 0, Vec::<Look>::new());
    // What grows once, grows in the first ones.
    let step = (sessions / 10).max(2);
    for number in 1..=sessions {
        failed += usize::from(!service.session(&program, "session", &meet, stays));
        if number % step == 0 {
            looks.push(service.look(&program, &meet, stays));
            println!("{number} sessions, {kind}, {:.0?}: {failed} failed; {}", began.elapsed(), looks[looks.len() - 1]);
        }
    }
    for keeper in processes::keepers(service.dir.path()) {
        kill_process(Pid::from_raw(keeper as i32).unwrap(), Signal::TERM).unwrap();
    }
    assert!(service.is_quiet(), "a keeper stays");
    let (counts, runs) = (service.counts(), service.runs());
    println!("{sessions} sessions, {kind}: resumes and suspensions {counts:?}, runs: {runs}");
    assert!(failed == 0 && !runs, "{failed} failed");
    let times = if stays { 1 } else { sessions + looks.len() };
    assert_eq!(counts, (times, times));
    let (before, after) = (&looks[0], &looks[looks.len() - 1]);
    assert_eq!((&before.cluster, before.temporary), (&after.cluster, after.temporary));
    // Fewer descriptors are connections that were closed since, which nobody used.
    assert!(after.files.0 <= before.files.0 && after.simulator.1 <= before.simulator.1, "{before}\n{after}");
    let held = |look: &Look| look.keeper.map(|(_, count)| count);
    assert!(held(after) <= held(before), "descriptors of the keeper: {:?}, then {:?}", held(before), held(after));
}

#[test]
fn twenty_sessions_leave_as_much_as_two() {
    repeat(20, false);
    repeat(20, true);
}

#[test]
#[ignore = "the long form: 10,000 sessions, each with its own keeper"]
fn ten_thousand_sessions_leave_as_much_as_a_thousand() {
    repeat(10_000, false);
}

#[test]
#[ignore = "the long form: 10,000 sessions of one keeper"]
fn ten_thousand_sessions_of_one_keeper_leave_as_much_as_a_thousand() {
    repeat(10_000, true);
}
