//! Shows the state of every key that ever had a keeper here, from its keeper or, if that is dead, from its journal.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use time::OffsetDateTime;

use crate::error::{Error, Kind, Result};
use crate::host::process::{Identity, command_of};
use crate::host::{KeyFiles, Locks, Places};
use crate::keeper::{Journal, Left, Record, Word, clock};
use crate::session::Inquiry;
use crate::settings::{Settings, local_target};
use crate::target::{OnExit, Target};
use crate::wire::{KeeperSnapshot, Mode, Phase, Policy, SessionState, Turn};

/// The state of one key, which stands for a cluster as settings name it.
#[derive(Clone, Debug, Serialize)]
pub struct KeyStatus {
    /// The key as text, or empty if the journal can't be read.
    pub key: String,
    /// The hash of the key, which names its files and selects it.
    pub hash: String,
    /// `url`, `cloud`, `local`, or empty.
    pub provider: String,
    /// The name of the cluster or container, if known.
    pub resource: Option<String>,
    /// The address of the cluster for HTTP while it is up, without credentials.
    pub http_url: Option<String>,
    /// A description of the phase.
    pub phase: String,
    /// The process id of the live keeper.
    pub keeper: Option<u32>,
    /// True if the live keeper answered.
    pub answers: bool,
    /// True if a cluster is or may be up that has to be released.
    pub owes: bool,
    /// The time since which something is owed that is not in use, in Unix seconds.
    pub owed_since: Option<i64>,
    /// The time of the keeper's answer or of the journal's last record, in Unix seconds.
    pub at: i64,
    /// The sessions that hold the cluster or wait for it.
    pub sessions: Vec<SessionStatus>,
    /// The latest time of the release, in Unix seconds, if known.
    pub until: Option<i64>,
    /// The settings that decide when and how the cluster is released.
    pub policies: Option<Policies>,
    /// The reason why the keeper can't go on for now, why a release failed, or why a part of this is unknown.
    pub problem: Option<String>,
    /// The path of the keeper's log.
    pub log: PathBuf,
    /// The path of the journal, which survives the keeper.
    pub journal: PathBuf,
}

/// A session, as its keeper knows it.
#[derive(Clone, Debug, Serialize)]
pub struct SessionStatus {
    /// The name of an explicit session.
    pub name: Option<String>,
    /// The processes that keep the session alive: every `cargo` above its tests, or the holder of an explicit session.
    pub runners: Vec<Process>,
    /// The number of connected processes.
    pub processes: usize,
    /// The time at which it began, in Unix seconds.
    pub since: i64,
    /// A description of what ends it.
    pub ends: String,
    /// The time at which it ends if nothing happens before, in Unix seconds.
    pub until: Option<i64>,
    /// The tests that run or wait for their turn.
    pub tests: Vec<TestStatus>,
}

/// A process, with its command if that is visible.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// The name and arguments, or the name alone.
    pub command: String,
}

/// One attempt of a test.
#[derive(Clone, Debug, Serialize)]
pub struct TestStatus {
    /// The module and name of the test.
    pub test: String,
    /// The schema of the test.
    pub schema: String,
    /// True if it needs the cluster for itself.
    pub exclusive: bool,
    /// True if it runs, false if it waits for its turn.
    pub runs: bool,
    /// The time since which it runs or waits, in Unix seconds.
    pub since: i64,
    /// The id of its process.
    pub pid: u32,
}

/// The settings that decide when and how a cluster is released.
#[derive(Clone, Debug, Serialize)]
pub struct Policies {
    /// `CRATEDB_TEST_ON_EXIT`.
    pub on_exit: String,
    /// `CRATEDB_TEST_KEEP_WARM`, in milliseconds.
    pub keep_warm_ms: u64,
    /// `CRATEDB_TEST_MAX_LIFETIME`, in milliseconds.
    pub max_lifetime_ms: u64,
}

/// Lists the keys in the user's state directory.
///
/// # Errors
///
/// When the directory can't be used. A problem with one key is part of its status.
pub fn keys() -> Result<Vec<KeyStatus>> {
    Ok(lying()?.iter().map(Lying::status).collect())
}

