//! Settings that code gives, which beat every variable, and the cluster that they and the sources name.

use std::path::PathBuf;
use std::time::Duration;

use super::access::Access;
use super::address::{ACCEPTED, cluster_url, credential, http_url, without_credentials};
use super::setting::{Remarks, Sent, Setting, is_private, may_go, plain_http};
use super::sources::Sources;
use super::{CLOUD_ENDPOINT, access};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::{CloudTarget, ClusterAddress, DeployPolicy, Login};

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
    /// True if secrets may be sent over plain HTTP to another machine.
    pub(crate) plain_http: Option<bool>,
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
    deploys_where_it_may(given, sources, &access)?;
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
        plain_http: access::allows_plain_http(given, sources)?,
    })
}

/// The variables that requests to the Cloud API carry, besides the credentials for it and the password of a cluster.
const SENT_TO_CLOUD: [&str; 11] = [
    "CRATEDB_CLUSTER_ID",
    "CRATEDB_CLUSTER_NAME",
    "CRATEDB_CLOUD_ORGANIZATION_ID",
    "CRATEDB_CLOUD_PROJECT_ID",
    "CRATEDB_CLOUD_REGION",
    "CRATEDB_CLOUD_SUBSCRIPTION_ID",
    "CRATEDB_CLOUD_PRODUCT",
    "CRATEDB_CLOUD_TIER",
    "CRATEDB_VERSION",
    "CRATEDB_CHANNEL",
    "CRATEDB_USERNAME",
];

/// Checks that the settings of a cluster, its password above all, may go to the Cloud API that is asked.
fn deploys_where_it_may(given: &Given, sources: &Sources, access: &Access) -> Result<()> {
    if matches!(access.login, Login::Nobody) || access.endpoint == CLOUD_ENDPOINT {
        return Ok(());
    }
    let to = access::endpoint_setting(given, sources)
        .unwrap_or_else(|| Setting::of_profile("CRATEDB_CLOUD_ENDPOINT", &access.endpoint, &access.origin));
    let url = http_url(&to.name, &access.endpoint, ACCEPTED)?;
    let password = password(given, sources).map(Sent::Secret);
    let plain = SENT_TO_CLOUD.iter().filter_map(|name| sources.setting(name)).map(Sent::Plain);
    may_go("ask CrateDB Cloud at", &url, &to, password.into_iter().chain(plain))
}

fn password(given: &Given, sources: &Sources) -> Option<Setting> {
    let in_code = given.password.as_ref().map(|password| Setting::of_code("`password`", password.expose()));
    in_code.or_else(|| sources.setting("CRATEDB_PASSWORD"))
}

fn username(given: &Given, sources: &Sources) -> Option<Setting> {
    let in_code = given.username.as_ref().map(|name| Setting::of_code("`username`", name));
    in_code.or_else(|| sources.setting("CRATEDB_USERNAME"))
}

/// The cluster that is meant, by one of the three ways to name it.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Url(Setting),
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
        return Ok(Some(of(Setting::of_code(&format!("`{first}`"), value))));
    }
    for (place, source) in sources.each().enumerate() {
        let mut given = NAMES.into_iter().filter_map(|name| source.setting(place, name));
        let Some(first) = given.next() else { continue };
        for ignored in given {
            notes.push(format!("{} is ignored: {} is set too ({source})", ignored.name, first.name));
        }
        return Ok(Some(of(first)));
    }
    Ok(None)
}

fn of(setting: Setting) -> Address {
    match setting.name.as_str() {
        "CRATEDB_CLUSTER_URL" | "`cluster_url`" => Address::Url(setting),
        "CRATEDB_CLUSTER_ID" | "`cluster_id`" => Address::Cluster(ClusterAddress::Id(setting.value)),
        _ => Address::Cluster(ClusterAddress::Name(setting.value)),
    }
}

/// A server by its URL, and the user who connects to it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Without credentials and without a slash at its end.
    pub(crate) url: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) remarks: Remarks,
}

/// CrateDB's own user, who is meant where a password is given without a user.
const OWN_USER: &str = "crate";

/// Reads a cluster's URL, and completes the user and the password in it by those of the other settings. A password that
/// is set for another user than the one in the URL is not sent, and `notes` says so.
pub(crate) fn server(address: &Setting, given: &Given, sources: &Sources, notes: &mut Vec<String>) -> Result<Server> {
    let url = cluster_url(&address.name, &address.value)?;
    let in_url = |part: Option<&str>| match part.filter(|part| !part.is_empty()) {
        Some(part) => credential(&address.name, part).map(|value| Some(Setting { value, ..address.clone() })),
        None => Ok(None),
    };
    let (user_in_url, password_in_url) = (in_url(Some(url.username()))?, in_url(url.password())?);
    let (user_beside, password_beside) = (username(given, sources), password(given, sources));
    let other = match (&user_in_url, &user_beside) {
        (Some(one), Some(other)) if one.value != other.value => Some(other.name.clone()),
        _ => None,
    };
    if let (Some(other), Some(password), None, Some(user)) = (&other, &password_beside, &password_in_url, &user_in_url)
    {
        notes.push(format!(
            "{} is ignored: it belongs to the user of {}, and {} names the user `{}`",
            password.name, other, address.name, user.value
        ));
    }
    let password_beside = password_beside.filter(|_| password_in_url.is_none() && other.is_none());
    let user_beside = user_beside.filter(|_| user_in_url.is_none());
    let sent = password_beside.clone().map(Sent::Secret).into_iter().chain(user_beside.clone().map(Sent::Plain));
    may_go("connect to", &url, address, sent)?;
    let (user, password) = (user_in_url.or(user_beside), password_in_url.or(password_beside));
    if let Some(password) = &password {
        is_private(&url, "the password", plain_http(given.plain_http, sources, [password])?)?;
    }
    let remarks = Remarks { asked_as: asked_as(user.as_ref(), password.as_ref()), ..Remarks::of(sources) };
    let username = user.map(|user| user.value).or_else(|| password.as_ref().map(|_| OWN_USER.to_owned()));
    let password = password.map(|password| Secret::new(password.value));
    Ok(Server { url: without_credentials(&url).trim_end_matches('/').to_owned(), username, password, remarks })
}

/// Says as which user a server is asked, and where user and password come from.
fn asked_as(user: Option<&Setting>, password: Option<&Setting>) -> Option<String> {
    let password_is = match password {
        Some(password) => format!("with the password of {}", password.place()),
        None => "without a password".to_owned(),
    };
    match (user, password) {
        (None, None) => None,
        (Some(user), _) => Some(format!("asked as user `{}` of {}, {password_is}", user.value, user.place())),
        (None, Some(_)) => {
            Some(format!("asked as user `{OWN_USER}`, {password_is}; CRATEDB_USERNAME names another user"))
        }
    }
}
