//! Repairs what killed keepers left, key by key. A key that can't be repaired here does not stop the others.

use std::fmt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::finish::await_end;
use super::status::{Lying, lying, unknown, working_directory};
use crate::error::{Error, Kind, Result};
use crate::host::process::by_name;
use crate::host::{KeyFiles, Locks};
use crate::keeper::{Journal, Left, Record, Word, clock};
use crate::session::{Heard, Inquiry, reach};
use crate::settings::target_of_key;
use crate::target::Target;
use crate::wire::{ClusterOutcome, FromClient, FromKeeper, Hello, PROTOCOL, Phase, Policy, Spec, encode};

/// The time limit for the start of a keeper.
const BIRTH: Duration = Duration::from_secs(30);
/// The time limit for a repair, which may wait for an operation that is under way and then for a suspension.
const REPAIR: Duration = Duration::from_secs(30 * 60);
/// The time that trouble may last before a sweep tells of it. The keeper goes on.
const PATIENCE: Duration = Duration::from_secs(5);

/// The result of sweeping one key.
#[derive(Clone, Debug, Serialize)]
pub struct Swept {
    /// The key as text, or empty if the journal can't be read.
    pub key: String,
    /// The hash of the key, which names its files and selects it.
    pub hash: String,
    /// A description of what its journal said was still to be released.
    pub owed: String,
    /// The time since which it is owed, in Unix seconds, if known.
    pub since: Option<i64>,
    /// `repaired`, `would repair`, `forgotten`, `would forget`, `held` (by a live keeper), `skipped` (it can't be
    /// repaired here) or `failed`.
    pub outcome: String,
    /// Details of the outcome, for display: what was released, or why that failed.
    pub detail: String,
}

/// Releases what the journals of dead keepers owe, with the credentials that the working directory provides. With
/// `dry_run`, nothing is changed, and the outcomes say what would be. `forget` is a key or its hash: the debt of its
/// journal is deleted and returned, and nothing else is done.
///
/// The result omits keys that owe nothing, and keys with a live keeper unless that fails to release the cluster or does
/// not answer. Containers of dead keepers that no journal names are also removed, with one entry each.
///
/// # Errors
///
/// When the state directory can't be used, and when `forget` names no key. A problem with one key is its outcome.
pub fn sweep(dry_run: bool, forget: Option<&str>) -> Result<Vec<Swept>> {
    let all = lying()?;
    if let Some(selector) = forget {
        let named: Vec<&Lying> = all.iter().filter(|lying| lying.is(selector)).collect();
        let [one] = named[..] else { return Err(unknown(selector)) };
        return Ok(vec![drop_debt(one, dry_run)]);
    }
    let dir = working_directory()?;
    let one = |lying: &Lying| match lying.is_kept() {
        true => lying.trouble().map(|why| swept(lying, lying.owed().unwrap_or_default(), "failed", why)),
        false => Some(sweep_one(lying, lying.owed()?, &dir, dry_run)),
    };
    // Containers come last, so that those that journals name are gone by then.
    let swept = all.iter().filter_map(one).chain(of_trainers(dry_run));
    #[cfg(feature = "container")]
    let swept = swept.collect::<Vec<_>>().into_iter().chain(of_containers(dry_run));
    Ok(swept.collect())
}

/// Removes what killed makers of JVM caches left. They have no journal: a lock beside each cache names what they
/// started.
fn of_trainers(dry_run: bool) -> Vec<Swept> {
    let one = |(name, cleared): (String, Option<Result<()>>)| {
        let (outcome, detail) = match cleared {
            None => ("would repair", String::new()),
            Some(Ok(())) => ("repaired", "removed".to_owned()),
            Some(Err(error)) => ("failed", error.to_string()),
        };
        Swept {
            key: "cache of the JVM".to_owned(),
            hash: String::new(),
            owed: name,
            since: None,
            outcome: outcome.to_owned(),
            detail,
        }
    };
    crate::provider::clear_trainings(dry_run).into_iter().map(one).collect()
}

/// Removes containers of dead keepers that no journal names, at every engine of this machine that answers. Their labels
/// say which keeper they belonged to.
#[cfg(feature = "container")]
fn of_containers(dry_run: bool) -> Vec<Swept> {
    match crate::background::wait(crate::provider::sweep_containers(dry_run, container_is_owed)) {
        Ok(found) => found.into_iter().map(of_container).collect(),
        Err(error) => vec![Swept {
            key: "containers".to_owned(),
            hash: String::new(),
            owed: "unknown".to_owned(),
            since: None,
            outcome: "failed".to_owned(),
            detail: error.to_string(),
        }],
    }
}

