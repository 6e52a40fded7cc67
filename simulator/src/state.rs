//! The decisions of the control plane, without I/O, clock or thread.
//!
//! The HTTP layer turns requests into [`ApiCall`]s and [`ApiAnswer`]s into responses. Time is an argument, in
//! microseconds since the Unix epoch, so that tests and the fuzzer drive the code that ships.

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod catalog;
mod change;
pub(crate) mod checks;
pub(crate) mod cluster;
pub(crate) mod deploy;
pub(crate) mod exports;
pub(crate) mod faults;
pub(crate) mod files;
#[cfg(test)]
mod fuzz;
mod idle;
pub(crate) mod imports;
mod integrations;
pub(crate) mod jobs;
mod metrics;
pub(crate) mod operation;
mod read;
mod restrictions;
pub(crate) mod snapshots;
pub(crate) mod stamp;
mod suspend;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use access::Access;
use account::Account;
use cluster::Cluster;
use faults::FaultPlan;
use files::File;
use integrations::Integration;
use jobs::Job;
pub use operation::Pace;
use snapshots::Snapshot;

/// Microseconds since the Unix epoch.
pub(crate) type Micros = i64;

/// The text by which the vendor's clients recognise a second operation.
pub(crate) const CONFLICT: &str = "Another cluster operation is currently in progress, please try again later.";

/// Query parameters in their order; a name may come twice.
pub(crate) type QueryPairs = Vec<(String, String)>;

/// One request to the control plane, without anything of HTTP.
#[derive(Clone, Debug)]
pub(crate) enum ApiCall {
    Me,
    EditMe(Value),
    ApiKeys,
    CreateApiKey,
    ApiKey(String),
    EditApiKey(String, Value),
    DeleteApiKey(String),
    Organizations,
    CreateOrganization(Value),
    Organization(String),
    EditOrganization(String, Value),
    DeleteOrganization(String),
    Quotas(String),
    Integrations(String),
    CreateIntegration(String, Value),
    DeleteIntegration(String, String),
    Files(String),
    CreateFile(String, Value),
    File(String, String),
    DeleteFile(String, String),
    OrganizationProjects(String),
    OrganizationSubscriptions(String),
    OrganizationClusters(String, QueryPairs),
    OrganizationRegions(String),
    Projects,
    CreateProject(Value),
    Project(String),
    EditProject(String, Value),
    DeleteProject(String),
    ProjectClusters(String, QueryPairs),
    Subscriptions(QueryPairs),
    CreateSubscription(Value),
    Subscription(String),
    DeleteSubscription(String),
    Products(QueryPairs),
    Price(QueryPairs),
    Regions,
    Clusters(QueryPairs),
    Cluster(String),
    /// The address of the gateway is bound before the call, so that the answer can name it.
    Deploy {
        organization: String,
        body: Value,
        url: String,
    },
    Delete(String),
    Suspend(String, Value),
    Protect(String, Value),
    Scale(String, Value),
    Upgrade(String, Value),
    ExpandStorage(String, Value),
    ChangeProduct(String, Value),
    ChangeBackups(String, Value),
    Restrict(String, Value),
    ChangePassword(String, Value),
    RestartNode(String, String),
    /// True if the request has a superuser's header.
    Transfer(String, Value, bool),
    AvailableProducts(String),
    AvailableUpgrades(String),
    Operations(String, QueryPairs),
    ImportJobs(String),
    CreateImportJob(String, Value),
    ImportJob(String, String),
    DeleteImportJob(String, String),
    JobFiles(String, String, QueryPairs),
    ExportJobs(String),
    CreateExportJob(String, Value),
    ExportJob(String, String),
    DeleteExportJob(String, String),
    Snapshots(String, QueryPairs),
    Restore(String, Value),
    Metrics(String, String, QueryPairs),
    Meta,
    Versions,
}

impl ApiCall {
    /// Returns whether it changes nothing. Other calls wake those who wait for a change.
    pub(crate) fn is_read(&self) -> bool {
        use ApiCall::*;
        let of_the_account = matches!(
            self,
            Me | ApiKeys
                | ApiKey(_)
                | Organizations
                | Organization(_)
                | Quotas(_)
                | Integrations(_)
                | Files(_)
                | File(..)
                | OrganizationProjects(_)
                | OrganizationSubscriptions(_)
                | OrganizationClusters(..)
                | OrganizationRegions(_)
                | Projects
                | Project(_)
                | ProjectClusters(..)
                | Subscriptions(_)
                | Subscription(_)
        );
        let of_the_catalog = matches!(self, Products(_) | Price(_) | Regions | Meta | Versions);
        let of_clusters = matches!(
            self,
            Clusters(_)
                | Cluster(_)
                | Operations(..)
                | AvailableProducts(_)
                | AvailableUpgrades(_)
                | ImportJobs(_)
                | ImportJob(..)
                | JobFiles(..)
                | ExportJobs(_)
                | ExportJob(..)
                | Snapshots(..)
                | Metrics(..)
        );
        of_the_account || of_the_catalog || of_clusters
    }
}

