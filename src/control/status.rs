//! Every key that ever had a keeper here: what its keeper says, or its journal where the keeper is dead.

mod display;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::host::process::{Identity, command_of};
use crate::host::{KeyFiles, Locks, Places};
use crate::keeper::{Journal, Left, Record, Word};
use crate::session::Inquiry;
use crate::settings::Settings;
use crate::target::OnExit;
use crate::wire::{Mode, Phase, Policy, SessionState, Snapshot, Turn};

/// One key: a cluster as settings name it, and what becomes of it.
#[derive(Clone, Debug, Serialize)]
pub struct KeyStatus {
    /// The key in clear; empty where the journal can't be read.
    pub key: String,
    /// Names its files, and selects it.
    pub hash: String,
    /// `url`, `cloud`, `local`, or empty.
    pub provider: String,
    /// The cluster's or container's name, if one is known.
    pub resource: Option<String>,
    /// What is going on, in plain words.
    pub phase: String,
    /// Process id of the keeper, if one lives.
    pub keeper: Option<u32>,
    /// Whether the keeper that lives answered.
    pub answers: bool,
    /// Whether something is or may be up that has to be let go of.
    pub owes: bool,
    /// Unix seconds: when this was said (a live keeper) or written (a journal).
    pub at: i64,
    /// Who holds it, or waits for it.
    pub sessions: Vec<SessionStatus>,
    /// Unix seconds: when it is let go of at the latest, as far as that is known.
    pub until: Option<i64>,
    /// What decides when and how it is let go of.
    pub policies: Option<Policies>,
    /// Why something of this can't be known.
    pub problem: Option<String>,
    /// The keeper's log.
    pub log: PathBuf,
    /// What survives the keeper.
    pub journal: PathBuf,
}

/// A session, as its keeper knows it.
#[derive(Clone, Debug, Serialize)]
pub struct SessionStatus {
    /// The name of an explicit session.
    pub name: Option<String>,
    /// The processes whose life is the session: every `cargo` above its tests, or the holder of an explicit one.
    pub runners: Vec<Process>,
    /// Processes that are connected.
    pub processes: usize,
    /// Unix seconds.
    pub since: i64,
    /// What ends it, in plain words.
    pub ends: String,
    /// Unix seconds: when it ends if nothing happens until then.
    pub until: Option<i64>,
    /// Tests that run or wait for their turn.
    pub tests: Vec<TestStatus>,
}

/// A process, with its command where that can be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Name and arguments, or the name alone.
    pub command: String,
}

/// One attempt of a test.
#[derive(Clone, Debug, Serialize)]
pub struct TestStatus {
    /// Module and name.
    pub test: String,
    /// Where its tables are.
    pub schema: String,
    /// Whether it wants the cluster for itself.
    pub exclusive: bool,
    /// Whether it runs; if not, it waits for its turn.
    pub runs: bool,
    /// Unix seconds: since when it runs or waits.
    pub since: i64,
    /// The process it belongs to.
    pub pid: u32,
}

/// The settings that decide when and how a cluster is let go of.
#[derive(Clone, Debug, Serialize)]
pub struct Policies {
    /// `CRATEDB_TEST_ON_EXIT`.
    pub on_exit: String,
    /// `CRATEDB_TEST_KEEP_WARM`, in milliseconds.
    pub keep_warm_ms: u64,
    /// `CRATEDB_TEST_MAX_LIFETIME`, in milliseconds.
    pub max_lifetime_ms: u64,
}

/// All keys of this user's state directory.
///
/// # Errors
///
/// When the directory can't be used. What is wrong with one key is told with that key.
pub fn keys() -> Result<Vec<KeyStatus>> {
    Ok(lying()?.iter().map(Lying::status).collect())
}

/// The log of a key's keeper: `selector` is a key, its hash, or the name of a session; without one, the key of the
/// settings of the working directory.
///
/// # Errors
///
/// When the selector names no key, when the settings can't be read, and when there is no log; the error says where it
/// would be.
pub fn log_path(selector: Option<&str>) -> Result<PathBuf> {
    let log = match selector {
        None => of_settings()?.1.log,
        Some(selector) => {
            let all = lying()?;
            let found = all.iter().find(|lying| lying.is(selector) || lying.has_session(selector));
            found.ok_or_else(|| unknown(selector))?.files.log.clone()
        }
    };
    match log.is_file() {
        true => Ok(log),
        false => {
            Err(Error::new(Kind::Session, "there is no log yet").because(format!("it would be {}", log.display())))
        }
    }
}

/// Whether an error of this module says that there is no such key or session.
pub fn is_unknown(error: &Error) -> bool {
    error.kind() == Kind::Usage
}

pub(super) fn unknown(selector: &str) -> Error {
    Error::new(Kind::Usage, format!("no key and no session of a living keeper is called `{selector}`"))
        .hint("`cargo cratedb status` lists them")
}

