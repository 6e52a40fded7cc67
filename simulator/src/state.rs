//! What the control plane does next: every decision of the simulator, without I/O, clock or thread.
//!
//! The HTTP layer turns requests into [`Call`]s and [`Answer`]s into responses. Time is an argument, in microseconds since
//! the Unix epoch, so that tests and the fuzzer drive the code that ships.

mod account;
pub(crate) mod catalog;
pub(crate) mod checks;
pub(crate) mod cluster;
pub(crate) mod deploy;
pub(crate) mod faults;
#[cfg(test)]
mod fuzz;
pub(crate) mod operation;
mod read;
pub(crate) mod stamp;
mod suspend;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::{Value, json};

use account::Account;
use cluster::Cluster;
use faults::Plan;
pub use operation::Pace;

/// Microseconds since the Unix epoch.
pub(crate) type Micros = i64;

/// What the vendor's clients look for to recognise a second operation.
pub(crate) const CONFLICT: &str = "Another cluster operation is currently in progress, please try again later.";

/// Query parameters in the order they came; a name may come twice.
pub(crate) type Query = Vec<(String, String)>;

/// One request to the control plane, without anything of HTTP.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Me,
    Organizations,
    Organization(String),
    OrganizationProjects(String),
    OrganizationSubscriptions(String),
    OrganizationClusters(String, Query),
    OrganizationRegions(String),
    Projects,
    CreateProject(Value),
    Project(String),
    ProjectClusters(String, Query),
    Subscriptions(Query),
    Subscription(String),
    Products(Query),
    Regions,
    Clusters(Query),
    Cluster(String),
    /// The address is the gateway's, bound before the call so that the answer can name it.
    Deploy {
        organization: String,
        body: Value,
        url: String,
    },
    Delete(String),
    Suspend(String, Value),
    Protect(String, Value),
    Operations(String, Query),
    Meta,
    Versions,
}

/// What the control plane says to a [`Call`]. No body with a 204.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body) }
    }

    pub(crate) fn created(body: Value) -> Self {
        Self { status: 201, body: Some(body) }
    }

    pub(crate) fn no_content() -> Self {
        Self { status: 204, body: None }
    }

    pub(crate) fn refused(status: u16, message: &str) -> Self {
        Self { status, body: Some(json!({ "success": false, "message": message })) }
    }

    /// A 400 that names the fields, in the vendor's shape: a list of problems for each, nested like the body.
    pub(crate) fn invalid(errors: Value) -> Self {
        Self { status: 400, body: Some(json!({ "success": false, "message": "Bad request", "errors": errors })) }
    }

    pub(crate) fn not_found() -> Self {
        Self::refused(404, "Resource not found.")
    }
}

/// Something that happened to a cluster, for the timeline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) at: Micros,
    pub(crate) cluster: String,
    pub(crate) what: Happening,
}

/// What happened; `Requested` when the API accepted it, the rest when an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    DeployRequested,
    ResumeRequested,
    SuspendRequested,
    Deployed,
    Resumed,
    Suspended,
    Failed,
    Deleted,
}

/// How a [`State`] begins.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) now: Micros,
    /// Makes ids different from run to run: clients cache tokens by cluster id.
    pub(crate) seed: u64,
    pub(crate) pace: Pace,
}

/// Organizations, projects, clusters and their operations.
#[derive(Clone, Debug)]
pub(crate) struct State {
    account: Account,
    clusters: Vec<Cluster>,
    pace: Pace,
    began: Micros,
    plans: HashMap<String, Vec<Plan>>,
    events: Vec<Event>,
    ids: u64,
}

impl State {
    pub(crate) fn new(beginning: Beginning) -> Self {
        let mut state = Self {
            account: Account::default(),
            clusters: Vec::new(),
            pace: beginning.pace,
            began: beginning.now,
            plans: HashMap::new(),
            events: Vec::new(),
            ids: beginning.seed,
        };
        state.add_organization(beginning.now, "Simulated organization");
        state.add_subscription(beginning.now);
        state
    }

    /// The answer to one request. Operations that are due are moved on first, each at its own time.
    pub(crate) fn on(&mut self, now: Micros, call: Call) -> Answer {
        self.advance(now);
        match call {
            Call::CreateProject(body) => self.create_project(now, &body),
            Call::Deploy { organization, body, url } => self.deploy(now, &organization, &body, url),
            Call::Delete(id) => self.delete(now, &id),
            Call::Suspend(id, body) => self.suspend(now, &id, &body),
            Call::Protect(id, body) => self.protect(now, &id, &body),
            read => self.read(now, &read),
        }
    }

    /// Lets time pass up to `now`.
    pub(crate) fn advance(&mut self, now: Micros) {
        for cluster in &mut self.clusters {
            cluster.advance(now, &mut self.events);
        }
    }

    /// When the next operation moves by itself.
    pub(crate) fn next_due(&self) -> Option<Micros> {
        self.clusters.iter().filter_map(Cluster::next_due).min()
    }

    /// Moves every operation in flight by one status; says how many there were.
    pub(crate) fn step(&mut self, now: Micros) -> usize {
        self.advance(now);
        self.clusters.iter_mut().filter_map(|cluster| cluster.step(now, &mut self.events)).count()
    }

    pub(crate) fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// The cluster with this id or, of several with this name, the first.
    pub(crate) fn find(&self, id_or_name: &str) -> Option<&Cluster> {
        let by_id = self.clusters.iter().find(|cluster| cluster.id == id_or_name);
        by_id.or_else(|| self.clusters.iter().find(|cluster| cluster.name == id_or_name))
    }

    fn find_mut(&mut self, id_or_name: &str) -> Option<&mut Cluster> {
        let id = self.find(id_or_name)?.id.clone();
        self.clusters.iter_mut().find(|cluster| cluster.id == id)
    }

    fn by_id_mut(&mut self, id: &str) -> Option<&mut Cluster> {
        self.clusters.iter_mut().find(|cluster| cluster.id == id)
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// A new lower-case UUID of version 4, the next of a series that the seed fixes (splitmix64).
    pub(crate) fn new_id(&mut self) -> String {
        let mut word = || {
            self.ids = self.ids.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.ids;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        let (high, low) = (word(), word());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff
        )
    }
}
