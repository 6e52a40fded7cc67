//! Clusters of this machine: which version, how many nodes, from where; and their key.

use std::path::Path;

use super::{Wanted, key, project_of};
use crate::environment::{Sources, http_url, unreadable};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::target::{JvmCache, LocalKind, LocalTarget, Origin, Target};
use crate::version::RequestedVersion;

/// What local servers run unless something says otherwise: the newest release when this crate was released.
const VERSION: RequestedVersion = RequestedVersion { major: 6, minor: 4, patch: Some(3) };

pub(super) fn target(
    sources: &Sources,
    manifest_dir: &Path,
    kind: LocalKind,
    wanted: Wanted,
    lacking: Vec<String>,
    notes: &mut Vec<String>,
) -> Result<(Target, String)> {
    let home = if kind == LocalKind::Container { None } else { home(sources, manifest_dir) };
    if home.is_some() {
        ignored(sources, wanted, notes);
    }
    let named = sources.get("CRATEDB_VERSION").filter(|_| home.is_none());
    let named = named.map(|text| text.parse().map_err(|_| unreadable_version(&text))).transpose()?;
    let version = wanted.version.or(named);
    let mut target = LocalTarget {
        kind,
        image: image(sources, wanted.version, version.unwrap_or(VERSION)),
        version: if home.is_some() { version } else { Some(version.unwrap_or(VERSION)) },
        nodes: wanted.nodes.unwrap_or(1),
        project: project_of(manifest_dir).display().to_string(),
        key: String::new(),
        home,
        origin: origin(sources)?,
        jvm_cache: jvm_cache(sources)?,
        outlives: sources.get("CRATEDB_TEST_ON_EXIT").is_some_and(|value| value == "keep"),
        lacking,
    };
    target.key = key::of_local(&target);
    let key = target.key.clone();
    Ok((Target::Local(target), key))
}

/// `CRATEDB_HOME`. The keeper's working directory is the root, so it is made absolute here.
fn home(sources: &Sources, manifest_dir: &Path) -> Option<String> {
    sources.get("CRATEDB_HOME").map(|home| project_of(manifest_dir).join(home).display().to_string())
}

/// An installation that is named is a choice, and wins over a container.
fn ignored(sources: &Sources, wanted: Wanted, notes: &mut Vec<String>) {
    let settings: &[(&str, &str)] = match wanted.version {
        // Its installation may be one of another version, and then these count.
        Some(_) => &[],
        None => &[
            ("CRATEDB_TEST_IMAGE", "CRATEDB_HOME is set, so no container is used"),
            ("CRATEDB_VERSION", "the version is the one in CRATEDB_HOME"),
        ],
    };
    for (name, why) in settings {
        notes.extend(sources.get(name).map(|_| format!("{name} is ignored: {why}")));
    }
}

/// A test that wants a version gets it under the name of the image that is set, too.
fn image(sources: &Sources, wanted: Option<RequestedVersion>, version: RequestedVersion) -> String {
    match (sources.get("CRATEDB_TEST_IMAGE"), wanted) {
        (None, _) => format!("crate:{version}"),
        (Some(image), None) => image,
        // A colon before a slash belongs to the port of a registry.
        (Some(image), Some(wanted)) => match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => format!("{name}:{wanted}"),
            _ => format!("{image}:{wanted}"),
        },
    }
}

/// `CRATEDB_TEST_MIRROR` and `CRATEDB_TEST_SHA256`.
pub(super) fn origin(sources: &Sources) -> Result<Origin> {
    let mirror = sources.get("CRATEDB_TEST_MIRROR").map(|text| mirror(&text)).transpose()?;
    let digests = sources.get("CRATEDB_TEST_SHA256").map(|text| digests(&text)).transpose()?.unwrap_or_default();
    Ok(Origin { mirror, digests })
}

/// What is refused is not shown: it may hold a password.
fn mirror(text: &str) -> Result<Secret> {
    const NAME: &str = "CRATEDB_TEST_MIRROR";
    let path = text.strip_prefix("file://").unwrap_or(text);
    if path.starts_with('/') {
        return Ok(Secret::new(path));
    }
    let refused = |_| {
        Error::new(Kind::Setting, format!("cannot read {NAME}"))
            .because("it is neither an address nor an absolute path")
            .hint("accepted: https://host/path, http://host/path, /path or file:///path")
    };
    Ok(Secret::new(http_url(NAME, text).map_err(refused)?))
}

/// Several, since tests may want several versions.
fn digests(text: &str) -> Result<Vec<String>> {
    let each = text.split([',', ' ']).filter(|digest| !digest.is_empty());
    let read = |digest: &str| match digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(digest.to_ascii_lowercase()),
        false => Err(unreadable("CRATEDB_TEST_SHA256", digest)
            .hint("accepted: SHA-256 digests of 64 hexadecimal digits, with commas between them")),
    };
    each.map(read).collect()
}

fn jvm_cache(sources: &Sources) -> Result<JvmCache> {
    // A machine of a CI service is gone before it pays, and what runs after a job's end may be held against it.
    let auto = if sources.get("CI").is_some() { JvmCache::Use } else { JvmCache::Make };
    sources.choice("CRATEDB_TEST_JVM_CACHE", &[("auto", auto), ("0", JvmCache::Off), ("1", JvmCache::Make)], auto)
}

fn unreadable_version(text: &str) -> crate::error::Error {
    let accepted = format!("accepted for servers of this machine: {}", RequestedVersion::FORMS);
    crate::environment::unreadable("CRATEDB_VERSION", text)
        .hint(accepted)
        .hint("CRATEDB_TEST_IMAGE names an image with any other tag")
}

/// Why it came to a local server: shown if there is none either.
pub(super) fn lacking(sources: &Sources) -> Vec<String> {
    let credentials =
        sources.get("CRATEDB_CLOUD_API_KEY").is_some() || sources.get("CRATEDB_CLOUD_API_SECRET").is_some();
    let cloud = if credentials {
        "cloud: credentials are set, but neither CRATEDB_CLUSTER_ID nor CRATEDB_CLUSTER_NAME says which cluster"
    } else {
        "cloud: CRATEDB_CLUSTER_ID or CRATEDB_CLUSTER_NAME, CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set"
    };
    vec!["url: CRATEDB_CLUSTER_URL is not set".into(), cloud.into()]
}

/// The same where one provider is named.
pub(super) fn excluded(provider: &str) -> Vec<String> {
    ["url", "cloud"].map(|name| format!("{name}: CRATEDB_TEST_PROVIDER={provider} excludes it")).into()
}
