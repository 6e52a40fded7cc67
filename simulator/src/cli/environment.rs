//! The surroundings of the command under `run`: its environment, the directory of its keepers, and their report.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::options::Options;

/// The key and secret for the command if any are accepted.
const ANY_KEY: &str = "simulated-key";
const ANY_SECRET: &str = "simulated-secret";

/// Variables that name a cluster, an endpoint or credentials, and would lead away from the simulated cluster.
const OTHER_CLUSTERS: [&str; 7] = [
    "CRATEDB_CLUSTER_",
    "CRATEDB_CLOUD_",
    "CRATEDB_USERNAME",
    "CRATEDB_PASSWORD",
    "CRATEDB_TEST_PROVIDER",
    "CRATEDB_TEST_OUTER",
    REPORT,
];

/// The variable that names a report. `run` sets it, since it counts sessions and tests, and passes on what comes.
pub(super) const REPORT: &str = "CRATEDB_TEST_REPORT";

/// Variables that Cargo sets for a program that it runs or builds. The user's own settings of Cargo have other names.
/// Source: <https://doc.rust-lang.org/cargo/reference/environment-variables.html>.
const CARGOS_WORDS: [&str; 8] = [
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_BIN_",
    "CARGO_CRATE_NAME",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_MAKEFLAGS",
    "CARGO_TARGET_TMPDIR",
    "CARGO_RUSTC_CURRENT_DIR",
];

/// Returns whether a variable must not reach the command: it was set by Cargo for *this* process, or it names another
/// cluster.
pub(super) fn is_stale(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    OTHER_CLUSTERS.iter().chain(&CARGOS_WORDS).any(|stale| name.starts_with(stale))
}

/// Returns the variables for the command.
pub(super) fn variables(options: &Options, endpoint: &str, report: &Path) -> Vec<(&'static str, OsString)> {
    let given = |value: &Option<String>, any: &str| value.clone().unwrap_or_else(|| any.into()).into();
    let mut variables = vec![
        ("CRATEDB_CLOUD_ENDPOINT", endpoint.into()),
        ("CRATEDB_CLOUD_API_KEY", given(&options.api_key, ANY_KEY)),
        ("CRATEDB_CLOUD_API_SECRET", given(&options.api_secret, ANY_SECRET)),
        // Neither this process nor its ancestors are test runners: the session ends with the command.
        ("CRATEDB_TEST_OUTER", std::process::id().to_string().into()),
        (REPORT, report.into()),
    ];
    if let Some(cluster) = options.clusters.first() {
        variables.push(("CRATEDB_CLUSTER_NAME", cluster.name().into()));
    }
    variables
}

/// The variable that names a keeper's directory.
pub(super) const VARIABLE: &str = "CRATEDB_TEST_DIR";
/// The path of a socket is limited to about 104 bytes, of which a keeper's names take some.
const LONGEST: usize = 40;

/// A directory for the keepers of one run, removed when dropped.
pub(super) struct KeeperDir(PathBuf);

impl KeeperDir {
    /// Makes a directory, unless the user chose one.
    pub(super) fn create() -> io::Result<Option<Self>> {
        if std::env::var_os(VARIABLE).is_some_and(|dir| !dir.is_empty()) {
            return Ok(None);
        }
        let temporary = std::env::temp_dir();
        let base = if temporary.as_os_str().len() > LONGEST { Path::new("/tmp") } else { &temporary };
        let path = base.join(format!("cratedb-run-{}-{}", std::process::id(), crate::clock::now()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot make the directory `{}`: {error}", path.display()))
        })?;
        Ok(Some(Self(path)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the variables for the command.
    pub(super) fn variable(&self) -> (&'static str, &Path) {
        (VARIABLE, &self.0)
    }

    /// Keeps the directory, for a look at what went wrong, if a keeper wrote anything there.
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

/// A file in the temporary directory; removed when dropped.
pub(super) struct ReportFile(PathBuf);

/// The totals over the sessions of a run that used one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) sessions: u64,
    pub(super) tests: u64,
    pub(super) binaries: u64,
}

impl ReportFile {
    /// Makes the file with access for this user only.
    pub(super) fn create() -> io::Result<Self> {
        let nanos = crate::clock::now();
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

    pub(super) fn totals(&self, cluster: &str) -> Totals {
        Totals::read(&fs::read_to_string(&self.0).unwrap_or_default(), cluster)
    }

    /// Appends all lines to the user's own report. A FIFO gets them only if a process reads there, as from a keeper.
    pub(super) fn pass_on(&self, to: &Path) -> io::Result<()> {
        let lines = fs::read(&self.0)?;
        if lines.is_empty() {
            return Ok(());
        }
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(nonblocking).open(to)?.write_all(&lines)
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Totals {
    /// Adds up the lines, but for those that name another cluster than this one, by its id. Lines that are no objects
    /// are skipped, and so is an unfinished last one.
    fn read(text: &str, cluster: &str) -> Self {
        let mut totals = Self::default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let is_here = |session: &Value| {
            session.is_object()
                && session["resource"].as_str().is_none_or(|one| one.is_empty() || one.contains(cluster))
        };
        for session in whole.filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(is_here) {
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
    fn what_cargo_told_this_process_is_stale_but_the_users_settings_are_not() {
        let stale = |name: &str| is_stale(OsStr::new(name));
        assert!(stale("CARGO_MANIFEST_DIR") && stale("CARGO_PKG_NAME") && stale("CRATEDB_CLUSTER_URL"));
        for kept in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "CRATEDB_TEST_KEEP_WARM", "PATH", "CARGO"] {
            assert!(!stale(kept), "{kept}");
        }
    }

    #[test]
    fn the_lines_are_passed_on_to_the_users_report() {
        let report = ReportFile::create().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("report");
        report.pass_on(&to).unwrap();
        assert!(!to.exists(), "nothing was written");
        fs::write(&to, "{\"session\":1}\n").unwrap();
        fs::write(report.path(), "{\"session\":2}\n{\"session\":3}\n").unwrap();
        report.pass_on(&to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "{\"session\":1}\n{\"session\":2}\n{\"session\":3}\n");
        let fifo = dir.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        // Opening it would wait for a reader.
        assert!(report.pass_on(&fifo).is_err());
        assert!(report.pass_on(dir.path()).is_err());
    }

    #[test]
    fn sessions_are_added_up_and_unknown_lines_are_passed_over() {
        let text = "{\"session\":\"a\",\"tests\":12,\"binaries\":3,\"outcome\":\"suspended\"}\nhello\n{\"tests\":1}\n{\"tests\":";
        assert_eq!(Totals::read(text, "1-2"), Totals { sessions: 2, tests: 13, binaries: 3 });
    }

    #[test]
    fn sessions_on_another_cluster_are_not_added() {
        let text = "{\"resource\":\"cluster `a` (1-2)\",\"tests\":5,\"binaries\":2}\n\
                    {\"resource\":\"cluster `b` (3-4)\",\"tests\":7,\"binaries\":1}\n\
                    {\"resource\":\"\",\"tests\":0,\"binaries\":1}\n";
        assert_eq!(Totals::read(text, "1-2"), Totals { sessions: 2, tests: 5, binaries: 3 });
        assert_eq!(Totals::read(text, "3-4"), Totals { sessions: 2, tests: 7, binaries: 2 });
        assert_eq!(Totals::read(text, "5-6"), Totals { sessions: 1, tests: 0, binaries: 1 });
    }
}
