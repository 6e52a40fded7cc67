//! A cluster: its state, its operations and snapshots, the token for its SQL, and the request to deploy one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{model, moment};
use crate::cloud::operation::LastOperation;
use crate::secret::Secret;

model! {
    /// A cluster as it was when the answer was written.
    pub struct ClusterInfo {
        /// A lower-case UUID.
        pub id: String,
        /// 3 to 63 characters; part of the host name.
        pub name: String,
        /// The project it belongs to; [`Project`](super::Project) has its organization.
        pub project_id: String,
        /// The subscription that pays; `free_tier` for the free product.
        pub subscription_id: String,
        /// The version of CrateDB, such as `6.4.3`.
        pub crate_version: String,
        /// `stable`, `testing` or `nightly`.
        pub channel: String,
        /// The product, such as `cr1` or `crfree`.
        pub product_name: String,
        /// The product's tier, such as `default`.
        pub product_tier: String,
        /// The number of nodes minus one.
        pub product_unit: u32,
        /// The number of nodes.
        pub num_nodes: u32,
        /// The database user that was created with the cluster.
        pub username: String,
        /// The host name, with a dot at the end.
        pub fqdn: String,
        /// The HTTP address: `https://<host>:4200`.
        pub url: String,
        /// The address that its host name resolves to.
        pub external_ip: String,
        /// The way it was created, such as `cloud`.
        pub origin: String,
        /// True if it is suspended, and also while it resumes.
        pub suspended: bool,
        /// False if its product can't be suspended; none if the service doesn't say.
        pub allow_suspend: Option<bool>,
        /// True if the size of its storage can be chosen.
        pub allow_custom_storage: bool,
        /// True if it is protected from deletion.
        pub deletion_protected: bool,
        /// True if Grand Central, the cluster's console, is available.
        pub gc_available: bool,
        /// The schedule of backups, in the form of cron.
        pub backup_schedule: String,
        /// The addresses that may connect; empty if all may.
        pub ip_whitelist: Vec<Cidr>,
        /// The hardware of each node.
        pub hardware_specs: Option<HardwareSpecs>,
        /// The health when the service last checked, which may be a minute ago.
        pub health: HealthStatus,
        /// The newest operation of any type, without the service's message.
        pub last_async_operation: Option<Operation>,
        /// When it was created and changed.
        pub dc: Dates,
    }

    /// A range of addresses that may connect.
    pub struct Cidr {
        /// Such as `198.51.100.0/24`.
        pub cidr: String,
        /// The purpose of the range.
        pub description: Option<String>,
    }

    /// The hardware of each node of a cluster.
    pub struct HardwareSpecs {
        /// The number of processors, which may be a fraction.
        pub cpus_per_node: Option<f64>,
        /// The size of the memory.
        pub memory_per_node_bytes: Option<u64>,
        /// The part of the memory that is used for Java's heap.
        pub heap_size_bytes: Option<u64>,
        /// The number of disks.
        pub disks_per_node: Option<u32>,
        /// The size of each disk.
        pub disk_size_per_node_bytes: Option<u64>,
        /// Such as `standard`.
        pub disk_type: Option<String>,
    }

    /// The health of a cluster when the service last checked it.
    pub struct HealthStatus {
        /// `GREEN`, `YELLOW`, `RED`, `UNKNOWN`, `UNREACHABLE` or `SUSPENDED`.
        pub status: String,
        /// Type of the running operation; empty if there is none. May be a minute old.
        pub running_operation: String,
        /// When the service checked, in UTC without an offset; empty before the first check.
        pub last_seen: String,
    }

    /// When something was created and changed, in ISO 8601.
    pub struct Dates {
        /// When it was created.
        pub created: String,
        /// When it was last changed.
        pub modified: String,
    }
}

impl ClusterInfo {
    /// Returns the type of the operation that is running on the cluster, if any.
    ///
    /// ```
    /// # use cratedb_test::cloud::model::ClusterInfo;
    /// fn may_be_changed(cluster: &ClusterInfo) -> bool {
    ///     cluster.busy().is_none()
    /// }
    /// # assert!(may_be_changed(&ClusterInfo::default()));
    /// ```
    pub fn busy(&self) -> Option<&str> {
        match &self.last_async_operation {
            Some(operation) => operation.status.in_flight().then_some(&operation.kind),
            // Health may be a minute old, so it counts only if there is no operation.
            None => Some(self.health.running_operation.as_str()).filter(|running| !running.is_empty()),
        }
    }

    /// Returns the newest operation, to tell it from later ones.
    pub(crate) fn last_operation(&self) -> Option<LastOperation> {
        self.last_async_operation.as_ref().map(LastOperation::from)
    }

    /// Returns the failed deployment of a cluster that never ran.
    pub(crate) fn never_deployed(&self) -> Option<&Operation> {
        self.last_async_operation.as_ref().filter(|last| last.kind == "CREATE" && last.status == Status::Failed)
    }
}

impl Cidr {
    /// Makes a range of addresses, such as `198.51.100.0/24`.
    pub fn new(cidr: impl Into<String>) -> Self {
        Self { cidr: cidr.into(), description: None }
    }

