//! The container engine: finding the one that answers, and every call to it but pulling.

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, PortBinding};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerRequest, GenericImage};

use super::find::{self, Address, Place, Surroundings};
use super::labels;
use crate::error::{Error, Kind, Result};
use crate::wait::{self, Look};

pub(super) type EngineError = bollard::errors::Error;

/// An engine of this machine answers a ping in milliseconds. All places are asked at once, so this is all that finding one
/// takes, even where a socket is dead.
const PING: Duration = Duration::from_millis(900);

/// An engine that needs longer for one call is in trouble. Starting a container is the longest.
pub(super) const CALL: Duration = Duration::from_secs(60);

/// An engine that answered.
#[derive(Clone)]
pub(in crate::provider) struct Engine {
    pub(super) docker: Docker,
    pub(super) address: Address,
    /// It runs beside this process: on the same loopback, with the same files.
    beside: bool,
}

/// A container with one of our labels.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) labels: std::collections::HashMap<String, String>,
}

/// How a container is.
pub(super) enum State {
    Running(Box<ContainerInspectResponse>),
    /// With the status of its first process.
    Ended(i64),
    Gone,
}

impl Engine {
    /// The first engine, in the order of places, that answers within a second; or what was lacking at each place.
    pub(in crate::provider) async fn find() -> Result<Self, String> {
        let places = here();
        let asked: Vec<_> = places.all.iter().map(|place| tokio::spawn(ask(place.clone()))).collect();
        let mut said = Vec::new();
        for answer in asked {
            match answer.await {
                Ok(Ok(engine)) => return Ok(engine),
                Ok(Err(why)) => said.push(why),
                Err(panicked) => said.push(panicked.to_string()),
            }
        }
        Err(find::none_of(&places, &said))
    }

    /// Every engine that answers.
    pub(super) async fn all() -> Vec<Self> {
        let places = here().all;
        let answers = futures_util::future::join_all(places.into_iter().map(ask)).await;
        answers.into_iter().filter_map(Result::ok).collect()
    }

    /// The engine at an address that the journal names.
    pub(super) async fn at(address: &Address) -> Result<Self, String> {
        let engine = ask(Place { named_by: String::new(), address: Ok(address.clone()) }).await;
        engine.map_err(|why| format!("no engine at {}: {why}", address.host))
    }

    /// Whether it sees the files of this process under the same paths.
    pub(super) fn is_beside(&self) -> bool {
        self.beside
    }

    /// Whether it is reached through a socket of this machine.
    pub(super) fn is_local(&self) -> bool {
        self.address.socket().is_some()
    }

    /// Where it shall map ports, and where they are found then. Nothing to map to for an engine of another machine.
    ///
    /// The narrowest address that works: anybody may do anything in a server for tests.
    pub(super) async fn reachable(&self) -> (Option<String>, String) {
        const HERE: &str = "127.0.0.1";
        if !self.is_local() {
            let host = url::Url::parse(&self.address.host).ok();
            let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_else(|| HERE.to_owned());
            return (None, host);
        }
        if self.beside {
            return (Some(HERE.to_owned()), HERE.to_owned());
        }
        // Inside a container the engine's loopback is another one; its side of the bridge is where both meet.
        for network in ["bridge", "podman"] {
            let Ok(found) = self.docker.inspect_network(network, None::<InspectNetworkOptions>).await else { continue };
            let configurations = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
            let gateways = configurations.into_iter().filter_map(|one| one.gateway);
            if let Some(gateway) = gateways.into_iter().find(|gateway| !gateway.is_empty()) {
                return (Some(gateway.clone()), gateway);
            }
        }
        (Some(HERE.to_owned()), HERE.to_owned())
    }

    /// How much memory it can give to containers, in bytes; nothing if it doesn't say.
    pub(super) async fn memory(&self) -> i64 {
        let info = tokio::time::timeout(PING, self.docker.info()).await;
        info.ok().and_then(Result::ok).and_then(|info| info.mem_total).unwrap_or_default()
    }

