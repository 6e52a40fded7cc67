//! The data plane of one cluster: a load balancer with a CrateDB behind it.
//!
//! While the cluster does not run, every request is answered with a plain 503 and the connection is closed, as an HTTP
//! load balancer without a healthy backend does. Connections that are open when the cluster is suspended are closed.
//! Closing the listener would be nearer to a TCP load balancer, but another process could take its port.

pub(crate) mod inside;
pub(crate) mod plain;
mod upstream;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use tokio::net::TcpListener;

use crate::engine::{Connection, Engine, Request};
use crate::http::{self, Exchange, Plane, Reply};
use crate::jwt::{Expected, Tokens};
use crate::options::EngineKind;
use crate::postgres::{self, Client, Entry};
use crate::state::Micros;
use crate::store::Store;
use crate::store::engines::Facts;
use plain::{Actor, Line, Plain};
use upstream::Upstream;

/// The data planes of all clusters.
#[derive(Debug)]
pub(crate) struct Gateways {
    pub(crate) store: Arc<Store>,
    pub(crate) tokens: Arc<Tokens>,
    /// The plain server behind all of them, if there is one.
    plain: Option<Arc<Plain>>,
    /// Those that were opened, by cluster; clusters that are gone may be among them. The lock is taken while the state
    /// is locked, so never the other way round.
    open: Mutex<HashMap<String, Arc<Gateway>>>,
}

impl Gateways {
    pub(crate) fn new(store: Arc<Store>, tokens: Tokens, plain: Option<Plain>) -> Self {
        Self { store, tokens: Arc::new(tokens), plain: plain.map(Arc::new), open: Mutex::default() }
    }

    /// Returns the gateway of a cluster that is there.
    pub(crate) fn get(&self, cluster: &str) -> Option<Arc<Gateway>> {
        let gateway = self.open.lock().unwrap().get(cluster).cloned();
        gateway.filter(|gateway| !Plane::is_gone(&**gateway))
    }

    /// Returns the port of the PostgreSQL protocol of a cluster that is there.
    pub(crate) fn psql_port(&self, cluster: &str) -> Option<u16> {
        self.open.lock().unwrap().get(cluster)?.psql_port
    }

    /// Opens the data plane of a cluster on a listener that is bound already.
    pub(crate) fn open(&self, cluster: &str, listener: TcpListener) {
        // Without a port of its own a cluster has no PostgreSQL protocol, as one behind a real server has none.
        let psql = match self.store.engines.kind {
            EngineKind::Embedded => loopback().ok(),
            EngineKind::Server(_) | EngineKind::Home(_) | EngineKind::Real(_) => None,
        };
        let port = psql.as_ref().and_then(|psql| psql.local_addr().ok()).map(|address| address.port());
        self.store.engines.open(cluster, port);
        let gateway = Arc::new(Gateway::new(self, cluster, port));
        let there: HashSet<_> = self.store.look(|state| state.clusters().iter().map(|one| one.id.clone()).collect());
        let mut open = self.open.lock().unwrap();
        open.retain(|id, _| there.contains(id));
        open.insert(cluster.into(), gateway.clone());
        drop(open);
        if let Some(psql) = psql {
            tokio::spawn(postgres::serve(psql, gateway.clone(), self.store.changes()));
        }
        tokio::spawn(http::serve(self.store.traffic.clone(), listener, gateway, self.store.changes()));
    }
}

/// Binds a listener on a free port without waiting.
fn loopback() -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Binds a listener for a cluster's data plane; returns it and its URL.
pub(crate) async fn bind() -> std::io::Result<(TcpListener, String)> {
    bind_at("127.0.0.1:0").await
}

/// Binds a listener at an address that was used before; returns it and its URL.
pub(crate) async fn bind_at(address: &str) -> std::io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// The data plane of one cluster.
#[derive(Debug)]
pub(crate) struct Gateway {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    plain: Option<Arc<Plain>>,
    cluster: String,
    /// The port of the PostgreSQL protocol, which only the embedded engine speaks.
    psql_port: Option<u16>,
    switches: Mutex<Switches>,
    /// The one session of all connections, if connections are mixed.
    mixed: tokio::sync::Mutex<Backend>,
}