/// Returns the path of the log of a key's keeper. `selector` is a key, its hash or the name of a session. By default it
/// is the key of the settings of the working directory.
///
/// # Errors
///
/// When the selector names no key, when the settings can't be read, and when there is no log. In that case, the error
/// names the expected path.
pub fn log_path(selector: Option<&str>) -> Result<PathBuf> {
    let log = match selector {
        None => of_settings()?.1.log,
        Some(selector) => {
            let all = lying()?;
            let found = all.iter().find(|lying| lying.is(selector) || lying.has_session(selector));
            found.ok_or_else(|| unknown(selector))?.files.log.clone()
        }
    };
    if log.is_file() {
        return Ok(log);
    }
    Err(Error::new(Kind::Session, "there is no log yet").because(format!("it would be {}", log.display())))
}

/// Returns the address of the local server that tests of the working directory use now, for commands to which nothing
/// names a cluster: that of the settings, else the only one of the same project. None if there is none, or if the
/// settings name a cluster that is not of this machine.
///
/// # Errors
///
/// When several servers of the project are up. The error lists them.
pub fn local_server() -> Result<Option<String>> {
    // What is wrong with the settings is said when they are used.
    let Ok((settings, files)) = of_settings() else { return Ok(None) };
    let Target::Local(target) = &settings.spec.target else { return Ok(None) };
    let project =
        |key: &Lying| matches!(local_target(&key.key), Some(other) if other.project == target.project && !other.stands);
    let all = lying()?;
    if let Some(url) = all.iter().find(|key| key.files.hash == files.hash).and_then(Lying::open_url) {
        return Ok(Some(url));
    }
    let mut urls: Vec<String> = all.iter().filter(|key| project(key)).filter_map(Lying::open_url).collect();
    match urls.len() {
        0 | 1 => Ok(urls.pop()),
        count => Err(Error::new(Kind::Setting, "cannot tell which local server is meant")
            .because(format!("{count} of this project are up: {}", urls.join(", ")))
            .hint("--cluster-url names one of them; `cargo cratedb status` says which is which")),
    }
}

/// Returns true for an error of this module that says that there is no such key or session.
pub fn is_unknown(error: &Error) -> bool {
    error.kind() == Kind::Usage
}

pub(super) fn unknown(selector: &str) -> Error {
    Error::new(Kind::Usage, format!("no key and no session of a living keeper is called `{selector}`"))
        .hint("`cargo cratedb status` lists them")
}

/// Loads the settings of the working directory, and returns them with the files of their key.
pub(super) fn of_settings() -> Result<(Settings, KeyFiles)> {
    let dir = working_directory()?;
    let settings = Settings::load(&dir, Default::default())?;
    let files = Places::find()?.key(&settings.spec.key);
    Ok((settings, files))
}

pub(super) fn working_directory() -> Result<PathBuf> {
    std::env::current_dir()
        .map_err(|error| Error::new(Kind::Setting, "cannot read the settings of the working directory").because(error))
}

/// The state of a key, read from its files and its keeper.
pub(super) struct Lying {
    pub(super) files: KeyFiles,
    /// The key as text, or empty if neither the keeper nor the journal tells it.
    pub(super) key: String,
    pub(super) left: Result<Left>,
    /// The process that holds the lifetime lock.
    pub(super) keeper: Option<u32>,
    snapshot: Result<Option<KeeperSnapshot>>,
}

/// Reads the state of every key in the state directory.
pub(super) fn lying() -> Result<Vec<Lying>> {
    let places = Places::find()?;
    let fail = |error: std::io::Error| {
        Error::new(Kind::Session, format!("cannot list {}", places.state.display())).because(error)
    };
    let mut all: Vec<Lying> = Vec::new();
    for entry in std::fs::read_dir(&places.state).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if let Some(hash) = hash_of(&path) {
            all.push(Lying::look(places.hashed(&hash)));
        }
    }
    all.sort_by(|one, other| (&one.key, &one.files.hash).cmp(&(&other.key, &other.files.hash)));
    Ok(all)
}

