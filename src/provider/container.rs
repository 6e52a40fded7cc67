//! A server in a container of this machine's engine: started, and removed with its data.
//!
//! testcontainers starts the container but does not own it: its removal on drop belongs to the process that started the
//! container, and a keeper may be killed. So the container is started as one that outlives its handle, under a name that
//! the journal knows before the engine does, and goes by that name.

mod command;
mod engine;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use testcontainers::core::IntoContainerPort as _;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, TestcontainersError};

pub(super) use self::engine::Engine;
use super::{Acquired, Intents, LocalTarget, NotAcquired, OnExit, Ours, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};
use crate::probe::{self, Patience};
use crate::sql::{Credentials, Wallet};

/// Ports of the server inside.
const HTTP: u16 = 4200;
const POSTGRESQL: u16 = 5432;

/// Killing a server and deleting its data is quick; an engine that needs longer is in trouble, and the keeper tries again.
const REMOVAL: Duration = Duration::from_secs(60);

pub(super) struct Container {
    target: LocalTarget,
}

/// What the journal says of a container.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    provider: String,
    name: String,
}

impl Container {
    pub(super) fn new(target: LocalTarget) -> Self {
        Self { target }
    }

    pub(super) async fn acquire(
        &self,
        engine: &Engine,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Acquired {
        let name = format!("cratedb-test-{:08x}", fastrand::u32(..));
        let held = Held { provider: "container".to_owned(), name: name.clone() };
        let held = serde_json::to_value(held).expect("plain data is JSON");
        intents.write(held.clone()).map_err(NotAcquired::nothing)?;
        match self.start(&name, engine, deadline, progress).await {
            Ok(resource) => Ok(Resource { held, ..resource }),
            // Removed here and not by a release, since nothing of it can be used; its log is in the error.
            Err(error) => Err(match engine.remove(&name, Instant::now() + REMOVAL).await {
                Ok(()) => NotAcquired::nothing(error),
                Err(kept) => NotAcquired::maybe_up(error.hint(kept.to_string())),
            }),
        }
    }

    async fn start(&self, name: &str, engine: &Engine, deadline: Instant, progress: &Progress) -> Result<Resource> {
        let image = &self.target.image;
        match engine.has_image(image).await? {
            true => progress.step(format!("starting a container of image {image}")),
            false => progress.step(format!("pulling image {image}, which is not on this machine yet")),
        }
        let address = engine.address().await;
        let request = command::request(&self.target, name, address.clone(), engine.memory().await, deadline);
        let container = match tokio::time::timeout_at(deadline.into(), request.start()).await {
            Ok(started) => started.map_err(|error| self.not_started(&error))?,
            Err(_) => return Err(self.too_late(engine, name).await),
        };
        progress.step(format!("waiting for container {name} to answer"));
        match self.until_ready(name, address, &container, deadline, progress).await {
            Ok(resource) => Ok(resource),
            Err(error) => Err(with_log(error, &container).await),
        }
    }

    async fn until_ready(
        &self,
        name: &str,
        address: Option<String>,
        container: &ContainerAsync<GenericImage>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Resource> {
        let unknown = |error: TestcontainersError| {
            self.failed().because(format!("container {name} does not say where it is")).because_of(&error)
        };
        let host = match address {
            Some(address) => address,
            None => container.get_host().await.map_err(unknown)?.to_string(),
        };
        let gone = || self.failed().because(format!("container {name} ended at once"));
        let port = container.get_host_port_ipv4(HTTP.tcp()).await.map_err(|_| gone())?;
        let pg_port = container.get_host_port_ipv4(POSTGRESQL.tcp()).await.map_err(|_| gone())?;
        let http_url = format!("http://{host}:{port}");
        let wallet = Wallet::new(Credentials::None);
        let version = tokio::select! {
            version = probe::answers_sql(&http_url, &wallet, Patience::Empty, deadline, |text| progress.step(text)) => version?,
            code = ended(container, deadline) => {
                return Err(self.failed().because(format!("the server in container {name} ended with status {code}")));
            }
        };
        Ok(Resource {
            provider: "container".to_owned(),
            name: format!("container {name}"),
            pg_url: super::url::pg_url(&http_url, pg_port, None, None),
            pg_hint: None,
            http_url,
            credentials: Credentials::None,
            version,
            ours: Ours::Started,
            console: None,
            held: serde_json::Value::Null,
        })
    }

    /// Removes the container that the journal names. One that is gone is no error.
    pub(super) async fn remove(&self, held: &serde_json::Value, deadline: Instant, progress: &Progress) -> Result<()> {
        let name = name(held)?;
        progress.step(format!("removing container {name}"));
        let engine = Engine::find().await.map_err(|lacks| {
            Error::new(Kind::Provider, format!("cannot remove container {name}"))
                .because(lacks)
                .hint(format!("when it runs again: docker rm -v -f {name}"))
        })?;
        engine.remove(&name, deadline).await
    }

    pub(super) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        if on_exit == OnExit::Keep {
            let name = name(held)?;
            let line = format!(
                "container {name} is left running (CRATEDB_TEST_ON_EXIT=keep); docker rm -v -f {name} removes it"
            );
            return Ok(Released::Left(line));
        }
        self.remove(held, Instant::now() + REMOVAL, progress).await.map(|()| Released::Removed)
    }

    fn failed(&self) -> Error {
        Error::new(Kind::Provider, format!("cannot start a container of image {}", self.target.image))
    }

    fn not_started(&self, error: &TestcontainersError) -> Error {
        let image = &self.target.image;
        let failed = self.failed();
        if engine::is_pull(error) {
            return failed
                .because("it is not on this machine and can't be pulled")
                .because_of(error)
                .hint(format!("`docker pull {image}` may tell more; CRATEDB_TEST_IMAGE names another image"));
        }
        failed.because_of(error).hint("`docker info` tells how the engine is; CRATEDB_TEST_IMAGE names another image")
    }

    async fn too_late(&self, engine: &Engine, name: &str) -> Error {
        let image = &self.target.image;
        let step = match engine.has_image(image).await {
            Ok(false) => "the image was still being pulled",
            _ => "the engine was still starting it",
        };
        Error::new(Kind::Timeout, format!("gave up starting container {name} of image {image}"))
            .because(step)
            .hint(format!("`docker pull {image}` before the tests, or CRATEDB_TEST_START_TIMEOUT for more time"))
    }
}

/// Resolves with the status of the server once it has ended; for good, if it never does.
async fn ended(container: &ContainerAsync<GenericImage>, deadline: Instant) -> i64 {
    use crate::wait::{self, Look};
    let code = wait::until(
        "the end of the container",
        wait::SERVER,
        deadline,
        |_| (),
        || async {
            Ok(match container.exit_code().await {
                Ok(Some(code)) => Look::Ready(code),
                _ => Look::NotYet("running".to_owned()),
            })
        },
    );
    match code.await {
        Ok(code) => code,
        Err(_) => std::future::pending().await,
    }
}

async fn with_log(error: Error, container: &ContainerAsync<GenericImage>) -> Error {
    /// Enough for a refusal to start, which says its reason last.
    const LINES: usize = 15;
    let mut lines = Vec::new();
    // The image writes warnings and errors to one and everything else to the other.
    for log in [container.stdout_to_vec().await, container.stderr_to_vec().await] {
        let text = log.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let all: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        lines.extend(all.into_iter().rev().take(LINES).rev());
    }
    if lines.is_empty() {
        return error.hint("its log is empty");
    }
    lines.into_iter().fold(error.hint("the end of its log:"), |error, line| error.hint(format!("| {line}")))
}

fn name(held: &serde_json::Value) -> Result<String> {
    Held::deserialize(held)
        .map(|held| held.name)
        .map_err(|error| Error::new(Kind::Provider, "cannot read what the journal says of a container").because(error))
}

#[cfg(test)]
pub(crate) mod standin;
#[cfg(test)]
mod tests;
