//! A server as a process of this machine, from `CRATEDB_HOME`: started, and ended with its data.
//!
//! Its directory has a name that the journal knows before there is one, and the process carries that name in its
//! environment. So whatever is left of it is found by its directory alone, also if the keeper was killed before it knew
//! the process's number.

mod cache;
mod command;
pub(super) mod home;
mod left;
mod log;
mod nodes;
mod place;
mod train;
mod user;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::command::Start;
use self::log::Log;
use self::nodes::{Nodes, Trouble};
use self::place::{Bases, Place};
pub(super) use self::train::make;
use self::user::User;
use super::jvm::{Cache, Training};
use super::{Acquired, Intents, JvmCache, LocalTarget, NotAcquired, OnExit, Ours, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};
use crate::host::process::Identity;
use crate::sql::Credentials;

/// Killing a server and deleting its data takes milliseconds; a machine that needs longer is in trouble.
const REMOVAL: Duration = Duration::from_secs(60);

pub(super) struct Process {
    home: PathBuf,
    /// `CRATEDB_HOME` names it.
    named: bool,
    bases: Bases,
    /// `CRATEDB_TEST_ON_EXIT=keep`: the server is not to die with its keeper.
    outlives: bool,
    nodes: u32,
    jvm_cache: JvmCache,
    /// Where caches of JVMs are, if not at the usual place.
    caches: Option<PathBuf>,
    /// What is to be made once nobody needs the server any more.
    training: Mutex<Option<Training>>,
}

/// What the journal says of a process.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    provider: String,
    /// For people who look into journals: the last part of the directory.
    name: String,
    /// All nodes have theirs in it, or it is that of the only one.
    dir: PathBuf,
    /// The server, once it was started; the first one of several nodes.
    server: Option<Identity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<Identity>,
    /// It was started so that it may stay after its keeper's end.
    #[serde(default)]
    outlives: bool,
}

impl Held {
    fn servers(&self) -> Vec<Identity> {
        self.server.iter().chain(&self.others).cloned().collect()
    }
}

impl Process {
    pub(super) fn new(home: &str, target: &LocalTarget) -> Self {
        Self {
            home: home.into(),
            named: target.home.as_deref() == Some(home),
            bases: Bases::of_this_machine(),
            outlives: target.outlives,
            nodes: target.nodes,
            jvm_cache: target.jvm_cache,
            caches: None,
            training: Mutex::default(),
        }
    }

    /// The cache that the next start would use, if it is to be made: once, after a start without it.
    pub(super) fn training(&self) -> Option<Training> {
        self.training.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        let user = user::find();
        home::check(&self.home, self.named, &user).await.map_err(NotAcquired::nothing)?;
        let dir = self.bases.choose(&user, self.nodes).map_err(NotAcquired::nothing)?;
        let mut held = Held {
            provider: "process".to_owned(),
            name: name(&dir),
            dir: dir.clone(),
            server: None,
            others: Vec::new(),
            outlives: self.outlives,
        };
        intents.write(json(&held)).map_err(NotAcquired::nothing)?;
        tracing::info!(dir = %dir.display(), "a server gets this directory");
        let training = self.cache(&user);
        let cache = training.as_ref().map(|training| &training.cache);
        match self.start_somehow(cache, &mut held, &user, deadline, progress, intents).await {
            Ok(resource) => {
                let due = training.filter(|training| self.jvm_cache == JvmCache::Make && training.is_due());
                *self.training.lock().unwrap_or_else(PoisonError::into_inner) = due;
                Ok(resource)
            }
            // Ended here and not by a release, since nothing of it can be used; its log is in the error.
            Err(error) => Err(match left::remove(&dir, &held.servers(), Instant::now() + REMOVAL).await {
                Ok(()) => NotAcquired::nothing(error),
                Err(kept) => NotAcquired::maybe_up(error.hint(kept.to_string())),
            }),
        }
    }

