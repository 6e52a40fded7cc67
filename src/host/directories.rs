//! Directories of the user: the cache, and new ones with a mode of their own.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Returns the user's cache directory, `$XDG_CACHE_HOME` or `$HOME/.cache`; none if neither is an absolute path.
pub(crate) fn user_cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))
}

/// Makes `dir` and its missing parents with `mode`. Directories that exist keep theirs.
pub(crate) fn make_with_mode(dir: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|dir| !dir.exists()).collect();
    // Private first: between the two steps no other user may enter.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    missing.iter().try_for_each(|dir| fs::set_permissions(dir, fs::Permissions::from_mode(mode)))
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