/// The answer to an [`ApiCall`]. A 204 has no body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ApiAnswer {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
}

impl ApiAnswer {
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

    /// A 400 that names the fields in the vendor's shape: a list of problems for each, nested like the body.
    pub(crate) fn invalid(errors: Value) -> Self {
        Self { status: 400, body: Some(json!({ "success": false, "message": "Bad request", "errors": errors })) }
    }

    pub(crate) fn forbidden() -> Self {
        Self::refused(403, "Permission denied for user.")
    }

    pub(crate) fn not_found() -> Self {
        Self::refused(404, "Resource not found.")
    }
}

/// Work outside of the state machine that must be done now. Its result is reported to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Import { job: String },
    Export { job: String },
    Snapshot { snapshot: String },
    Restore { cluster: String, operation: String },
}

/// Work that leaves the state machine.
#[derive(Clone, Debug, Default)]
struct Outbox {
    events: Vec<Event>,
    works: Vec<Work>,
}

/// An event of a cluster, for the timeline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) at: Micros,
    pub(crate) cluster: String,
    pub(crate) what: Happening,
}

/// The kind of event: `Requested` when the API accepted an operation, the rest when it ended.
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

/// The parameters with which a [`State`] begins.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) now: Micros,
    /// Makes ids different from run to run: clients cache tokens by cluster id.
    pub(crate) seed: u64,
    pub(crate) pace: Pace,
}

/// The account, its clusters, and their operations and jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    account: Account,
    access: Access,
    clusters: Vec<Cluster>,
    jobs: Vec<Job>,
    snapshots: Vec<Snapshot>,
    files: Vec<File>,
    integrations: Vec<Integration>,
    /// Events of earlier runs are not kept, and work under way is found again by the jobs and operations that wait for
    /// it.
    #[serde(skip)]
    outbox: Outbox,
    began: Micros,
    ids: u64,
    /// These belong to one run and are not kept.
    #[serde(skip, default = "usual_pace")]
    pace: Pace,
    #[serde(skip)]
    plans: HashMap<String, Vec<FaultPlan>>,
    #[serde(skip)]
    job_plans: HashMap<String, Vec<FaultPlan>>,
    /// `http://127.0.0.1:PORT` of the control plane.
    #[serde(skip)]
    base: String,
}

fn usual_pace() -> Pace {
    Pace::Auto(std::time::Duration::ZERO)
}

impl State {
    /// Makes an account with one organization that has a project and a subscription.
    pub(crate) fn new(beginning: Beginning) -> Self {
        let now = beginning.now;
        let mut state = Self::empty(beginning);
        state.add_organization(now, "Simulated organization");
        state.add_subscription(now);
        state
    }

    /// Makes an account without an organization.
    pub(crate) fn empty(beginning: Beginning) -> Self {
        Self {
            account: Account::default(),
            access: Access::default(),
            clusters: Vec::new(),
            jobs: Vec::new(),
            snapshots: Vec::new(),
            files: Vec::new(),
            integrations: Vec::new(),
            outbox: Outbox::default(),
            began: beginning.now,
            ids: beginning.seed,
            pace: beginning.pace,
            plans: HashMap::new(),
            job_plans: HashMap::new(),
            base: String::new(),
        }
    }

    /// Begins a run, with its pace and address.
    pub(crate) fn begin_run(&mut self, pace: Pace, base: &str) {
        self.pace = pace;
        self.base = base.into();
    }

    /// Sets the address of a cluster's database.
    pub(crate) fn set_url(&mut self, cluster: &str, url: String) {
        if let Some(cluster) = self.by_id_mut(cluster) {
            cluster.url = url;
        }
    }

    /// Answers one request. Events that are due happen first, each at its own time.
    pub(crate) fn on(&mut self, now: Micros, call: ApiCall) -> ApiAnswer {
        self.advance(now);
        self.write(now, &call).unwrap_or_else(|| self.read(now, &call))
    }

