//! Every setting once: its variable, its forms, its default; and the target, key and policies that follow from them.

mod key;
mod local;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::{Access, Address, Given, Sources, address, cloud_target as cloud, server, unreadable};
use crate::error::{Error, Kind, Result};
use crate::target::ClusterAddress;
#[cfg(feature = "process")]
use crate::target::Origin;
use crate::target::{LocalKind, OnExit, Target, UrlTarget};
use crate::version::RequestedVersion;
use crate::wire::{Named, Policy, Spec};

pub(crate) use self::key::target_of_key;

/// When the schema of an attempt is kept: `CRATEDB_TEST_KEEP_SCHEMA`, or `keep_schema` of the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepSchema {
    Always,
    Never,
    OnFailure,
}

/// What a test says of the cluster that it needs; it beats the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) version: Option<RequestedVersion>,
    pub(crate) nodes: Option<u32>,
}

impl Wanted {
    /// The attribute knows the same limit.
    const MOST_NODES: u32 = 9;

    pub(crate) fn check(self) -> Result<()> {
        match self.nodes {
            Some(nodes) if !(1..=Self::MOST_NODES).contains(&nodes) => {
                Err(Error::new(Kind::Setting, format!("no cluster can have this number of nodes: {nodes}"))
                    .hint(format!("accepted: 1 to {}", Self::MOST_NODES)))
            }
            _ => Ok(()),
        }
    }
}

/// The settings of one package's tests.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) spec: Spec,
    pub(crate) keep_schema: KeepSchema,
    pub(crate) start_timeout: Duration,
    /// `CRATEDB_TEST_OUTER`: this process and everything above it are no runners.
    pub(crate) outer: Option<u32>,
    /// `CRATEDB_TEST_SESSION_IDLE`: how long an explicit session lives without a lease.
    pub(crate) session_idle: Duration,
    /// `CRATEDB_TEST_SESSION`: the explicit session of this process.
    pub(crate) session: Option<Named>,
}

impl Settings {
    /// Reads the environment of this process, then `.env` files from `manifest_dir` up to the workspace's root, then one
    /// in the working directory.
    pub(crate) fn load(manifest_dir: &Path, wanted: Wanted) -> Result<Self> {
        Self::read(&Sources::of_process(manifest_dir, &project_of(manifest_dir))?, manifest_dir, wanted)
    }

    fn read(sources: &Sources, manifest_dir: &Path, wanted: Wanted) -> Result<Self> {
        let mut notes = Vec::new();
        let start_timeout = sources.lasting("CRATEDB_TEST_START_TIMEOUT", Duration::from_secs(15 * 60))?;
        let on_exit = sources.choice(
            "CRATEDB_TEST_ON_EXIT",
            &[("auto", OnExit::Auto), ("suspend", OnExit::Suspend), ("keep", OnExit::Keep), ("delete", OnExit::Delete)],
            OnExit::Auto,
        )?;
        let policy = Policy {
            keep_warm: millis(sources.duration("CRATEDB_TEST_KEEP_WARM", Duration::ZERO)?),
            max_lifetime: millis(sources.lasting("CRATEDB_TEST_MAX_LIFETIME", Duration::from_secs(2 * 60 * 60))?),
            start_timeout: millis(start_timeout),
            on_exit,
        };
        let keep_default = if sources.get("CI").is_some() { KeepSchema::Never } else { KeepSchema::OnFailure };
        let keep_schema = sources.choice("CRATEDB_TEST_KEEP_SCHEMA", KeepSchema::FORMS, keep_default)?;
        let (target, key) = target(sources, manifest_dir, wanted, &mut notes)?;
        let spec = Spec {
            key,
            target,
            policy,
            // The keeper's working directory is the root.
            report: sources
                .get("CRATEDB_TEST_REPORT")
                .map(|path| project_of(manifest_dir).join(path).display().to_string()),
            log: sources.get("CRATEDB_TEST_LOG").unwrap_or_else(|| "info".into()),
            notes,
        };
        let outer = sources.number("CRATEDB_TEST_OUTER")?;
        let session_idle = sources.lasting("CRATEDB_TEST_SESSION_IDLE", Duration::from_secs(10 * 60))?;
        let read = Self { spec, keep_schema, start_timeout, outer, session_idle, session: None };
        match sources.get("CRATEDB_TEST_SESSION") {
            Some(name) => read.in_session(&name),
            None => Ok(read),
        }
    }

    /// Where releases come from, for whoever wants one without a session.
    #[cfg(feature = "process")]
    pub(crate) fn origin(manifest_dir: &Path) -> Result<Origin> {
        local::origin(&Sources::of_process(manifest_dir, &project_of(manifest_dir))?)
    }

