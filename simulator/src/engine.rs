//! The embedded SQL engine: an in-memory stand-in for a documented part of CrateDB's SQL over HTTP.
//!
//! It answers as CrateDB does or refuses: a refusal's message contains `not supported by the embedded engine`, and a refused
//! statement changes nothing. What is read is a whitelist grammar, so that nothing is understood half. Writes are visible to
//! look-ups by primary key at once and to everything else after `REFRESH TABLE`; there is no refresh by time.

mod aggregates;
mod analyse;
mod ast;
mod cast;
mod catalog;
mod copy;
mod ddl;
mod decimal;
mod dml;
mod error;
mod exec;
mod expr;
mod functions;
mod http;
mod json;
mod keep;
mod lex;
mod operators;
mod parse;
mod print;
mod run;
mod session;
mod state;
mod store;
mod time;
mod types;
mod users;
mod value;

pub(crate) use copy::Copy;
pub(crate) use keep::Data;
use session::Session;
use state::State;
use std::sync::{Arc, Mutex, PoisonError};
use types::Type;
use value::Value;

/// What an engine calls itself.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// CrateDB's version, as `6.4.3`. Statements that this version doesn't know are errors.
    pub version: String,
    /// `sys.cluster.name`
    pub cluster_name: String,
    /// `sys.cluster.id`
    pub cluster_id: String,
    /// `sys.nodes.name`
    pub node_name: String,
    /// `sys.nodes.rest_url`: host and port.
    pub http_address: String,
}

impl EngineOptions {
    /// Whether the version is at least `major.minor`; one that isn't a number is the newest.
    fn at_least(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.version.split('.').map(|p| p.parse::<u32>().unwrap_or(u32::MAX));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (major, minor)
    }
}

/// One cluster's data. Shared by all connections.
#[derive(Debug)]
pub struct Engine {
    options: EngineOptions,
    state: Mutex<State>,
}

impl Engine {
    /// An empty cluster.
    pub fn new(options: EngineOptions) -> Arc<Engine> {
        Arc::new(Engine { options, state: Mutex::new(State::default()) })
    }

    /// A new connection, which is a session of its own.
    pub fn connect(self: &Arc<Self>) -> Connection {
        Connection { engine: self.clone(), session: None }
    }

    pub(crate) fn version(&self) -> &str {
        &self.options.version
    }

    /// The same data in an engine of another version; this one has none any more.
    pub(crate) fn upgraded(&self, version: &str) -> Arc<Engine> {
        let options = EngineOptions { version: version.into(), ..self.options.clone() };
        Arc::new(Engine { options, state: Mutex::new(std::mem::take(&mut *self.state())) })
    }

    /// Another node has joined: it stands in `sys.nodes` from now on.
    pub(crate) fn join(&self, name: &str, http_address: &str) {
        self.state().peers.insert(name.to_owned(), http_address.to_owned());
    }

    /// A node that had joined is gone.
    pub(crate) fn leave(&self, name: &str) {
        self.state().peers.remove(name);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One TCP connection.
#[derive(Debug)]
pub struct Connection {
    engine: Arc<Engine>,
    session: Option<Session>,
}

/// One HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `POST` and so on.
    pub method: &'a str,
    /// Path with query.
    pub path: &'a str,
    /// The authenticated user; none is `crate`.
    pub user: Option<&'a str>,
    /// The header `Default-Schema`.
    pub default_schema: Option<&'a str>,
    /// The body, decompressed.
    pub body: &'a [u8],
}

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the server closes the connection after this.
    pub close: bool,
}

impl Connection {
    pub(crate) fn is_to(&self, engine: &Arc<Engine>) -> bool {
        Arc::ptr_eq(&self.engine, engine)
    }

    /// Answers a request as CrateDB's HTTP port does.
    pub fn handle(&mut self, request: &Request<'_>) -> Answer {
        http::handle(self, request)
    }
}

/// What a statement gives.
#[derive(Debug)]
enum Outcome {
    Rows {
        columns: Vec<(String, Type)>,
        rows: Vec<Vec<Value>>,
    },
    /// Rows affected; -1 is unknown.
    Count(i64),
}