/// Returns the hash in the name of a journal, which is 16 hexadecimal digits.
fn hash_of(path: &Path) -> Option<String> {
    let hash = path.file_stem()?.to_str()?;
    let named = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (named && path.extension()? == "journal").then(|| hash.to_owned())
}

impl Lying {
    pub(super) fn look(files: KeyFiles) -> Self {
        let left = Journal::look(&files.journal);
        let keeper = Locks::take().holder(&files.lifetime).ok().flatten();
        let observer = Inquiry::of(&files);
        let snapshot = observer.and_then(|found| found.map_or(Ok(None), |mut observer| observer.status(false)));
        let written = match &left {
            Ok(Left::Record(record)) => record.key.clone(),
            Ok(Left::Foreign { key, .. }) => key.clone(),
            _ => String::new(),
        };
        let told = snapshot.as_ref().ok().and_then(Option::as_ref).map(|snapshot| snapshot.key.clone());
        let key = told.filter(|key| !key.is_empty()).unwrap_or(written);
        Self { files, key, left, keeper, snapshot }
    }

    /// Returns true if a selector means this key: the key itself, its hash or the first 4 or more digits of its hash.
    pub(super) fn is(&self, selector: &str) -> bool {
        let hash = selector.len() >= 4 && self.files.hash.starts_with(selector);
        hash || !selector.is_empty() && self.key == selector
    }

    pub(super) fn has_session(&self, name: &str) -> bool {
        let Ok(Some(snapshot)) = &self.snapshot else { return false };
        let living = snapshot.sessions.iter().any(|session| session.name.as_deref() == Some(name));
        living || snapshot.ended.iter().any(|ended| ended == name)
    }

    /// Returns what its keeper tells, if that answered.
    pub(super) fn told(&self) -> Option<&KeeperSnapshot> {
        self.snapshot.as_ref().ok()?.as_ref()
    }

    /// Returns the address of a server that lets every client in: commands have no way into another one.
    fn open_url(&self) -> Option<String> {
        let is_guarded = local_target(&self.key).is_some_and(|target| !target.security.is_open());
        self.told()?.http_url.clone().filter(|_| !is_guarded)
    }

    /// Returns true if a keeper lives, also if it does not answer.
    pub(super) fn is_kept(&self) -> bool {
        self.keeper.is_some() || matches!(self.snapshot, Ok(Some(_)))
    }

