//! What code gives; it beats every variable.

use std::path::PathBuf;
use std::time::Duration;

use super::access::Access;
use super::sources::Sources;
use crate::error::Result;
use crate::secret::Secret;
use crate::target::{CloudTarget, ClusterAddress, DeployPolicy};

/// Settings of a builder. Empty texts are never kept: they count as not given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) url: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) api_key: Option<(String, Secret)>,
    pub(crate) session: Option<Secret>,
    pub(crate) profile_file: Option<PathBuf>,
    /// How long one answer of the API may take.
    pub(crate) timeout: Option<Duration>,
    pub(crate) organization_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) subscription_id: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) product_unit: Option<u32>,
    pub(crate) tier: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) deploy: Option<DeployPolicy>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// A text that says something.
pub(crate) fn filled(text: impl Into<String>) -> Option<String> {
    let text: String = text.into();
    let trimmed = text.trim();
    match trimmed.len() {
        0 => None,
        all if all == text.len() => Some(text),
        _ => Some(trimmed.to_owned()),
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