    /// The same in the explicit session `name`.
    pub(crate) fn in_session(self, name: &str) -> Result<Self> {
        let session = Some(named(name.to_owned(), millis(self.session_idle))?);
        Ok(Self { session, ..self })
    }
}

impl KeepSchema {
    pub(crate) const FORMS: &[(&str, Self)] =
        &[("always", Self::Always), ("never", Self::Never), ("on-failure", Self::OnFailure)];
}

/// A session's name goes into commands, messages and lists.
fn named(name: String, idle: u64) -> Result<Named> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(
            unreadable("CRATEDB_TEST_SESSION", &name).hint("accepted: 1 to 64 of letters, digits, `.`, `_` and `-`")
        );
    }
    Ok(Named { name, idle })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Auto,
    Url,
    Cloud,
    Container,
    Process,
}

/// Which provider, and the key of its keeper. From settings alone, so that no test probes an engine.
///
/// A test that wants a version or a number of nodes gets a cluster of this machine, unless the provider is named: neither a
/// server by its URL nor a cluster of the Cloud can be had in another version.
fn target(sources: &Sources, manifest_dir: &Path, wanted: Wanted, notes: &mut Vec<String>) -> Result<(Target, String)> {
    let choice = sources.choice(
        "CRATEDB_TEST_PROVIDER",
        &[
            ("auto", Choice::Auto),
            ("url", Choice::Url),
            ("cloud", Choice::Cloud),
            ("container", Choice::Container),
            ("process", Choice::Process),
        ],
        Choice::Auto,
    )?;
    let address = address(&Given::default(), sources, notes)?;
    let mut local = |kind, lacking| local::target(sources, manifest_dir, kind, wanted, lacking, notes);
    match (choice, address) {
        (Choice::Auto, Some(_)) if wanted != Wanted::default() => {
            let excluded =
                |name| format!("{name}: a test that wants a version or a number of nodes runs on this machine");
            let (target, key) = local(LocalKind::Auto, ["url", "cloud"].map(excluded).into())?;
            notes.push("the configured cluster is not used for tests that want a version or a number of nodes".into());
            Ok((target, key))
        }
        (Choice::Auto | Choice::Url, Some(Address::Url(url))) => url_target(sources, &url),
        (Choice::Auto | Choice::Cloud, Some(Address::Cluster(cluster))) => cloud_target(sources, cluster),
        (Choice::Url, _) => Err(missing("url", "CRATEDB_CLUSTER_URL is not set")
            .hint("set CRATEDB_CLUSTER_URL, for example to http://localhost:4200")),
        (Choice::Cloud, _) => Err(missing("cloud", "neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME is set")
            .hint("set one of them, or CRATEDB_TEST_PROVIDER=auto")),
        (Choice::Auto, None) => local(LocalKind::Auto, local::lacking(sources)),
        (Choice::Process, _) => local(LocalKind::Process, local::excluded("process")),
        (Choice::Container, _) => local(LocalKind::Container, local::excluded("container")),
    }
}

fn missing(provider: &str, cause: &str) -> Error {
    Error::new(Kind::Setting, format!("cannot use CRATEDB_TEST_PROVIDER=`{provider}`")).because(cause)
}

fn url_target(sources: &Sources, given: &str) -> Result<(Target, String)> {
    let server = server(given, &Given::default(), sources)?;
    let key = format!("url|{}", server.url);
    let target = UrlTarget { url: server.url, username: server.username, password: server.password };
    Ok((Target::Url(target), key))
}

/// A cluster is named but nobody may touch it: configured and failing, never the next provider's turn.
fn cloud_target(sources: &Sources, cluster: ClusterAddress) -> Result<(Target, String)> {
    let access = Access::find(&Given::default(), sources)
        .map_err(|error| error.needed_to(&format!("cannot use {cluster} of CrateDB Cloud")))?;
    let address = match &cluster {
        ClusterAddress::Id(id) => format!("id:{id}"),
        ClusterAddress::Name(name) => format!("name:{name}"),
        ClusterAddress::Url(url) => format!("url:{url}"),
    };
    let key = format!("cloud|{}|{address}|{}", access.endpoint, access.login.fingerprint());
    let target = cloud(&Given::default(), sources, access, cluster)?;
    Ok((Target::Cloud(Box::new(target)), key))
}

/// The directory of the nearest `Cargo.lock` at or above a manifest: the root of its workspace, with or without one.
fn project_of(manifest_dir: &Path) -> PathBuf {
    let locked = manifest_dir.ancestors().find(|dir| dir.join("Cargo.lock").is_file());
    locked.unwrap_or(manifest_dir).to_owned()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
