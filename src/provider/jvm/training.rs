//! The trainer: a process that makes a cache after a session's end, with the lowest priority and one for each cache.
//!
//! Like the keeper, the trainer is the test binary once more. Its lock says what it started. If it is killed, the next
//! process that takes the lock removes that.

use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{AotCache, CacheManifest};
use crate::error::{Error, Kind, Result};
use crate::host::{Lock, Locks, Places, free_space, make_with_mode, own_program, paths_in};
use crate::probe::{self, Readiness};
use crate::provider::Held;
use crate::provider::held::EngineAddress;
use crate::sql::{Credentials, SqlClient, Wallet};
use crate::version::Capabilities;
use crate::wire::{VARIABLE, exit};

/// The free space that a new cache needs, in bytes. It is twice the size of a cache.
const ROOM: u64 = 512 << 20;
/// After a failure there is no other attempt for a day. Otherwise each session would be followed by one.
const PAUSE: Duration = Duration::from_secs(24 * 60 * 60);
/// The first part of a trainer's variable.
pub(crate) const STEP: &str = "train";

/// Statements as tests send them, so that the cache contains their classes, too.
const STATEMENTS: [&str; 8] = [
    "CREATE TABLE training.t (id INTEGER PRIMARY KEY, name TEXT, o OBJECT, ts TIMESTAMP) \
     CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0)",
    "INSERT INTO training.t (id, name, o, ts) VALUES (1, 'a', {n = 1}, now()), (2, 'b', {n = 2}, now())",
    "REFRESH TABLE training.t",
    "SELECT id, name, o['n'] FROM training.t WHERE name LIKE 'a%' ORDER BY id LIMIT 10",
    "SELECT name, count(*), max(ts) FROM training.t GROUP BY name ORDER BY 1",
    "UPDATE training.t SET name = 'c' WHERE id = 2",
    "DELETE FROM training.t WHERE id = 1",
    "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 'train%'",
];

/// One cache to be made, in the form in which the trainer gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Training {
    pub(in crate::provider) cache: AotCache,
    /// Complete but for the size and the time.
    pub(in crate::provider) about: CacheManifest,
    pub(in crate::provider) subject: TrainingSubject,
}

/// The server whose JVM gets the cache.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::provider) enum TrainingSubject {
    Process {
        /// The directory of the installation.
        home: PathBuf,
    },
    Container {
        /// The id of the image.
        image: String,
        engine: EngineAddress,
    },
}

/// The cache that the last start lacked, until it is taken to be made.
#[derive(Default)]
pub(in crate::provider) struct TrainingSlot(Mutex<Option<Training>>);

impl TrainingSlot {
    pub(in crate::provider) fn put(&self, training: Option<Training>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = training;
    }