    /// Sets a description.
    #[must_use]
    pub fn described(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }
}

model! {
    /// A token for the cluster's HTTP port: a JSON Web Token. `Debug` hides the secrets; `Serialize` does not.
    pub struct Jwt {
        pub(crate) token: Secret,
        pub(crate) refresh: Secret,
        /// When the token expires, in ISO 8601.
        pub expiry: String,
    }
}

impl Jwt {
    /// Returns the text that follows `Authorization: Bearer`. It is a secret.
    pub fn token(&self) -> &str {
        self.token.expose()
    }

    /// Returns the refresh token for [`Client::refresh_jwt`](crate::cloud::Client::refresh_jwt). It is a secret.
    pub fn refresh(&self) -> &str {
        self.refresh.expose()
    }

    /// Returns when the token expires, in seconds since the Unix epoch, if the service says so in a form that can be
    /// read.
    pub fn expires(&self) -> Option<i64> {
        moment(&self.expiry).map(time::OffsetDateTime::unix_timestamp)
    }
}

model! {
    /// An operation on a cluster: `CREATE`, `SUSPEND` (which also resumes), `SCALE`, `UPGRADE`, ….
    pub struct Operation {
        /// A UUID.
        pub id: String,
        /// `CREATE`, `SUSPEND`, `SCALE`, `UPGRADE`, `EXPAND_STORAGE`, `CHANGE_COMPUTE`, `ALLOWED_CIDR_UPDATE`,
        /// `PASSWORD_UPDATE`, `BACKUP_SCHEDULE_UPDATE` or `RESTORE_SNAPSHOT`. The field is called `type`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The state of the operation.
        pub status: Status,
        /// `CLUSTER`.
        pub entity: String,
        /// The id of the cluster.
        pub entity_id: String,
        /// The service's message: what the operation does, or why it failed.
        pub feedback_data: Feedback,
        /// The old and the new values; depends on the type.
        pub non_sensitive_data: Value,
        /// When it began and when it last changed.
        pub dc: Dates,
    }

    /// The service's message about an operation.
    pub struct Feedback {
        /// The text for display.
        pub message: String,
    }

    /// A filter for the operations of a cluster. An empty filter lists all.
    pub struct OperationFilter {
        /// Lists only this type.
        pub kind: Option<String>,
        /// Lists only these states, such as `IN_PROGRESS`.
        pub statuses: Vec<String>,
        /// Lists only this many of the newest.
        pub limit: Option<u32>,
        /// Lists operations that began at or after this moment, such as `2026-01-05T13:00:00Z`.
        pub start: Option<String>,
        /// Lists operations that began before this moment.
        pub end: Option<String>,
    }
}

impl Operation {
    /// Returns the status and the service's message.
    pub(crate) fn told(&self) -> String {
        match self.feedback_data.message.as_str() {
            "" => self.status.to_string(),
            message => format!("{} ({message})", self.status),
        }
    }
}

impl OperationFilter {
    /// Lists the newest `limit` operations.
    ///
    /// ```
    /// use cratedb_test::cloud::model::OperationFilter;
    ///
    /// let last_upgrade = OperationFilter::newest(1).of("UPGRADE");
    /// assert_eq!(last_upgrade.limit, Some(1));
    /// ```
    pub fn newest(limit: u32) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// Lists only one type.
    #[must_use]
    pub fn of(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    pub(crate) fn query(&self) -> Vec<(&str, String)> {
        let mut query = Vec::new();
        query.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        query.extend(self.kind.clone().map(|kind| ("type", kind)));
        query.extend(self.statuses.iter().map(|status| ("statuses", status.clone())));
        query.extend(self.start.clone().map(|start| ("start", start)));
        query.extend(self.end.clone().map(|end| ("end", end)));
        query
    }
}

/// The state of an operation or a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Status {
    /// Received.
    Registered,
    /// On its way to the region.
    Sent,
    /// In progress.
    InProgress,
    /// Done.
    Succeeded,
    /// Failed.
    Failed,
    /// A state that this crate doesn't know; empty if the service gave none.
    #[serde(untagged)]
    Other(String),
}