    /// With the JVM's cache if there is one, and without it if the JVM does not survive it.
    async fn start_somehow(
        &self,
        cache: Option<&Cache>,
        held: &mut Held,
        user: &User,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Result<Resource> {
        let given = cache.and_then(|cache| Some((cache, cache.flag()?)));
        let flag = given.as_ref().map_or("", |(_, flag)| flag);
        if let Some((cache, _)) = &given {
            tracing::info!(flag, "the JVM gets its cache");
            cache.used();
        }
        let failure = match self.start(flag, held, user, deadline, progress, intents).await {
            Ok((resource, None)) => return Ok(resource),
            Ok((resource, Some(said))) => {
                if let Some((cache, _)) = given {
                    tracing::warn!(said, "the JVM did not take its cache, which is thrown away");
                    progress.step("the JVM did not take its cache, which is thrown away".to_owned());
                    cache.discard();
                }
                return Ok(resource);
            }
            Err(failure) => failure,
        };
        match given {
            Some((cache, _)) if failure.crashed => {
                tracing::warn!(error = %failure.error, "the JVM ended with its cache, which is thrown away");
                progress.step("the JVM ended with its cache; starting again without it".to_owned());
                cache.discard();
                left::remove(&held.dir, &held.servers(), Instant::now() + REMOVAL).await?;
                (held.server, held.others) = (None, Vec::new());
                let again = self.start("", held, user, deadline, progress, intents).await;
                again.map(|(resource, _)| resource).map_err(|failure| failure.error)
            }
            _ => Err(failure.error),
        }
    }

    /// The cluster, and what the JVM said of a cache that it did not use.
    async fn start(
        &self,
        jvm: &str,
        held: &mut Held,
        user: &User,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Result<(Resource, Option<String>), Failure> {
        let places = Place::make(&held.dir, user, self.nodes)?;
        let data = if self.bases.is_memory(&held.dir) { "in memory" } else { "on disk" };
        let what = if self.nodes == 1 { "CrateDB".to_owned() } else { format!("{} nodes of CrateDB", self.nodes) };
        progress.step(format!("starting {what} from {}, with its data {data}", self.home.display()));
        let start = Start { home: &self.home, dir: &held.dir, user, outlives: self.outlives, nodes: self.nodes, jvm };
        let name = name(&held.dir);
        let mut nodes = Nodes::spawn(&start, places, &name).map_err(|error| self.not_spawned(user, &error))?;
        let mut identities = nodes.identities().into_iter();
        (held.server, held.others) = (identities.next(), identities.collect());
        intents.write(json(held))?;
        match nodes.until_ready(&name, deadline, progress).await {
            Ok(found) => {
                let pg_url = found.psql.and_then(|port| super::url::pg_url(&found.http_url, port, None, None));
                let resource = Resource {
                    provider: "process".to_owned(),
                    name: format!("process {name} (pid {})", nodes.pids()),
                    pg_hint: pg_url
                        .is_none()
                        .then(|| format!("the server at {} does not speak PostgreSQL", found.http_url)),
                    pg_url,
                    user: None,
                    http_url: found.http_url,
                    credentials: Credentials::None,
                    version: found.version,
                    ours: Ours::Started,
                    console: None,
                    held: json(held),
                };
                Ok((resource, nodes.refusal()))
            }
            Err(trouble) => {
                let log = nodes.log_of(&trouble);
                let (error, crashed) = match trouble {
                    Trouble::Ended { node, how, crashed, .. } => (self.ended(&node, &how, log), crashed),
                    Trouble::Failed(error) => (error, false),
                };
                Err(Failure { error: log.at_the_end_of(place::full(&held.dir, error)), crashed })
            }
        }
    }

    /// Ends what the journal names. What is gone is no error.
    pub(super) async fn remove(&self, held: &serde_json::Value, deadline: Instant, progress: &Progress) -> Result<()> {
        let held = read(held)?;
        progress.step(format!("ending process {}", name(&held.dir)));
        left::remove(&held.dir, &held.servers(), deadline).await
    }

    pub(super) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        let known = read(held)?;
        if on_exit != OnExit::Keep || !known.outlives || known.server.is_none() {
            return self.remove(held, Instant::now() + REMOVAL, progress).await.map(|()| Released::Removed);
        }
        let pids: Vec<String> = known.servers().iter().map(|server| server.pid.to_string()).collect();
        Ok(Released::Left(format!(
            "process {} is left running (CRATEDB_TEST_ON_EXIT=keep); kill -9 {} and rm -rf {} remove it",
            name(&known.dir),
            pids.join(" "),
            known.dir.display()
        )))
    }

    fn failed(&self) -> Error {
        Error::new(Kind::Provider, format!("cannot start CrateDB from {}", self.home.display()))
    }

    fn not_spawned(&self, user: &User, error: &std::io::Error) -> Error {
        let failed = self.failed().because(format!("bin/crate can't be run{}", user.as_whom())).because(error);
        match user.is_other() {
            true => {
                failed.hint("CrateDB refuses to run as root, so it is started as another user; run the tests as one")
            }
            false => failed,
        }
    }

    fn ended(&self, node: &str, how: &str, log: &Log) -> Error {
        let ended = self.failed().because(format!("{node} ended ({how})"));
        match log.java_trouble() {
            Some(trouble) => ended.hint(trouble),
            None => ended,
        }
    }
}

/// Why a start failed, and whether the JVM itself is to blame.
struct Failure {
    error: Error,
    crashed: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, crashed: false }
    }
}

/// Removes what a trainer left, in the words of its lock.
pub(super) async fn remove_left(held: &serde_json::Value) -> Result<()> {
    let held = read(held)?;
    left::remove(&held.dir, &held.servers(), Instant::now() + REMOVAL).await
}

fn json(held: &Held) -> serde_json::Value {
    serde_json::to_value(held).expect("plain data is JSON")
}

fn read(held: &serde_json::Value) -> Result<Held> {
    Held::deserialize(held)
        .map_err(|error| Error::new(Kind::Provider, "cannot read what the journal says of a process").because(error))
}

/// The last part of its directory: what people see, as the name of a container is.
fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(all(test, feature = "container"))]
mod tests;
