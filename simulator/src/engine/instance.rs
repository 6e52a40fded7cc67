//! One cluster's engine: its options and its state.

use super::state::State;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// `sys.nodes.port['psql']`; none where the PostgreSQL protocol isn't served.
    pub psql_port: Option<u16>,
}

impl EngineOptions {
    /// Whether the version is at least `major.minor`; one that isn't a number is the newest.
    pub(crate) fn at_least(&self, major: u32, minor: u32) -> bool {
        let mut parts = self.version.split('.').map(|p| p.parse::<u32>().unwrap_or(u32::MAX));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (major, minor)
    }
}

/// One cluster's data. Shared by all connections.
#[derive(Debug)]
pub struct Engine {
    pub(crate) options: EngineOptions,
    state: Mutex<State>,
}

impl Engine {
    /// An empty cluster.
    pub fn new(options: EngineOptions) -> Arc<Engine> {
        Self::of(options, State::default())
    }

    pub(crate) fn of(options: EngineOptions, state: State) -> Arc<Engine> {
        Arc::new(Engine { options, state: Mutex::new(state) })
    }

    pub(crate) fn version(&self) -> &str {
        &self.options.version
    }

    /// The same data in an engine of another version; this one has none any more.
    pub(crate) fn upgraded(&self, version: &str) -> Arc<Engine> {
        let options = EngineOptions { version: version.into(), ..self.options.clone() };
        Self::of(options, std::mem::take(&mut *self.state()))
    }

    /// Another node has joined: it stands in `sys.nodes` from now on.
    pub(crate) fn join(&self, name: &str, http_address: &str) {
        self.state().peers.insert(name.to_owned(), http_address.to_owned());
    }

    /// A node that had joined is gone.
    pub(crate) fn leave(&self, name: &str) {
        self.state().peers.remove(name);
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
