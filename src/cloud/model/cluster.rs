//! A cluster, its health and the key to its SQL.

use serde::{Deserialize, Serialize};

use super::operation::{Operation, Status};
use super::{model, moment};
use crate::secret::Secret;

model! {
    /// A cluster as it was when the answer was written.
    pub struct Cluster {
        /// A lower-case UUID.
        pub id: String,
        /// 3 to 63 characters; a part of the host name.
        pub name: String,
        /// The project it belongs to; [`Project`](super::Project) tells its organization.
        pub project_id: String,
        /// Who pays; `free_tier` for the free product.
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
        /// The database user that was made with the cluster.
        pub username: String,
        /// The host name, with a dot at the end.
        pub fqdn: String,
        /// Where the cluster speaks HTTP: `https://<host>:4200`.
        pub url: String,
        /// The address that its host name resolves to.
        pub external_ip: String,
        /// Where it was made, such as `cloud`.
        pub origin: String,
        /// Whether it is suspended; stays true while it resumes.
        pub suspended: bool,
        /// Whether its product can be suspended; unknown if the service doesn't say.
        pub allow_suspend: Option<bool>,
        /// Whether the size of its storage can be chosen.
        pub allow_custom_storage: bool,
        /// Whether it is protected from deletion.
        pub deletion_protected: bool,
        /// Whether Grand Central, the cluster's console, is there.
        pub gc_available: bool,
        /// When backups are made, in the form of cron.
        pub backup_schedule: String,
        /// From where it may be reached; empty if from everywhere.
        pub ip_whitelist: Vec<Cidr>,
        /// What each node has.
        pub hardware_specs: Option<HardwareSpecs>,
        /// How it was when it was last looked at, which may be a minute ago.
        pub health: HealthStatus,
        /// The newest operation of any type, without the service's words.
        pub last_async_operation: Option<Operation>,
        /// When it was made and changed.
        pub dc: Dates,
    }

    /// A range of addresses that may connect.
    pub struct Cidr {
        /// Such as `198.51.100.0/24`.
        pub cidr: String,
        /// What it stands for.
        pub description: Option<String>,
    }

    /// What each node of a cluster has.
    pub struct HardwareSpecs {
        /// Processors; may be a part of one.
        pub cpus_per_node: Option<f64>,
        /// Memory.
        pub memory_per_node_bytes: Option<u64>,
        /// The part of the memory that is Java's heap.
        pub heap_size_bytes: Option<u64>,
        /// Disks.
        pub disks_per_node: Option<u32>,
        /// The size of each disk.
        pub disk_size_per_node_bytes: Option<u64>,
        /// Such as `standard`.
        pub disk_type: Option<String>,
    }

    /// How a cluster was when the service last looked at it.
    pub struct HealthStatus {
        /// `GREEN`, `YELLOW`, `RED`, `UNKNOWN`, `UNREACHABLE` or `SUSPENDED`.
        pub status: String,
        /// Type of the operation that runs; empty if none does. Trails the truth by up to a minute.
        pub running_operation: String,
        /// When the service looked, in UTC without an offset; empty before it first did.
        pub last_seen: String,
    }

    /// When something was made and changed, in ISO 8601.
    pub struct Dates {
        /// When it was made.
        pub created: String,
        /// When it was last changed.
        pub modified: String,
    }
}

impl Cluster {
    /// The type of the operation that runs on the cluster, if one does.
    ///
    /// ```
    /// # use cratedb_test::cloud::model::Cluster;
    /// fn may_be_changed(cluster: &Cluster) -> bool {
    ///     cluster.busy().is_none()
    /// }
    /// # assert!(may_be_changed(&Cluster::default()));
    /// ```
    pub fn busy(&self) -> Option<&str> {
        match &self.last_async_operation {
            Some(operation) => operation.status.in_flight().then_some(&operation.kind),
            // Health trails the operations by up to a minute, so it counts only where there is nothing better.
            None => Some(self.health.running_operation.as_str()).filter(|running| !running.is_empty()),
        }
    }

    /// The deployment that failed, if the cluster never got further than that.
    pub(crate) fn never_deployed(&self) -> Option<&Operation> {
        self.last_async_operation.as_ref().filter(|last| last.kind == "CREATE" && last.status == Status::Failed)
    }
}

impl Cidr {
    /// A range of addresses, such as `198.51.100.0/24`.
    pub fn new(cidr: impl Into<String>) -> Self {
        Self { cidr: cidr.into(), description: None }
    }

    /// Says what it stands for.
    #[must_use]
    pub fn described(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }
}

/// A key to the cluster's HTTP port: a JSON Web Token. `Debug` hides what is secret; `Serialize` does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Jwt {
    #[serde(deserialize_with = "super::or_default")]
    pub(crate) token: Secret,
    #[serde(deserialize_with = "super::or_default")]
    pub(crate) refresh: Secret,
    /// When the token expires, in ISO 8601.
    #[serde(deserialize_with = "super::or_default")]
    pub expiry: String,
}

impl Jwt {
    /// What goes behind `Authorization: Bearer`. A secret.
    pub fn token(&self) -> &str {
        self.token.expose()
    }

    /// What [`Client::refresh_jwt`](crate::cloud::Client::refresh_jwt) takes for a new token. A secret.
    pub fn refresh(&self) -> &str {
        self.refresh.expose()
    }

    /// When the token expires, in seconds since the Unix epoch; unknown if the service does not say so in a form that can
    /// be read.
    pub fn expires(&self) -> Option<i64> {
        moment(&self.expiry).map(time::OffsetDateTime::unix_timestamp)
    }
}