/// The settings of the working directory, and the files of their key.
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

/// A key as its files and its keeper show it.
pub(super) struct Lying {
    pub(super) files: KeyFiles,
    /// In clear; empty where nobody knows it any more.
    pub(super) key: String,
    pub(super) left: Result<Left>,
    /// The process that holds the lifetime lock.
    pub(super) keeper: Option<u32>,
    snapshot: Result<Option<Snapshot>>,
}

/// Everything that lies in the state directory.
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

/// Journals are named by the hash of their key, 16 hexadecimal digits.
fn hash_of(path: &Path) -> Option<String> {
    let hash = path.file_stem()?.to_str()?;
    let named = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    (named && path.extension()? == "journal").then(|| hash.to_owned())
}

impl Lying {
    pub(super) fn look(files: KeyFiles) -> Self {
        let left = Journal::look(&files.journal);
        let keeper = Locks::take().holder(&files.lifetime).ok().flatten();
        let snapshot = match Inquiry::of(&files) {
            Ok(Some(mut observer)) => observer.status(false),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let written = match &left {
            Ok(Left::Record(record)) => record.key.clone(),
            Ok(Left::Foreign { key, .. }) => key.clone(),
            _ => String::new(),
        };
        let told = snapshot.as_ref().ok().and_then(Option::as_ref).map(|snapshot| snapshot.key.clone());
        let key = told.filter(|key| !key.is_empty()).unwrap_or(written);
        Self { files, key, left, keeper, snapshot }
    }

    /// Whether a selector means this key: the key, its hash or the beginning of its hash.
    pub(super) fn is(&self, selector: &str) -> bool {
        let hash = selector.len() >= 4 && self.files.hash.starts_with(selector);
        hash || !selector.is_empty() && self.key == selector
    }

    pub(super) fn has_session(&self, name: &str) -> bool {
        let Ok(Some(snapshot)) = &self.snapshot else { return false };
        let living = snapshot.sessions.iter().any(|session| session.name.as_deref() == Some(name));
        living || snapshot.ended.iter().any(|ended| ended == name)
    }

    /// Whether a keeper lives, whatever it says.
    pub(super) fn is_kept(&self) -> bool {
        self.keeper.is_some() || matches!(self.snapshot, Ok(Some(_)))
    }

    /// Whether a keeper lives that knows what it does.
    pub(super) fn is_busy(&self) -> bool {
        match &self.snapshot {
            Ok(Some(snapshot)) => snapshot.phase != Phase::Starting,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Why a keeper that lives does not let go of what is owed, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        let log = self.files.log.display();
        match &self.snapshot {
            Ok(Some(snapshot)) if snapshot.phase == Phase::Owed => Some(format!(
                "its keeper (process {}) fails to let go of it and tries again; its log is {log}",
                snapshot.pid
            )),
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
            phase: self.phase(record),
            keeper: self.keeper,
            answers: false,
            owes: self.owed().is_some(),
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

    /// What the journal owes, in plain words.
    pub(super) fn owed(&self) -> Option<String> {
        match &self.left {
            Ok(Left::Record(record)) => owed(record),
            Ok(Left::Foreign { word, .. }) => Some(format!("`{word}`, in the words of another version")),
            Ok(Left::Damaged) | Err(_) => Some("unknown".to_owned()),
            Ok(Left::Nothing) => None,
        }
    }

    fn phase(&self, record: Option<&Record>) -> String {
        if self.is_kept() {
            return "its keeper does not answer".to_owned();
        }
        match record {
            Some(record) if record.word == Word::Clean => "down; nothing is owed".to_owned(),
            Some(record) => format!("its keeper was killed; {}", owed(record).unwrap_or_default()),
            None if self.owed().is_some() => "unknown".to_owned(),
            None => "down; nothing is owed".to_owned(),
        }
    }

    /// Why something can't be known.
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
            _ => None,
        }
    }
}

/// What is owed, in plain words.
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

/// What the provider called it in the journal.
fn named(record: &Record) -> Option<String> {
    record.held.as_ref()?.name().map(str::to_owned)
}

impl KeyStatus {
    /// What the keeper says is newer than its journal.
    fn live(&mut self, snapshot: &Snapshot) {
        self.answers = true;
        self.keeper = self.keeper.filter(|pid| *pid != 0).or(Some(snapshot.pid));
        if let Some(provider) = &snapshot.provider {
            self.provider.clone_from(provider);
        }
        self.resource = snapshot.resource.clone().or(self.resource.take());
        self.phase = phase(snapshot);
        self.owes = snapshot.owes;
        self.at = time::OffsetDateTime::now_utc().unix_timestamp();
        self.sessions = snapshot.sessions.iter().map(SessionStatus::from).collect();
        self.until = snapshot.until;
        self.policies = Some(snapshot.policy.into());
    }
}

fn phase(snapshot: &Snapshot) -> String {
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
