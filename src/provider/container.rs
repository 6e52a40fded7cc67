//! A server in a container: started, and removed with its data. A cluster has one container for each node.
//!
//! testcontainers starts containers but does not own them. It would remove them in the process that started them, and a
//! keeper may be killed. So the journal knows the name of a container before the engine does, and by that name it is
//! removed. Labels tell the owner to a sweep that has no journal.

mod cache;
mod command;
mod engine;
mod find;
mod image;
mod labels;

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(super) use self::cache::train;
use self::command::CacheMount;
use self::engine::ContainerState;
pub(super) use self::engine::Engine;
pub(crate) use self::labels::{Leftover, sweep};
use super::guard::{Entrance, Guard};
use super::held::HeldContainers;
use super::jvm::TrainingSlot;
use super::local::{self, REMOVAL};
use super::{Acquired, Held, Intents, NodeWatch, NotAcquired, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};
use crate::host::private_file;
use crate::host::process::Identity;
use crate::probe::{self, Readiness};
use crate::target::{LocalTarget, OnExit, Security, ServerSettings};
use crate::wait::{self, Look};

pub(super) struct ContainerProvider {
    target: LocalTarget,
    /// The cache that the last start lacked, to be made.
    pub(super) training: TrainingSlot,
    /// The directory of caches, for tests.
    caches: Option<PathBuf>,
}

/// The parameters of one start.
#[derive(Clone, Copy)]
struct ContainerStart<'a> {
    held: &'a HeldContainers,
    engine: &'a Engine,
    journal: Option<&'a Path>,
    deadline: Instant,
    progress: &'a Progress,
}

/// The server that is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    image: &'a str,
    settings: &'a ServerSettings,
    security: Security,
}

impl HeldContainers {
    fn new(nodes: u32, engine: &Engine) -> Self {
        let name = format!("cratedb-test-{:08x}", fastrand::u32(..));
        Self { name, nodes, engine: Some(engine.address.clone()), ca: None }
    }

    /// Returns the name of each node's container. The first one's network is used by the others.
    fn containers(&self) -> Vec<String> {
        let others = (2..=self.nodes).map(|node| format!("{}-{node}", self.name));
        std::iter::once(self.name.clone()).chain(others).collect()
    }

    /// Describes the containers for people.
    fn describe(&self) -> String {
        match self.nodes {
            1 => format!("container {}", self.name),
            nodes => format!("{nodes} containers {}", self.containers().join(", ")),
        }
    }

    fn removal(&self) -> String {
        format!("docker rm -v -f {}", self.containers().join(" "))
    }

    /// Removes all containers. The error of one is returned after all were tried.
    async fn remove_at(&self, engine: &Engine, deadline: Instant) -> Result<()> {
        // Some engines remove a container only after those that use its network.
        let all = self.containers();
        let others = all.iter().skip(1).map(|name| engine.remove(name, deadline));
        let others = futures_util::future::join_all(others).await;
        let first = engine.remove(&self.name, deadline).await;
        if let Some(ca) = self.ca.as_ref().filter(|ca| is_ours(ca)) {
            let _ = std::fs::remove_file(ca);
        }
        others.into_iter().chain([first]).collect()
    }

    /// Starts all containers, and returns the host at which their ports are found, and what guards them.
    async fn start(
        &self,
        engine: &Engine,
        asked: Asked<'_>,
        labels: HashMap<String, String>,
        cache: &CacheMount,
    ) -> Result<(String, Option<Guard>)> {
        let (address, host) = engine.reachable().await;
        let guard = Guard::of(asked.security, &host)?;
        if let (Some(guard), Some(ca)) = (&guard, &self.ca) {
            private_file()
                .write(true)
                .create(true)
                .truncate(true)
                .open(ca)
                .and_then(|mut file| file.write_all(guard.ca_pem().as_bytes()))
                .map_err(|error| Error::new(Kind::Provider, format!("cannot write {}", ca.display())).because(error))?;
        }
        let Asked { image, settings, .. } = asked;
        let (names, memory) = (self.containers(), engine.memory().await);
        let guarded = guard.as_ref();
        let cluster = command::ClusterSpec { image, names: &names, labels, address, memory, settings, guarded, cache };
        cluster.start(engine).await?;
        Ok((host, guard))
    }

