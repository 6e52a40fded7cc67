//! A server as a process of this machine, from an installation: started, and ended with its data.
//!
//! The journal knows the name of the server's directory before the directory exists, and the process carries the name
//! in its environment. So all that is left of a server is found by its directory alone, even if the keeper was killed
//! before it knew the process id.

mod cache;
mod command;
mod directory;
pub(super) mod installation;
mod log;
mod nodes;

use std::path::{Path, PathBuf};
use std::time::Instant;

pub(super) use self::cache::train;
use self::command::{ServerCommand, ServerUser};
use self::directory::{DataDirs, NodeDir};
use self::log::Log;
use self::nodes::{End, Nodes, Trouble};
use super::guard::Guard;
use super::held::HeldProcesses;
use super::jvm::{AotCache, TrainingSlot};
use super::local::{self, REMOVAL};
use super::{Acquired, Held, Intents, NotAcquired, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};
use crate::host::process::Identity;
use crate::target::{JvmCache, LocalTarget, OnExit, Security, ServerSettings};

pub(super) struct ProcessProvider {
    home: PathBuf,
    /// Set if `CRATEDB_HOME` names it.
    named: bool,
    bases: DataDirs,
    /// Set if the server can outlive its keeper (`CRATEDB_TEST_ON_EXIT=keep`).
    outlives: bool,
    nodes: u32,
    settings: ServerSettings,
    security: Security,
    jvm_cache: JvmCache,
    /// The directory of JVM caches, if it is not the usual one.
    caches: Option<PathBuf>,
    /// The cache to be made when the server is no longer needed.
    pub(super) training: TrainingSlot,
}

/// The parameters of one start, and the record of what it has started.
struct ProcessStart<'a> {
    held: HeldProcesses,
    user: &'a ServerUser,
    deadline: Instant,
    progress: &'a Progress,
    intents: &'a Intents,
}

impl ProcessStart<'_> {
    async fn remove(&self) -> Result<()> {
        directory::remove(&self.held.dir, &self.held.servers(), Instant::now() + REMOVAL).await
    }
}

impl HeldProcesses {
    /// Returns the record of a server whose directory is chosen and does not exist yet.
    fn planned(dir: &Path, outlives: bool) -> Self {
        Self { name: name(dir), dir: dir.to_owned(), server: None, others: Vec::new(), outlives }
    }

    fn servers(&self) -> Vec<Identity> {
        self.server.iter().chain(&self.others).cloned().collect()
    }
}

impl ProcessProvider {
    pub(super) fn new(home: &str, target: &LocalTarget) -> Self {
        Self {
            home: home.into(),
            named: target.home.as_deref() == Some(home),
            bases: DataDirs::of_this_machine(),
            outlives: target.outlives,
            nodes: target.nodes,
            settings: target.settings.clone(),
            security: target.security,
            jvm_cache: target.jvm_cache,
            caches: None,
            training: TrainingSlot::default(),
        }
    }

    /// Checks that a server can be started from the installation.
    pub(super) async fn check(&self) -> Result<()> {
        installation::check(&self.home, self.named, &ServerUser::find()).await
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        self.check().await.map_err(NotAcquired::nothing)?;
        let user = ServerUser::find();
        let dir = self.bases.choose(&user, self.nodes).map_err(NotAcquired::nothing)?;
        let held = HeldProcesses::planned(&dir, self.outlives);
        intents.write(Held::Process(held.clone())).map_err(NotAcquired::nothing)?;
        tracing::info!(dir = %dir.display(), "a server gets this directory");
        let training = self.cache(&user);
        let cache = training.as_ref().map(|training| &training.cache);
        let mut start = ProcessStart { held, user: &user, deadline, progress, intents };
        match self.start_somehow(cache, &mut start).await {
            Ok(resource) => {
                let due = training.filter(|training| self.jvm_cache == JvmCache::Make && training.is_due());
                self.training.put(due);
                Ok(resource)
            }
            // Removed here and not by a release, since nothing of it is usable. The error quotes its log.
            Err(error) => Err(match start.remove().await {
                Ok(()) => NotAcquired::nothing(error),
                Err(kept) => NotAcquired::maybe_up(error.hint(kept.to_string())),
            }),
        }
    }