/// Faults that tests switch on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switches {
    /// This number of requests to the running cluster is answered with 503.
    pub(crate) not_ready_requests: u32,
    /// Requests are answered with 503 for this time after the cluster began to run.
    pub(crate) not_ready_for: Duration,
    /// All connections share one session.
    pub(crate) mixing: bool,
}

/// The database session behind one TCP connection.
#[derive(Debug, Default)]
pub(crate) enum Backend {
    /// There was no request yet.
    #[default]
    Fresh,
    Embedded(Connection),
    Plain(Line),
    Real(Upstream),
}

impl Plane for Gateway {
    type Session = Backend;

    fn open(&self) -> Backend {
        Backend::Fresh
    }

    async fn answer(&self, session: &mut Backend, exchange: &Exchange) -> Option<Reply> {
        let facts = self.store.used(|state| {
            state.touch(exchange.at, &self.cluster);
            state.find(&self.cluster).map(Facts::of)
        })?;
        if !self.is_ready(exchange.at, facts.running_since) {
            return Some(unavailable());
        }
        if self.switches().mixing {
            return self.forward(&mut *self.mixed.lock().await, &facts, exchange).await;
        }
        self.forward(session, &facts, exchange).await
    }

    fn cluster(&self) -> Option<&str> {
        Some(&self.cluster)
    }

    fn period(&self) -> Option<Micros> {
        self.store.look(|state| state.find(&self.cluster)?.running_since)
    }

    fn is_gone(&self) -> bool {
        self.store.look(|state| state.find(&self.cluster).is_none())
    }
}

/// The load balancer's own answer.
fn unavailable() -> Reply {
    Reply::new(503, "text/plain; charset=utf-8", "no available server\n").closing()
}

/// The load balancer's own answer if the server is not there. It says by which option the server was named.
fn unreachable(engine: &str, error: &std::io::Error) -> Reply {
    let told = format!("no available server: cannot reach the one of --engine {engine} ({error})\n");
    Reply::new(503, "text/plain; charset=utf-8", told).closing()
}