    fn write(&mut self, now: Micros, call: &ApiCall) -> Option<ApiAnswer> {
        self.write_account(now, call).or_else(|| self.write_cluster(now, call)).or_else(|| self.change(now, call))
    }

    fn write_account(&mut self, now: Micros, call: &ApiCall) -> Option<ApiAnswer> {
        Some(match call {
            ApiCall::EditMe(body) => self.edit_me(body),
            ApiCall::CreateApiKey => self.create_api_key(now),
            ApiCall::EditApiKey(key, body) => self.edit_api_key(now, key, body),
            ApiCall::DeleteApiKey(key) => self.delete_api_key(key),
            ApiCall::CreateOrganization(body) => self.create_organization(now, body),
            ApiCall::EditOrganization(id, body) => self.edit_organization(now, id, body),
            ApiCall::DeleteOrganization(id) => self.delete_organization(id),
            ApiCall::CreateIntegration(id, body) => self.create_integration(now, id, body),
            ApiCall::DeleteIntegration(id, secret) => self.delete_integration(id, secret),
            ApiCall::CreateFile(id, body) => self.create_file(now, id, body),
            ApiCall::DeleteFile(id, file) => self.delete_file(id, file),
            ApiCall::CreateProject(body) => self.create_project(now, body),
            ApiCall::EditProject(id, body) => self.edit_project(now, id, body),
            ApiCall::DeleteProject(id) => self.delete_project(id),
            ApiCall::CreateSubscription(body) => self.create_subscription(now, body),
            ApiCall::DeleteSubscription(id) => self.delete_subscription(now, id),
            _ => return None,
        })
    }

    fn write_cluster(&mut self, now: Micros, call: &ApiCall) -> Option<ApiAnswer> {
        Some(match call {
            ApiCall::Deploy { organization, body, url } => self.deploy(now, organization, body, url.clone()),
            ApiCall::Delete(id) => self.delete(now, id),
            ApiCall::Suspend(id, body) => self.suspend(now, id, body),
            ApiCall::Protect(id, body) => self.protect(now, id, body),
            ApiCall::RestartNode(id, ordinal) => self.restart_node(now, id, ordinal),
            ApiCall::Transfer(id, body, sudo) => self.transfer(now, id, body, *sudo),
            ApiCall::CreateImportJob(id, body) => self.create_import_job(now, id, body),
            ApiCall::DeleteImportJob(id, job) => self.delete_job(id, job, true),
            ApiCall::CreateExportJob(id, body) => self.create_export_job(now, id, body),
            ApiCall::DeleteExportJob(id, job) => self.delete_job(id, job, false),
            ApiCall::Restore(id, body) => self.restore(now, id, body),
            _ => return None,
        })
    }

    /// Lets time pass up to `now`.
    pub(crate) fn advance(&mut self, now: Micros) {
        loop {
            for cluster in &mut self.clusters {
                cluster.advance(now, &mut self.outbox);
            }
            self.move_jobs(now);
            self.back_up(now);
            if !self.tidy(now) {
                return;
            }
        }
    }

    /// Returns the time of the next event that happens by itself.
    pub(crate) fn next_due(&self) -> Option<Micros> {
        let by_themselves = self.clusters.iter().flat_map(|one| [one.idle_due(), one.next_backup()]).flatten();
        by_themselves.chain(self.next_move()).min()
    }

    /// Returns the time when the next operation or job moves by itself.
    pub(crate) fn next_move(&self) -> Option<Micros> {
        let operations = self.clusters.iter().filter_map(Cluster::next_due);
        operations.chain(self.jobs.iter().filter_map(Job::next_due)).min()
    }

    /// Moves every operation and job in flight by one status. Returns their number.
    pub(crate) fn step(&mut self, now: Micros) -> usize {
        self.advance(now);
        let outbox = &mut self.outbox;
        let moved = self.clusters.iter_mut().filter_map(|cluster| cluster.step(now, outbox)).count();
        moved + self.step_jobs(now)
    }

    /// Returns the work to do outside, each only once.
    pub(crate) fn take_works(&mut self) -> Vec<Work> {
        std::mem::take(&mut self.outbox.works)
    }

    pub(crate) fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// Returns the cluster with this id or, of several with this name, the first.
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
        &self.outbox.events
    }

    /// Returns a new lower-case UUID of version 4, the next of a series that the seed fixes (splitmix64).
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