    /// The id of an image; none if it is not there.
    pub(super) async fn image_id(&self, image: &str) -> Result<Option<String>> {
        let attempted = format!("ask the container engine for image {image}");
        match self.call(self.docker.inspect_image(image)).await {
            Ok(found) => Ok(Some(found.id.unwrap_or_default())),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.failed(&attempted, &error)),
        }
    }

    /// Makes a container and starts it.
    pub(super) async fn start(&self, name: &str, request: ContainerRequest<GenericImage>) -> Result<()> {
        self.announce();
        let failed = Error::new(Kind::Provider, format!("cannot start container {name}"));
        match tokio::time::timeout(CALL, request.start()).await {
            Ok(Ok(_started)) => Ok(()),
            Ok(Err(error)) => Err(failed.because_of(&error)),
            Err(_) => Err(self.failed(&format!("start container {name}"), &EngineError::RequestTimeoutError)),
        }
    }

    /// Tells testcontainers, which starts containers, of this engine: it looks for its own in the environment.
    fn announce(&self) {
        /// Where testcontainers looks if nothing is said.
        const USUAL: &str = "unix:///var/run/docker.sock";
        let said = std::env::var("DOCKER_HOST").ok();
        if self.address.tls.is_none() && said.as_deref().unwrap_or(USUAL) == self.address.host {
            return;
        }
        // SAFETY: this is a keeper or a trainer, whose one thread this is; those that it lends to blocking calls delete
        // files and read no environment.
        unsafe {
            std::env::set_var("DOCKER_HOST", &self.address.host);
            match &self.address.tls {
                Some(dir) => {
                    std::env::set_var("DOCKER_TLS_VERIFY", "1");
                    std::env::set_var("DOCKER_CERT_PATH", dir);
                }
                None => std::env::remove_var("DOCKER_TLS_VERIFY"),
            }
        }
    }

    pub(super) async fn look(&self, name: &str) -> Result<State> {
        let found = match self.call(self.docker.inspect_container(name, None::<InspectContainerOptions>)).await {
            Ok(found) => found,
            Err(error) if status(&error) == Some(404) => return Ok(State::Gone),
            Err(error) => return Err(self.failed(&format!("look at container {name}"), &error)),
        };
        let state = found.state.as_ref();
        Ok(match state.and_then(|state| state.running) {
            Some(true) => State::Running(Box::new(found)),
            _ => State::Ended(state.and_then(|state| state.exit_code).unwrap_or_default()),
        })
    }

    /// The last lines that a container wrote to each of its two outputs.
    pub(super) async fn last_words(&self, name: &str, lines: u32) -> Vec<String> {
        self.log(name, &lines.to_string()).await
    }

    /// The log of a container; `tail` is a number of lines, or `all`.
    pub(super) async fn log(&self, name: &str, tail: &str) -> Vec<String> {
        let mut all = Vec::new();
        // The image writes warnings and errors to one and everything else to the other.
        for (stdout, stderr) in [(true, false), (false, true)] {
            let options = LogsOptionsBuilder::new().stdout(stdout).stderr(stderr).follow(false).tail(tail).build();
            let output = self.docker.logs(name, Some(options)).filter_map(|part| async { part.ok() });
            let text = async { output.map(|part| part.to_string()).collect::<String>().await };
            let text = tokio::time::timeout(Duration::from_secs(5), text).await.unwrap_or_default();
            all.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        }
        all
    }

    /// A small text file in a container, which need not run. None if it is not there.
    pub(super) async fn read(&self, name: &str, path: &str) -> Option<String> {
        const LIMIT: usize = 64 << 10;
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let parts = self.docker.download_from_container(name, Some(options));
        let parts = parts.take_while(|part| std::future::ready(part.is_ok())).filter_map(|part| async { part.ok() });
        let mut archive = Vec::new();
        let read = parts.for_each(|part| {
            archive.extend_from_slice(&part[..part.len().min(LIMIT.saturating_sub(archive.len()))]);
            std::future::ready(())
        });
        tokio::time::timeout(CALL, read).await.ok()?;
        first_file(&archive)
    }

    /// Asks a server to end by itself.
    pub(super) async fn stop(&self, name: &str) -> Result<()> {
        let options = KillContainerOptionsBuilder::new().signal("SIGTERM").build();
        let told = self.call(self.docker.kill_container(name, Some(options))).await;
        told.map_err(|error| self.failed(&format!("stop container {name}"), &error))
    }

    /// Every container that has our labels, running or not.
    pub(super) async fn ours(&self) -> Result<Vec<Found>> {
        let filters = std::collections::HashMap::from([("label", vec![labels::KEY])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.call(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| self.failed("list containers", &error))?;
        let found = listed.into_iter().filter_map(|one| {
            let name = one.names?.into_iter().next()?;
            Some(Found { name: name.trim_start_matches('/').to_owned(), labels: one.labels.unwrap_or_default() })
        });
        Ok(found.collect())
    }

    /// Removes a container with its volumes, running or not. One that is not there is no error.
    pub(super) async fn remove(&self, name: &str, deadline: Instant) -> Result<()> {
        let failed = |cause: String| {
            Error::new(Kind::Provider, format!("cannot remove container {name}"))
                .because(cause)
                .hint(format!("docker rm -v -f {name} removes it"))
        };
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removal = self.docker.remove_container(name, Some(options));
        match tokio::time::timeout_at(deadline.into(), removal).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if status(&error) == Some(404) => Ok(()),
            // Somebody else removes it already. Podman says 500 for that.
            Ok(Err(error)) if matches!(status(&error), Some(409 | 500)) => {
                self.until_gone(name, deadline).await.map_err(|waited| failed(plain(&error)).because(waited))
            }
            Ok(Err(error)) => Err(failed(plain(&error))),
            Err(_) => Err(failed("the engine does not answer".to_owned())),
        }
    }

    async fn until_gone(&self, name: &str, deadline: Instant) -> Result<()> {
        // Whoever removes it is quick; without anybody, there is nothing to wait for.
        let deadline = deadline.min(Instant::now() + Duration::from_secs(10));
        let awaited = format!("the removal of container {name}");
        let looked = || async {
            Ok(match self.look(name).await {
                Ok(State::Gone) => Look::Ready(()),
                Ok(_) => Look::NotYet("it is still there".to_owned()),
                Err(error) => Look::not_yet(&error),
            })
        };
        wait::until(&awaited, wait::SERVER, deadline, |_| (), looked).await
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
        tokio::time::timeout(CALL, call).await.unwrap_or(Err(EngineError::RequestTimeoutError))
    }

    pub(super) fn failed(&self, attempted: &str, error: &EngineError) -> Error {
        let error = match error {
            EngineError::RequestTimeoutError => {
                format!(
                    "the engine at {} did not answer within {}",
                    self.address.host,
                    humantime::format_duration(CALL)
                )
            }
            error => plain(error),
        };
        Error::new(Kind::Provider, format!("cannot {attempted}")).because(error)
    }
}