    /// Returns true if a keeper lives and is past its start.
    pub(super) fn is_busy(&self) -> bool {
        match &self.snapshot {
            Ok(Some(snapshot)) => snapshot.phase != Phase::Starting,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Explains why a live keeper does not release what is owed.
    pub(super) fn trouble(&self) -> Option<String> {
        let log = self.files.log.display();
        match &self.snapshot {
            Ok(Some(snapshot)) if is_stuck(snapshot) => {
                let why = snapshot.trouble.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                let pid = snapshot.pid;
                Some(format!("its keeper (process {pid}) fails to let go of it and tries again{why}; its log is {log}"))
            }
            Err(error) if self.owed().is_some() => {
                let pid = self.keeper.unwrap_or_default();
                Some(format!("its keeper (process {pid}) can't be asked: {error}; its log is {log}"))
            }
            _ => None,
        }
    }

    fn status(&self) -> KeyStatus {
        let record = match &self.left {
            Ok(Left::Record(record)) => Some(&**record),
            _ => None,
        };
        let mut status = KeyStatus {
            key: self.key.clone(),
            hash: self.files.hash.clone(),
            provider: self.key.split('|').next().unwrap_or_default().to_owned(),
            resource: record.and_then(named),
            http_url: None,
            phase: self.phase(record),
            keeper: self.keeper,
            answers: false,
            owes: self.owed().is_some(),
            owed_since: self.owed_since(),
            at: record.map_or(0, |record| record.at),
            sessions: Vec::new(),
            until: None,
            policies: record.and_then(|record| record.policy).map(Policies::from),
            problem: self.problem(),
            log: self.files.log.clone(),
            journal: self.files.journal.clone(),
        };
        if let Ok(Some(snapshot)) = &self.snapshot {
            status.live(snapshot);
        }
        status
    }

    /// Describes what the journal says is still to be released.
    pub(super) fn owed(&self) -> Option<String> {
        match &self.left {
            Ok(Left::Record(record)) => owed(record),
            Ok(Left::Foreign { word, .. }) => Some(format!("`{word}`, in the words of another version")),
            Ok(Left::Damaged) | Err(_) => Some("unknown".to_owned()),
            Ok(Left::Nothing) => None,
        }
    }

    /// Returns since when something is owed that is not in use, in Unix seconds.
    pub(super) fn owed_since(&self) -> Option<i64> {
        match (&self.snapshot, &self.left) {
            (Ok(Some(snapshot)), _) => snapshot.owed_since,
            (_, Ok(Left::Record(record))) if owed(record).is_some() => {
                Some(record.debt.as_ref().map_or(record.at, |debt| debt.since))
            }
            _ => None,
        }
    }

    fn phase(&self, record: Option<&Record>) -> String {
        if self.is_kept() {
            return "its keeper does not answer".to_owned();
        }
        match (record, self.owed()) {
            (_, None) => "down; nothing is owed".to_owned(),
            (Some(record), Some(owed)) => {
                let tried = record.gave_up || record.debt.as_ref().is_some_and(|debt| debt.why.is_some());
                let end = if tried { "ended without letting go of it" } else { "was killed" };
                format!("its keeper {end}; {owed}")
            }
            (None, Some(_)) => "unknown".to_owned(),
        }
    }

    /// Explains why a part of the state is unknown.
    pub(super) fn problem(&self) -> Option<String> {
        match (&self.snapshot, &self.left) {
            (Err(error), _) | (_, Err(error)) => Some(error.to_string()),
            (_, Ok(Left::Damaged)) => Some("the journal is damaged: none of its two records can be read".to_owned()),
            (_, Ok(Left::Foreign { version, word, .. })) => Some(format!(
                "the journal was written by another version of cratedb-test (format {version}) and says `{word}`"
            )),
            (Ok(None), _) if self.keeper.is_some() => {
                Some("its keeper does not listen; it may be about to end".to_owned())
            }
            (Ok(None), Ok(Left::Record(record))) => record.debt.as_ref().and_then(|debt| debt.why.clone()),
            _ => None,
        }
    }
}

/// Returns true for a keeper that should let go of its cluster, or look at what another one left, and can't.
pub(super) fn is_stuck(snapshot: &KeeperSnapshot) -> bool {
    let tries = matches!(snapshot.phase, Phase::Looking | Phase::Releasing);
    snapshot.phase == Phase::Owed || tries && snapshot.trouble.is_some()
}

/// Describes what is still to be released.
fn owed(record: &Record) -> Option<String> {
    let what = named(record).map_or_else(|| "something".to_owned(), |name| format!("`{name}`"));
    Some(match record.word {
        Word::Clean => return None,
        _ if record.held.is_none() => "an acquisition was announced, and nothing was touched yet".to_owned(),
        Word::MaybeUp => format!("{what} was being made available and may be up"),
        Word::Up => format!("{what} was up, to be let go of"),
        Word::MaybeDown => format!("{what} was being let go of and may be up still"),
    })
}

/// Returns the name of the resource in the journal.
fn named(record: &Record) -> Option<String> {
    record.held.as_ref()?.name().map(str::to_owned)
}

impl KeyStatus {
    /// Replaces the state from the journal by the keeper's, which is newer.
    fn live(&mut self, snapshot: &KeeperSnapshot) {
        self.answers = true;
        self.keeper = self.keeper.filter(|pid| *pid != 0).or(Some(snapshot.pid));
        if let Some(provider) = &snapshot.provider {
            self.provider.clone_from(provider);
        }
        self.resource = snapshot.resource.clone().or(self.resource.take());
        self.http_url.clone_from(&snapshot.http_url);
        self.phase = phase(snapshot);
        self.owes = snapshot.owes;
        self.problem = snapshot.trouble.clone();
        self.at = OffsetDateTime::now_utc().unix_timestamp();
        self.sessions = snapshot.sessions.iter().map(SessionStatus::from).collect();
        self.until = snapshot.until;
        self.policies = Some(snapshot.policy.into());
    }
}

fn phase(snapshot: &KeeperSnapshot) -> String {
    let words = match snapshot.phase {
        Phase::Starting => "its keeper has just begun",
        Phase::Looking => "looking at what a killed keeper left",
        Phase::Down => "down",
        Phase::Acquiring => "being made available",
        Phase::Up => return if snapshot.owes { "up" } else { "up; it was found running" }.to_owned(),
        Phase::Warm => "up; kept warm for the next run",
        Phase::Releasing => "being let go of",
        Phase::Owed => "letting go of it failed; the keeper tries again",
        Phase::Failed => "it could not be made available",
    };
    match (&snapshot.step, snapshot.phase) {
        (Some(step), Phase::Looking | Phase::Acquiring | Phase::Releasing) => format!("{words}: {step}"),
        _ => words.to_owned(),
    }
}

impl From<&SessionState> for SessionStatus {
    fn from(session: &SessionState) -> Self {
        Self {
            name: session.name.clone(),
            runners: session.runners.iter().map(Process::from).collect(),
            processes: session.processes,
            since: session.since,
            ends: session.ends.clone(),
            until: session.until,
            tests: session.turns.iter().map(TestStatus::from).collect(),
        }
    }
}

impl From<&Identity> for Process {
    fn from(process: &Identity) -> Self {
        Self { pid: process.pid, command: command_of(process).unwrap_or_else(|| process.name.clone()) }
    }
}

impl From<&Turn> for TestStatus {
    fn from(turn: &Turn) -> Self {
        let Turn { test, schema, mode, runs, since, pid } = turn.clone();
        Self { test, schema, exclusive: mode == Mode::Exclusive, runs, since, pid }
    }
}

impl From<Policy> for Policies {
    fn from(policy: Policy) -> Self {
        let on_exit = match policy.on_exit {
            OnExit::Auto => "auto",
            OnExit::Suspend => "suspend",
            OnExit::Keep => "keep",
            OnExit::Delete => "delete",
        };
        Self { on_exit: on_exit.to_owned(), keep_warm_ms: policy.keep_warm, max_lifetime_ms: policy.max_lifetime }
    }
}

impl fmt::Display for KeyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { "unknown key" } else { &self.key };
        writeln!(f, "{key} [{}]", self.hash)?;
        if let Some(resource) = &self.resource {
            write!(f, "  {}: {resource}", if self.provider.is_empty() { "resource" } else { &self.provider })?;
            // The name of a server that others manage is its address.
            match self.http_url.as_ref().filter(|url| *url != resource) {
                Some(url) => writeln!(f, " at {url}")?,
                None => writeln!(f)?,
            }
        }
        write!(f, "  state: {}", self.phase)?;
        if let Some(since) = self.owed_since {
            write!(f, ", since {}", clock(since))?;
        }
        if let Some(until) = self.until {
            write!(f, ", at the latest until {}", clock(until))?;
        }
        if let Some(pid) = self.keeper.filter(|pid| *pid != 0) {
            write!(f, " (keeper: process {pid})")?;
        }
        if let Some(problem) = &self.problem {
            write!(f, "\n  problem: {problem}")?;
        }
        for session in &self.sessions {
            write!(f, "\n{session}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SessionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "  session `{name}`")?,
            None => f.write_str("  test run")?,
        }
        write!(f, " since {}, {} connected; ends with {}", clock(self.since), processes(self.processes), self.ends)?;
        if let Some(until) = self.until {
            write!(f, " (at {})", clock(until))?;
        }
        for runner in &self.runners {
            write!(f, "\n    {} (process {})", runner.command, runner.pid)?;
        }
        for test in &self.tests {
            write!(f, "\n    {test}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.runs, self.exclusive) {
            (true, false) => "runs",
            (true, true) => "runs alone",
            (false, false) => "waits",
            (false, true) => "waits to run alone",
        };
        let since = OffsetDateTime::now_utc().unix_timestamp().saturating_sub(self.since);
        let since = Duration::from_secs(u64::try_from(since).unwrap_or(0));
        write!(f, "`{}` {what} for {} in process {}", self.test, humantime::format_duration(since), self.pid)
    }
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}
