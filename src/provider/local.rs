//! Servers of this machine: a process of the installation that is named, else a container, else a process of a release that
//! is downloaded; or one error that says what each provider lacks.

#[cfg(feature = "process")]
use std::path::Path;
#[cfg(any(feature = "process", feature = "container"))]
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

#[cfg(feature = "container")]
use super::container::{Container, Engine};
#[cfg(any(feature = "process", feature = "container"))]
use super::jvm::Training;
use super::memory::Memory;
#[cfg(feature = "process")]
use super::process::{self, Process};
#[cfg(feature = "process")]
use super::release::Releases;
use super::{Acquired, Intents, LocalKind, LocalTarget, NotAcquired, OnExit, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};

/// Settings of every server that tests start. Each one exists in all versions from 5.10 on: a server refuses to start for
/// one that it doesn't know.
pub(super) const SETTINGS: [&str; 4] = [
    // A disk that others have filled must not make tables read-only.
    "cluster.routing.allocation.disk.threshold_enabled=false",
    // Every test has tables of its own; the default is 1000 shards.
    "cluster.max_shards_per_node=10000",
    // So that many tables can be made at once.
    "cluster.routing.allocation.node_initial_primaries_recoveries=64",
    // Test runs are no usage worth reporting.
    "udc.enabled=false",
];

/// For clusters of one: it joins nobody, does not insist on limits of the kernel, and elects itself at once instead of after
/// a random part of 100 ms, by which several would get out of each other's way.
pub(super) const SINGLE_NODE: [&str; 2] = ["discovery.type=single-node", "cluster.election.initial_timeout=1ms"];

/// An installation that is named is a choice: it is used and not a container, and if it can't be, that is an error. Only one
/// of another version than a test wants is passed over.
///
/// An engine that answers is used; if it can't make the container, that is an error. Without one, a release is.
pub(crate) struct Local {
    target: LocalTarget,
    memory: Memory,
    /// A cache for the JVM of the server that was started, to be made when nobody needs the server any more.
    #[cfg(any(feature = "process", feature = "container"))]
    training: Mutex<Option<Training>>,
    #[cfg(feature = "process")]
    releases: Releases,
}

impl Local {
    pub(super) fn new(target: LocalTarget) -> Self {
        Self {
            target,
            memory: Memory::default(),
            #[cfg(any(feature = "process", feature = "container"))]
            training: Mutex::default(),
            #[cfg(feature = "process")]
            releases: Releases::of_this_machine(),
        }
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        let acquired = self.start(deadline, progress, intents).await;
        if acquired.is_ok() {
            self.memory.is_up()
        } else {
            self.memory.free()
        }
        acquired
    }

    async fn start(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        #[cfg(any(feature = "process", feature = "container"))]
        for (name, cleared) in clear_trainings(false).await {
            if let Some(Err(error)) = cleared {
                tracing::warn!(%error, name, "what a killed trainer left stays");
            }
        }
        if let Some(home) = &self.target.home
            && self.fits(home, progress).map_err(NotAcquired::nothing)?
        {
            return self.acquire_process(home, deadline, progress, intents).await;
        }
        let lacks = match self.target.kind {
            LocalKind::Process => "CRATEDB_TEST_PROVIDER=process excludes it".to_owned(),
            LocalKind::Auto | LocalKind::Container => match self.acquire_container(deadline, progress, intents).await {
                Ok(acquired) => return acquired,
                Err(lacks) => lacks,
            },
        };
        if self.target.kind == LocalKind::Container {
            let process = "CRATEDB_TEST_PROVIDER=container excludes it";
            return Err(NotAcquired::nothing(self.nothing_usable(&lacks, process)));
        }
        match self.extracted(deadline, progress).await {
            Ok(home) => self.acquire_process(&home, deadline, progress, intents).await,
            Err(why) => Err(NotAcquired::nothing(self.nothing_usable(&lacks, &why))),
        }
    }

    /// Waits for memory: servers of several versions are started at the same time. Not before a download, which needs none.
    #[cfg(any(feature = "process", feature = "container"))]
    async fn has_memory(&self, deadline: Instant, progress: &Progress) -> Result<(), NotAcquired> {
        self.memory.reserve(&self.target, deadline, progress).await.map_err(NotAcquired::nothing)
    }