    /// Returns the ports of this machine for HTTP and PostgreSQL of the first container.
    async fn ports(&self, engine: &Engine) -> Result<(u16, u16)> {
        let name = &self.name;
        // Some engines map ports a moment after the start.
        let limit = Instant::now() + Duration::from_secs(5);
        let awaited = format!("the ports of container {name}");
        let looked = || async {
            let ContainerState::Running(found) = engine.look(name).await? else {
                return Ok(Look::NotYet("it does not run".to_owned()));
            };
            let ports = [command::HTTP, command::POSTGRESQL].map(|port| engine::mapped(&found, port));
            Ok(match ports {
                [Some(http), Some(pg)] => Look::Ready((http, pg)),
                _ => Look::NotYet("the engine mapped none for it".to_owned()),
            })
        };
        wait::until(&awaited, wait::SERVER, limit, |_| (), looked)
            .await
            .map_err(|error| error.hint(format!("`docker port {name}` shows what an engine maps for a container")))
    }
}

impl ContainerProvider {
    pub(super) fn new(target: LocalTarget) -> Self {
        Self { target, training: TrainingSlot::default(), caches: None }
    }

    #[cfg(test)]
    fn in_caches(target: LocalTarget, caches: &Path) -> Self {
        Self { caches: Some(caches.to_owned()), ..Self::new(target) }
    }

