//! `crate`: a stand-in for the program `bin/crate` and for the official image's entry point.
//!
//! It serves the embedded engine, by default without authentication, so that programs that start CrateDB as a process
//! or a container can be tested where CrateDB can't be had. Anything else is refused. Several stand-ins join as nodes
//! of a cluster, whose first node holds and answers everything.

mod cluster;
mod rules;
mod settings;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use base64::Engine as _;
use clap::Parser;
use hyper::header::AUTHORIZATION;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{FAILURE, complain, runtime};
use crate::clock::{Clock, now};
use crate::engine::{Connection, Engine, EngineOptions};
use crate::gateway;
use crate::http::{self, Exchange, Plane, Reply, Traffic};
use crate::postgres::{self, Client, Entry};
use crate::requests::Record;
use crate::state::{catalog, stamp};
use crate::tls::{Encryption, Keystore};
use rules::{Caller, Method, Protocol, Rules, no_rule};
use settings::{Settings, Ssl};

/// Names under which this binary is the stand-in.
const NAMES: [&str; 2] = ["crate", "docker-entrypoint.sh"];
/// The width to which the log layout pads the logger.
const LOGGER_WIDTH: usize = 25;

/// Starts a stand-in for a CrateDB node: the simulator's embedded engine.
#[derive(Debug, Parser)]
#[command(name = "crate", disable_version_flag = true)]
pub(super) struct CrateArgs {
    /// A setting of the node.
    #[arg(short = 'C', value_name = "KEY=VALUE")]
    setting: Vec<String>,
    /// A property of the Java virtual machine, without effect.
    #[arg(short = 'D', value_name = "KEY=VALUE")]
    property: Vec<String>,
    /// Prints the version.
    #[arg(short = 'v', long = "version")]
    version: bool,
}

/// Returns the arguments if this process was started under one of the stand-in's names. The image's command begins with
/// `crate`.
pub(super) fn arguments_by_name(mut arguments: Vec<OsString>) -> Option<Vec<OsString>> {
    let name = Path::new(arguments.first()?).file_name()?.to_str()?;
    if !NAMES.contains(&name) {
        return None;
    }
    if arguments.get(1).is_some_and(|first| first == "crate") {
        arguments.remove(1);
    }
    Some(arguments)
}

pub(super) fn stand_in(arguments: &CrateArgs) -> ExitCode {
    if arguments.version {
        println!("Version: {}, Build: simulator/stand-in", claimed_version());
        return ExitCode::SUCCESS;
    }
    let settings = match Settings::read(&arguments.setting, std::process::id() == 1) {
        Ok(settings) => settings,
        Err(problem) => {
            complain(&format!("Exception: {problem}"));
            return ExitCode::from(FAILURE);
        }
    };
    match runtime().and_then(|runtime| runtime.block_on(serve(settings))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("Exception: {error}"));
            ExitCode::from(FAILURE)
        }
    }
}

async fn serve(settings: Settings) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let encryption = encryption(&settings.ssl)?;
    let log = |logger: &str, message: &str| log(&settings.node_name, logger, message);
    log("o.e.n.Node", "initializing ... (a stand-in of the CrateDB Cloud simulator)");
    let (psql, psql_bound, psql_published) = bind(settings.host, &settings.psql_ports).await?;
    let (listener, bound, published) = bind(settings.host, &settings.ports).await?;
    let (transport, transport_bound, transport_published) =
        bind(settings.transport_host.unwrap_or(settings.host), &settings.transport).await?;
    let traffic = Arc::new(Traffic::new(Clock::new(0), Record::new(None, false)?));
    // A node never ends and never has another period, so there is no change to tell.
    let (_changed, changes) = watch::channel(0);
    let engine = Engine::new(EngineOptions {
        version: claimed_version(),
        cluster_name: settings.cluster_name.clone(),
        cluster_id: cluster_id(now()),
        node_name: settings.node_name.clone(),
        http_address: published.to_string(),
        psql_port: Some(psql_bound.port()),
    });
    engine.started_with(settings.shown.clone());
    let joined = cluster::take_part(&settings, transport, published, engine.clone());
    let node = Arc::new(Node { engine, joined, rules: settings.rules.clone(), ssl: settings.ssl.clone(), encryption });
    // In the order of CrateDB's log.
    log("psql", &format!("publish_address {{{psql_published}}}, bound_addresses {{{psql_bound}}}"));
    tokio::spawn(postgres::serve(psql, node.clone(), changes.clone()));
    tokio::spawn(http::serve(traffic, listener, node, changes));
    log("o.e.h.n.Netty4HttpServerTransport", &format!("publish_address {{{published}}}, bound_addresses {{{bound}}}"));
    log(
        "o.e.t.TransportService",
        &format!("publish_address {{{transport_published}}}, bound_addresses {{{transport_bound}}}"),
    );
    log("o.e.n.Node", "started");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    log("o.e.n.Node", "stopping ...");
    log("o.e.n.Node", "closed");
    Ok(())
}