    /// Whether the installation that is named has the version that is asked for, if one is.
    #[cfg(feature = "process")]
    fn fits(&self, home: &str, progress: &Progress) -> Result<bool> {
        let Some(wanted) = self.target.version else { return Ok(true) };
        match process::home::version(Path::new(home)) {
            Some(version) if wanted.includes(version) => Ok(true),
            Some(version) => {
                progress.step(format!("CRATEDB_HOME=`{home}` is passed over: it has CrateDB {version}, not {wanted}"));
                Ok(false)
            }
            // What else is wrong with it is said when it is used.
            None if !Path::new(home).join("lib").is_dir() => Ok(true),
            None => Err(Error::new(Kind::Setting, format!("cannot use CRATEDB_HOME=`{home}` for CrateDB {wanted}"))
                .because("its lib/ does not tell which version it has: there is no crate-app-<version>.jar")),
        }
    }

    #[cfg(not(feature = "process"))]
    fn fits(&self, _: &str, _: &Progress) -> Result<bool> {
        Ok(true)
    }

    /// The directory of a release, or why there is none.
    #[cfg(feature = "process")]
    async fn extracted(&self, deadline: Instant, progress: &Progress) -> Result<String, String> {
        let Some(wanted) = self.target.version else { return Err("no version is asked for".to_owned()) };
        let obtained = self.releases.obtain(wanted, &self.target.origin, deadline, progress).await;
        let obtained = obtained.map_err(|error| error.to_string().replace('\n', "\n  "))?;
        match obtained.dir.to_str() {
            Some(home) => Ok(home.to_owned()),
            None => Err(format!("the path of the cache is not UTF-8: {}", obtained.dir.display())),
        }
    }

    #[cfg(not(feature = "process"))]
    async fn extracted(&self, _: Instant, _: &Progress) -> Result<String, String> {
        Err("cratedb-test was built without its feature `process`".to_owned())
    }

    #[cfg(feature = "process")]
    async fn acquire_process(&self, home: &str, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        self.has_memory(deadline, progress).await?;
        let process = Process::new(home, &self.target);
        let acquired = process.acquire(deadline, progress, intents).await;
        *self.training.lock().unwrap_or_else(PoisonError::into_inner) = process.training();
        acquired
    }

    /// What is worth doing once everything is let go of. Nothing waits for it, and nothing depends on it.
    #[cfg(any(feature = "process", feature = "container"))]
    pub(super) fn afterwards(&self) {
        let due = self.training.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(training) = due
            && let Err(error) = training.start()
        {
            tracing::warn!(%error, "no cache is made");
        }
    }

    #[cfg(not(any(feature = "process", feature = "container")))]
    pub(super) fn afterwards(&self) {}

    #[cfg(not(feature = "process"))]
    async fn acquire_process(&self, home: &str, _: Instant, _: &Progress, _: &Intents) -> Acquired {
        Err(NotAcquired::nothing(without("process", &format!("cannot use CRATEDB_HOME=`{home}`"))))
    }

