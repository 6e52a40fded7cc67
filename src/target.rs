//! Which cluster is meant, and how it is let go of: plain data, made by settings and sent to the keeper.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::version::RequestedVersion;

/// Where the cluster comes from: made by settings, sent to the keeper by the first test of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// A server that somebody else looks after.
    Url(UrlTarget),
    /// A cluster of CrateDB Cloud.
    Cloud(Box<CloudTarget>),
    /// Nothing is configured: whatever this machine can start.
    Local(LocalTarget),
}

/// `CRATEDB_CLUSTER_URL` and who connects there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UrlTarget {
    /// Without credentials and without a path.
    pub(crate) url: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
}

/// A cluster on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LocalTarget {
    pub(crate) kind: LocalKind,
    /// Name and tag of the container image.
    pub(crate) image: String,
    /// What is asked for. None where `home` decides.
    pub(crate) version: Option<RequestedVersion>,
    pub(crate) nodes: u32,
    /// Directory of the `Cargo.lock`, for people who look at labels.
    pub(crate) project: String,
    /// Key of the session, for people who look at labels.
    pub(crate) key: String,
    /// `CRATEDB_HOME`, absolute: the server is a process of that installation, unless another version is asked for.
    pub(crate) home: Option<String>,
    pub(crate) origin: Origin,
    pub(crate) jvm_cache: JvmCache,
    /// The server may stay after its keeper's end (`CRATEDB_TEST_ON_EXIT=keep`).
    pub(crate) outlives: bool,
    /// Why neither `url` nor `cloud` was chosen: one line each, starting with the provider's name, as in
    /// `url: CRATEDB_CLUSTER_URL is not set`. Shown if this machine can't start a server either.
    pub(crate) lacking: Vec<String>,
}

/// Which servers of this machine may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LocalKind {
    /// A process of the installation that is named; else a container if an engine answers; else a process of a release
    /// that is downloaded.
    Auto,
    Container,
    Process,
}

/// Where releases come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// `CRATEDB_TEST_MIRROR`: in place of the vendor. An http(s) address, which may hold a password, or an absolute path.
    pub(crate) mirror: Option<Secret>,
    /// `CRATEDB_TEST_SHA256`, 64 hexadecimal digits each: no other archive is used. Empty for any.
    pub(crate) digests: Vec<String>,
}

/// `CRATEDB_TEST_JVM_CACHE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JvmCache {
    /// Neither used nor made.
    Off,
    /// Used if it is there.
    Use,
    /// And made after a session, if it is not.
    Make,
}

/// `CRATEDB_TEST_ON_EXIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnExit {
    /// Undo what was done: suspend what was resumed or deployed, remove what was started.
    Auto,
    /// Suspend, also what was found running.
    Suspend,
    Keep,
    /// Delete what was deployed; for everything else the same as `Auto`.
    Delete,
}

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

/// What proves to the Cloud API who is asking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Login {
    ApiKey {
        key: String,
        secret: Secret,
    },
    /// The cookie of a login. Answers may replace it.
    Session {
        token: Secret,
        /// Where a replaced one is kept.
        profile: Option<ProfileName>,
    },
    /// Nothing: a server that needs none, or a cluster that is only asked for SQL.
    Nobody,
}

/// A profile of a profile file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProfileName {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    pub(crate) organization_id: Option<String>,
}

impl Login {
    /// Who asks, as a text without secrets that stays the same while a session's cookie is replaced: a part of the key of
    /// a keeper.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::ApiKey { key, .. } => key.clone(),
            Self::Session { profile: Some(profile), .. } => {
                format!("login:{}:{}", profile.name, profile.organization_id.as_deref().unwrap_or("-"))
                    .replace('|', "_")
            }
            Self::Session { profile: None, .. } => "login".to_owned(),
            Self::Nobody => String::new(),
        }
    }
}

/// Splits an image into its name and its tag, if it has one.
pub(crate) fn split_image(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        // A colon before a slash belongs to the port of a registry.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

#[cfg(test)]
impl LocalTarget {
    /// With what settings say by default.
    pub(crate) fn of_image(image: &str) -> Self {
        Self {
            kind: LocalKind::Auto,
            image: image.to_owned(),
            version: "6.4.3".parse().ok(),
            nodes: 1,
            project: "/home/ada/project".to_owned(),
            key: "local:ada".to_owned(),
            home: None,
            // Where nobody answers.
            origin: Origin { mirror: Some(Secret::new("http://127.0.0.1:1/")), digests: Vec::new() },
            jvm_cache: JvmCache::Off,
            outlives: false,
            lacking: vec![
                "url: CRATEDB_CLUSTER_URL is not set".to_owned(),
                "cloud: neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME is set".to_owned(),
            ],
        }
    }
}
