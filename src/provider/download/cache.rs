//! The caches of installations: their files, and whether they can be trusted and used.
//!
//! `<base>/cratedb-test/releases/<version>-<platform>/` is an installation. The files beside it begin with the same
//! name. `.lock` is shared by processes that use it and held alone by one that makes or removes it. `.json` describes
//! its archive and what its files have to be, `.seen` what they were when they were last read. `.tar.gz` is an archive
//! that a person put there. `.tar.gz.part` is an unfinished download. `.tmp` is being unpacked.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mirror::Platform;
use super::suffixed;
use super::trust::Trust;
use crate::error::{Error, Kind, Result};
use crate::host::{closed_to_others, make_with_mode, paths_in, user_cache, writable};
use crate::provider::jvm;
use crate::provider::process::installation;
use crate::version::Version;

/// The cache directories, in the order in which they are tried.
#[derive(Clone, Debug)]
pub(super) struct Caches(pub(super) Vec<PathBuf>);

/// The files of one installation in one cache.
#[derive(Clone, Debug)]
pub(super) struct InstallationFiles {
    stem: PathBuf,
    version: Version,
}

/// The record of an archive, and of the installation that was made from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ArchiveRecord {
    /// The address or path without credentials.
    pub(crate) from: String,
    pub(crate) sha256: String,
    pub(crate) trust: Trust,
    /// The size of the archive in bytes.
    pub(crate) size: u64,
    /// The digest of the installation's files. None in the record of an older version of this crate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tree: Option<String>,
}

impl ArchiveRecord {
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

impl Caches {
    /// Returns the user's cache, then a directory of the user's own in `/var/tmp`. The second one is for a cache that
    /// can't be written, or that the server's user can't reach if tests run as root.
    pub(super) fn of_this_machine() -> Self {
        let user = rustix::process::geteuid().as_raw();
        let other = PathBuf::from(format!("/var/tmp/cratedb-test-{user}"));
        Self(user_cache().map(|cache| cache.join("cratedb-test")).into_iter().chain([other]).collect())
    }

    /// Returns the directories of installations, which may not exist.
    pub(super) fn releases(&self) -> impl Iterator<Item = PathBuf> {
        self.0.iter().map(|cache| cache.join("releases"))
    }

    /// Returns all versions that can be used.
    pub(super) fn versions(&self, platform: Platform) -> Vec<Version> {
        let suffix = format!("-{platform}");
        let paths = self.releases().flat_map(|dir| paths_in(&dir));
        let versions = paths.filter_map(|path| path.file_name()?.to_str()?.strip_suffix(&suffix)?.parse().ok());
        versions.filter(|version| self.installed(*version, platform).next().is_some()).collect()
    }

    /// Returns the installations that the server's user can read.
    pub(super) fn installed(&self, version: Version, platform: Platform) -> impl Iterator<Item = InstallationFiles> {
        let all = self.releases().filter(|dir| trusted(dir, true).is_ok());
        all.map(move |dir| InstallationFiles::of(&dir, version, platform))
            .filter(|files| is_own(&files.dir()) && files.is_installed() && closed_to_server(&files.dir()).is_none())
    }

    /// Returns the first place for a missing installation, and why the caches before it can't be used.
    pub(super) fn choose(&self, version: Version, platform: Platform) -> Result<(InstallationFiles, Vec<String>)> {
        let mut refused = Vec::new();
        for dir in self.releases() {
            match usable(&dir) {
                Ok(()) => return Ok((InstallationFiles::of(&dir, version, platform), refused)),
                Err(why) => refused.push(format!("{}: {why}", dir.display())),
            }
        }
        let error = Error::new(Kind::Provider, format!("there is no place for CrateDB {version}"))
            .because("no cache directory can be used");
        let error = refused.into_iter().fold(error, Error::hint);
        Err(error.hint("XDG_CACHE_HOME names another place; CRATEDB_HOME names an installation that is there"))
    }
}

impl InstallationFiles {
    pub(super) fn of(releases: &Path, version: Version, platform: Platform) -> Self {
        Self { stem: releases.join(format!("{version}-{platform}")), version }
    }

    fn with(&self, suffix: &str) -> PathBuf {
        suffixed(&self.stem, suffix)
    }

    /// Returns the directory of the installation.
    pub(super) fn dir(&self) -> PathBuf {
        self.stem.clone()
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.with(".lock")
    }

    pub(super) fn record(&self) -> PathBuf {
        self.with(".json")
    }

    /// Returns the path of what the files were when they were last read.
    pub(super) fn seen(&self) -> PathBuf {
        self.with(".seen")
    }

    /// Returns the path at which people put an archive by hand.
    pub(super) fn archive(&self) -> PathBuf {
        self.with(".tar.gz")
    }

    pub(super) fn part(&self) -> PathBuf {
        self.with(".tar.gz.part")
    }

    pub(super) fn unpacked(&self) -> PathBuf {
        self.with(".tmp")
    }

    /// Returns whether the directory has an installation of this version.
    pub(super) fn is_installed(&self) -> bool {
        let dir = self.dir();
        dir.join("bin/crate").is_file() && installation::version(&dir) == Some(self.version)
    }

    pub(super) fn known(&self) -> Option<ArchiveRecord> {
        ArchiveRecord::read(&self.record())
    }

