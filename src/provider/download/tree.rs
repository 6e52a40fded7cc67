//! The files of an installation as one digest, and as a stamp that tells whether they may have changed since.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use ring::digest::{Context, SHA256};

use super::trust::{digest_of, hex};
use crate::host::paths_in;

/// Returns the SHA-256 of all paths below `root` with their modes and contents, or none if `stop` ended it.
///
/// It reads every file. No link is followed: its target is its content.
pub(super) fn digest(root: &Path, stop: &AtomicBool) -> io::Result<Option<String>> {
    let mut all = Context::new(&SHA256);
    for (path, meta) in nodes(root)? {
        let (kind, content) = match meta.file_type() {
            kind if kind.is_file() => match digest_of(&path, stop)? {
                Some(digest) => (b"file", digest.into_bytes()),
                None => return Ok(None),
            },
            kind if kind.is_symlink() => (b"link", fs::read_link(&path)?.as_os_str().as_bytes().to_vec()),
            kind if kind.is_dir() => (b"dir ", Vec::new()),
            // The harness makes none of these, so any is a change.
            _ => (b"else", Vec::new()),
        };
        all.update(kind);
        // A link's own mode differs between systems and means nothing.
        let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o7777 };
        all.update(&mode.to_le_bytes());
        for field in [inside(root, &path), &content] {
            all.update(&(field.len() as u64).to_le_bytes());
            all.update(field);
        }
    }
    Ok(Some(hex(all)))
}

/// Returns a text that changes whenever a file is written, replaced, renamed or given another mode, as far as the file
/// system notes it. It reads no file.
pub(super) fn stamp(root: &Path) -> io::Result<String> {
    let mut all = Context::new(&SHA256);
    for (path, meta) in nodes(root)? {
        let path = inside(root, &path);
        all.update(&(path.len() as u64).to_le_bytes());
        all.update(path);
        all.update(&meta.mode().to_le_bytes());
        for number in [meta.dev(), meta.ino(), meta.len()] {
            all.update(&number.to_le_bytes());
        }
        for time in [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()] {
            all.update(&time.to_le_bytes());
        }
    }
    Ok(hex(all))
}

fn inside<'a>(root: &Path, path: &'a Path) -> &'a [u8] {
    path.strip_prefix(root).unwrap_or(path).as_os_str().as_bytes()
}

/// Returns `root` and everything below it, in the order of the paths.
fn nodes(root: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    found.push((root.to_owned(), fs::symlink_metadata(root)?));
    while let Some(dir) = dirs.pop() {
        for path in paths_in(&dir) {
            let meta = fs::symlink_metadata(&path)?;
            if meta.is_dir() {
                dirs.push(path.clone());
            }
            found.push((path, meta));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("lib")).unwrap();
        fs::write(root.join("bin/crate"), "#!/bin/sh").unwrap();
        fs::write(root.join("lib/a.jar"), "jar").unwrap();
        symlink("a.jar", root.join("lib/b.jar")).unwrap();
        dir
    }

    fn digest_of(dir: &tempfile::TempDir) -> String {
        digest(&dir.path().join("root"), &AtomicBool::new(false)).unwrap().unwrap()
    }

    #[test]
    fn a_tree_is_the_same_wherever_and_whenever_it_was_unpacked() {
        assert_eq!(digest_of(&tree()), digest_of(&tree()));
    }

    #[test]
    fn every_change_of_a_tree_is_another_digest_and_another_stamp() {
        type Change = fn(&Path);
        let changes: [Change; 9] = [
            |root| fs::write(root.join("lib/a.jar"), "jaR").unwrap(),
            |root| fs::set_permissions(root.join("bin/crate"), fs::Permissions::from_mode(0o755)).unwrap(),
            |root| fs::write(root.join("lib/new.jar"), "").unwrap(),
            |root| fs::remove_file(root.join("lib/a.jar")).unwrap(),
            |root| fs::rename(root.join("lib/a.jar"), root.join("lib/c.jar")).unwrap(),
            |root| fs::create_dir(root.join("plugins")).unwrap(),
            |root| {
                fs::remove_file(root.join("lib/b.jar")).unwrap();
                symlink("/tmp/evil.jar", root.join("lib/b.jar")).unwrap();
            },
            |root| {
                fs::remove_file(root.join("lib/b.jar")).unwrap();
                fs::write(root.join("lib/b.jar"), "a.jar").unwrap();
            },
            |root| drop(std::os::unix::net::UnixListener::bind(root.join("s")).unwrap()),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let dir = tree();
            let root = dir.path().join("root");
            let before = (digest_of(&dir), stamp(&root).unwrap());
            assert_eq!(before, (digest_of(&dir), stamp(&root).unwrap()), "reading changes nothing");
            // The clock of file systems has ticks of some milliseconds.
            let first = fs::metadata(&root).unwrap();
            let ticked = || {
                fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
                let now = fs::metadata(&root).unwrap();
                (now.ctime(), now.ctime_nsec()) != (first.ctime(), first.ctime_nsec())
            };
            while !ticked() {}
            fs::set_permissions(&root, first.permissions()).unwrap();
            let before = (before.0, stamp(&root).unwrap());
            change(&root);
            assert_ne!(before.0, digest_of(&dir), "change {number}");
            assert_ne!(before.1, stamp(&root).unwrap(), "change {number}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_by_one_of_the_same_size_and_time_has_another_stamp() {
        let dir = tree();
        let root = dir.path().join("root");
        let (before, file) = (stamp(&root).unwrap(), root.join("lib/a.jar"));
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(dir.path().join("other"), "jaR").unwrap();
        fs::File::options().append(true).open(dir.path().join("other")).unwrap().set_modified(time).unwrap();
        fs::rename(dir.path().join("other"), &file).unwrap();
        assert_ne!(before, stamp(&root).unwrap());
    }

    #[test]
    fn it_stops_when_it_is_not_wanted() {
        let dir = tree();
        fs::write(dir.path().join("root/lib/big"), vec![0; 1 << 20]).unwrap();
        assert_eq!(digest(&dir.path().join("root"), &AtomicBool::new(true)).unwrap(), None);
    }
}
