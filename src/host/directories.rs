//! Directories and files: the user's cache, new ones with a mode of their own, and what is in them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Returns the user's cache directory, `$XDG_CACHE_HOME` or `$HOME/.cache`; none if neither is an absolute path.
pub(crate) fn user_cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
}

/// Returns options that follow no link to a file and make one that others can't read.
pub(crate) fn private_file() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options
}

/// Makes `dir` and its missing parents with `mode`. Directories that exist keep theirs.
pub(crate) fn make_with_mode(dir: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    // Private first: between the two steps no other user may enter.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    missing.iter().try_for_each(|dir| fs::set_permissions(dir, fs::Permissions::from_mode(mode)))
}

/// Returns the free space of a file system for this user, in bytes.
pub(crate) fn free_space(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Checks that this user can make files in `dir`.
pub(crate) fn writable(dir: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?)
}

/// Returns the nearest directory on the way to `dir` that other users can't enter.
pub(crate) fn closed_to_others(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|dir| fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 == 0))
}

/// Returns the paths of all files in `dir`, or none if it can't be read.
pub(crate) fn paths_in(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn new_directories_get_the_mode_and_old_ones_keep_theirs() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let before = mode(dir.path());
        let deep = dir.path().join("a/b");
        make_with_mode(&deep, 0o711).unwrap();
        assert_eq!((mode(&deep), mode(deep.parent().unwrap()), mode(dir.path())), (0o711, 0o711, before));
        make_with_mode(&deep, 0o755).unwrap();
        assert_eq!(mode(&deep), 0o711);
    }
}