    pub(in crate::provider) fn take(&self) -> Option<Training> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The exclusive right to make one cache, with a record of what was started for it.
pub(in crate::provider) struct CacheLock {
    lock: Lock,
    /// The servers of a killed trainer.
    pub(in crate::provider) left: Option<Held>,
}

impl Training {
    /// Returns whether the cache is missing and no attempt to make it failed within a day.
    pub(in crate::provider) fn is_due(&self) -> bool {
        let failed = fs::metadata(self.cache.beside("failed")).and_then(|meta| meta.modified());
        let failed = failed.is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago < PAUSE));
        self.cache.file().is_none() && !failed
    }

    /// Starts the trainer and does not wait for it.
    ///
    /// As with a keeper, a process with the variable becomes a trainer only if its standard input is a listening
    /// socket.
    pub(in crate::provider) fn start(&self) -> Result<()> {
        let failed = |error: io::Error| Error::new(Kind::Session, "cannot start the trainer").because(error);
        let words = serde_json::to_string(self).map_err(|error| failed(error.into()))?;
        let socket = Places::find()?.runtime.join(format!("{}.train", std::process::id()));
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).map_err(failed)?;
        // No client must find it.
        let _ = fs::remove_file(&socket);
        let mut command = own_program();
        command.arg0("cratedb-trainer").env(VARIABLE, format!("{STEP}:{words}"));
        // Standard error is the keeper's log, which the trainer shares.
        command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener))).stdout(Stdio::null());
        command.spawn().map(drop).map_err(failed)
    }

    /// Takes the lock of the cache. Returns none if another trainer has it, or if the cache exists.
    pub(in crate::provider) fn begin(&self) -> Result<Option<CacheLock>> {
        let failed = |error: io::Error| {
            Error::new(Kind::Provider, format!("cannot make {}", self.cache.dir.display())).because(error)
        };
        let root = self.cache.dir.parent().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        make_with_mode(root, 0o755).map_err(failed)?;
        let free = free_space(root).map_err(failed)?;
        if free < ROOM {
            let why = format!("only {} MiB are free, {} MiB are needed", free >> 20, ROOM >> 20);
            return Err(failed(io::Error::other(why)));
        }
        let lock = CacheLock::take(&self.cache.beside("lock"))?;
        Ok(lock.filter(|_| self.cache.file().is_none()))
    }

    /// Notes a failure, so that it is not repeated after each session.
    pub(in crate::provider) fn note_failure(&self, error: &Error) {
        if let Err(error) = fs::write(self.cache.beside("failed"), format!("{error}\n")) {
            tracing::warn!(%error, "a failure can't be remembered");
        }
    }
}

impl CacheLock {
    fn take(path: &Path) -> Result<Option<Self>> {
        let mut locks = Locks::take();
        let Some(lock) = locks.try_lock(path)? else { return Ok(None) };
        let left = serde_json::from_str(&locks.read(path)?).ok();
        Ok(Some(Self { lock, left }))
    }

    /// Records what is about to be started.
    pub(in crate::provider) fn intends(&self, held: &Held) {
        self.lock.write(&held.to_string());
    }

    /// Records that nothing is left of what was started.
    pub(in crate::provider) fn settle(&mut self) {
        self.left = None;
        self.lock.write("");
    }
}

/// Returns the locks below `root` whose trainers were killed, each with the right to remove what it had started.
pub(in crate::provider) fn left_below(root: &Path) -> Vec<CacheLock> {
    let locks = paths_in(root).filter(|path| path.extension().is_some_and(|kind| kind == "lock"));
    // Most are empty, and owe nothing.
    let owing = locks.filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 0));
    owing.filter_map(|path: PathBuf| CacheLock::take(&path).ok().flatten()).filter(|lock| lock.left.is_some()).collect()
}

/// Waits until the server at `url` answers, and uses it as tests do. Its JVM notes meanwhile which classes it loads.
pub(in crate::provider) async fn practise(url: &str, deadline: Instant) -> Result<()> {
    let wallet = Wallet::new(Credentials::None);
    let version = probe::answers_sql(url, &wallet, Readiness::Empty, deadline, |_| ()).await?;
    let client = SqlClient::new(url, Some("training"), wallet)?;
    let able = Capabilities::of(version).drop_schema_cascade;
    let last = if able { "DROP SCHEMA training CASCADE" } else { "DROP TABLE training.t" };
    for stmt in STATEMENTS.into_iter().chain([last]) {
        client.send(stmt, &[]).await?;
    }
    Ok(())
}

/// Returns the error of a cache that was not made.
pub(in crate::provider) fn not_made(cause: impl Display) -> Error {
    Error::new(Kind::Provider, "cannot make a cache for the JVM").because(cause)
}

/// Gives this process the lowest priority, also where the kernel groups processes by session.
pub(in crate::provider) fn give_way() {
    let _ = rustix::process::nice(19);
    // Linux only.
    let _ = fs::write("/proc/self/autogroup", "19");
}

/// Runs a trainer that was started with this JSON, and returns its exit code.
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
            // The machine may be less busy the next time.
            if !error.is_timeout() {
                training.note_failure(&error);
            }
        }
    }
    exit::DONE
}