/// Binds the first free port of the range, as CrateDB does. Returns the address that is bound, and the one for others.
async fn bind(host: IpAddr, ports: &RangeInclusive<u16>) -> std::io::Result<(TcpListener, SocketAddr, SocketAddr)> {
    let mut last = None;
    for port in ports.clone() {
        match TcpListener::bind((host, port)).await {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                return Ok((listener, bound, SocketAddr::new(publishable(bound.ip()), bound.port())));
            }
            Err(error) => last = Some(error),
        }
    }
    let (first, last_port) = (ports.start(), ports.end());
    let error = last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into());
    Err(std::io::Error::new(error.kind(), format!("Failed to bind to {host} on ports [{first}-{last_port}]: {error}")))
}

/// Returns an address that others can use. Connecting a datagram socket sends nothing; it only asks for the route.
fn publishable(bound: IpAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    let routed = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    routed.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}

/// CrateDB's ids of clusters are 16 bytes in base64url.
fn cluster_id(now: i64) -> String {
    let bytes = [now.to_be_bytes(), i64::from(std::process::id()).to_be_bytes()].concat();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// CrateDB's layout: `[timestamp][LEVEL][logger] [node] message`.
fn log(node: &str, logger: &str, message: &str) {
    let naive = stamp::naive(now());
    let (time, fraction) = naive.split_once('.').unwrap_or((&naive, "000"));
    let millis = fraction.get(..3).unwrap_or("000");
    // A closed stdout is ignored.
    let _ = writeln!(std::io::stdout(), "[{time},{millis}][INFO ][{logger:LOGGER_WIDTH$}] [{node}] {message}");
}

/// This node.
struct Node {
    engine: Arc<Engine>,
    joined: cluster::Joined,
    rules: Rules,
    ssl: Ssl,
    /// None where no protocol is encrypted.
    encryption: Option<Encryption>,
}

/// Reads the keystore, if one is needed.
fn encryption(ssl: &Ssl) -> std::io::Result<Option<Encryption>> {
    if !ssl.http && !ssl.postgres {
        return Ok(None);
    }
    let failed = |why: String| std::io::Error::other(format!("Failed to build SSL configuration: {why}"));
    let file = ssl.keystore.as_ref().ok_or_else(|| failed("[ssl.keystore_filepath] is not set".into()))?;
    let content = fs::read(file).map_err(|error| failed(format!("{} ({error})", file.display())))?;
    let keystore = Keystore::read(&content).map_err(|why| failed(why.into()))?;
    Encryption::of(&keystore).map(Some).map_err(|error| failed(error.to_string()))
}

impl Plane for Node {
    type Session = Connection;

    fn open(&self) -> Connection {
        self.engine.connect()
    }

    async fn answer(&self, session: &mut Connection, exchange: &Exchange) -> Option<Reply> {
        if let Some(why) = self.joined.refusal() {
            return Some(Reply::new(503, "text/plain; charset=UTF-8", why));
        }
        // CrateDB without authentication fails at tokens, too.
        if exchange.header(AUTHORIZATION.as_str()).and_then(gateway::bearer).is_some() {
            return Some(gateway::refuse("a token needs a rule for it, which the stand-in does not have"));
        }
        let given = exchange.basic();
        let user = given.as_ref().map(|(user, _)| user.as_str());
        match self.refusal(exchange.peer.ip(), given.as_ref()) {
            Some(why) => Some(gateway::refuse(&why)),
            None => Some(gateway::answer(session, user, exchange)),
        }
    }

    fn encryption(&self) -> Option<Encryption> {
        self.encryption.clone().filter(|_| self.ssl.http)
    }
}

impl Node {
    /// Returns why a request over HTTP is refused by the rules.
    fn refusal(&self, from: IpAddr, given: Option<&(String, String)>) -> Option<String> {
        // CrateDB takes an empty password for none.
        let (user, password) = given.map_or((SUPERUSER, ""), |(user, password)| (user.as_str(), password.as_str()));
        let (protocol, encrypted) = (Protocol::Http, self.ssl.http);
        let caller = Caller { user, protocol, encrypted, has_password: !password.is_empty(), has_certificate: false };
        match self.rules.method(caller) {
            // Whether such a user exists is looked at with the statement.
            Some(Method::Trust) => None,
            Some(Method::Password) if self.engine.knows(user, password) => None,
            Some(_) => Some(format!("password authentication failed for user \"{user}\"")),
            None => Some(no_rule(from, user, protocol)),
        }
    }
}

impl postgres::Server for Node {
    fn period(&self) -> Option<i64> {
        Some(0)
    }

    fn is_gone(&self) -> bool {
        false
    }

    fn encryption(&self) -> Option<Encryption> {
        self.encryption.clone().filter(|_| self.ssl.postgres)
    }

    /// Without authentication every user that exists is let in.
    fn entry(&self, user: &str, client: &Client) -> Option<Entry> {
        if let Some(why) = self.joined.refusal() {
            return Some(Entry::Closed(why.into()));
        }
        let (protocol, encrypted) = (Protocol::Postgres, client.encrypted);
        let has_certificate = client.shown.is_some();
        let caller = Caller { user, protocol, encrypted, has_password: true, has_certificate };
        Some(match self.rules.method(caller) {
            Some(Method::Password) => Entry::Password,
            Some(Method::Trust) if self.engine.has_user(user) => Entry::Trust,
            Some(Method::Trust) => Entry::Closed(format!("trust authentication failed for user \"{user}\"")),
            Some(Method::Certificate) => match client.shown.as_deref() {
                Some(name) if name == user && self.engine.has_user(user) => Entry::Trust,
                name => Entry::Closed(format!(
                    "Common name \"{}\" in client certificate doesn't match username \"{user}\"",
                    name.unwrap_or_default()
                )),
            },
            None => Entry::Closed(no_rule(client.address, user, protocol)),
        })
    }

    fn knows(&self, user: &str, password: &str) -> bool {
        self.engine.knows(user, password)
    }

    fn connect(&self) -> Option<Connection> {
        Some(self.engine.connect())
    }
}

/// The user of requests that name none.
const SUPERUSER: &str = "crate";

/// The variable with the version, for an image, whose files don't tell the version.
const VERSION_VARIABLE: &str = "CRATE_STAND_IN_VERSION";

/// Returns the version in `CRATE_STAND_IN_VERSION`, else the one in the names of the installation's archives (this
/// program is its `bin/crate`), else the simulator's newest.
fn claimed_version() -> String {
    let said = std::env::var(VERSION_VARIABLE).ok().filter(|version| !version.is_empty());
    let installed = || of_installation(std::env::current_exe().ok()?.parent()?.parent()?);
    said.or_else(installed).unwrap_or_else(|| catalog::STABLE.to_owned())
}

fn of_installation(home: &Path) -> Option<String> {
    let names = fs::read_dir(home.join("lib")).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let version = |name: String| Some(name.strip_prefix("crate-server-")?.strip_suffix(".jar")?.to_owned());
    names.filter_map(version).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_name(arguments: &[&str]) -> Option<Vec<OsString>> {
        arguments_by_name(arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn the_name_of_the_program_makes_it_the_stand_in() {
        assert_eq!(by_name(&["/opt/crate/bin/crate", "-v"]).unwrap().len(), 2);
        assert_eq!(by_name(&["/docker-entrypoint.sh", "crate", "-Cnode.name=a"]).unwrap().len(), 2);
        assert_eq!(by_name(&["/bin/cratedb-cloud-simulator", "crate"]), None);
    }

    #[test]
    fn a_setting_may_stand_apart_from_its_option() {
        let read = |arguments: &[&str]| CrateArgs::try_parse_from(arguments).unwrap().setting;
        assert_eq!(read(&["crate", "-Ca.b=1", "-C", "c=d=e"]), ["a.b=1", "c=d=e"]);
    }

    #[test]
    fn the_names_of_archives_tell_the_version() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(of_installation(home.path()), None);
        fs::create_dir(home.path().join("lib")).unwrap();
        assert_eq!(of_installation(home.path()), None);
        for name in ["crate-server-5.10.16.jar", "lucene-9.jar"] {
            fs::write(home.path().join("lib").join(name), "").unwrap();
        }
        assert_eq!(of_installation(home.path()).as_deref(), Some("5.10.16"));
    }
}