    /// Starts the server with the JVM's cache if there is one, and again without it if it crashes the JVM.
    async fn start_somehow(&self, cache: Option<&AotCache>, start: &mut ProcessStart<'_>) -> Result<Resource> {
        let progress = start.progress;
        let given = cache.and_then(|cache| Some((cache, cache.flag()?)));
        let flag = given.as_ref().map_or("", |(_, flag)| flag);
        if let Some((cache, _)) = &given {
            tracing::info!(flag, "the JVM gets its cache");
            cache.used();
        }
        let failure = match self.start(flag, start).await {
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
                start.remove().await?;
                (start.held.server, start.held.others) = (None, Vec::new());
                self.start("", start).await.map(|(resource, _)| resource).map_err(|failure| failure.error)
            }
            _ => Err(failure.error),
        }
    }

    /// Starts the cluster. Returns with it the reason that the JVM logged for not using its cache, if it did not.
    async fn start(&self, jvm: &str, start: &mut ProcessStart<'_>) -> Result<(Resource, Option<String>), StartFailure> {
        let ProcessStart { held, user, deadline, progress, intents } = start;
        let guard = Guard::of(self.security, "127.0.0.1")?;
        let places = NodeDir::make(&held.dir, user, self.nodes, guard.as_ref())?;
        let data = if self.bases.is_memory(&held.dir) { "in memory" } else { "on disk" };
        let what = if self.nodes == 1 { "CrateDB".to_owned() } else { format!("{} nodes of CrateDB", self.nodes) };
        progress.step(format!("starting {what} from {}, with its data {data}", self.home.display()));
        let Self { ref home, outlives, nodes, ref settings, .. } = *self;
        let guard = guard.as_ref();
        let command = ServerCommand { home, dir: &held.dir, user, outlives, nodes, settings, guard, jvm };
        let mut nodes = Nodes::spawn(&command, places, &held.name).map_err(|error| self.not_spawned(user, &error))?;
        let mut identities = nodes.identities().into_iter();
        (held.server, held.others) = (identities.next(), identities.collect());
        intents.write(Held::Process(held.clone()))?;
        match nodes.until_ready(&held.name, guard, *deadline, progress).await {
            Ok(found) => {
                let name = format!("process {} (pid {})", held.name, nodes.pids());
                let held = Held::Process(held.clone());
                let mut resource =
                    local::resource(name, found.http_url, found.psql, found.entrance, found.version, held);
                let refusal = nodes.refusal();
                resource.nodes = Some(nodes.watched());
                Ok((resource, refusal))
            }
            Err(trouble) => {
                let log = nodes.log_of(&trouble);
                let (error, crashed) = match trouble {
                    Trouble::Ended(end) => (self.ended(&end, log), end.crashed()),
                    Trouble::Failed(error) => (error, false),
                };
                Err(StartFailure { error: log.at_the_end_of(directory::full(&held.dir, error)), crashed })
            }
        }
    }

    fn failed(&self) -> Error {
        Error::new(Kind::Provider, format!("cannot start CrateDB from {}", self.home.display()))
    }

    fn not_spawned(&self, user: &ServerUser, error: &std::io::Error) -> Error {
        let help = "CrateDB refuses to run as root, so it is started as another user; run the tests as one";
        let failed = self.failed().because(format!("bin/crate can't be run{}", user.as_whom())).because(error);
        failed.hints(user.is_other().then_some(help))
    }

    fn ended(&self, end: &End, log: &Log) -> Error {
        self.failed().because(end.told(self.nodes)).hints(log.java_trouble())
    }
}

/// The failure of a start.
struct StartFailure {
    error: Error,
    /// Set if the JVM itself crashed.
    crashed: bool,
}

impl From<Error> for StartFailure {
    fn from(error: Error) -> Self {
        Self { error, crashed: false }
    }
}

/// Ends the servers that the journal names, and deletes their data. It is no error if they are gone.
pub(super) async fn remove(held: &HeldProcesses, deadline: Instant, progress: &Progress) -> Result<()> {
    progress.step(format!("ending process {}", name(&held.dir)));
    directory::remove(&held.dir, &held.servers(), deadline).await
}

pub(super) async fn release(held: &HeldProcesses, on_exit: OnExit, progress: &Progress) -> Result<Released> {
    if on_exit != OnExit::Keep || !held.outlives || held.server.is_none() {
        return remove(held, Instant::now() + REMOVAL, progress).await.map(|()| Released::Removed);
    }
    let pids: Vec<String> = held.servers().iter().map(|server| server.pid.to_string()).collect();
    Ok(Released::Left(format!(
        "process {} is left running (CRATEDB_TEST_ON_EXIT=keep); kill -9 {} and rm -rf {} remove it",
        name(&held.dir),
        pids.join(" "),
        held.dir.display()
    )))
}

/// Returns the last part of the server's directory, by which people see it, as they see the name of a container.
fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(all(test, feature = "container"))]
mod tests;
