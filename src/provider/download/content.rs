//! The content of the caches of this machine: listed for people, and removed if no process uses it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::cache::{ArchiveRecord, Caches, trusted};
use crate::error::Result;
use crate::host::{Locks, paths_in, platform};
use crate::provider::jvm;
use crate::version::Version;

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// An installation.
    Installation,
    /// An archive that a person put there.
    Archive,
    /// The rest of an unfinished download or installation.
    Partial,
    /// A cache of a Java virtual machine.
    Jvm,
}

/// A file or directory in a cache.
#[derive(Clone, Debug)]
pub(crate) struct CacheEntry {
    pub(crate) kind: EntryKind,
    pub(crate) path: PathBuf,
    /// The bytes that it takes on the disk.
    pub(crate) size: u64,
    pub(crate) used: SystemTime,
    pub(crate) in_use: bool,
    /// The record of an installation's archive.
    pub(crate) record: Option<ArchiveRecord>,
    lock: PathBuf,
}

#[cfg(test)]
impl CacheEntry {
    pub(super) fn lock_path(&self) -> &Path {
        &self.lock
    }
}

/// The result of removing an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Removed,
    InUse,
    Failed(String),
}

/// Returns all entries in the order of their names.
pub(crate) fn entries() -> Result<Vec<CacheEntry>> {
    let Caches(mut all) = Caches::of_this_machine();
    // JVM caches may be at another place if root's home is closed to other users.
    for root in jvm::roots() {
        let cache = root.parent().unwrap_or(&root).to_owned();
        if !all.contains(&cache) {
            all.push(cache);
        }
    }
    entries_of(&Caches(all))
}

pub(super) fn entries_of(caches: &Caches) -> Result<Vec<CacheEntry>> {
    let mut found = Vec::new();
    for cache in &caches.0 {
        for dir in ["releases", "jvm"] {
            let place = cache.join(dir);
            // Other users may have put files there, which are not the harness's to remove.
            if trusted(&place, false).is_err() {
                continue;
            }
            for path in paths_in(&place).collect::<BTreeSet<_>>() {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let known = match dir {
                    "jvm" => is_dir(&path).then(|| kind_in_jvm(&name)),
                    _ => kind_in_releases(&name, is_dir(&path)),
                };
                if let Some((kind, stem)) = known {
                    let lock = path.with_file_name(format!("{stem}.lock"));
                    found.push(entry(kind, path, lock)?);
                }
            }
        }
    }
    Ok(found)
}

/// Returns whether `path` is a directory and no link to one.
fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Returns the kind of a directory of JVM caches, and the beginning that its name shares with its lock.
fn kind_in_jvm(name: &str) -> (EntryKind, &str) {
    match name.strip_suffix(".work").or_else(|| name.strip_suffix(".tmp")) {
        Some(stem) => (EntryKind::Partial, stem),
        None => (EntryKind::Jvm, name),
    }
}

/// Returns the kind of a file by its name, and the beginning that the name shares with its lock. Locks and records are
/// not listed. They are small, and the next download is compared with the record.
fn kind_in_releases(name: &str, is_dir: bool) -> Option<(EntryKind, &str)> {
    match (is_dir, name) {
        (true, name) => {
            let (kind, stem) = match name.strip_suffix(".tmp") {
                Some(stem) => (EntryKind::Partial, stem),
                None => (EntryKind::Installation, name),
            };
            // All installations are named `<version>-<platform>`.
            let is_ours = stem.split_once('-').is_some_and(|(version, _)| version.parse::<Version>().is_ok());
            is_ours.then_some((kind, stem))
        }
        (false, name) => {
            let archive = name.strip_suffix(".tar.gz").map(|stem| (EntryKind::Archive, stem));
            archive.or_else(|| Some((EntryKind::Partial, name.strip_suffix(".tar.gz.part")?)))
        }
    }
}

fn entry(kind: EntryKind, path: PathBuf, lock: PathBuf) -> Result<CacheEntry> {
    let touched = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let signs = match kind {
        EntryKind::Installation => [touched(&lock), touched(&path)],
        _ => [touched(&path), touched(&path.join("about.json"))],
    };
    let used = signs.into_iter().flatten().max().unwrap_or(SystemTime::UNIX_EPOCH);
    let in_use = Locks::take().holder(&lock)?.is_some() || runs_from(&path);
    let record = (kind == EntryKind::Installation).then(|| ArchiveRecord::read(&lock.with_extension("json"))).flatten();
    Ok(CacheEntry { kind, size: size_of(&path), used, in_use, record, path, lock })
}

/// Removes an entry unless a process uses it.
pub(crate) fn remove(entry: &CacheEntry) -> Removal {
    let failed = |error: &dyn std::fmt::Display| Removal::Failed(error.to_string());
    let mut locks = Locks::take();
    // Without a lock's file no process has the lock.
    let _held = match entry.lock.exists().then(|| locks.try_lock(&entry.lock)) {
        None => None,
        Some(Ok(Some(held))) => Some(held),
        Some(Ok(None)) => return Removal::InUse,
        Some(Err(error)) => return failed(&error),
    };
    if runs_from(&entry.path) {
        return Removal::InUse;
    }
    match removed(&entry.path) {
        Ok(()) => Removal::Removed,
        // Another process has removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Removal::Removed,
        Err(error) => failed(&error),
    }
}

/// Removes a file or directory. An installation is renamed first, so that half of one never looks like a whole one.
fn removed(path: &Path) -> io::Result<()> {
    if !is_dir(path) {
        if path.extension().is_some_and(|extension| extension == "part") {
            super::fetch::forget(path);
            return Ok(());
        }
        return fs::remove_file(path);
    }
    if path.extension().is_some_and(|extension| extension == "tmp" || extension == "work") {
        return super::remove_all(path);
    }
    let other = super::suffixed(path, ".tmp");
    super::remove_all(&other)?;
    fs::rename(path, &other)?;
    fs::remove_dir_all(other)
}

/// Returns whether a process runs a program from `dir`. A server may outlive its keeper, which held the lock.
pub(super) fn runs_from(dir: &Path) -> bool {
    // The kernel names programs by their real paths.
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    platform::pids().into_iter().filter_map(platform::program).any(|program| program.starts_with(&dir))
}

/// Returns the bytes that a file or directory takes on the disk.
fn size_of(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let own = fs::symlink_metadata(path).map_or(0, |meta| meta.blocks() * 512);
    own + if is_dir(path) { paths_in(path).map(|path| size_of(&path)).sum() } else { 0 }
}
