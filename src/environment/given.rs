//! Settings that code gives, which beat every variable, and the cluster that they and the sources name.

use std::path::PathBuf;
use std::time::Duration;

use super::access::Access;
use super::sources::{Sources, http_url, percent_decoded};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::{CloudTarget, ClusterAddress, DeployPolicy};

/// Settings of a builder. An empty text counts as not given and is stored as `None`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    pub(crate) url: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) api_key: Option<(String, Secret)>,
    pub(crate) session: Option<Secret>,
    pub(crate) profile_file: Option<PathBuf>,
    /// The time limit for one answer of the API.
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

/// Returns the text without surrounding whitespace, or `None` if nothing is left.
pub(crate) fn filled(text: impl Into<String>) -> Option<String> {
    let text: String = text.into();
    let trimmed = text.trim();
    match trimmed.len() {
        0 => None,
        all if all == text.len() => Some(text),
        _ => Some(trimmed.to_owned()),
    }
}

/// Completes the settings of a Cloud cluster: from code first, then from the sources.
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

/// The cluster that is meant, by one of the three ways to name it.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Url(String),
    Cluster(ClusterAddress),
}

const NAMES: [&str; 3] = ["CRATEDB_CLUSTER_URL", "CRATEDB_CLUSTER_ID", "CRATEDB_CLUSTER_NAME"];
const IN_CODE: [&str; 3] = ["cluster_url", "cluster_id", "cluster_name"];

/// Returns the address from the highest source that has any. Within a source, the URL beats the id and the id beats the
/// name. A second address in code is an error. In other sources it is ignored, and `notes` says so.
pub(crate) fn address(given: &Given, sources: &Sources, notes: &mut Vec<String>) -> Result<Option<Address>> {
    let in_code = [&given.url, &given.id, &given.name];
    let mut in_code = IN_CODE.into_iter().zip(in_code).filter_map(|(name, value)| Some((name, value.clone()?)));
    if let Some((first, value)) = in_code.next() {
        if let Some((second, _)) = in_code.next() {
            return Err(Error::new(Kind::Setting, "cannot tell which cluster is meant")
                .because(format!("{first} and {second} are both given in code"))
                .hint("give one of cluster_url, cluster_id and cluster_name"));
        }
        return Ok(Some(of(first, value)));
    }
    for source in sources.each() {
        let given: Vec<(&str, String)> = NAMES.into_iter().filter_map(|name| Some((name, source.get(name)?))).collect();
        let Some((name, value)) = given.first().cloned() else { continue };
        for (ignored, _) in &given[1..] {
            notes.push(format!("{ignored} is ignored: {name} is set too ({source})"));
        }
        return Ok(Some(of(name, value)));
    }
    Ok(None)
}

fn of(name: &str, value: String) -> Address {
    match name {
        "CRATEDB_CLUSTER_URL" | "cluster_url" => Address::Url(value),
        "CRATEDB_CLUSTER_ID" | "cluster_id" => Address::Cluster(ClusterAddress::Id(value)),
        _ => Address::Cluster(ClusterAddress::Name(value)),
    }
}

/// A server by its URL, and the user who connects to it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Without credentials, query and slash at its end.
    pub(crate) url: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// Reads a cluster's URL. If it has a user name, the password comes from the URL too: a password from another source
/// may belong to another user.
pub(crate) fn server(text: &str, given: &Given, sources: &Sources) -> Result<Server> {
    let mut url = http_url("CRATEDB_CLUSTER_URL", text)?;
    let (username, password) = if url.username().is_empty() {
        (
            given.username.clone().or_else(|| sources.get("CRATEDB_USERNAME")),
            given.password.clone().or_else(|| sources.get("CRATEDB_PASSWORD").map(Secret::new)),
        )
    } else {
        let password = url.password().map(|password| Secret::new(percent_decoded(password)));
        (Some(percent_decoded(url.username())), password)
    };
    // Neither can fail for http URLs, which have a host.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_fragment(None);
    url.set_query(None);
    Ok(Server { url: url.as_str().trim_end_matches('/').to_owned(), username, password })
}
