//! The container engine: whether one answers, what it has, and removing from it.

use std::time::{Duration, Instant};

use testcontainers::TestcontainersError;
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error as EngineError;
use testcontainers::bollard::query_parameters::{
    InspectContainerOptions, InspectNetworkOptions, RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::{ClientError, docker_client_instance};

use crate::error::{Error, Kind, Result};
use crate::wait::{self, Look};

/// An engine of this machine answers a ping in milliseconds.
const PING: Duration = Duration::from_secs(1);

pub(in crate::provider) struct Engine(Docker);

impl Engine {
    /// The engine that answers within a second, or what is lacking.
    pub(in crate::provider) async fn find() -> Result<Self, String> {
        let found = tokio::time::timeout(PING, async {
            let docker = docker_client_instance().await.map_err(|error| client_failure(&error))?;
            docker.ping().await.map_err(|error| plain(&error))?;
            Ok(Self(docker))
        });
        let lacks = match found.await {
            Ok(Ok(engine)) => return Ok(engine),
            Ok(Err(why)) => why,
            Err(_) => format!("it did not answer within {}", humantime::format_duration(PING)),
        };
        Err(match std::env::var("DOCKER_HOST") {
            Ok(host) => format!("no engine at {host}, which DOCKER_HOST names: {lacks}"),
            Err(_) => format!("no engine: {lacks}; start Docker, or set DOCKER_HOST to the socket of another engine"),
        })
    }

    /// The address of this machine at which it shall map ports, and at which they are found then. None for an engine of
    /// another machine.
    ///
    /// The narrowest one that works: anybody may do anything in a server for tests.
    pub(super) async fn address(&self) -> Option<String> {
        const HERE: &str = "127.0.0.1";
        if std::env::var("DOCKER_HOST").is_ok_and(|host| !host.starts_with("unix:")) {
            return None;
        }
        if !std::path::Path::new("/.dockerenv").exists() {
            return Some(HERE.to_owned());
        }
        // Inside a container the engine's loopback is another one; its side of the bridge is where both meet.
        let bridge = self.0.inspect_network("bridge", None::<InspectNetworkOptions>).await.ok();
        let configurations = bridge.and_then(|bridge| bridge.ipam?.config).unwrap_or_default();
        let gateway = configurations.into_iter().filter_map(|one| one.gateway).find(|gateway| !gateway.is_empty());
        Some(gateway.unwrap_or_else(|| HERE.to_owned()))
    }

    /// How much memory it can give to containers; nothing if it doesn't say.
    pub(super) async fn memory(&self) -> i64 {
        self.0.info().await.ok().and_then(|info| info.mem_total).unwrap_or_default()
    }

    pub(super) async fn has_image(&self, image: &str) -> Result<bool> {
        match self.0.inspect_image(image).await {
            Ok(_) => Ok(true),
            Err(error) if status(&error) == Some(404) => Ok(false),
            Err(error) => Err(Error::new(Kind::Provider, format!("cannot ask the container engine for image {image}"))
                .because(plain(&error))),
        }
    }

    /// Removes a container with its volumes, running or not. One that is not there is no error.
    pub(super) async fn remove(&self, name: &str, deadline: Instant) -> Result<()> {
        let failed = |cause: String| {
            Error::new(Kind::Provider, format!("cannot remove container {name}"))
                .because(cause)
                .hint(format!("docker rm -v -f {name} removes it"))
        };
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removal = self.0.remove_container(name, Some(options));
        match tokio::time::timeout_at(deadline.into(), removal).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if status(&error) == Some(404) => Ok(()),
            // Somebody else removes it already.
            Ok(Err(error)) if status(&error) == Some(409) => {
                self.until_gone(name, deadline).await.map_err(|error| failed(error.to_string()))
            }
            Ok(Err(error)) => Err(failed(plain(&error))),
            Err(_) => Err(failed("the engine does not answer".to_owned())),
        }
    }

    async fn until_gone(&self, name: &str, deadline: Instant) -> Result<()> {
        wait::until(
            &format!("the removal of container {name}"),
            wait::SERVER,
            deadline,
            |_| (),
            || async {
                Ok(match self.0.inspect_container(name, None::<InspectContainerOptions>).await {
                    Err(error) if status(&error) == Some(404) => Look::Ready(()),
                    Err(error) => Look::NotYet(plain(&error)),
                    Ok(_) => Look::NotYet("it is still there".to_owned()),
                })
            },
        )
        .await
    }
}

/// Whether starting failed for want of an image.
pub(super) fn is_pull(error: &TestcontainersError) -> bool {
    matches!(error, TestcontainersError::Client(ClientError::PullImage { .. }))
}

fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

fn client_failure(error: &ClientError) -> String {
    match error {
        ClientError::Init(error) => plain(error),
        other => other.to_string(),
    }
}

/// The innermost cause: what the operating system or the engine said, without what every layer above adds to it.
fn plain(error: &EngineError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
