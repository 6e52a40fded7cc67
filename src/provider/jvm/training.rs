//! Making a cache: in a process of its own after a session's end, one at a time for each cache, out of everybody's way.
//!
//! The trainer is the test binary once more, as the keeper is. Its lock says what it started, so that whoever gets the
//! lock after its death removes that.

use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{About, Cache};
use crate::error::{Error, Kind, Result};
use crate::host::{Lock, Locks, Places, own_program};
use crate::wire::{VARIABLE, exit};

/// What a new cache needs on the disk, twice over.
const ROOM: u64 = 512 << 20;
/// After a failure nothing is tried for a day, or every session would be followed by one.
const PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// The first word of a trainer's variable.
pub(crate) const STEP: &str = "train";

/// One cache that is to be made, in words that cross to the trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Training {
    pub(in crate::provider) cache: Cache,
    /// All but the size and the time.
    pub(in crate::provider) about: About,
    /// For the provider that knows how: an installation's directory, an image.
    pub(in crate::provider) with: Value,
}

/// The right to make one cache, and the record of what was started for it.
pub(in crate::provider) struct Lease {
    lock: Lock,
    /// What a trainer that was killed had started.
    pub(in crate::provider) left: Option<Value>,
}

impl Training {
    /// Whether it is worth beginning: the cache is not there, and nothing is known to stand against it.
    pub(in crate::provider) fn is_due(&self) -> bool {
        let failed = fs::metadata(self.cache.beside("failed")).and_then(|meta| meta.modified());
        let failed = failed.is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago < PAUSE));
        self.cache.file().is_none() && !failed
    }

    /// Starts the trainer and does not wait for it.
    ///
    /// Whoever finds the variable becomes a trainer only if its standard input is a listening socket, as with a keeper.
    pub(in crate::provider) fn start(&self) -> Result<()> {
        let failed = |error: io::Error| Error::new(Kind::Session, "cannot start the trainer").because(error);
        let words = serde_json::to_string(self).map_err(|error| failed(error.into()))?;
        let socket = Places::find()?.runtime.join(format!("{}.train", std::process::id()));
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        // Nobody is to find it.
        let _ = fs::remove_file(&socket);
        let mut command = Command::new(own_program());
        command.arg0("cratedb-trainer").env(VARIABLE, format!("{STEP}:{words}"));
        // Standard error is the keeper's log, where a trainer belongs, too.
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener))).stdout(Stdio::null());
        command.spawn().map(drop).map_err(failed)
    }

    /// The right to make it now; none if somebody else does, or it is there.
    pub(in crate::provider) fn begin(&self) -> Result<Option<Lease>> {
        let failed = |error: io::Error| {
            Error::new(Kind::Provider, format!("cannot make {}", self.cache.dir.display())).because(error)
        };
        let root = self.cache.dir.parent().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        super::make_dirs(root, 0o755).map_err(failed)?;
        let stat = rustix::fs::statvfs(root).map_err(|error| failed(error.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < ROOM {
            let why = format!("only {} MiB are free, {} MiB are needed", free >> 20, ROOM >> 20);
            return Err(failed(io::Error::other(why)));
        }
        let lease = lease(&self.cache.beside("lock"))?;
        Ok(lease.filter(|_| self.cache.file().is_none()))
    }

    /// Remembers a failure, so that it is not repeated after every session.
    pub(in crate::provider) fn failed(&self, error: &Error) {
        if let Err(error) = fs::write(self.cache.beside("failed"), format!("{error}\n")) {
            tracing::warn!(%error, "a failure can't be remembered");
        }
    }
}

impl Lease {
    /// Says what is about to be started, in the words of the provider that removes it.
    pub(in crate::provider) fn intends(&self, held: &Value) {
        self.lock.write(&held.to_string());
    }

    /// Nothing is left of what was started.
    pub(in crate::provider) fn settle(&mut self) {
        self.left = None;
        self.lock.write("");
    }
}

/// What trainers that were killed left below `root`: each with the right to remove it.
pub(in crate::provider) fn left_below(root: &Path) -> Vec<Lease> {
    let entries = fs::read_dir(root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let locks = entries.filter(|path| path.extension().is_some_and(|kind| kind == "lock"));
    // An empty one is nobody's debt, and most are.
    let owing = locks.filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 0));
    owing.filter_map(|path: PathBuf| lease(&path).ok().flatten()).filter(|lease| lease.left.is_some()).collect()
}

fn lease(path: &Path) -> Result<Option<Lease>> {
    let mut locks = Locks::take();
    let Some(lock) = locks.try_lock(path)? else { return Ok(None) };
    let left = serde_json::from_str(&locks.read(path)?).ok();
    Ok(Some(Lease { lock, left }))
}

/// A process that gives way: everybody else's processes come first, also where the kernel groups them by session.
pub(in crate::provider) fn give_way() {
    let _ = rustix::process::nice(19);
    // Linux only.
    let _ = fs::write("/proc/self/autogroup", "19");
}

/// The exit code of a trainer that was started with these words.
pub(crate) fn run(words: &str) -> i32 {
    let Ok(training) = serde_json::from_str::<Training>(words) else { return exit::NOT_STARTED };
    give_way();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return exit::NOT_STARTED;
    };
    tracing::info!(pid = std::process::id(), cache = %training.cache.dir.display(), "a trainer was born");
    match runtime.block_on(crate::provider::local::train(&training)) {
        Ok(()) => tracing::info!("the trainer ends"),
        Err(error) => {
            tracing::warn!(%error, "no cache was made");
            // A machine that was too busy is no reason not to try again.
            if !error.is_timeout() {
                training.failed(&error);
            }
        }
    }
    exit::DONE
}
