//! A cluster of CrateDB Cloud, with all that is needed to find it, to deploy it and to ask for it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access::{Access, Login};
use super::given::Given;
use super::sources::Sources;
use crate::error::Result;
use crate::secret::Secret;

/// A cluster of CrateDB Cloud, and what is needed to deploy it if it does not exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CloudTarget {
    pub(crate) endpoint: String,
    pub(crate) login: Login,
    pub(crate) cluster: ClusterAddress,
    pub(crate) organization_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) subscription_id: Option<String>,
    pub(crate) product: String,
    /// The number of nodes minus one; the product's least if absent.
    pub(crate) product_unit: Option<u32>,
    pub(crate) tier: String,
    /// CrateDB's version for a deployment; the newest one of the channel if absent.
    pub(crate) version: Option<String>,
    pub(crate) channel: String,
    pub(crate) deploy: DeployPolicy,
    /// How long one answer of the API may take.
    pub(crate) timeout: Duration,
    /// The database user for PostgreSQL connections, and `admin` of a cluster that is deployed.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// Which cluster of CrateDB Cloud is meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClusterAddress {
    /// `CRATEDB_CLUSTER_ID`: must exist.
    Id(String),
    /// `CRATEDB_CLUSTER_NAME`: deployed if it does not exist.
    Name(String),
    /// `CRATEDB_CLUSTER_URL`: the one whose URL has this host and port. Programs only; for tests a URL is a server that
    /// somebody else looks after.
    Url(String),
}

/// `CRATEDB_CLOUD_DEPLOY`: whether a cluster that does not exist may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeployPolicy {
    Auto,
    Never,
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "cluster {id}"),
            Self::Name(name) => write!(f, "cluster `{name}`"),
            Self::Url(url) => write!(f, "cluster at {url}"),
        }
    }
}

/// Code first, then the sources.
pub(crate) fn cloud_target(
    given: &Given,
    sources: &Sources,
    access: Access,
    cluster: ClusterAddress,
) -> Result<CloudTarget> {
    let text = |given: &Option<String>, variable: &str| given.clone().or_else(|| sources.get(variable));
    let deploy = sources.choice(
        "CRATEDB_CLOUD_DEPLOY",
        &[("auto", DeployPolicy::Auto), ("never", DeployPolicy::Never)],
        DeployPolicy::Auto,
    );
    let timeout = access.timeout;
    Ok(CloudTarget {
        endpoint: access.endpoint,
        login: access.login,
        cluster,
        organization_id: text(&given.organization_id, "CRATEDB_CLOUD_ORGANIZATION_ID"),
        project_id: text(&given.project_id, "CRATEDB_CLOUD_PROJECT_ID"),
        region: text(&given.region, "CRATEDB_CLOUD_REGION"),
        subscription_id: text(&given.subscription_id, "CRATEDB_CLOUD_SUBSCRIPTION_ID"),
        product: text(&given.product, "CRATEDB_CLOUD_PRODUCT").unwrap_or_else(|| "crfree".into()),
        product_unit: given.product_unit,
        tier: text(&given.tier, "CRATEDB_CLOUD_TIER").unwrap_or_else(|| "default".into()),
        version: text(&given.version, "CRATEDB_VERSION"),
        channel: text(&given.channel, "CRATEDB_CHANNEL").unwrap_or_else(|| "stable".into()),
        deploy: given.deploy.map_or(deploy, Ok)?,
        timeout,
        username: text(&given.username, "CRATEDB_USERNAME"),
        password: given.password.clone().or_else(|| sources.get("CRATEDB_PASSWORD").map(Secret::new)),
    })
}