/// Returns true if a journal names a container, which is then repaired with its key. The names of a cluster's further
/// containers begin with that of the first.
#[cfg(feature = "container")]
fn container_is_owed(journal: &Path, name: &str) -> bool {
    let Ok(Left::Record(record)) = Journal::look(journal) else { return false };
    let Some(first) = record.held.as_ref().and_then(crate::provider::Held::name) else { return false };
    let rest = name.strip_prefix(first);
    record.word != Word::Clean && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(feature = "container")]
fn of_container(left: crate::provider::Leftover) -> Swept {
    let (outcome, detail) = match left.removed {
        None => ("would repair", left.why.to_owned()),
        Some(Ok(())) => ("repaired", format!("removed: {}", left.why)),
        Some(Err(error)) => ("failed", error.to_string()),
    };
    let hash = crate::host::Places::find().map(|places| places.key(&left.key).hash).unwrap_or_default();
    let owed = format!("container {}, which no journal names", left.name);
    Swept { key: left.key, hash, owed, since: None, outcome: outcome.to_owned(), detail }
}

/// Tries once to release what a killed keeper of this key owes, with the settings of its holder. Returns the outcome
/// and its details, or `None` if nothing is owed or a keeper is working on it.
pub(super) fn repair_once(
    files: &KeyFiles,
    target: &Target,
    wait: Duration,
    on_trouble: &dyn Fn(&str),
) -> Result<Option<(ClusterOutcome, String)>> {
    let lying = Lying::look(files.clone());
    match &lying.left {
        Ok(Left::Record(record)) if record.word != Word::Clean && record.held.is_some() && !lying.is_busy() => {
            repair(&lying, target.clone(), record, wait, None, on_trouble).map(Some)
        }
        _ => Ok(None),
    }
}

fn sweep_one(lying: &Lying, owed: String, dir: &Path, dry_run: bool) -> Swept {
    let (outcome, detail) = match plan(lying, dir) {
        Err(why) => ("skipped", why.to_string()),
        Ok(_) if dry_run => ("would repair", String::new()),
        Ok(Plan::Forget) => match write_clean(&lying.files) {
            Ok(()) => ("repaired", "nothing had been touched".to_owned()),
            Err(error) => ("failed", error.to_string()),
        },
        Ok(Plan::Repair(target, record)) => match repair(lying, *target, &record, REPAIR, Some(PATIENCE), &|_| {}) {
            Ok((outcome, detail)) => told(outcome, detail),
            Err(error) => ("failed", error.to_string()),
        },
    };
    swept(lying, owed, outcome, detail)
}

fn swept(lying: &Lying, owed: String, outcome: &str, detail: String) -> Swept {
    let (key, hash) = (lying.key.clone(), lying.files.hash.clone());
    Swept { key, hash, owed, since: lying.owed_since(), outcome: outcome.to_owned(), detail }
}

/// Translates the outcome of a release into that of a sweep.
fn told(outcome: ClusterOutcome, detail: String) -> (&'static str, String) {
    let detail = if detail.is_empty() { outcome.to_string() } else { format!("{outcome}: {detail}") };
    match outcome {
        outcome if outcome.is_owed() => ("failed", detail),
        ClusterOutcome::Held | ClusterOutcome::Warm => ("held", detail),
        _ => ("repaired", detail),
    }
}

enum Plan {
    /// Nothing was touched, so only the journal has to be corrected.
    Forget,
    Repair(Box<Target>, Box<Record>),
}

/// Decides how to repair a key. The error says why it can't be repaired.
fn plan(lying: &Lying, dir: &Path) -> Result<Plan> {
    let skip = |why: String| Error::new(Kind::Session, "its journal can't be used").because(why);
    match &lying.left {
        Ok(Left::Record(record)) if record.held.is_none() => Ok(Plan::Forget),
        Ok(Left::Record(record)) => Ok(Plan::Repair(Box::new(target_of_key(dir, &lying.key)?), record.clone())),
        Ok(_) => Err(skip(lying.problem().unwrap_or_default())
            .hint("let go by hand of what it names, then `cargo cratedb sweep --forget` it")),
        Err(error) => Err(error.clone()),
    }
}

