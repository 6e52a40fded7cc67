//! The embedded engines of the clusters, and the data of snapshots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::engine::{Copy, Data, Engine, EngineOptions, Request};
use crate::options::EngineKind;
use crate::state::catalog::is_newer;
use crate::state::cluster::Cluster;
use crate::state::{Micros, State};

/// Cloud names its nodes like this, counted from 0.
const NODE: &str = "data-hot-0";

/// The facts about a cluster that its data plane uses.
pub(crate) struct Facts {
    id: String,
    name: String,
    version: String,
    url: String,
    pub(crate) running_since: Option<Micros>,
    pub(crate) auth: bool,
    pub(crate) username: String,
    pub(crate) password: String,
}

impl Facts {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self {
            id: cluster.id.clone(),
            name: cluster.name.clone(),
            version: cluster.version.clone(),
            url: cluster.url.clone(),
            running_since: cluster.running_since,
            auth: cluster.auth,
            username: cluster.username.clone(),
            password: cluster.password.clone(),
        }
    }

    fn options(&self, psql_port: Option<u16>) -> EngineOptions {
        EngineOptions {
            version: self.version.clone(),
            cluster_name: self.name.clone(),
            cluster_id: self.id.clone(),
            node_name: NODE.into(),
            http_address: self.url.strip_prefix("http://").unwrap_or(&self.url).into(),
            psql_port,
        }
    }
}

/// The engine of one cluster. Its data outlives suspensions, as disks do.
#[derive(Debug, Default)]
struct EngineSlot {
    /// True if the cluster has a data plane in this run.
    is_open: bool,
    /// The port at which it speaks the PostgreSQL protocol.
    psql_port: Option<u16>,
    /// Made when it is first needed.
    engine: Option<Arc<Engine>>,
    /// Data of an earlier run, until the engine is made.
    kept: Option<Data>,
    /// The start of the nodes that the engine stands for.
    running_since: Option<Micros>,
}

/// The embedded engines, by cluster, and the data of snapshots, by their ids.
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) kind: EngineKind,
    slots: Mutex<HashMap<String, EngineSlot>>,
    snapshots: Mutex<HashMap<String, Arc<Copy>>>,
}

impl Engines {
    pub(super) fn new(kind: EngineKind, kept: HashMap<String, Data>, snapshots: HashMap<String, Data>) -> Self {
        let slot = |(id, data)| (id, EngineSlot { kept: Some(data), ..EngineSlot::default() });
        Self {
            kind,
            slots: Mutex::new(kept.into_iter().map(slot).collect()),
            snapshots: Mutex::new(snapshots.into_iter().map(|(id, data)| (id, Arc::new(Copy::of(data)))).collect()),
        }
    }

    /// Opens the place for the engine of a cluster, which speaks the PostgreSQL protocol at this port.
    pub(crate) fn open(&self, cluster: &str, psql_port: Option<u16>) {
        let mut slots = self.slots.lock().unwrap();
        let slot = slots.entry(cluster.into()).or_default();
        (slot.is_open, slot.psql_port) = (true, psql_port);
    }

    /// Returns the embedded engine of a cluster, unless a real server stands behind the clusters. It is made when it is
    /// first needed. After an upgrade it is one of another version with the same data.
    pub(crate) fn engine(&self, facts: &Facts) -> Option<Arc<Engine>> {
        if self.kind != EngineKind::Embedded {
            return None;
        }
        let mut slots = self.slots.lock().unwrap();
        let slot = slots.get_mut(&facts.id).filter(|slot| slot.is_open)?;
        let options = || facts.options(slot.psql_port);
        let current = match (slot.engine.take(), slot.kept.take()) {
            // The facts may be older than the engine by now: nothing is ever downgraded.
            (Some(before), _) if is_newer(&facts.version, before.version()) => before.upgraded(&facts.version),
            (Some(before), _) => before,
            (None, Some(data)) => Engine::with(options(), data),
            (None, None) => with_user(Engine::new(options()), &facts.username),
        };
        // The engine's own clock, since the simulator's may be ahead of it.
        if slot.running_since != facts.running_since {
            slot.running_since = facts.running_since;
            current.start_again();
        }
        Some(slot.engine.insert(current).clone())
    }

    /// Forgets the engines of clusters that are gone.
    pub(super) fn forget(&self, state: &State) {
        self.slots.lock().unwrap().retain(|id, _| state.find(id).is_some());
    }

    /// Returns the data of the engines of these clusters. Those that were not used in this run are kept as they were.
    pub(super) fn keep(&self, state: &State) -> HashMap<String, Data> {
        let slots: Vec<_> = {
            let slots = self.slots.lock().unwrap();
            let there = slots.iter().filter(|(id, _)| state.find(id).is_some());
            there.map(|(id, slot)| (id.clone(), slot.engine.clone(), slot.kept.clone())).collect()
        };
        let data = |engine: Option<Arc<Engine>>, kept| engine.map(|engine| engine.keep()).or(kept);
        slots.into_iter().filter_map(|(id, engine, kept)| Some((id, data(engine, kept)?))).collect()
    }

    pub(super) fn keep_snapshots(&self) -> HashMap<String, Data> {
        self.snapshots.lock().unwrap().iter().map(|(id, copy)| (id.clone(), copy.keep())).collect()
    }

    /// Copies the data of a snapshot's cluster, and tells the state machine which tables it has.
    pub(super) fn copy(&self, state: &mut State, snapshot: &str) {
        let copy = state.snapshot(snapshot).and_then(|one| {
            let cluster = state.find(&one.cluster)?;
            Some(self.engine(&Facts::of(cluster))?.copy())
        });
        state.snapshot_taken(snapshot, copy.as_ref().map(Copy::tables));
        let mut kept = self.snapshots.lock().unwrap();
        kept.retain(|id, _| state.snapshot(id).is_some());
        kept.extend(copy.map(|copy| (snapshot.to_owned(), Arc::new(copy))));
    }

    pub(super) fn restore(&self, state: &State, cluster: &str, operation: &str) -> Result<(), String> {
        let gone = || "The snapshot does not exist any more.".to_owned();
        let order = state.restore_order(cluster, operation).ok_or_else(gone)?;
        let copy = self.snapshots.lock().unwrap().get(&order.snapshot).cloned().ok_or_else(gone)?;
        let engine = state.find(cluster).and_then(|found| self.engine(&Facts::of(found))).ok_or_else(gone)?;
        engine.restore(&copy, &order)
    }
}

/// Makes the user that a deploy names, with the privileges the service gives it.
fn with_user(engine: Arc<Engine>, name: &str) -> Arc<Engine> {
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let mut connection = engine.connect();
    for stmt in [format!("CREATE USER {quoted}"), format!("GRANT ALL PRIVILEGES TO {quoted}")] {
        let body = serde_json::json!({ "stmt": stmt }).to_string();
        // For the superuser both are refused, and it needs neither.
        connection.handle(&Request {
            method: "POST",
            path: "/_sql",
            user: None,
            default_schema: None,
            body: body.as_bytes(),
        });
    }
    engine
}
