//! The container engine: finding one that answers, and all calls to it but pulling.

use std::future::Future;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bollard::models::{ContainerInspectResponse, PortBinding};
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, InspectContainerOptions, InspectNetworkOptions, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerRequest, GenericImage};
use tokio::net::{TcpStream, UnixStream};

use super::find::{self, Candidate, Surroundings};
use super::labels;
use crate::error::{Error, Kind, Result, root_of};
use crate::host::process::Identity;
use crate::provider::EngineSeen;
use crate::provider::held::EngineAddress;
use crate::wait::{self, Look};

pub(super) type EngineError = bollard::errors::Error;

/// The limit for a ping, which an engine of this machine answers in milliseconds. All candidates are asked at once, so
/// finding an engine takes no longer than this, even if a socket is dead.
const PING: Duration = Duration::from_millis(900);

/// The limit for one call. Starting a container takes the longest.
pub(super) const CALL: Duration = Duration::from_secs(60);

/// An engine that answered.
#[derive(Clone)]
pub(in crate::provider) struct Engine {
    pub(super) docker: Docker,
    pub(super) address: EngineAddress,
    /// Set if it runs beside this process, with the same loopback and the same files.
    beside: bool,
}

/// A container with a label of the harness.
pub(super) struct LabelledContainer {
    pub(super) name: String,
    pub(super) labels: std::collections::HashMap<String, String>,
}

/// The state of a container.
pub(super) enum ContainerState {
    Running(Box<ContainerInspectResponse>),
    /// Ended, with the exit status of its first process.
    Ended(i64),
    Gone,
}

impl Engine {
    /// Returns the first engine, in the order of the candidates, that answers within a second. The error says what each
    /// candidate lacks.
    pub(in crate::provider) async fn find() -> Result<Self, String> {
        let places = here();
        if let Some(why) = places.unusable() {
            return Err(why);
        }
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

    /// Explains why the engine that the user chose can't be used.
    pub(in crate::provider) fn unusable() -> Option<String> {
        here().unusable()
    }

    /// Returns its address.
    pub(in crate::provider) fn host(&self) -> &str {
        &self.address.host
    }

    /// Asks every candidate whether it answers.
    pub(in crate::provider) async fn survey() -> Vec<EngineSeen> {
        let seen = |place: Candidate| async {
            let (named_by, address) = (place.named_by.clone(), place.address.clone().ok());
            let problem = ask(place).await.err();
            EngineSeen { named_by, address: address.map(|address| address.host), problem }
        };
        futures_util::future::join_all(here().all.into_iter().map(seen)).await
    }

    /// Returns every engine that answers.
    pub(super) async fn all() -> Vec<Self> {
        let places = here().all;
        let answers = futures_util::future::join_all(places.into_iter().map(ask)).await;
        answers.into_iter().filter_map(Result::ok).collect()
    }

    /// Returns the engine at an address that a journal names.
    pub(super) async fn at(address: &EngineAddress) -> Result<Self, String> {
        let engine = ask(Candidate { named_by: String::new(), address: Ok(address.clone()) }).await;
        engine.map_err(|why| format!("no engine at {}: {why}", address.host))
    }

    /// Returns whether the engine sees the files of this process under the same paths.
    pub(super) fn is_beside(&self) -> bool {
        self.beside
    }

    /// Returns whether it is reached through a socket of this machine.
    pub(super) fn is_local(&self) -> bool {
        self.address.socket().is_some()
    }

    /// Returns the address to which the engine shall map ports, and the host at which they are found. The first is none
    /// for an engine of another machine.
    ///
    /// It is the narrowest address that works, since a server for tests lets every client do everything.
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
        // Inside a container this process and the engine have different loopbacks. Both reach the engine's side of the
        // bridge.
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

    /// Returns how much memory the engine has for containers, in bytes, or 0 if it does not say.
    pub(super) async fn memory(&self) -> i64 {
        let info = tokio::time::timeout(PING, self.docker.info()).await;
        info.ok().and_then(Result::ok).and_then(|info| info.mem_total).unwrap_or_default()
    }

    /// Returns the id of an image, or none if the engine does not have it.
    pub(in crate::provider) async fn image_id(&self, image: &str) -> Result<Option<String>> {
        let attempted = format!("ask the container engine for image {image}");
        match self.call(self.docker.inspect_image(image)).await {
            Ok(found) => Ok(Some(found.id.unwrap_or_default())),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.failed(&attempted, &error)),
        }
    }