    /// How it went, or why there is no engine.
    #[cfg(feature = "container")]
    async fn acquire_container(
        &self,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Result<Acquired, String> {
        let engine = Engine::find().await?;
        if let Err(error) = self.has_memory(deadline, progress).await {
            return Ok(Err(error));
        }
        let container = Container::new(self.target.clone());
        let acquired = container.acquire(&engine, deadline, progress, intents).await;
        *self.training.lock().unwrap_or_else(PoisonError::into_inner) = container.training();
        Ok(acquired)
    }

    #[cfg(not(feature = "container"))]
    async fn acquire_container(&self, _: Instant, _: &Progress, _: &Intents) -> Result<Acquired, String> {
        Err("cratedb-test was built without its feature `container`".to_owned())
    }

    /// Whatever it is, it is removed: nobody knows any more what its tests left in it.
    pub(super) async fn recover(
        &self,
        held: &serde_json::Value,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Option<Resource>> {
        match is_process(held) {
            #[cfg(feature = "process")]
            true => Process::new("", &self.target).remove(held, deadline, progress).await.map(|()| None),
            #[cfg(feature = "container")]
            false => Container::new(self.target.clone()).remove(held, deadline, progress).await.map(|()| None),
            #[cfg(not(all(feature = "process", feature = "container")))]
            _ => Err(cannot_let_go(held, deadline, progress)),
        }
    }

    pub(super) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        let released = self.let_go(held, on_exit, progress).await;
        self.memory.free();
        released
    }

    async fn let_go(&self, held: &serde_json::Value, on_exit: OnExit, progress: &Progress) -> Result<Released> {
        match is_process(held) {
            #[cfg(feature = "process")]
            true => Process::new("", &self.target).release(held, on_exit, progress).await,
            #[cfg(feature = "container")]
            false => Container::new(self.target.clone()).release(held, on_exit, progress).await,
            #[cfg(not(all(feature = "process", feature = "container")))]
            _ => Err(cannot_let_go(held, on_exit, progress)),
        }
    }

    /// One line for each provider, in the order in which they are tried.
    fn nothing_usable(&self, container: &str, process: &str) -> Error {
        let error = Error::new(Kind::Provider, "no CrateDB for the tests")
            .because("nothing is configured, and this machine can start nothing");
        let local = [format!("container: {container}"), format!("process: {process}")];
        self.target.lacking.iter().cloned().chain(local).fold(error, Error::hint)
    }
}

/// Makes a cache for the JVM, in the process of a trainer.
#[cfg(any(feature = "process", feature = "container"))]
pub(super) async fn train(training: &Training) -> Result<()> {
    let Some(mut lease) = training.begin()? else {
        tracing::info!("another trainer is at it, or was");
        return Ok(());
    };
    clear(&mut lease).await?;
    match is_process(&training.with) {
        #[cfg(feature = "process")]
        true => super::process::make(training, &mut lease).await,
        #[cfg(feature = "container")]
        false => super::container::make(training, &mut lease).await,
        #[cfg(not(all(feature = "process", feature = "container")))]
        _ => Err(without("container", "cannot make a cache for the JVM")),
    }
}

/// Removes what killed trainers left: servers, which are dead, and their data. Their names, and how that went; with
/// `dry_run` nothing is done.
#[cfg(any(feature = "process", feature = "container"))]
pub(super) async fn clear_trainings(dry_run: bool) -> Vec<(String, Option<Result<()>>)> {
    let mut all = Vec::new();
    for mut lease in super::jvm::roots().iter().flat_map(|root| super::jvm::left_below(root)) {
        let word = |name: &str| lease.left.as_ref().and_then(|held| held[name].as_str()).unwrap_or_default();
        let name = format!("{} {}", word("provider"), word("name"));
        let cleared = if dry_run { None } else { Some(clear(&mut lease).await) };
        all.push((name, cleared));
    }
    all
}

#[cfg(any(feature = "process", feature = "container"))]
async fn clear(lease: &mut super::jvm::Lease) -> Result<()> {
    if let Some(held) = &lease.left {
        tracing::info!(%held, "a trainer was killed; removing what it left");
        match is_process(held) {
            #[cfg(feature = "process")]
            true => super::process::remove_left(held).await?,
            #[cfg(feature = "container")]
            false => super::container::remove_left(held).await?,
            #[cfg(not(all(feature = "process", feature = "container")))]
            _ => return Err(without("container", "cannot remove what a killed trainer left")),
        }
        lease.settle();
    }
    Ok(())
}

fn is_process(held: &serde_json::Value) -> bool {
    held["provider"] == "process"
}

/// A journal of another build of the same project.
#[cfg(not(all(feature = "process", feature = "container")))]
fn cannot_let_go<T>(held: &serde_json::Value, _: T, _: &Progress) -> Error {
    without(if is_process(held) { "process" } else { "container" }, &format!("cannot let go of {held}"))
}

#[cfg(not(all(feature = "process", feature = "container")))]
fn without(feature: &str, attempted: &str) -> Error {
    Error::new(Kind::Provider, attempted)
        .because(format!("cratedb-test was built without its feature `{feature}`"))
        .hint(format!("add `{feature}` to the features of cratedb-test in Cargo.toml"))
}

#[cfg(all(test, feature = "container"))]
mod tests;
