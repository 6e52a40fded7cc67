//! Lists, fills and prunes the user's cache, which has releases of CrateDB and caches of their JVM.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::provider::Progress;
use crate::provider::download::{self, CacheEntry, Downloads, EntryKind, Removal};
use crate::settings::Settings;

/// An entry of the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Cached {
    /// `release`, `archive` (placed there by hand), `partial` (an unfinished download or installation) or `jvm cache`.
    pub kind: String,
    /// The last part of the path, such as `6.4.3-x64_linux`.
    pub name: String,
    /// The path of the entry.
    pub path: PathBuf,
    /// The bytes that it takes on disk.
    pub size: u64,
    /// The time of its last use, as in `2026-11-23T15:00:00Z`.
    pub last_used: String,
    /// True if a process uses it now.
    pub in_use: bool,
    /// The SHA-256 digest of the archive that a release is from, with which `CRATEDB_TEST_SHA256` is compared.
    pub sha256: Option<String>,
    /// The source of the digest with which the archive was compared when it was unpacked.
    pub trust: Option<String>,
    /// The digest of the files that a release was unpacked to. A release without it is not used if
    /// `CRATEDB_TEST_SHA256` is set.
    pub tree: Option<String>,
}

/// The outcome of pruning one entry of the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Pruned {
    /// The entry as it was before.
    #[serde(flatten)]
    pub cached: Cached,
    /// `removed`, `would remove`, `in use` (and therefore kept) or `failed`.
    pub outcome: String,
    /// The reason for a failure.
    pub detail: String,
}

/// A release in the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Fetched {
    /// The version with all three numbers.
    pub version: String,
    /// Its directory, for `CRATEDB_HOME`.
    pub path: PathBuf,
    /// True if it was not in the cache before.
    pub new: bool,
    /// The SHA-256 digest of its archive, if known.
    pub sha256: Option<String>,
    /// The source of the digest with which the archive was compared.
    pub trust: Option<String>,
}

/// Lists the entries of the cache by name.
///
/// # Errors
///
/// When a lock can't be examined.
pub fn cached() -> Result<Vec<Cached>> {
    Ok(download::entries()?.iter().map(shown).collect())
}

/// Removes the entries that were not used for `unused`, or all entries if that is `None`. Entries in use and the
/// records of known digests are kept. With `dry_run`, nothing is removed, and the outcomes say what would be.
///
/// # Errors
///
/// When a lock can't be examined. A failed removal is the outcome of its entry.
pub fn prune_cache(unused: Option<Duration>, dry_run: bool) -> Result<Vec<Pruned>> {
    let now = SystemTime::now();
    let old =
        |entry: &CacheEntry| unused.is_none_or(|least| now.duration_since(entry.used).is_ok_and(|age| age >= least));
    let one = |entry: &CacheEntry| {
        let (outcome, detail) = match dry_run {
            true if entry.in_use => ("in use", String::new()),
            true => ("would remove", String::new()),
            false => match download::remove(entry) {
                Removal::Removed => ("removed", String::new()),
                Removal::InUse => ("in use", String::new()),
                Removal::Failed(why) => ("failed", why),
            },
        };
        Pruned { cached: shown(entry), outcome: outcome.to_owned(), detail }
    };
    Ok(download::entries()?.iter().filter(|entry| old(entry)).map(one).collect())
}

/// Downloads a release into the cache if it is missing. `version` is `6.4.3`, or `6.4` for its newest patch. The
/// settings are those of tests in `manifest_dir`.
///
/// # Errors
///
/// When the version or a setting can't be read, and when the release can't be obtained within `limit`, or else within
/// `CRATEDB_TEST_START_TIMEOUT`, or else within an hour.
pub fn fetch_release(
    manifest_dir: &Path,
    version: &str,
    limit: Option<Duration>,
    on_progress: impl Fn(&str) + Send + 'static,
) -> Result<Fetched> {
    let (wanted, origin) = (version.parse()?, Settings::origin(manifest_dir)?);
    let limit = limit.map_or_else(|| Settings::time_to_fetch(manifest_dir), Ok)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(Kind::Session, "cannot start a runtime").because(error))?;
    let (steps, mut heard) = tokio::sync::mpsc::unbounded_channel::<String>();
    runtime.block_on(async move {
        let told = async move {
            while let Some(step) = heard.recv().await {
                on_progress(&step);
            }
        };
        let obtained = async move {
            let progress = Progress::new(steps);
            Downloads::of_this_machine().obtain(wanted, &origin, crate::wait::deadline_in(limit), &progress).await
        };
        let (obtained, ()) = tokio::join!(obtained, told);
        let obtained = obtained?;
        Ok(Fetched {
            version: obtained.version.to_string(),
            path: obtained.dir,
            new: obtained.new,
            sha256: obtained.record.as_ref().map(|record| record.sha256.clone()),
            trust: obtained.record.map(|record| record.trust.to_string()),
        })
    })
}

fn shown(entry: &CacheEntry) -> Cached {
    let kind = match entry.kind {
        EntryKind::Installation => "release",
        EntryKind::Archive => "archive",
        EntryKind::Partial => "partial",
        EntryKind::Jvm => "jvm cache",
    };
    Cached {
        kind: kind.to_owned(),
        name: entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: entry.path.clone(),
        size: entry.size,
        last_used: humantime::format_rfc3339_seconds(entry.used.max(SystemTime::UNIX_EPOCH)).to_string(),
        in_use: entry.in_use,
        sha256: entry.record.as_ref().map(|record| record.sha256.clone()),
        trust: entry.record.as_ref().map(|record| record.trust.to_string()),
        tree: entry.record.as_ref().and_then(|record| record.tree.clone()),
    }
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cached.path.display(), self.outcome)?;
        match self.detail.is_empty() {
            true => Ok(()),
            false => write!(f, ": {}", self.detail),
        }
    }
}
