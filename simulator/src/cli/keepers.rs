//! The keepers of test sessions that use this simulator.
//!
//! A keeper holds the lock of its file `<key>.keeper`, in the directory of `CRATEDB_TEST_DIR`, all its life. It has
//! released its cluster and written its report when it lets go of it. The journal beside the lock, `<key>.journal`,
//! names the service that the keeper talks to.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::environment::{KeeperDir, VARIABLE};

/// The end of the names of locks.
const LOCK: &str = "keeper";

/// The place of the keepers, and which of them use this simulator.
pub(super) struct Keepers {
    dir: Option<PathBuf>,
    /// The part of a journal's key that names this simulator. None if all keepers of the directory are the run's own.
    endpoint: Option<String>,
}

/// A keeper that lives.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Keeper {
    /// None in another process namespace.
    pid: Option<i32>,
}

impl Keepers {
    /// Finds them in the directory that was made for the run, else in the one that the user chose.
    pub(super) fn of(made: Option<&KeeperDir>, url: &str) -> Self {
        match made {
            Some(made) => Self { dir: Some(made.path().to_owned()), endpoint: None },
            None => Self { dir: std::env::var_os(VARIABLE).map(PathBuf::from), endpoint: Some(format!("|{url}|")) },
        }
    }

    /// Returns those that live.
    pub(super) fn alive(&self) -> Vec<Keeper> {
        let entries = self.dir.as_ref().and_then(|dir| fs::read_dir(dir).ok());
        let files = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let locks = files.filter(|path| path.extension().is_some_and(|end| end == LOCK));
        locks.filter_map(|lock| holder(&lock).filter(|_| self.is_ours(&lock))).collect()
    }

    fn is_ours(&self, lock: &Path) -> bool {
        let Some(endpoint) = &self.endpoint else { return true };
        let journal = fs::read(lock.with_extension("journal")).unwrap_or_default();
        journal.windows(endpoint.len()).any(|part| part == endpoint.as_bytes())
    }
}

/// Returns the process that holds a lock. It is only asked for, never taken: a keeper that starts must get it.
fn holder(lock: &Path) -> Option<Keeper> {
    let file = OpenOptions::new().read(true).write(true).open(lock).ok()?;
    let held = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
    Some(Keeper { pid: held.pid.map(|pid| pid.as_raw_nonzero().get()) })
}

impl Keeper {
    /// Tells that it still lives after this time.
    pub(super) fn outlives(&self, wait: Duration) -> String {
        format!("{self} has not ended within {wait:?} (--wait); it will ask a simulator that is gone")
    }
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "the keeper with process id {pid}"),
            None => write!(f, "the keeper of another container"),
        }
    }
}
