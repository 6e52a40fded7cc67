//! Every setting once: its variable, its forms, its default; and the target, key and policies that follow from them.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::environment::{
    Access, Address, ClusterAddress, Given, Sources, address, cloud_target as cloud, server, unreadable,
};
use crate::error::{Error, Kind, Result};
use crate::keeper::{Named, Policy, Spec};
use crate::provider::{LocalTarget, OnExit, Target, UrlTarget};

/// What local servers run unless `CRATEDB_VERSION` says otherwise; the newest release when this crate was released.
const LOCAL_VERSION: &str = "6.4.3";

/// When the schema of an attempt is kept: `CRATEDB_TEST_KEEP_SCHEMA`, or `keep_schema` of the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepSchema {
    Always,
    Never,
    OnFailure,
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
    pub(crate) fn load(manifest_dir: &Path) -> Result<Self> {
        Self::read(&Sources::of_process(manifest_dir, &project_of(manifest_dir))?, manifest_dir)
    }

    fn read(sources: &Sources, manifest_dir: &Path) -> Result<Self> {
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
        let (target, key) = target(sources, manifest_dir, &mut notes)?;
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
fn target(sources: &Sources, manifest_dir: &Path, notes: &mut Vec<String>) -> Result<(Target, String)> {
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
    match (choice, address) {
        (Choice::Auto | Choice::Url, Some(Address::Url(url))) => url_target(sources, &url),
        (Choice::Auto | Choice::Cloud, Some(Address::Cluster(cluster))) => cloud_target(sources, cluster),
        (Choice::Url, _) => Err(missing("url", "CRATEDB_CLUSTER_URL is not set")
            .hint("set CRATEDB_CLUSTER_URL, for example to http://localhost:4200")),
        (Choice::Cloud, _) => Err(missing("cloud", "neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME is set")
            .hint("set one of them, or CRATEDB_TEST_PROVIDER=auto")),
        (Choice::Auto, None) => Ok(match home(sources, manifest_dir) {
            Some(home) => process_target(sources, manifest_dir, home, notes),
            None => container_target(sources, manifest_dir, lacking(sources)),
        }),
        (Choice::Process, _) => match home(sources, manifest_dir) {
            Some(home) => Ok(process_target(sources, manifest_dir, home, notes)),
            None => Err(missing("process", "CRATEDB_HOME is not set")
                .hint("set CRATEDB_HOME to the directory of an extracted release, which has bin/crate and lib/")),
        },
        (Choice::Container, _) => {
            let excluded = |name| format!("{name}: CRATEDB_TEST_PROVIDER=container excludes it");
            Ok(container_target(sources, manifest_dir, ["url", "cloud", "process"].map(excluded).into()))
        }
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

fn container_target(sources: &Sources, manifest_dir: &Path, lacking: Vec<String>) -> (Target, String) {
    let version = sources.get("CRATEDB_VERSION").unwrap_or_else(|| LOCAL_VERSION.into());
    let image = sources.get("CRATEDB_TEST_IMAGE").unwrap_or_else(|| format!("crate:{version}"));
    let project = project_of(manifest_dir).display().to_string();
    // One node: a part of the key since several nodes are another cluster.
    let key = format!("local|{project}|{version}|1|{image}");
    let target = LocalTarget { image, version, project, key: key.clone(), home: None, outlives: false, lacking };
    (Target::Local(target), key)
}

/// `CRATEDB_HOME`. The keeper's working directory is the root, so it is made absolute here.
fn home(sources: &Sources, manifest_dir: &Path) -> Option<String> {
    sources.get("CRATEDB_HOME").map(|home| project_of(manifest_dir).join(home).display().to_string())
}

/// An installation that is named is a choice, and wins over a container.
fn process_target(sources: &Sources, manifest_dir: &Path, home: String, notes: &mut Vec<String>) -> (Target, String) {
    for (name, why) in [
        ("CRATEDB_TEST_IMAGE", "CRATEDB_HOME is set, so no container is used"),
        ("CRATEDB_VERSION", "the version is the one in CRATEDB_HOME"),
    ] {
        notes.extend(sources.get(name).map(|_| format!("{name} is ignored: {why}")));
    }
    let project = project_of(manifest_dir).display().to_string();
    let key = format!("process|{project}|1|{home}");
    let mut target = process_of(project, home, &key);
    target.outlives = sources.get("CRATEDB_TEST_ON_EXIT").is_some_and(|value| value == "keep");
    (Target::Local(target), key)
}

fn process_of(project: String, home: String, key: &str) -> LocalTarget {
    let (image, version) = (String::new(), String::new());
    LocalTarget { image, version, project, key: key.to_owned(), home: Some(home), outlives: false, lacking: Vec::new() }
}

/// Why it came to a local server: shown if there is none either.
fn lacking(sources: &Sources) -> Vec<String> {
    let credentials =
        sources.get("CRATEDB_CLOUD_API_KEY").is_some() || sources.get("CRATEDB_CLOUD_API_SECRET").is_some();
    let cloud = if credentials {
        "cloud: credentials are set, but neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME says which cluster"
    } else {
        "cloud: CRATEDB_CLUSTER_ID or CRATEDB_CLUSTER_NAME, CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set"
    };
    vec![
        "url: CRATEDB_CLUSTER_URL is not set".into(),
        cloud.into(),
        "process: CRATEDB_HOME is not set; it names the directory of an extracted release".into(),
    ]
}

/// The directory of the nearest `Cargo.lock` at or above a manifest: the root of its workspace, with or without one.
fn project_of(manifest_dir: &Path) -> PathBuf {
    let locked = manifest_dir.ancestors().find(|dir| dir.join("Cargo.lock").is_file());
    locked.unwrap_or(manifest_dir).to_owned()
}

/// The target of a key that other settings made, with the credentials that are at hand in `manifest_dir`: for whoever
/// repairs what is owed for that key.
///
/// # Errors
///
/// When the credentials are missing or belong to another key; the error names what is needed.
pub(crate) fn target_of_key(manifest_dir: &Path, key: &str) -> Result<Target> {
    let refuse = |cause: String| Error::new(Kind::Setting, "its credentials are not at hand").because(cause);
    let sources = || Sources::of_process(manifest_dir, &project_of(manifest_dir));
    match key.split_once('|') {
        Some(("local", rest)) => {
            let [image, _nodes, version, project] = rest.rsplitn(4, '|').collect::<Vec<_>>()[..] else {
                return Err(refuse("its key can't be read".into()));
            };
            let (image, version, project) = (image.to_owned(), version.to_owned(), project.to_owned());
            let (key, lacking) = (key.to_owned(), Vec::new());
            Ok(Target::Local(LocalTarget { image, version, project, key, home: None, outlives: false, lacking }))
        }
        Some(("process", rest)) => match rest.split_once("|1|") {
            Some((project, home)) => Ok(Target::Local(process_of(project.to_owned(), home.to_owned(), key))),
            None => Err(refuse("its key can't be read".into())),
        },
        Some(("url", url)) => Ok(url_target(&sources()?, url)?.0),
        Some(("cloud", rest)) => {
            let parts = rest.rsplit_once('|').and_then(|(rest, api_key)| Some((rest.split_once('|')?, api_key)));
            let Some(((endpoint, address), api_key)) = parts else {
                return Err(refuse("its key can't be read".into()));
            };
            let cluster = match address.split_once(':') {
                Some(("id", id)) => ClusterAddress::Id(id.to_owned()),
                Some(("name", name)) => ClusterAddress::Name(name.to_owned()),
                _ => return Err(refuse("its key can't be read".into())),
            };
            let (target, own) = cloud_target(&sources()?, cluster)?;
            match (own == key, api_key.strip_prefix("login:")) {
                (true, _) => Ok(target),
                (false, None) => Err(refuse(format!("the key needs {endpoint} and the API key {api_key}")).hint(
                    "run it where CRATEDB_CLOUD_ENDPOINT, CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are those",
                )),
                (false, Some(login)) => Err(refuse(format!("the key needs {endpoint} and the login {login}")).hint(
                    "run it where no API key is set and that profile of `croud`'s profile file is the current one",
                )),
            }
        }
        _ => Err(refuse("its key can't be read".into())),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