impl Status {
    /// Reports whether an operation in this state keeps others from starting. An unknown state doesn't: otherwise it
    /// would block a cluster for ever.
    pub(crate) fn in_flight(&self) -> bool {
        matches!(self, Self::Registered | Self::Sent | Self::InProgress)
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Other(text) if text.is_empty() => f.write_str("unknown"),
            status => status.serialize(f),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct Operations {
    #[serde(default, deserialize_with = "super::or_default")]
    pub(crate) operations: Vec<Operation>,
}

/// A request to deploy a cluster.
///
/// ```
/// use cratedb_test::cloud::model::{Deployment, NewCluster};
///
/// let cluster = NewCluster::new("ci", "6.4.3", "cr1", "admin", "at-least-24-characters-long");
/// let deployment = Deployment::new(cluster, "my-subscription").in_new_project("ci", "eks1.eu-west-1.aws");
/// assert_eq!(deployment.cluster.channel, "stable");
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Deployment {
    /// The cluster.
    pub cluster: NewCluster,
    /// The subscription that pays; `free_tier` for the free product.
    pub subscription_id: String,
    /// An existing project to deploy into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// A project that is created together with the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<NewProject>,
}

/// The settings of a new cluster.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NewCluster {
    /// 3 to 63 characters.
    pub name: String,
    /// Such as `6.4.3`.
    pub crate_version: String,
    /// `stable`, `testing` or `nightly`; it can't be changed later.
    pub channel: String,
    /// Such as `cr1`.
    pub product_name: String,
    /// Such as `default`.
    pub product_tier: String,
    /// The number of nodes minus one. If it is left out, the minimum of the product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_unit: Option<u32>,
    /// Only for products that leave a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_specs: Option<HardwareSpecs>,
    /// The database user.
    pub username: String,
    /// 24 to 128 characters.
    pub(crate) password: Secret,
}

/// A project that is created together with a cluster.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NewProject {
    /// Word characters, `-` and spaces.
    pub name: String,
    /// Such as `eks1.eu-west-1.aws`.
    pub region: String,
}

impl Deployment {
    /// Makes a request for a cluster that `subscription_id` pays for. It also needs a project.
    pub fn new(cluster: NewCluster, subscription_id: impl Into<String>) -> Self {
        Self { cluster, subscription_id: subscription_id.into(), project_id: None, project: None }
    }

    /// Deploys into an existing project.
    #[must_use]
    pub fn in_project(self, id: impl Into<String>) -> Self {
        Self { project_id: Some(id.into()), project: None, ..self }
    }

    /// Deploys into a project that is created with the cluster.
    #[must_use]
    pub fn in_new_project(self, name: impl Into<String>, region: impl Into<String>) -> Self {
        let project = NewProject { name: name.into(), region: region.into() };
        Self { project: Some(project), project_id: None, ..self }
    }
}

impl NewCluster {
    /// Describes a cluster of tier `default` in channel `stable`, with the minimum size of the product.
    pub fn new(
        name: impl Into<String>,
        crate_version: impl Into<String>,
        product_name: impl Into<String>,
        username: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            crate_version: crate_version.into(),
            channel: "stable".to_owned(),
            product_name: product_name.into(),
            product_tier: "default".to_owned(),
            product_unit: None,
            hardware_specs: None,
            username: username.into(),
            password: Secret::new(password),
        }
    }
}
model! {
    /// A backup of a cluster.
    pub struct Snapshot {
        /// When it was made, in ISO 8601.
        pub created: String,
        /// The repository that holds it.
        pub repository: String,
        /// Its name in the repository.
        pub snapshot: String,
        /// The cluster it was taken of.
        pub cluster_id: String,
        /// The project of that cluster.
        pub project_id: String,
        /// The tables in it, with their schemas.
        pub tables: Vec<String>,
        /// The same tables, as the storage names them.
        pub concrete_indices: Vec<String>,
        /// Further details, as the service writes them.
        pub dc: Value,
    }
}

/// A request to restore data from a snapshot.
///
/// ```
/// use cratedb_test::cloud::model::Restore;
///
/// let restore = Restore::tables("system_backup_20260101000000", "20260105065500", ["doc.weather"]);
/// assert_eq!(restore.kind, "tables");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Restore {
    /// The repository that holds the snapshot.
    pub repository: String,
    /// The snapshot's name in the repository.
    pub snapshot: String,
    /// `all`, `metadata`, `tables` or `sections`. The field is called `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Set for type `tables`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Set for type `sections`, such as `views`, `users`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<String>,
    /// The cluster of the snapshot, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_cluster_id: Option<String>,
}

impl Restore {
    fn of(repository: impl Into<String>, snapshot: impl Into<String>, kind: &str) -> Self {
        let (repository, snapshot, kind) = (repository.into(), snapshot.into(), kind.to_owned());
        Self { repository, snapshot, kind, ..Self::default() }
    }

    /// Restores everything.
    pub fn all(repository: impl Into<String>, snapshot: impl Into<String>) -> Self {
        Self::of(repository, snapshot, "all")
    }

    /// Restores users, settings, views and the like, without tables.
    pub fn metadata(repository: impl Into<String>, snapshot: impl Into<String>) -> Self {
        Self::of(repository, snapshot, "metadata")
    }

    /// Restores some tables.
    pub fn tables(
        repository: impl Into<String>,
        snapshot: impl Into<String>,
        tables: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self { tables: tables.into_iter().map(Into::into).collect(), ..Self::of(repository, snapshot, "tables") }
    }

    /// Restores some sections, such as `views`.
    pub fn sections(
        repository: impl Into<String>,
        snapshot: impl Into<String>,
        sections: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self { sections: sections.into_iter().map(Into::into).collect(), ..Self::of(repository, snapshot, "sections") }
    }

    /// Restores from a snapshot of another cluster.
    #[must_use]
    pub fn from_cluster(mut self, id: impl Into<String>) -> Self {
        self.source_cluster_id = Some(id.into());
        self
    }
}
