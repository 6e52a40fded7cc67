//! Where the keepers of a run leave their files: the simulator ends with the run, so nobody will look for them again.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The variable that moves a keeper's files.
const VARIABLE: &str = "CRATEDB_TEST_DIR";
/// Sockets' paths are limited to about 104 bytes, of which a keeper's names take some.
const LONGEST: usize = 40;

/// A directory for the keepers of one run, removed when dropped.
pub(super) struct KeeperDir(PathBuf);

impl KeeperDir {
    /// Makes one, unless the user chose a place.
    pub(super) fn create() -> io::Result<Option<Self>> {
        if std::env::var_os(VARIABLE).is_some_and(|dir| !dir.is_empty()) {
            return Ok(None);
        }
        let temporary = std::env::temp_dir();
        let base = if temporary.as_os_str().len() > LONGEST { Path::new("/tmp") } else { &temporary };
        let path = base.join(format!("cratedb-run-{}-{}", std::process::id(), crate::shared::now()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot make the directory `{}`: {error}", path.display()))
        })?;
        Ok(Some(Self(path)))
    }

    /// What the command is told.
    pub(super) fn variable(&self) -> (&'static str, &Path) {
        (VARIABLE, &self.0)
    }

    /// Leaves the directory to whoever wants to know what went wrong, if a keeper wrote anything there.
    pub(super) fn keep(self) -> Option<PathBuf> {
        fs::read_dir(&self.0).ok()?.next()?.ok()?;
        let path = self.0.clone();
        std::mem::forget(self);
        Some(path)
    }
}

impl Drop for KeeperDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
