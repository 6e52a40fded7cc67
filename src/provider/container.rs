//! A server in a container of this machine's engine: started, and removed with its data. Several nodes are as many containers.
//!
//! testcontainers starts them but does not own them: its removal on drop belongs to the process that started a container, and a
//! keeper may be killed. So each goes under a name that the journal knows before the engine does, and by that name it is
//! removed; labels say whose it is to those who have no journal.

mod cache;
mod command;
mod context;
mod engine;
mod find;
mod labels;
mod left;
mod pull;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub(super) use self::cache::{make, remove_left};
use self::command::Cache;
pub(super) use self::engine::Engine;
use self::engine::State;
use self::find::Address;
pub(crate) use self::left::{Leftover, sweep};
use super::jvm::Training;
use super::{Acquired, Intents, LocalTarget, NotAcquired, OnExit, Ours, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};
use crate::host::process::Identity;
use crate::probe::{self, Readiness};
use crate::sql::{Credentials, Wallet};
use crate::wait::{self, Look};

/// Killing a server and deleting its data is quick; an engine that needs longer is in trouble, and the keeper tries again.
const REMOVAL: Duration = Duration::from_secs(60);

pub(super) struct Container {
    target: LocalTarget,
    /// What a start without the JVM's cache leaves to do.
    training: Mutex<Option<Training>>,
    /// Where caches are, for tests.
    caches: Option<PathBuf>,
}

/// What the journal says of a cluster in containers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Held {
    provider: String,
    /// The container of the first node, in whose name those of the others begin.
    name: String,
    #[serde(default = "one")]
    nodes: u32,
    /// The engine that has them. Another one may answer first by the time they are removed.
    engine: Option<Address>,
}

fn one() -> u32 {
    1
}

impl Held {
    fn new(nodes: u32, engine: &Engine) -> Self {
        let name = format!("cratedb-test-{:08x}", fastrand::u32(..));
        Self { provider: "container".to_owned(), name, nodes, engine: Some(engine.address.clone()) }
    }

    /// One for each node; the others use the first one's network.
    fn containers(&self) -> Vec<String> {
        let others = (2..=self.nodes).map(|node| format!("{}-{node}", self.name));
        std::iter::once(self.name.clone()).chain(others).collect()
    }

    fn read(held: &serde_json::Value) -> Result<Self> {
        Self::deserialize(held).map_err(|error| {
            Error::new(Kind::Provider, "cannot read what the journal says of a container").because(error)
        })
    }

    /// For people.
    fn describe(&self) -> String {
        match self.nodes {
            1 => format!("container {}", self.name),
            nodes => format!("{nodes} containers {}", self.containers().join(", ")),
        }
    }

    fn removal(&self) -> String {
        format!("docker rm -v -f {}", self.containers().join(" "))
    }

    /// All of them at once. What failed is told after everything was tried.
    async fn remove_at(&self, engine: &Engine, deadline: Instant) -> Result<()> {
        // Those that use the first one's network end before it: some engines insist.
        let all = self.containers();
        let others = all.iter().skip(1).map(|name| engine.remove(name, deadline));
        let others = futures_util::future::join_all(others).await;
        let first = engine.remove(&self.name, deadline).await;
        others.into_iter().chain([first]).collect()
    }
}

impl Container {
    pub(super) fn new(target: LocalTarget) -> Self {
        Self { target, training: Mutex::default(), caches: None }
    }

    #[cfg(test)]
    fn in_caches(target: LocalTarget, caches: &Path) -> Self {
        Self { caches: Some(caches.to_owned()), ..Self::new(target) }
    }