    /// Marks the installation as used now, since what was not used for long is removed first.
    pub(super) fn touch(&self) {
        jvm::touch(&self.lock());
    }
}

/// Returns whether this user or root made the directory of a program. A link could lead anywhere.
fn is_own(path: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    let by_us = |meta: &fs::Metadata| meta.uid() == user || meta.uid() == 0;
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir() && by_us(&meta) && meta.mode() & 0o002 == 0)
}

/// Checks that no other user can put files into a directory of a cache. With `root_too`, root may own it, which is
/// enough for reading.
pub(super) fn trusted(dir: &Path, root_too: bool) -> Result<(), String> {
    let user = rustix::process::geteuid().as_raw();
    for dir in [dir.parent().unwrap_or(dir), dir] {
        let meta = fs::symlink_metadata(dir).map_err(|error| error.to_string())?;
        if !meta.is_dir() {
            return Err(format!("{} is no directory", dir.display()));
        }
        if meta.uid() != user && !(root_too && meta.uid() == 0) {
            return Err(format!("{} belongs to user {}", dir.display(), meta.uid()));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(format!("others may write to {} (mode {:o})", dir.display(), meta.mode() & 0o7777));
        }
    }
    Ok(())
}

/// Makes `releases` if need be. The error says why it can't be used.
fn usable(releases: &Path) -> Result<(), String> {
    // The server's user must be able to enter.
    let mode = if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 };
    make_with_mode(releases, mode).map_err(|error| error.to_string())?;
    writable(releases).map_err(|error| error.to_string())?;
    trusted(releases, false)?;
    match closed_to_server(releases) {
        Some(closed) => Err(format!("{} is closed to others, and root's servers run as nobody", closed.display())),
        None => Ok(()),
    }
}

/// Returns the directory that keeps out the server's user, which is another user if this one is root.
fn closed_to_server(dir: &Path) -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    closed_to_others(&fs::canonicalize(dir).ok()?).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::provider::tests::open_dir;

    const VERSION: Version = Version { major: 6, minor: 4, patch: 3 };

    fn platform() -> Platform {
        Platform::of_this_machine().unwrap()
    }

    fn install(files: &InstallationFiles, version: &str) {
        for dir in ["bin", "lib"] {
            fs::create_dir_all(files.dir().join(dir)).unwrap();
        }
        fs::write(files.dir().join("bin/crate"), "").unwrap();
        fs::write(files.dir().join(format!("lib/crate-app-{version}.jar")), "").unwrap();
    }

    #[test]
    fn what_cannot_be_used_is_passed_over_and_said() {
        let dir = open_dir();
        fs::write(dir.path().join("file"), "").unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let caches = Caches(vec![dir.path().join("file/cache"), open.clone(), dir.path().join("new/cache")]);
        let (files, refused) = caches.choose(VERSION, platform()).unwrap();
        assert!(files.dir().starts_with(dir.path().join("new/cache/releases")), "{files:?}");
        assert!(refused[0].contains("Not a directory") && refused[1].contains("others may write"), "{refused:?}");
        let error = Caches(vec![dir.path().join("file/cache"), open]).choose(VERSION, platform()).unwrap_err();
        let text = error.to_string();
        for part in ["no place for CrateDB 6.4.3", "Not a directory", "others may write", "XDG_CACHE_HOME"] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn a_cache_behind_a_closed_directory_is_none_for_root() {
        let dir = open_dir();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let chosen = Caches(vec![dir.path().join("c")]).choose(VERSION, platform());
        match rustix::process::geteuid().is_root() {
            true => assert!(chosen.unwrap_err().to_string().contains("closed to others")),
            false => assert_eq!(chosen.unwrap().1, Vec::<String>::new()),
        }
    }

    #[test]
    fn what_others_may_have_put_there_is_not_used() {
        use std::os::unix::fs::symlink;
        let dir = open_dir();
        let (caches, real) = (Caches(vec![dir.path().join("c")]), dir.path().join("elsewhere"));
        let files = InstallationFiles::of(&dir.path().join("c/releases"), VERSION, platform());
        install(&files, "6.4.3");
        assert!(caches.installed(VERSION, platform()).count() == 1);
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for open in [dir.path().join("c"), dir.path().join("c/releases"), files.dir()] {
            mode(&open, 0o777);
            assert!(caches.installed(VERSION, platform()).count() == 0, "{}", open.display());
            mode(&open, 0o755);
        }
        for link in [files.dir(), dir.path().join("c/releases"), dir.path().join("c")] {
            fs::rename(&link, &real).unwrap();
            symlink(&real, &link).unwrap();
            assert!(caches.installed(VERSION, platform()).count() == 0, "{}", link.display());
            fs::remove_file(&link).unwrap();
            fs::rename(&real, &link).unwrap();
        }
        assert!(caches.installed(VERSION, platform()).count() == 1);
    }

    #[test]
    fn only_complete_releases_of_their_version_are_installed() {
        let dir = open_dir();
        let caches = Caches(vec![dir.path().join("none"), dir.path().to_owned()]);
        let files = InstallationFiles::of(&dir.path().join("releases"), VERSION, platform());
        assert!(caches.installed(VERSION, platform()).count() == 0);
        install(&files, "6.4.2");
        assert!(caches.installed(VERSION, platform()).count() == 0);
        install(&files, "6.4.3");
        assert_eq!(caches.installed(VERSION, platform()).next().unwrap().dir(), files.dir());
        assert_eq!(caches.versions(platform()), [VERSION]);
        fs::remove_file(files.dir().join("bin/crate")).unwrap();
        assert!(caches.installed(VERSION, platform()).count() == 0);
    }
}