impl Gateway {
    fn new(all: &Gateways, cluster: &str, psql_port: Option<u16>) -> Self {
        Self {
            store: all.store.clone(),
            tokens: all.tokens.clone(),
            plain: all.plain.clone(),
            psql_port,
            cluster: cluster.into(),
            switches: Mutex::default(),
            mixed: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn switch(&self, switch: impl FnOnce(&mut Switches)) {
        switch(&mut self.switches.lock().unwrap());
    }

    fn switches(&self) -> Switches {
        *self.switches.lock().unwrap()
    }

    fn is_ready(&self, now: Micros, running_since: Option<Micros>) -> bool {
        let Some(since) = running_since else { return false };
        let mut switches = self.switches.lock().unwrap();
        let settled = since.saturating_add(Micros::try_from(switches.not_ready_for.as_micros()).unwrap_or(Micros::MAX));
        if switches.not_ready_requests > 0 {
            switches.not_ready_requests -= 1;
            return false;
        }
        now >= settled
    }

    async fn forward(&self, session: &mut Backend, facts: &Facts, exchange: &Exchange) -> Option<Reply> {
        if let EngineKind::Real(address) = &self.store.engines.kind {
            return self.forward_to_real(session, address, exchange).await;
        }
        let user = match self.authenticate(facts, exchange) {
            Verdict::User(user) => user,
            Verdict::Refused(reply) => return Some(reply),
            // Only a plain server is asked.
            Verdict::Server(own) => return self.forward_to_plain(session, Actor::Client(own), facts, exchange).await,
        };
        if self.plain.is_some() {
            let actor = match user {
                None => Actor::Account,
                Some(user) if user == facts.username => Actor::Owner,
                Some(user) => Actor::Named(user),
            };
            return self.forward_to_plain(session, actor, facts, exchange).await;
        }
        let engine = self.engine(facts)?;
        // An upgrade makes it another engine.
        if !matches!(session, Backend::Embedded(open) if open.is_to(&engine)) {
            *session = Backend::Embedded(engine.connect());
        }
        let Backend::Embedded(connection) = session else { return None };
        let reply = answer(connection, user.as_deref(), exchange);
        if exchange.method == "POST" {
            self.store.data_changed();
        }
        Some(reply)
    }

    fn engine(&self, facts: &Facts) -> Option<Arc<Engine>> {
        self.store.engines.engine(facts)
    }

    fn facts(&self) -> Option<Facts> {
        self.store.look(|state| state.find(&self.cluster).map(Facts::of))
    }

    /// Passes a request on, as a user whose credentials were checked, or for the server to check them.
    async fn forward_to_plain(
        &self,
        session: &mut Backend,
        actor: Actor,
        facts: &Facts,
        exchange: &Exchange,
    ) -> Option<Reply> {
        if !matches!(session, Backend::Plain(line) if line.acts_as(&actor)) {
            let schema = exchange.headers.get("default-schema");
            match self.plain.as_ref()?.connect(actor, facts, schema).await {
                Ok(line) => *session = Backend::Plain(line),
                Err(reply) => return Some(reply),
            }
        }
        let Backend::Plain(line) = session else { return None };
        let reply = line.forward(exchange).await.ok();
        if reply.is_none() {
            *session = Backend::Fresh;
        }
        reply
    }

    /// Passes a request on. The server checks credentials itself, except for tokens that a test has revoked.
    async fn forward_to_real(&self, session: &mut Backend, address: &str, exchange: &Exchange) -> Option<Reply> {
        let token = exchange.header(AUTHORIZATION.as_str()).and_then(bearer);
        if token.is_some_and(|token| self.tokens.is_revoked(token)) {
            return Some(refuse("jwt authentication failed. Reason: the token has expired"));
        }
        if matches!(session, Backend::Fresh) {
            match Upstream::connect(address).await {
                Ok(upstream) => *session = Backend::Real(upstream),
                Err(error) => return Some(unreachable(&format!("http://{address},auth=server"), &error)),
            }
        }
        let Backend::Real(upstream) = session else { return None };
        let reply = upstream.forward(exchange).await.ok();
        if reply.is_none() {
            // A shared session begins anew with the next client; any other ends with its connection.
            *session = Backend::Fresh;
        }
        reply
    }
}

/// Answers a request by the engine as this user, whose credentials have been checked. No user is `crate`.
pub(crate) fn answer(connection: &mut Connection, user: Option<&str>, exchange: &Exchange) -> Reply {
    let Some(body) = exchange.decompressed() else { return unreadable() };
    let answer = connection.handle(&Request {
        method: &exchange.method,
        path: &exchange.target(),
        user,
        default_schema: exchange.header("default-schema"),
        body: &body,
    });
    Reply {
        status: answer.status,
        headers: vec![(CONTENT_TYPE, HeaderValue::from_static(answer.content_type))],
        body: answer.body.into(),
        close: answer.close,
    }
}

fn unreadable() -> Reply {
    let message = "this content encoding or its content is not supported by the embedded engine";
    let error = serde_json::json!({ "error": { "message": message, "code": 4000 } });
    Reply::new(400, "application/json", error.to_string())
}

/// The result of authentication.
enum Verdict {
    /// The request goes on as this user; none is the superuser `crate`.
    User(Option<String>),
    Refused(Reply),
    /// Only the plain server behind the gateway can check these credentials.
    Server(HeaderValue),
}

impl Gateway {
    fn authenticate(&self, facts: &Facts, exchange: &Exchange) -> Verdict {
        if let Some(token) = exchange.header(AUTHORIZATION.as_str()).and_then(bearer) {
            return self.check_token(facts, exchange, token);
        }
        match exchange.basic() {
            Some((user, _)) if !facts.auth => Verdict::User(Some(user)),
            // An empty password counts as none.
            Some((user, password)) if !password.is_empty() => {
                self.store.traffic.record.hide(&password);
                let own = exchange.headers.get(AUTHORIZATION).filter(|_| self.may_ask_server(facts, &user));
                match (self.knows_user(facts, &user, &password), own) {
                    (true, _) => Verdict::User(Some(user)),
                    (false, Some(own)) => Verdict::Server(secret(own.clone())),
                    (false, None) => refused(&format!("password authentication failed for user \"{user}\"")),
                }
            }
            None if !facts.auth => Verdict::User(None),
            offered => {
                let user = offered.map_or_else(|| "crate".into(), |(user, _)| user);
                let host = exchange.peer.ip();
                refused(&format!("No valid auth.host_based.config entry found for host \"{host}\", user \"{user}\""))
            }
        }
    }

    /// Returns whether these are the credentials of the cluster's user or of one that was made by SQL.
    fn knows_user(&self, facts: &Facts, user: &str, password: &str) -> bool {
        let made = || self.engine(facts).is_some_and(|engine| engine.knows(user, password));
        user == facts.username && password == facts.password || made()
    }

    /// Returns whether a plain server is to check this user's password, as one that was made by SQL.
    fn may_ask_server(&self, facts: &Facts, user: &str) -> bool {
        user != facts.username && self.plain.as_ref().is_some_and(|plain| plain.is_open_to(user))
    }

    fn check_token(&self, facts: &Facts, exchange: &Exchange, token: &str) -> Verdict {
        let issuer = self.tokens.issuer();
        let expected = Expected { audience: &self.cluster, username: &facts.username, issuer };
        match self.tokens.check(exchange.at, token, expected) {
            Ok(()) => Verdict::User(Some(facts.username.clone())),
            Err(reason) => refused(&format!("jwt authentication failed for user {}. Reason: {reason}", facts.username)),
        }
    }
}

/// Returns the token of a bearer header.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the header of a user and a password, unless they can't stand in one.
fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    header.ok().map(secret)
}

/// Returns a header that `Debug` does not show.
fn secret(mut header: HeaderValue) -> HeaderValue {
    header.set_sensitive(true);
    header
}

fn refused(text: &str) -> Verdict {
    Verdict::Refused(refuse(text))
}

/// Answers with plain text and a newline, and closes the connection, as CrateDB's authentication does.
pub(crate) fn refuse(text: &str) -> Reply {
    Reply::new(401, "text/plain; charset=utf-8", format!("{text}\n"))
        .with(WWW_AUTHENTICATE, "Basic realm=\"CrateDB Authenticator\"")
        .closing()
}

impl postgres::Server for Gateway {
    fn period(&self) -> Option<i64> {
        Plane::period(self)
    }

    fn is_gone(&self) -> bool {
        Plane::is_gone(self)
    }

    /// With authentication every user needs a password. As in CrateDB, a token doesn't count as one.
    fn entry(&self, user: &str, _: &Client) -> Option<Entry> {
        let facts = self.facts()?;
        if !self.is_ready(self.store.now(), facts.running_since) {
            return None;
        }
        Some(match facts.auth {
            true => Entry::Password,
            false if self.engine(&facts)?.has_user(user) => Entry::Trust,
            false => Entry::Closed(format!("trust authentication failed for user \"{user}\"")),
        })
    }

    fn knows(&self, user: &str, password: &str) -> bool {
        self.store.traffic.record.hide(password);
        self.facts().is_some_and(|facts| self.knows_user(&facts, user, password))
    }

    fn connect(&self) -> Option<Connection> {
        Some(self.engine(&self.facts()?)?.connect())
    }

    fn used(&self) {
        self.store.used(|state| state.touch(self.store.now(), &self.cluster));
    }

    fn changed(&self) {
        self.store.data_changed();
    }
}