    /// Creates a container and starts it.
    pub(super) async fn start(&self, name: &str, request: ContainerRequest<GenericImage>) -> Result<()> {
        self.announce();
        let failed = Error::new(Kind::Provider, format!("cannot start container {name}"));
        match tokio::time::timeout(CALL, request.start()).await {
            Ok(Ok(_started)) => Ok(()),
            Ok(Err(error)) => Err(failed.because_of(&error)),
            Err(_) => Err(self.failed(&format!("start container {name}"), &EngineError::RequestTimeoutError)),
        }
    }

    /// Tells testcontainers, which starts containers, to use this engine. It reads the environment.
    fn announce(&self) {
        /// The address that testcontainers uses by default.
        const USUAL: &str = "unix:///var/run/docker.sock";
        let said = std::env::var("DOCKER_HOST").ok();
        if self.address.tls.is_none() && said.as_deref().unwrap_or(USUAL) == self.address.host {
            return;
        }
        // SAFETY: this is the only thread of a keeper or a trainer, but for those of blocking calls, which delete files
        // and do not read the environment.
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

    pub(super) async fn look(&self, name: &str) -> Result<ContainerState> {
        let found = match self.call(self.docker.inspect_container(name, None::<InspectContainerOptions>)).await {
            Ok(found) => found,
            Err(error) if is_absence(&error) => return Ok(ContainerState::Gone),
            Err(error) => return Err(self.failed(&format!("look at container {name}"), &error)),
        };
        let state = found.state.as_ref();
        Ok(match state.and_then(|state| state.running) {
            Some(true) => ContainerState::Running(Box::new(found)),
            _ => ContainerState::Ended(state.and_then(|state| state.exit_code).unwrap_or_default()),
        })
    }

    /// Returns the first process of a container; none if it can't be seen from here.
    pub(super) async fn process_of(&self, name: &str) -> Option<Identity> {
        let ContainerState::Running(found) = self.look(name).await.ok()? else { return None };
        let pid = u32::try_from(found.state?.pid?).ok()?;
        Identity::in_container(pid, &found.id?)
    }

    /// Waits until a container does not run any more.
    pub(super) async fn end_of(&self, name: &str) -> ContainerState {
        /// The pause after the engine could not be asked.
        const PAUSE: Duration = Duration::from_secs(5);
        // Not `wait::until`: the engine answers when the container ends, however long that takes.
        loop {
            match self.look(name).await {
                Ok(ContainerState::Running(_)) => {}
                Ok(ended) => return ended,
                Err(error) => tracing::debug!(%error, "cannot look at a container"),
            }
            let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
            match self.docker.wait_container(name, Some(options)).next().await {
                Some(Ok(_) | Err(EngineError::DockerContainerWaitError { .. })) => {}
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Returns the last lines that a container wrote to each of its two outputs. `tail` is their number, or `all`. Of
    /// longer logs only the beginning is read.
    pub(super) async fn log(&self, name: &str, tail: &str) -> Vec<String> {
        const LIMIT: usize = 4 << 20;
        let mut all = Vec::new();
        // The image writes warnings and errors to one output and everything else to the other.
        for (stdout, stderr) in [(true, false), (false, true)] {
            let options = LogsOptionsBuilder::new().stdout(stdout).stderr(stderr).follow(false).tail(tail).build();
            let output = self.docker.logs(name, Some(options)).filter_map(|part| async { part.ok() });
            let mut room = LIMIT;
            let output = output.map(|part| part.to_string()).take_while(|part| {
                let fits = part.len() <= room;
                room = room.saturating_sub(part.len());
                std::future::ready(fits)
            });
            let text = async { output.collect::<String>().await };
            let text = tokio::time::timeout(Duration::from_secs(5), text).await.unwrap_or_default();
            all.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        }
        all
    }

    /// Returns a small text file of a container, which need not run. Returns none if there is no such file.
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

    /// Asks a server to shut down.
    pub(super) async fn stop(&self, name: &str) -> Result<()> {
        let options = KillContainerOptionsBuilder::new().signal("SIGTERM").build();
        let told = self.call(self.docker.kill_container(name, Some(options))).await;
        told.map_err(|error| self.failed(&format!("stop container {name}"), &error))
    }

    /// Returns every container with labels of the harness, running or not.
    pub(super) async fn ours(&self) -> Result<Vec<LabelledContainer>> {
        let filters = std::collections::HashMap::from([("label", vec![labels::KEY])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.call(self.docker.list_containers(Some(options))).await;
        let listed = listed.map_err(|error| self.failed("list containers", &error))?;
        let found = listed.into_iter().filter_map(|one| {
            let (name, labels) = (one.names?.into_iter().next()?, one.labels.unwrap_or_default());
            Some(LabelledContainer { name: name.trim_start_matches('/').to_owned(), labels })
        });
        Ok(found.collect())
    }

    /// Removes a container with its volumes, running or not. It is no error if there is none.
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
            Ok(Err(error)) if is_absence(&error) => Ok(()),
            // Another process removes it already, for which Podman answers 500.
            Ok(Err(error)) if matches!(status(&error), Some(409 | 500)) => {
                self.until_gone(name, deadline).await.map_err(|waited| failed(plain(&error)).because(waited))
            }
            Ok(Err(error)) => Err(failed(plain(&error))),
            Err(_) => Err(failed("the engine does not answer".to_owned())),
        }
    }

    async fn until_gone(&self, name: &str, deadline: Instant) -> Result<()> {
        // A removal is quick. If no other process removes it, waiting is in vain.
        let deadline = deadline.min(Instant::now() + Duration::from_secs(10));
        let awaited = format!("the removal of container {name}");
        let looked = || async {
            Ok(match self.look(name).await {
                Ok(ContainerState::Gone) => Look::Ready(()),
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
        let (host, time) = (&self.address.host, humantime::format_duration(CALL));
        Error::new(Kind::Provider, format!("cannot {attempted}")).because(match error {
            EngineError::RequestTimeoutError => format!("the engine at {host} did not answer within {time}"),
            error => plain(error),
        })
    }
}

/// Returns the port of this machine that leads to `port` of a container.
pub(super) fn mapped(found: &ContainerInspectResponse, port: u16) -> Option<u16> {
    let ports = found.network_settings.as_ref()?.ports.as_ref()?;
    let bindings: &Vec<PortBinding> = ports.get(&format!("{port}/tcp"))?.as_ref()?;
    bindings.iter().find_map(|binding| binding.host_port.as_ref()?.parse().ok().filter(|port| *port != 0))
}

/// Returns the text of the first file of a tar archive, the only form in which engines hand out files.
fn first_file(archive: &[u8]) -> Option<String> {
    let mut archive = tar::Archive::new(archive);
    let mut entry =
        archive.entries().ok()?.map_while(Result::ok).find(|entry| entry.header().entry_type().is_file())?;
    let mut text = String::new();
    entry.read_to_string(&mut text).ok()?;
    (text.len() as u64 == entry.size()).then_some(text)
}

/// Returns whether this process can see the one that listens at a socket. If it cannot, this process is in a container
/// into which the engine's socket was mounted.
async fn is_beside(socket: &Path) -> bool {
    let connected = tokio::time::timeout(PING, UnixStream::connect(socket)).await;
    let stream = connected.ok().and_then(Result::ok).and_then(|stream| stream.into_std().ok());
    stream.is_some_and(|stream| matches!(crate::host::platform::peer_process(&stream), Ok(pid) if pid != 0))
}

/// Returns whether a program accepts connections at an address, be it an engine or not.
async fn accepts(address: &EngineAddress) -> bool {
    let connected = async {
        match address.socket() {
            Some(path) => UnixStream::connect(path).await.is_ok(),
            None => {
                let url = url::Url::parse(&address.host).ok();
                let host = url.as_ref().and_then(|url| Some((url.host_str()?, url.port()?)));
                match host {
                    Some(host) => TcpStream::connect(host).await.is_ok(),
                    None => false,
                }
            }
        }
    };
    tokio::time::timeout(PING, connected).await.unwrap_or(false)
}

fn here() -> find::Candidates {
    let home = std::env::home_dir().unwrap_or_default();
    // As this process got it, since `announce` changes it.
    let variable = |name: &str| crate::host::initial_environment(name).and_then(|value| value.into_string().ok());
    Surroundings { variable: &variable, home: &home, user: labels::user(), root: Path::new("/") }.places()
}

async fn ask(place: Candidate) -> Result<Engine, String> {
    let address = place.address?;
    let docker = connect(&address)?;
    match tokio::time::timeout(PING, docker.ping()).await {
        Ok(Ok(_)) => {
            let beside = match address.socket() {
                Some(path) => is_beside(path).await,
                None => false,
            };
            Ok(Engine { docker, address, beside })
        }
        Ok(Err(error)) => {
            let (why, silent) = (plain(&error), status(&error).is_none());
            match silent && accepts(&address).await {
                true => Err(format!(
                    "a program accepts connections there and does not answer as an engine does: is it a proxy of one \
                     that does not run? ({why})"
                )),
                false => Err(why),
            }
        }
        Err(_) => Err(format!("it did not answer within {}", humantime::format_duration(PING))),
    }
}

/// Makes the client of an engine. Sends nothing yet.
fn connect(address: &EngineAddress) -> Result<Docker, String> {
    /// The limit for the headers of an answer, in seconds. Calls have limits of their own.
    const TIMEOUT: u64 = 30 * 60;
    let host = &address.host;
    let connected = match (address.socket(), &address.tls) {
        (Some(path), _) => Docker::connect_with_unix(&path.display().to_string(), TIMEOUT, API_DEFAULT_VERSION),
        (None, Some(dir)) => {
            // The engine's client uses the process's default. Keeper and command line are processes of the harness.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let [key, cert, ca] = ["key.pem", "cert.pem", "ca.pem"].map(|name| dir.join(name));
            Docker::connect_with_ssl(host, &key, &cert, &ca, TIMEOUT, API_DEFAULT_VERSION)
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

/// Reports whether the engine says that there is no such container. A proxy answers 404, too, whatever the path is.
fn is_absence(error: &EngineError) -> bool {
    status(error) == Some(404) && plain(error).to_ascii_lowercase().contains("no such container")
}

/// Returns what the operating system or the engine said, without what the layers above add.
pub(super) fn plain(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        EngineError::DockerStreamError { error } => error.clone(),
        error => root_of(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, text: &str) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    /// Returns why there is no engine at an address.
    async fn said(host: &str) -> String {
        ask(Candidate { named_by: String::new(), address: EngineAddress::checked(host, None) }).await.err().unwrap()
    }

    #[tokio::test]
    async fn a_proxy_without_its_engine_is_told_from_an_address_where_nothing_listens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker.sock");
        let unix = tokio::net::UnixListener::bind(&path).unwrap();
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hosts = [format!("unix://{}", path.display()), format!("tcp://{}", tcp.local_addr().unwrap())];
        let closing = tokio::spawn(async move {
            loop {
                tokio::select! {
                    accepted = unix.accept() => drop(accepted),
                    accepted = tcp.accept() => drop(accepted),
                }
            }
        });
        for host in &hosts {
            let text = said(host).await;
            assert!(text.starts_with("a program accepts connections there"), "{host}: {text}");
            assert!(text.contains("a proxy"), "{text}");
        }
        closing.abort();
        assert!(closing.await.unwrap_err().is_cancelled());
        for host in &hosts {
            let text = said(host).await;
            assert!(!text.contains("proxy") && text.contains("refused"), "{host}: {text}");
        }
        let _silent = std::os::unix::net::UnixListener::bind(dir.path().join("silent.sock")).unwrap();
        let text = said(&format!("unix://{}/silent.sock", dir.path().display())).await;
        assert!(text.contains("did not answer within"), "{text}");
    }

    #[test]
    fn only_the_engine_says_that_a_container_is_gone() {
        let said = |status_code, message: &str| EngineError::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        };
        assert!(is_absence(&said(404, "No such container: crate-1")));
        assert!(is_absence(&said(404, "no container with name or ID \"crate-1\" found: no such container")));
        for (status, message) in [
            (404, "<html>404 Not Found: /containers/crate-1</html>"),
            (404, "page not found"),
            (404, ""),
            (500, "No such container: crate-1"),
        ] {
            assert!(!is_absence(&said(status, message)), "{status} {message}");
        }
        assert!(!is_absence(&EngineError::RequestTimeoutError));
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
