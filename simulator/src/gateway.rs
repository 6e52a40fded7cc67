//! The data plane of one cluster: what a load balancer with a CrateDB behind it does.
//!
//! While the cluster does not run, every request is answered with a plain 503 and the connection is closed, as an HTTP load
//! balancer without a healthy backend does; connections that are open when the cluster is suspended are closed. A listener
//! that comes and goes would be nearer to a TCP load balancer, but could lose its port to somebody else.

mod auth;
pub(crate) mod embedded;
pub(crate) mod inside;
mod psql;
mod upstream;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::header::AUTHORIZATION;

use crate::engine::{Data, Engine, EngineOptions};
use crate::http::{Exchange, Plane, Reply};
use crate::options::EngineKind;
use crate::shared::Shared;
use crate::state::Micros;
use crate::state::catalog::is_newer;
use crate::state::cluster::Cluster;
use auth::Verdict;
use embedded::Embedded;
use upstream::Upstream;

/// Cloud names its nodes like this, counted from 0.
const NODE: &str = "data-hot-0";

/// The data plane of one cluster.
#[derive(Debug)]
pub(crate) struct Gateway {
    shared: Arc<Shared>,
    cluster: String,
    /// Where the cluster speaks the PostgreSQL protocol; the embedded engine does.
    pub(crate) psql_port: Option<u16>,
    switches: Mutex<Switches>,
    /// Made when it is needed first.
    embedded: Mutex<Option<Embedded>>,
    /// The one session of all connections, if a proxy that mixes them is played.
    mixed: tokio::sync::Mutex<Session>,
}

/// What tests make it do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switches {
    /// So many requests to the running cluster are answered with 503.
    pub(crate) not_ready_requests: u32,
    /// So long after it began to run, requests are answered with 503.
    pub(crate) not_ready_for: Duration,
    /// All connections share one session.
    pub(crate) mixing: bool,
}

/// What one TCP connection has behind it.
#[derive(Debug, Default)]
pub(crate) enum Session {
    /// Nothing was asked yet.
    #[default]
    Fresh,
    Embedded(embedded::Session),
    Real(Upstream),
}

/// What is looked up of the cluster for a request.
struct Facts {
    running_since: Option<Micros>,
    auth: bool,
    name: String,
    version: String,
    username: String,
    password: String,
    url: String,
}

impl Facts {
    fn of(cluster: &Cluster) -> Self {
        Self {
            running_since: cluster.running_since,
            auth: cluster.auth,
            name: cluster.name.clone(),
            version: cluster.version.clone(),
            username: cluster.username.clone(),
            password: cluster.password.clone(),
            url: cluster.url.clone(),
        }
    }

    /// The engine as it was, or a new one. An upgrade makes it one of another version with the same data.
    fn engine(&self, id: &str, psql_port: Option<u16>, before: Option<Embedded>, kept: Option<Data>) -> Embedded {
        let options = || EngineOptions {
            version: self.version.clone(),
            cluster_name: self.name.clone(),
            cluster_id: id.into(),
            node_name: NODE.into(),
            http_address: self.url.strip_prefix("http://").unwrap_or(&self.url).into(),
            psql_port,
        };
        match (before, kept) {
            // What was looked up may be older than the engine by now: nothing is ever downgraded.
            (Some(before), _) if is_newer(&self.version, before.version()) => before.upgraded(&self.version),
            (Some(before), _) => before,
            (None, Some(data)) => Embedded::with(data, options()),
            (None, None) => Embedded::new(options()).with_user(&self.username),
        }
    }
}

impl Plane for Gateway {
    type Session = Session;

    fn open(&self) -> Session {
        Session::Fresh
    }

    async fn answer(&self, session: &mut Session, exchange: &Exchange) -> Option<Reply> {
        let facts = self.shared.used(|state| {
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
        self.shared.look(|state| state.find(&self.cluster)?.running_since)
    }

    fn is_gone(&self) -> bool {
        self.shared.look(|state| state.find(&self.cluster).is_none())
    }
}

/// The load balancer's own answer.
fn unavailable() -> Reply {
    Reply::new(503, "text/plain; charset=utf-8", "no available server\n").closing()
}

impl Gateway {
    pub(crate) fn new(shared: Arc<Shared>, cluster: &str, psql_port: Option<u16>) -> Self {
        Self {
            shared,
            psql_port,
            cluster: cluster.into(),
            switches: Mutex::default(),
            embedded: Mutex::default(),
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

    async fn forward(&self, session: &mut Session, facts: &Facts, exchange: &Exchange) -> Option<Reply> {
        if let EngineKind::Real(address) = &self.shared.engine {
            return self.forward_to_real(session, address, exchange).await;
        }
        let user = match self.authenticate(facts, exchange) {
            Verdict::User(user) => user,
            Verdict::Refused(reply) => return Some(reply),
        };
        let embedded = self.embedded(facts);
        if !matches!(session, Session::Embedded(open) if open.is_of(&embedded)) {
            *session = Session::Embedded(embedded.connect());
        }
        match session {
            Session::Embedded(session) => {
                let reply = session.answer(user.as_deref(), exchange);
                if exchange.method == "POST" {
                    self.shared.data_changed();
                }
                Some(reply)
            }
            Session::Fresh | Session::Real(_) => None,
        }
    }

    fn embedded(&self, facts: &Facts) -> Embedded {
        let mut embedded = self.embedded.lock().unwrap();
        let kept = if embedded.is_none() { self.shared.kept_engine(&self.cluster) } else { None };
        let current = facts.engine(&self.cluster, self.psql_port, embedded.take(), kept);
        embedded.insert(current).clone()
    }

    /// What is to be kept of it; none if nobody used it yet.
    pub(crate) fn keep(&self) -> Option<Data> {
        self.embedded.lock().unwrap().as_ref().map(|embedded| embedded.engine().keep())
    }

    /// The embedded engine behind it, if there is one.
    pub(crate) fn engine(&self, cluster: &Cluster) -> Option<Arc<Engine>> {
        match self.shared.engine {
            EngineKind::Embedded => Some(self.embedded(&Facts::of(cluster)).engine()),
            EngineKind::Real(_) => None,
        }
    }

    /// The server checks credentials itself, but for tokens that a test has revoked.
    async fn forward_to_real(&self, session: &mut Session, address: &str, exchange: &Exchange) -> Option<Reply> {
        let token = exchange.header(AUTHORIZATION.as_str()).and_then(auth::bearer);
        if token.is_some_and(|token| self.shared.tokens.is_revoked(token)) {
            return Some(auth::refuse("jwt authentication failed. Reason: the token has expired"));
        }
        if matches!(session, Session::Fresh) {
            match Upstream::connect(address).await {
                Ok(upstream) => *session = Session::Real(upstream),
                Err(_) => return Some(unavailable()),
            }
        }
        let Session::Real(upstream) = session else { return None };
        let reply = upstream.forward(exchange).await.ok();
        if reply.is_none() {
            // A shared session begins anew with the next client; one's own ends with the connection.
            *session = Session::Fresh;
        }
        reply
    }
}