/// The ports of this machine that lead to those of a container.
pub(super) fn mapped(found: &ContainerInspectResponse, port: u16) -> Option<u16> {
    let ports = found.network_settings.as_ref()?.ports.as_ref()?;
    let bindings: &Vec<PortBinding> = ports.get(&format!("{port}/tcp"))?.as_ref()?;
    bindings.iter().find_map(|binding| binding.host_port.as_ref()?.parse().ok().filter(|port| *port != 0))
}

/// The text of the first file of a tar archive: engines hand out files in no other way.
fn first_file(archive: &[u8]) -> Option<String> {
    const BLOCK: usize = 512;
    let mut rest = archive;
    while let Some((header, data)) = rest.split_at_checked(BLOCK) {
        let size = std::str::from_utf8(&header[124..135]).ok()?;
        let size = usize::from_str_radix(size.trim_matches([' ', '\0']), 8).ok()?;
        match header[156] {
            b'0' | 0 => return String::from_utf8(data.get(..size)?.to_vec()).ok(),
            // What describes the one that follows.
            _ => rest = data.get(size.div_ceil(BLOCK) * BLOCK..)?,
        }
    }
    None
}

/// Whether whoever listens at a socket is among the processes that this one can see. If it is not, this process is in a
/// container into which the engine's socket was mounted.
fn is_beside(socket: &Path) -> bool {
    let Ok(stream) = std::os::unix::net::UnixStream::connect(socket) else { return false };
    !matches!(crate::host::platform::peer_process(&stream), Ok(0))
}

