//! New files: written if nothing has their name, and never over anything.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::failure::Failure;

/// A file that is wanted.
#[derive(Debug, Serialize)]
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    pub(super) content: String,
    pub(super) outcome: Outcome,
    /// Show the content if the file exists, since a part of it may be missing there.
    #[serde(skip)]
    pub(super) is_snippet: bool,
}

/// The fate of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    WouldWrite,
    Written,
    Exists,
}

impl Wanted {
    /// Plans a file. A link that leads nowhere counts as one that exists.
    pub(super) fn new(path: PathBuf, content: impl Into<String>) -> Self {
        let outcome = if path.symlink_metadata().is_ok() { Outcome::Exists } else { Outcome::WouldWrite };
        Self { path, content: content.into(), outcome, is_snippet: false }
    }

    pub(super) fn snippet(self) -> Self {
        Self { is_snippet: true, ..self }
    }

    /// Writes it with the directories that it needs, unless it exists.
    pub(super) fn write(&mut self) -> Result<(), Failure> {
        if self.outcome == Outcome::Exists {
            return Ok(());
        }
        let failed = |error: std::io::Error| {
            Failure::failed(format!("cannot write {}: {error}", self.path.display()))
                .hint("what was written before stays; the same command continues after it")
        };
        fs::create_dir_all(self.path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
        // Only this way it is certain that it writes over nothing, even if another program makes the file now.
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&self.path);
        self.outcome = match file {
            Ok(mut file) => file.write_all(self.content.as_bytes()).map(|()| Outcome::Written).map_err(failed)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Outcome::Exists,
            Err(error) => return Err(failed(error)),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_appears_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/file");
        let mut wanted = Wanted::new(path.clone(), "ours");
        assert_eq!(wanted.outcome, Outcome::WouldWrite);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "theirs").unwrap();
        wanted.write().unwrap();
        assert_eq!((wanted.outcome, fs::read_to_string(&path).unwrap().as_str()), (Outcome::Exists, "theirs"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mut wanted = Wanted::new(link.clone(), "ours");
        assert_eq!(wanted.outcome, Outcome::Exists);
        wanted.write().unwrap();
        wanted.outcome = Outcome::WouldWrite;
        wanted.write().unwrap();
        assert!(wanted.outcome == Outcome::Exists && !target.exists());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("tests"), "a file").unwrap();
        let path = dir.path().join("tests/cratedb.rs");
        let failure = Wanted::new(path.clone(), "ours").write().unwrap_err().to_string();
        assert!(failure.starts_with(&format!("cannot write {}: ", path.display())), "{failure}");
    }
}
