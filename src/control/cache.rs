//! The cache of this user's machine: releases of CrateDB and what makes them start faster.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::provider::Progress;
use crate::provider::download::{self, CacheEntry, Downloads, EntryKind, Removal};
use crate::settings::Settings;

/// Something in the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Cached {
    /// `release`, `archive` (put there by hand), `partial` (of a download or an installation that was not finished) or
    /// `jvm cache`.
    pub kind: String,
    /// `6.4.3-x64_linux`; the last part of the path.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes that it takes on the disk.
    pub size: u64,
    /// When it was used the last time, as in `2026-11-23T15:00:00Z`.
    pub last_used: String,
    /// Some process uses it now.
    pub in_use: bool,
}

/// What became of something in the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Pruned {
    /// What it is, or was.
    #[serde(flatten)]
    pub cached: Cached,
    /// `removed`, `would remove`, `in use` (and so left) or `failed`.
    pub outcome: String,
    /// Why it failed.
    pub detail: String,
}

/// A release that is in the cache.
#[derive(Clone, Debug, Serialize)]
pub struct Fetched {
    /// All three numbers.
    pub version: String,
    /// Its directory, for `CRATEDB_HOME`.
    pub path: PathBuf,
    /// It was not there before.
    pub new: bool,
    /// SHA-256 of its archive, if that is known.
    pub sha256: Option<String>,
    /// Who said which digest it has to be.
    pub trust: Option<String>,
}

/// Everything in the cache, in the order of names.
///
/// # Errors
///
/// When a lock can't be looked at.
pub fn cached() -> Result<Vec<Cached>> {
    Ok(download::entries()?.iter().map(shown).collect())
}

/// Removes what was not used for `unused`, or everything; what some process uses is left. `dry_run` only says what would be
/// done. What is known of the digests of releases is kept.
///
/// # Errors
///
/// When a lock can't be looked at. What can't be removed is its own outcome.
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

/// Puts a release into the cache, if it is not there: `6.4.3`, or `6.4` for its newest patch. The settings are those of
/// tests in `manifest_dir`.
///
/// # Errors
///
/// When the version or a setting can't be read, and when the release can't be had within `limit`.
pub fn fetch_release(
    manifest_dir: &Path,
    version: &str,
    limit: Duration,
    on_progress: impl Fn(&str) + Send + 'static,
) -> Result<Fetched> {
    let (wanted, origin) = (version.parse()?, Settings::origin(manifest_dir)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Session, "cannot start a runtime").because(error))?;
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
    let seconds = entry.used.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Cached {
        kind: kind.to_owned(),
        name: entry.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: entry.path.clone(),
        size: entry.size,
        last_used: humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).to_string(),
        in_use: entry.in_use,
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