fn here() -> find::Places {
    let home = std::env::home_dir().unwrap_or_default();
    // As it was given: see `announce`.
    let variable = |name: &str| crate::host::initial_environment(name).and_then(|value| value.into_string().ok());
    Surroundings { variable: &variable, home: &home, user: labels::user(), root: Path::new("/") }.places()
}

async fn ask(place: Place) -> Result<Engine, String> {
    let address = place.address?;
    let docker = connect(&address)?;
    match tokio::time::timeout(PING, docker.ping()).await {
        Ok(Ok(_)) => {
            let beside = address.socket().is_some_and(is_beside);
            Ok(Engine { docker, address, beside })
        }
        Ok(Err(error)) => Err(plain(&error)),
        Err(_) => Err(format!("it did not answer within {}", humantime::format_duration(PING))),
    }
}

/// Sends nothing yet.
fn connect(address: &Address) -> Result<Docker, String> {
    /// For the headers of an answer; calls have limits of their own.
    const TIMEOUT: u64 = 30 * 60;
    let host = &address.host;
    let connected = match (address.socket(), &address.tls) {
        (Some(path), _) => Docker::connect_with_unix(&path.display().to_string(), TIMEOUT, API_DEFAULT_VERSION),
        (None, Some(dir)) => {
            // The engine's client asks for the process's default. A keeper is a process of ours, and so is the command line.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let file = |name: &str| dir.join(name);
            Docker::connect_with_ssl(
                host,
                &file("key.pem"),
                &file("cert.pem"),
                &file("ca.pem"),
                TIMEOUT,
                API_DEFAULT_VERSION,
            )
        }
        (None, None) => Docker::connect_with_http(host, TIMEOUT, API_DEFAULT_VERSION),
    };
    connected.map_err(|error| match error {
        EngineError::SocketNotFoundError(path) => format!("there is no {path}"),
        error => plain(&error),
    })
}

pub(super) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the operating system or the engine said, without what every layer above adds to it.
pub(super) fn plain(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        EngineError::DockerStreamError { error } => error.clone(),
        error => {
            let mut cause: &dyn std::error::Error = error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            cause.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, text: &str) -> Vec<u8> {
        let mut header = vec![0; 512];
        header[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        header[156] = kind;
        header.extend(text.as_bytes());
        header.resize(header.len().div_ceil(512) * 512, 0);
        header
    }

    #[test]
    fn a_file_is_taken_out_of_its_archive() {
        assert_eq!(first_file(&entry(b'0', "JAVA_VERSION")).as_deref(), Some("JAVA_VERSION"));
        let described = [entry(b'x', "23 mtime=1.2"), entry(0, "JAVA")].concat();
        assert_eq!(first_file(&described).as_deref(), Some("JAVA"));
    }

    #[test]
    fn what_is_no_archive_or_only_its_beginning_is_nothing() {
        let whole = entry(b'0', &"x".repeat(600));
        for archive in [&[][..], b"nothing", &whole[..511], &whole[..1000], &entry(b'5', "")] {
            assert_eq!(first_file(archive), None, "{} bytes", archive.len());
        }
        let mut damaged = entry(b'0', "JAVA");
        damaged[124] = b'9';
        assert_eq!(first_file(&damaged), None);
    }
}
