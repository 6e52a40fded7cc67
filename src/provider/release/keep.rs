//! What lies in the caches of this machine, for people: listed, and removed if nobody uses it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::cache::{Caches, trusted};
use crate::error::Result;
use crate::host::{Locks, platform};
use crate::provider::jvm;
use crate::version::Version;

/// What something in a cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// An installation.
    Release,
    /// An archive that somebody put there.
    Archive,
    /// What a download or an installation left that was not finished.
    Partial,
    /// A cache of a Java virtual machine.
    Jvm,
}

/// Something in a cache.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) path: PathBuf,
    /// Bytes that it takes.
    pub(crate) size: u64,
    pub(crate) used: SystemTime,
    pub(crate) in_use: bool,
    lock: PathBuf,
}

#[cfg(test)]
impl Entry {
    pub(super) fn lock_path(&self) -> &Path {
        &self.lock
    }
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Removed,
    InUse,
    Failed(String),
}

/// Everything, in the order of its names.
pub(crate) fn entries() -> Result<Vec<Entry>> {
    let Caches(mut all) = Caches::of_this_machine();
    // Those of JVMs may be at another place if root's home is closed to others.
    for root in jvm::roots() {
        let cache = root.parent().unwrap_or(&root).to_owned();
        if !all.contains(&cache) {
            all.push(cache);
        }
    }
    entries_of(&Caches(all))
}

pub(super) fn entries_of(caches: &Caches) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for cache in &caches.0 {
        for dir in ["releases", "jvm"] {
            let place = cache.join(dir);
            // What others may have put there is none of ours to remove.
            if trusted(&place, false).is_err() {
                continue;
            }
            for path in paths_in(&place) {
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

/// A link is none.
fn is_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Where a cache is made has another name, and the lock of what it will be.
fn kind_in_jvm(name: &str) -> (EntryKind, &str) {
    match name.strip_suffix(".work").or_else(|| name.strip_suffix(".tmp")) {
        Some(stem) => (EntryKind::Partial, stem),
        None => (EntryKind::Jvm, name),
    }
}

fn paths_in(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// By its name, with the beginning that it shares with its lock. Locks and records are not listed: they are small, and a
/// record is what the next download is compared with.
fn kind_in_releases(name: &str, is_dir: bool) -> Option<(EntryKind, &str)> {
    match (is_dir, name) {
        (true, name) => {
            let (kind, stem) = match name.strip_suffix(".tmp") {
                Some(stem) => (EntryKind::Partial, stem),
                None => (EntryKind::Release, name),
            };
            // As all installations are named: `<version>-<platform>`.
            let is_ours = stem.split_once('-').is_some_and(|(version, _)| version.parse::<Version>().is_ok());
            is_ours.then_some((kind, stem))
        }
        (false, name) => {
            let archive = name.strip_suffix(".tar.gz").map(|stem| (EntryKind::Archive, stem));
            archive.or_else(|| Some((EntryKind::Partial, name.strip_suffix(".tar.gz.part")?)))
        }
    }
}

fn entry(kind: EntryKind, path: PathBuf, lock: PathBuf) -> Result<Entry> {
    let touched = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let signs = match kind {
        EntryKind::Release => [touched(&lock), touched(&path)],
        _ => [touched(&path), touched(&path.join("about.json"))],
    };
    let used = signs.into_iter().flatten().max().unwrap_or(SystemTime::UNIX_EPOCH);
    let in_use = Locks::take().holder(&lock)?.is_some() || runs_from(&path);
    Ok(Entry { kind, size: size_of(&path), used, in_use, path, lock })
}

/// Removes it, unless somebody uses it.
pub(crate) fn remove(entry: &Entry) -> Removal {
    let failed = |error: &dyn std::fmt::Display| Removal::Failed(error.to_string());
    let mut locks = Locks::take();
    // Without a lock's file nobody has it.
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
        // Somebody was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Removal::Removed,
        Err(error) => failed(&error),
    }
}

/// Half of an installation must not look like one: it gets another name first.
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
    let mut other = path.to_owned().into_os_string();
    other.push(".tmp");
    super::remove_all(Path::new(&other))?;
    fs::rename(path, &other)?;
    fs::remove_dir_all(other)
}

/// Whether a process runs a program from there: a server may outlive who started it.
fn runs_from(dir: &Path) -> bool {
    // As the kernel names it.
    let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    platform::pids().into_iter().filter_map(platform::program).any(|program| program.starts_with(&dir))
}

/// What it takes on the disk.
fn size_of(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let own = fs::symlink_metadata(path).map_or(0, |meta| meta.blocks() * 512);
    own + if is_dir(path) { paths_in(path).iter().map(|path| size_of(path)).sum() } else { 0 }
}
