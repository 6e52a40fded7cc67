//! The cluster that is meant, and how it is released: plain data, made from settings and sent to the keeper.

mod reserved;
mod security;
mod server;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::security::Security;
pub(crate) use self::server::ServerSettings;
use crate::secret::Secret;
use crate::version::RequestedVersion;

/// The source of the cluster. The first test of a session sends it to the keeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// A server that others manage.
    Url(UrlTarget),
    /// A cluster of CrateDB Cloud.
    Cloud(Box<CloudTarget>),
    /// A server that this machine can start, used if nothing else is configured.
    Local(LocalTarget),
}

/// `CRATEDB_CLUSTER_URL` and the user who connects to it.
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
    /// The requested version, or `None` if `home` decides.
    pub(crate) version: Option<RequestedVersion>,
    pub(crate) nodes: u32,
    /// The settings that tests ask for, beside those of the harness.
    #[serde(default, skip_serializing_if = "ServerSettings::is_empty")]
    pub(crate) settings: ServerSettings,
    /// The way in for clients.
    #[serde(default, skip_serializing_if = "Security::is_open")]
    pub(crate) security: Security,
    /// The directory of the `Cargo.lock`, shown in labels.
    pub(crate) project: String,
    /// The key of the session, shown in labels.
    pub(crate) key: String,
    /// `CRATEDB_HOME` as an absolute path. The server is a process of that installation, unless another version is
    /// requested.
    pub(crate) home: Option<String>,
    pub(crate) origin: Origin,
    pub(crate) jvm_cache: JvmCache,
    /// It is to develop against, and no test uses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stands: bool,
    /// True if the server may outlive its keeper (`CRATEDB_TEST_ON_EXIT=keep`).
    pub(crate) outlives: bool,
    /// The reasons why neither `url` nor `cloud` was chosen, one line each, such as `url: CRATEDB_CLUSTER_URL is not
    /// set`. They are shown if this machine can't start a server either.
    pub(crate) lacking: Vec<String>,
}

/// The kinds of local servers that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LocalKind {
    /// A process of the named installation, else a container if an engine answers, else a process of a downloaded
    /// release.
    Auto,
    Container,
    Process,
}

/// The source of releases.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// `CRATEDB_TEST_MIRROR`, which replaces the vendor's server: an absolute path, or an http(s) address that may
    /// contain a password.
    pub(crate) mirror: Option<Secret>,
    /// `CRATEDB_TEST_SHA256`, 64 hexadecimal digits each. Other archives are refused. Empty accepts any archive.
    pub(crate) digests: Vec<String>,
}

/// `CRATEDB_TEST_JVM_CACHE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JvmCache {
    /// The cache is neither used nor made.
    Off,
    /// The cache is used if it exists.
    Use,
    /// The cache is used if it exists, else made after a session.
    Make,
}

/// `CRATEDB_TEST_ON_EXIT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnExit {
    /// Suspend what the harness resumed or deployed, and remove what it started.
    Auto,
    /// Suspend the cluster, even if it was running before.
    Suspend,
    Keep,
    /// Delete what the harness deployed. Everything else as with `Auto`.
    Delete,
}

/// `CRATEDB_TEST_ON_SUSPENDED`: the effect on a run whose cluster is suspended by another client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnSuspended {
    /// Its tests fail with an error that says so.
    #[default]
    Fail,
    /// The cluster is resumed, and the tests that follow run on it.
    Resume,
}

impl OnSuspended {
    pub(crate) fn is_fail(&self) -> bool {
        *self == Self::Fail
    }
}

/// A cluster of CrateDB Cloud, and the settings to deploy it if it does not exist.
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
    /// The number of nodes minus one. The default is the product's minimum.
    pub(crate) product_unit: Option<u32>,
    pub(crate) tier: String,
    /// The version of CrateDB for a deployment. The default is the newest of the channel.
    pub(crate) version: Option<String>,
    pub(crate) channel: String,
    pub(crate) deploy: DeployPolicy,
    /// The time limit for one answer of the API.
    pub(crate) timeout: Duration,
    /// The user for PostgreSQL connections, and the admin of a deployed cluster.
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    /// `CRATEDB_ALLOW_PLAIN_HTTP`: the cluster's token may go over plain HTTP to another machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) plain_http: bool,
}

/// The id, name or URL of a cluster of CrateDB Cloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClusterAddress {
    /// `CRATEDB_CLUSTER_ID`. The cluster must exist.
    Id(String),
    /// `CRATEDB_CLUSTER_NAME`. The cluster is deployed if it does not exist.
    Name(String),
    /// `CRATEDB_CLUSTER_URL`: the cluster whose URL has this host and port. For programs only: for tests, a URL names a
    /// server that others manage.
    Url(String),
}

/// `CRATEDB_CLOUD_DEPLOY`, which allows or forbids to deploy a cluster that does not exist.
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

/// Credentials for the Cloud API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Login {
    ApiKey {
        key: String,
        secret: Secret,
    },
    /// The cookie of a login, which answers may replace.
    Session {
        token: Secret,
        /// The profile in which a replaced cookie is stored.
        profile: Option<ProfileName>,
    },
    /// No credentials, for a server that needs none, or for a cluster that only executes SQL.
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
    /// Returns a text without secrets that identifies the user, as a part of the keeper's key. It stays the same when a
    /// session's cookie is replaced.
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
    /// Returns a server with the default settings.
    pub(crate) fn of_image(image: &str) -> Self {
        Self {
            kind: LocalKind::Auto,
            image: image.to_owned(),
            version: "6.4.3".parse().ok(),
            nodes: 1,
            settings: ServerSettings::default(),
            security: Security::default(),
            project: "/home/ada/project".to_owned(),
            key: "local:ada".to_owned(),
            home: None,
            // Nothing listens on this port.
            origin: Origin { mirror: Some(Secret::new("http://127.0.0.1:1/")), digests: Vec::new() },
            jvm_cache: JvmCache::Off,
            stands: false,
            outlives: false,
            lacking: vec![
                "url: CRATEDB_CLUSTER_URL is not set".to_owned(),
                "cloud: neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME is set".to_owned(),
            ],
        }
    }
}