    pub(super) async fn acquire(
        &self,
        engine: &Engine,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Acquired {
        let ca = (!self.target.security.is_open()).then(|| ca_file(intents.journal()));
        let held = HeldContainers { ca, ..HeldContainers::new(self.target.nodes, engine) };
        intents.write(Held::Container(held.clone())).map_err(NotAcquired::nothing)?;
        tracing::info!(engine = engine.address.host, name = held.name, held.nodes, "this engine gets the containers");
        // Nothing has been created as long as there is no image.
        let image = tokio::select! {
            image = self.image(engine, deadline, progress) => image,
            () = progress.unwanted() => Err(self.failed().because("no client waits for it any more")),
        };
        let image = image.map_err(NotAcquired::nothing)?;
        let start = ContainerStart { held: &held, engine, journal: intents.journal(), deadline, progress };
        match self.start(start, &image).await {
            Ok(resource) => Ok(Resource { nodes: Some(watched(&held, engine).await), ..resource }),
            // Removed here and not by a release, since nothing of it is usable. The error quotes its log.
            Err(error) => Err(match held.remove_at(engine, Instant::now() + REMOVAL).await {
                Ok(()) => NotAcquired::nothing(error),
                Err(kept) => NotAcquired::maybe_up(error.hint(kept.to_string())),
            }),
        }
    }

    /// Returns the id of the image, which is pulled if the engine does not have it.
    async fn image(&self, engine: &Engine, deadline: Instant, progress: &Progress) -> Result<String> {
        let image = &self.target.image;
        match tokio::time::timeout_at(deadline.into(), engine.image_id(image)).await {
            Ok(Ok(Some(id))) => Ok(id),
            Ok(Ok(None)) => engine.pull(image, deadline, progress).await,
            Ok(Err(error)) => Err(self.failed().because(error)),
            Err(_) => Err(self.too_late(&format!("the engine at {} does not answer", engine.address.host))),
        }
    }

    /// Starts the cluster with the JVM's cache if there is one, and again without it if that fails.
    async fn start(&self, start: ContainerStart<'_>, image_id: &str) -> Result<Resource> {
        let ContainerStart { held, engine, progress, .. } = start;
        let image = &self.target.image;
        progress.step(match held.nodes {
            1 => format!("starting a container of image {image}"),
            count => format!("starting {count} containers of image {image}"),
        });
        let training = self.cache(engine, image_id);
        let file = training.as_ref().and_then(|training| training.cache.file());
        let (Some(training), Some(file)) = (&training, file) else {
            let resource = self.run(start, &CacheMount::None).await?;
            let due = self.due(engine, &held.name, training).await;
            self.training.put(due);
            return Ok(resource);
        };
        training.cache.used();
        match self.run(start, &CacheMount::Use(file)).await {
            Ok(resource) => {
                if let Some(said) = super::jvm::refusal(&engine.log(&held.name, "all").await.join("\n")) {
                    tracing::warn!(said, "the JVM did not take its cache, which is thrown away");
                    training.cache.discard();
                }
                Ok(resource)
            }
            Err(error) if error.kind() == Kind::Timeout => Err(error),
            Err(error) => {
                tracing::warn!(%error, "the server did not start with the cache of its JVM");
                progress.step("the server did not start with the cache of its JVM; starting again without it");
                if let Err(kept) = held.remove_at(engine, Instant::now() + REMOVAL).await {
                    return Err(error.hint(kept.to_string()));
                }
                let resource = self.run(start, &CacheMount::None).await?;
                training.cache.discard();
                Ok(resource)
            }
        }
    }

    async fn run(&self, start: ContainerStart<'_>, cache: &CacheMount) -> Result<Resource> {
        let ContainerStart { held, engine, journal, deadline, progress } = start;
        let labels = labels::of(Some(&self.target), Identity::own().ok().as_ref(), journal);
        let LocalTarget { image, settings, security, .. } = &self.target;
        let asked = Asked { image, settings, security: *security };
        let started = held.start(engine, asked, labels, cache);
        let (host, guard) = match tokio::time::timeout_at(deadline.into(), started).await {
            Ok(started) => started.map_err(|error| self.not_started(&error))?,
            Err(_) => return Err(self.too_late("the engine was still starting it")),
        };
        progress.step(format!("waiting for {} to answer", held.describe()));
        let ready = tokio::select! {
            ready = self.until_ready(start, &host, guard.as_ref()) => ready,
            (name, state) = ended(held, engine, deadline) => Err(self.failed().because(how(&name, &state))),
        };
        match ready {
            Ok(resource) => Ok(resource),
            Err(error) => Err(with_log(error, held, engine).await),
        }
    }

    async fn until_ready(&self, start: ContainerStart<'_>, host: &str, guard: Option<&Guard>) -> Result<Resource> {
        let ContainerStart { held, engine, deadline, progress, .. } = start;
        let (port, pg_port) = held.ports(engine).await.map_err(|error| self.failed().because(error))?;
        let http = format!("{host}:{port}");
        let entrance = match (guard, &held.ca) {
            (Some(guard), Some(ca)) => guard.entrance(&http, (host, pg_port), ca.clone(), deadline, progress).await?,
            _ => Entrance::default(),
        };
        let (http_url, wallet) = (format!("{}://{http}", entrance.scheme()), entrance.wallet());
        let told = |text| progress.step(text);
        let version = probe::answers_sql(&http_url, &wallet, Readiness::Empty, deadline, told).await?;
        if held.nodes > 1 {
            local::nodes_joined(&http_url, &wallet, held.nodes, deadline, progress).await?;
        }
        let held_by = Held::Container(held.clone());
        Ok(local::resource(held.describe(), http_url, Some(pg_port), entrance, version, held_by))
    }

    fn failed(&self) -> Error {
        Error::new(Kind::Provider, format!("cannot start a container of image {}", self.target.image))
    }

    fn not_started(&self, error: &Error) -> Error {
        let failed = self.failed().because(error);
        failed.hint("`docker info` tells how the engine is; CRATEDB_TEST_IMAGE names another image")
    }

    fn too_late(&self, why: &str) -> Error {
        Error::new(Kind::Timeout, format!("gave up starting a container of image {}", self.target.image))
            .because(why)
            .hint("CRATEDB_TEST_START_TIMEOUT gives more time; `docker info` tells how the engine is")
    }
}

/// The end of the names of files with authorities' certificates.
const CA: &str = "ca.pem";

/// Returns the file for the certificate of an authority: beside the journal, which no other keeper has.
fn ca_file(journal: Option<&Path>) -> PathBuf {
    match journal {
        Some(journal) => journal.with_extension(CA),
        None => std::env::temp_dir().join(format!("cratedb-test-{:016x}.{CA}", fastrand::u64(..))),
    }
}

/// Returns whether a file that a journal names may be one that was made for a server.
fn is_ours(file: &Path) -> bool {
    file.is_absolute() && file.to_str().is_some_and(|path| path.ends_with(&format!(".{CA}")))
}

/// Removes the containers that the journal names. It is no error if they are gone.
pub(super) async fn remove(held: &HeldContainers, deadline: Instant, progress: &Progress) -> Result<()> {
    progress.step(format!("removing {}", held.describe()));
    let engine = match &held.engine {
        Some(address) => Engine::at(address).await,
        None => Engine::find().await,
    };
    let engine = engine.map_err(|lacks| {
        Error::new(Kind::Provider, format!("cannot remove {}", held.describe()))
            .because(lacks)
            .hint(format!("when it runs again: {}", held.removal()))
    })?;
    held.remove_at(&engine, deadline).await
}

pub(super) async fn release(held: &HeldContainers, on_exit: OnExit, progress: &Progress) -> Result<Released> {
    if on_exit == OnExit::Keep {
        let (name, removal) = (held.describe(), held.removal());
        let are = if held.nodes == 1 { "is left running" } else { "are left running" };
        return Ok(Released::Left(format!("{name} {are} (CRATEDB_TEST_ON_EXIT=keep); {removal} removes it")));
    }
    remove(held, Instant::now() + REMOVAL, progress).await.map(|()| Released::Removed)
}

/// Waits for the first container that no longer runs, and returns its name and state. Never returns after the deadline.
async fn ended(held: &HeldContainers, engine: &Engine, deadline: Instant) -> (String, ContainerState) {
    let looked = || async {
        for name in held.containers() {
            match engine.look(&name).await {
                Ok(ContainerState::Running(_)) => {}
                Ok(state) => return Ok(Look::Ready((name, state))),
                // That tells nothing, and the probe has a deadline.
                Err(error) => tracing::debug!(%error, "cannot look at a container"),
            }
        }
        Ok(Look::NotYet("running".to_owned()))
    };
    match wait::until("the end of a container", wait::SERVER, deadline, |_| (), looked).await {
        Ok(ended) => ended,
        Err(_) => std::future::pending().await,
    }
}

/// Says how a container ended.
fn how(name: &str, state: &ContainerState) -> String {
    match state {
        ContainerState::Ended(code) => format!("the server in container {name} ended with status {code}"),
        _ => format!("another process removed container {name}"),
    }
}

/// Watches the containers of a cluster that is ready, until they end.
async fn watched(held: &HeldContainers, engine: &Engine) -> NodeWatch {
    let containers = held.containers();
    let (told, watch) = NodeWatch::of(containers.len());
    let mut processes = Vec::new();
    for name in containers {
        processes.extend(engine.process_of(&name).await.map(|process| (format!("container {name}"), process)));
        let (engine, told) = (engine.clone(), told.clone());
        tokio::spawn(async move {
            let state = engine.end_of(&name).await;
            told.send_modify(|ended| ended.push(how(&name, &state)));
        });
    }
    watch.with(processes)
}

async fn with_log(error: Error, held: &HeldContainers, engine: &Engine) -> Error {
    /// The number of lines that are quoted. A server that refuses to start logs the reason last.
    const LINES: usize = 15;
    let mut error = error;
    for name in held.containers() {
        let log = engine.log(&name, "100").await;
        let lines = local::last_lines(log.iter().map(String::as_str), LINES);
        let whose = if held.nodes == 1 { "its log".to_owned() } else { format!("the log of container {name}") };
        error = local::quoting(error, &whose, lines);
    }
    error
}

#[cfg(test)]
pub(crate) mod standin;
#[cfg(test)]
mod tests;
