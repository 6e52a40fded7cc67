//! What the harness's keepers report: one JSON line a session, in a file that `run` names to them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file in the temporary directory; removed when dropped.
pub(super) struct ReportFile(PathBuf);

/// What the sessions of a run add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) sessions: u64,
    pub(super) tests: u64,
    pub(super) binaries: u64,
}

impl ReportFile {
    /// Makes the file, so that only this user can write to it.
    pub(super) fn create() -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let nanos = crate::shared::now();
        let name = format!("cratedb-test-report-{}-{nanos}.ndjson", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot make the report file `{}`: {error}", path.display()))
        })?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn totals(&self) -> Totals {
        Totals::read(&fs::read_to_string(&self.0).unwrap_or_default())
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Totals {
    /// Lines that are no objects are passed over, and so is a last one that is not finished.
    fn read(text: &str) -> Self {
        let mut totals = Self::default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        for session in whole.filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(Value::is_object) {
            totals.sessions += 1;
            totals.tests += session["tests"].as_u64().unwrap_or(0);
            totals.binaries += session["binaries"].as_u64().unwrap_or(0);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_added_up_and_unknown_lines_are_passed_over() {
        let text = "{\"session\":\"a\",\"tests\":12,\"binaries\":3,\"outcome\":\"suspended\"}\nhello\n{\"tests\":1}\n{\"tests\":";
        assert_eq!(Totals::read(text), Totals { sessions: 2, tests: 13, binaries: 3 });
    }
}
