//! Judges whether an installation in the cache may be used with the digests that a setting names.
//!
//! A digest of the setting is that of an archive. So the record of the installation's archive is compared with the
//! setting at each use, and the installation's files with the record: all of them are read once per boot and change.

use std::fs;
use std::io;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::cache::InstallationFiles;
use super::tree;
use crate::host::platform;

/// The state of an installation's files when all of them were last read.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SeenTree {
    boot: String,
    stamp: String,
    /// Their digest, as it was found.
    tree: String,
}

/// The judgement about an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fitness {
    Fit,
    /// The reason why it must not be used.
    Unfit(String),
    /// `stop` ended the reading.
    Stopped,
}

/// Judges an installation by the digests of the setting. Without any, each one is fit.
pub(super) fn judge(files: &InstallationFiles, pinned: &[String], stop: &AtomicBool) -> Fitness {
    if pinned.is_empty() {
        return Fitness::Fit;
    }
    let Some(record) = files.known() else {
        return Fitness::Unfit("no record says which archive it is from".to_owned());
    };
    if !pinned.contains(&record.sha256) {
        let digest = record.sha256;
        return Fitness::Unfit(format!(
            "the SHA-256 of its archive is {digest}, and CRATEDB_TEST_SHA256 has {}",
            pinned.join(", ")
        ));
    }
    let Some(recorded) = record.tree else {
        return Fitness::Unfit(
            "its record, of an older cratedb-test, does not say what its files have to be".to_owned(),
        );
    };
    match found(files, stop) {
        Ok(Some(found)) if found == recorded => Fitness::Fit,
        Ok(Some(_)) => Fitness::Unfit("its files are not those of its archive any more".to_owned()),
        Ok(None) => Fitness::Stopped,
        Err(error) => Fitness::Unfit(format!("its files can't be read: {error}")),
    }
}

/// Returns the digest of the files as they are, or none if `stop` ended the reading.
fn found(files: &InstallationFiles, stop: &AtomicBool) -> io::Result<Option<String>> {
    let (boot, stamp) = (platform::boot(), tree::stamp(&files.dir())?);
    if let Some(seen) = seen(files).filter(|seen| seen.boot == boot && seen.stamp == stamp) {
        return Ok(Some(seen.tree));
    }
    // The stamp is older than what is read now, so a change in the meantime is noticed the next time.
    let Some(tree) = tree::digest(&files.dir(), stop)? else { return Ok(None) };
    note(files, &SeenTree { boot, stamp, tree: tree.clone() });
    Ok(Some(tree))
}

fn seen(files: &InstallationFiles) -> Option<SeenTree> {
    serde_json::from_slice(&fs::read(files.seen()).ok()?).ok()
}

/// Writes it down. In a cache that is read-only, all files are read at each use.
fn note(files: &InstallationFiles, seen: &SeenTree) {
    let new = files.seen().with_extension(format!("seen.{}", std::process::id()));
    let written = fs::write(&new, serde_json::to_vec(seen).unwrap_or_default());
    if written.and_then(|()| fs::rename(&new, files.seen())).is_err() {
        let _ = fs::remove_file(new);
    }
}