/// Starts a keeper that releases what its predecessor left, and returns the outcome and its details.
///
/// The only client claims to belong to a run that is over. A keeper makes no cluster available for such a client. With
/// `patience`, trouble that lasts longer is the outcome, and the keeper goes on.
fn repair(
    lying: &Lying,
    target: Target,
    record: &Record,
    wait: Duration,
    patience: Option<Duration>,
    on_trouble: &dyn Fn(&str),
) -> Result<(ClusterOutcome, String)> {
    let client = reach(&lying.files, Instant::now() + BIRTH)?;
    let gone = || {
        Error::new(Kind::Session, "the keeper that should repair it ended at once")
            .hint(format!("its log is {}", lying.files.log.display()))
    };
    let mut observer = Inquiry::of(&lying.files)?.ok_or_else(gone)?;
    observer.status(true)?.ok_or_else(gone)?;
    greet(&client, spec(&lying.key, target, record))?;
    // A connected client would keep the cluster up, so it disconnects once the keeper has begun.
    let deadline = Instant::now() + BIRTH;
    while let Heard::Message(message) = observer.next(deadline)? {
        if matches!(*message, FromKeeper::State(snapshot) if snapshot.phase != Phase::Starting) {
            break;
        }
    }
    drop(client);
    await_end(&mut observer, &lying.files, record.held.as_ref(), wait, patience, on_trouble)
}

/// Returns the settings for a keeper that only releases: the policy of the last session, without keeping anything warm.
fn spec(key: &str, target: Target, record: &Record) -> Spec {
    let policy = Policy { keep_warm: 0, ..record.policy.unwrap_or_default() };
    // A sweep is no session that people want to look at.
    let project = String::new();
    Spec { key: key.to_owned(), target, policy, report: None, log: "info".to_owned(), notes: Vec::new(), project }
}

fn greet(client: &UnixStream, spec: Spec) -> Result<()> {
    use std::io::Write as _;
    // Without this process as a runner: it is alive, and the keeper would wait for its end.
    let process = by_name(false);
    let hello = FromClient::Hello(Box::new(Hello {
        protocol: PROTOCOL,
        spec,
        own: process.own,
        runners: process.runners,
        orphan: true,
        doomed: false,
        open: Vec::new(),
        binary: "sweep".to_owned(),
        session: None,
        setups: Vec::new(),
    }));
    let frame = encode(&hello)?;
    let mut client = client;
    client.write_all(&frame).map_err(|error| Error::new(Kind::Session, "cannot talk to the keeper").because(error))
}

/// Deletes the debt of a journal, and returns what it was.
fn drop_debt(lying: &Lying, dry_run: bool) -> Swept {
    let owed = lying.owed().unwrap_or_else(|| "nothing".to_owned());
    if lying.is_kept() {
        return swept(
            lying,
            owed,
            "held",
            "its keeper lives: `cargo cratedb finish` ends what nobody holds".to_owned(),
        );
    }
    let detail = match &lying.left {
        Ok(Left::Record(record)) => record.held.as_ref().map(ToString::to_string).unwrap_or_default(),
        _ => lying.problem().unwrap_or_default(),
    };
    if dry_run {
        return swept(lying, owed, "would forget", detail);
    }
    match write_clean(&lying.files) {
        Ok(()) => swept(lying, owed, "forgotten", detail),
        Err(error) => swept(lying, owed, "failed", error.to_string()),
    }
}

/// Records in a journal that nothing is owed, unless a keeper has started meanwhile.
fn write_clean(files: &KeyFiles) -> Result<()> {
    let mut locks = Locks::take();
    let _birth = locks.lock(&files.birth, Instant::now() + BIRTH)?;
    let Some(_lifetime) = locks.try_lock(&files.lifetime)? else {
        return Err(Error::new(Kind::Session, "a keeper lives again").hint("see `cargo cratedb status`"));
    };
    match Journal::look(&files.journal)? {
        Left::Record(_) | Left::Nothing => {}
        // It can't be read, so it is replaced by a new one.
        Left::Foreign { .. } | Left::Damaged => {
            std::fs::OpenOptions::new().write(true).truncate(true).open(&files.journal).map_err(|error| {
                Error::new(Kind::Session, format!("cannot empty {}", files.journal.display())).because(error)
            })?;
        }
    }
    Journal::open(&files.journal, "")?.write_synced(|record| {
        (record.word, record.held, record.debt) = (Word::Clean, None, None);
        record.undropped.clear();
    })
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_empty() { &self.hash } else { &self.key };
        write!(f, "{key}: {}", self.owed)?;
        if let Some(since) = self.since {
            write!(f, ", since {}", clock(since))?;
        }
        write!(f, "; {}", self.outcome)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}