    /// The cache that the next start would use, if it is to be made: once, after a start without it.
    pub(super) fn training(&self) -> Option<Training> {
        self.training.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) async fn acquire(
        &self,
        engine: &Engine,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Acquired {
        let held = Held::new(self.target.nodes, engine);
        let json = serde_json::to_value(&held).expect("plain data is JSON");
        intents.write(json.clone()).map_err(NotAcquired::nothing)?;
        tracing::info!(engine = engine.address.host, name = held.name, held.nodes, "this engine gets the containers");
        // Nothing is made before the image is there.
        let image = tokio::select! {
            image = self.image(engine, deadline, progress) => image,
            () = progress.unwanted() => Err(self.failed().because("nobody waits for it any more")),
        };
        let image = image.map_err(NotAcquired::nothing)?;
        match self.start(&held, engine, &image, intents.journal(), deadline, progress).await {
            Ok(resource) => Ok(Resource { held: json, ..resource }),
            // Removed here and not by a release, since nothing of it can be used; its log is in the error.
            Err(error) => Err(match held.remove_at(engine, Instant::now() + REMOVAL).await {
                Ok(()) => NotAcquired::nothing(error),
                Err(kept) => NotAcquired::maybe_up(error.hint(kept.to_string())),
            }),
        }
    }

    /// The id of the image, which is pulled if it is not there.
    async fn image(&self, engine: &Engine, deadline: Instant, progress: &Progress) -> Result<String> {
        let image = &self.target.image;
        match tokio::time::timeout_at(deadline.into(), engine.image_id(image)).await {
            Ok(Ok(Some(id))) => Ok(id),
            Ok(Ok(None)) => engine.pull(image, deadline, progress).await,
            Ok(Err(error)) => Err(self.failed().because(error)),
            Err(_) => Err(self.too_late(&format!("the engine at {} does not answer", engine.address.host))),
        }
    }

    /// With the JVM's cache if there is one, and without it if the server does not survive it.
    async fn start(
        &self,
        held: &Held,
        engine: &Engine,
        id: &str,
        journal: Option<&Path>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Resource> {
        let image = &self.target.image;
        progress.step(match held.nodes {
            1 => format!("starting a container of image {image}"),
            count => format!("starting {count} containers of image {image}"),
        });
        let training = self.cache(engine, id);
        let run = |cache| async move { self.run(held, engine, journal, &cache, deadline, progress).await };
        let file = training.as_ref().and_then(|training| training.cache.file());
        let (Some(training), Some(file)) = (&training, file) else {
            let resource = run(Cache::None).await?;
            let due = self.due(engine, &held.name, training).await;
            *self.training.lock().unwrap_or_else(PoisonError::into_inner) = due;
            return Ok(resource);
        };
        training.cache.used();
        match run(Cache::Use(file)).await {
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
                let resource = run(Cache::None).await?;
                training.cache.discard();
                Ok(resource)
            }
        }
    }

    async fn run(
        &self,
        held: &Held,
        engine: &Engine,
        journal: Option<&Path>,
        cache: &Cache,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Resource> {
        let started = async {
            let (address, host) = engine.reachable().await;
            let names = held.containers();
            let cluster = command::Cluster {
                image: &self.target.image,
                names: &names,
                labels: labels::of(&self.target, Identity::own().ok().as_ref(), journal),
                address,
                memory: engine.memory().await,
                cache,
            };
            cluster.start(engine).await.map(|()| host)
        };
        let host = match tokio::time::timeout_at(deadline.into(), started).await {
            Ok(started) => started.map_err(|error| self.not_started(&error))?,
            Err(_) => return Err(self.too_late("the engine was still starting it")),
        };
        progress.step(format!("waiting for {} to answer", held.describe()));
        match self.until_ready(held, engine, &host, deadline, progress).await {
            Ok(resource) => Ok(resource),
            Err(error) => Err(with_log(error, held, engine).await),
        }
    }

    async fn until_ready(
        &self,
        held: &Held,
        engine: &Engine,
        host: &str,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Resource> {
        let ready = async {
            let (port, pg_port) = Self::ports(held, engine).await.map_err(|error| self.failed().because(error))?;
            let http_url = format!("http://{host}:{port}");
            let wallet = Wallet::new(Credentials::None);
            let told = |text| progress.step(text);
            let version = probe::answers_sql(&http_url, &wallet, Readiness::Empty, deadline, told).await?;
            if self.target.nodes > 1 {
                nodes_joined(&http_url, &wallet, self.target.nodes, deadline).await?;
            }
            Ok::<_, Error>((http_url, pg_port, version))
        };
        let (http_url, pg_port, version) = tokio::select! {
            ready = ready => ready?,
            (name, state) = ended(held, engine, deadline) => {
                return Err(match state {
                    State::Ended(code) => self.failed().because(format!("the server in container {name} ended with status {code}")),
                    _ => self.failed().because(format!("somebody removed container {name}")),
                });
            }
        };
        Ok(Resource {
            provider: "container".to_owned(),
            name: held.describe(),
            pg_url: super::url::pg_url(&http_url, pg_port, None, None),
            user: None,
            pg_hint: None,
            http_url,
            credentials: Credentials::None,
            version,
            ours: Ours::Started,
            console: None,
            held: serde_json::Value::Null,
        })
    }

    /// Where the first container's ports for HTTP and PostgreSQL are found.
    async fn ports(held: &Held, engine: &Engine) -> Result<(u16, u16)> {
        let name = &held.name;
        // Some engines map them a moment after the start.
        let limit = Instant::now() + Duration::from_secs(5);
        let awaited = format!("the ports of container {name}");
        let looked = || async {
            let State::Running(found) = engine.look(name).await? else {
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

    /// Removes the containers that the journal names. Those that are gone are no error.
    pub(super) async fn remove(&self, held: &serde_json::Value, deadline: Instant, progress: &Progress) -> Result<()> {
        Self::remove_held(&Held::read(held)?, deadline, progress).await
    }

    async fn remove_held(held: &Held, deadline: Instant, progress: &Progress) -> Result<()> {
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

    pub(super) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        if on_exit == OnExit::Keep {
            let held = Held::read(held)?;
            let (name, removal) = (held.describe(), held.removal());
            let are = if held.nodes == 1 { "is left running" } else { "are left running" };
            return Ok(Released::Left(format!("{name} {are} (CRATEDB_TEST_ON_EXIT=keep); {removal} removes it")));
        }
        self.remove(held, Instant::now() + REMOVAL, progress).await.map(|()| Released::Removed)
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

/// Waits until every node has joined the cluster, and all is well in it.
async fn nodes_joined(url: &str, wallet: &Wallet, nodes: u32, deadline: Instant) -> Result<()> {
    let client = crate::sql::SqlClient::new(url, None, wallet.clone())?;
    let client = &client;
    let looked = || async move {
        Ok(match client.rows::<(i64,)>("SELECT count(*) FROM sys.nodes").await {
            Ok(rows) if rows == [(i64::from(nodes),)] => Look::Ready(()),
            Ok(rows) => Look::NotYet(format!("{} of {nodes} have joined", rows.first().map_or(0, |row| row.0))),
            Err(error) => Look::not_yet(&error),
        })
    };
    wait::until(&format!("{nodes} nodes of one cluster"), wait::SERVER, deadline, |_| (), looked).await
}

/// Resolves with the first container that does not run any more; for good, if all do.
async fn ended(held: &Held, engine: &Engine, deadline: Instant) -> (String, State) {
    let looked = || async {
        for name in held.containers() {
            match engine.look(&name).await {
                Ok(State::Running(_)) => {}
                Ok(state) => return Ok(Look::Ready((name, state))),
                // Nothing follows from that; the probe has a deadline.
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

async fn with_log(error: Error, held: &Held, engine: &Engine) -> Error {
    /// Enough for a refusal to start, which says its reason last.
    const LINES: u32 = 15;
    let mut error = error;
    for name in held.containers() {
        let lines = engine.last_words(&name, LINES).await;
        let whose = if held.nodes == 1 { "its log".to_owned() } else { format!("the log of container {name}") };
        error = match lines.is_empty() {
            true => error.hint(format!("{whose} is empty")),
            false => error.hint(format!("the end of {whose}:")),
        };
        error = lines.into_iter().fold(error, |error, line| error.hint(format!("| {line}")));
    }
    error
}

#[cfg(test)]
pub(crate) mod standin;
#[cfg(test)]
mod tests;
