//! One cluster's engine: its options and its state.

use super::state::EngineState;
use super::value::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The names, the version and the addresses of an engine.
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
    /// `sys.nodes.port['psql']`; none if the PostgreSQL protocol isn't served.
    pub psql_port: Option<u16>,
}

impl EngineOptions {
    /// Returns whether the version is at least `major.minor`. One that isn't a number is the newest.
    pub(crate) fn at_least(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.version.split('.').map(|p| p.parse::<u32>().unwrap_or(u32::MAX));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (major, minor)
    }
}

/// One cluster's data. Shared by all connections.
#[derive(Debug)]
pub struct Engine {
    pub(crate) options: EngineOptions,
    state: Mutex<EngineState>,
}

/// Returns the time in milliseconds since the Unix epoch.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

impl Engine {
    /// Makes an empty cluster.
    pub fn new(options: EngineOptions) -> Arc<Engine> {
        Self::of(options, EngineState::default())
    }

    pub(crate) fn of(options: EngineOptions, state: EngineState) -> Arc<Engine> {
        Arc::new(Engine { options, state: Mutex::new(EngineState { started: now(), ..state }) })
    }

    pub(crate) fn version(&self) -> &str {
        &self.options.version
    }

    /// Moves the data into an engine of another version. This one is empty then.
    pub(crate) fn upgraded(&self, version: &str) -> Arc<Engine> {
        let options = EngineOptions { version: version.into(), ..self.options.clone() };
        Self::of(options, std::mem::take(&mut *self.state()))
    }

    /// Adds a node that has joined to `sys.nodes`.
    pub(crate) fn join(&self, name: &str, http_address: &str) {
        self.state().peers.insert(name.to_owned(), http_address.to_owned());
    }

    /// Starts the server again with the data that it has.
    pub(crate) fn start_again(&self) {
        self.state().started = now();
    }

    /// Shows settings with which the nodes were started in `sys.cluster`.
    pub(crate) fn started_with(&self, settings: BTreeMap<String, Value>) {
        self.state().at_start = settings;
    }

    /// Removes a node that has left.
    pub(crate) fn leave(&self, name: &str) {
        self.state().peers.remove(name);
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, EngineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
