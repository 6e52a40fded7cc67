//! Locks between processes, which the kernel releases when their holder dies.
//!
//! They are fcntl locks, since a forked child does not inherit those and so can't keep its dead parent's. They have two
//! traps. They vanish when *any* descriptor of the file is closed in the process, so every lock file is opened once per
//! process and never closed. And they don't exclude threads, so a mutex stands before them.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};

use super::disk::open_regular;
use super::private_file;
use crate::error::{Error, Kind, Result};

/// The pause between two attempts: fcntl can wait, but not with a time-out.
const PAUSE: Duration = Duration::from_millis(5);

/// One descriptor per lock file, which is never closed, and the mutex of all threads.
static FILES: Mutex<Option<HashMap<PathBuf, &'static File>>> = Mutex::new(None);

/// All lock files of this process, under the mutex.
pub(crate) struct Locks(MutexGuard<'static, Option<HashMap<PathBuf, &'static File>>>);

/// A lock that is held until dropped.
pub(crate) struct Lock(&'static File);

impl Locks {
    /// Takes the mutex of this process, which other threads may hold.
    pub(crate) fn take() -> Self {
        Self(FILES.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn file(&mut self, path: &Path) -> Result<&'static File> {
        let files = self.0.get_or_insert_with(HashMap::new);
        if let Some(file) = files.get(path) {
            return Ok(file);
        }
        let file = open_regular(private_file().read(true).write(true).create(true).truncate(false), path);
        let file = file.map_err(|error| cannot("open the lock", path, error))?;
        let file: &'static File = Box::leak(Box::new(file));
        files.insert(path.to_owned(), file);
        Ok(file)
    }

    /// Takes the lock of a new file at this path, after the known file was removed.
    pub(crate) fn try_lock_again(&mut self, path: &Path) -> Result<Option<Lock>> {
        // The old file's descriptor stays open, as all do.
        self.0.get_or_insert_with(HashMap::new).remove(path);
        self.try_lock(path)
    }

    /// Takes the lock if no other process has it now.
    pub(crate) fn try_lock(&mut self, path: &Path) -> Result<Option<Lock>> {
        self.attempt(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes the lock as a shared one, if no other process has it exclusively now. An exclusive lock of this process
    /// becomes a shared one.
    #[cfg(feature = "process")]
    pub(crate) fn try_share(&mut self, path: &Path) -> Result<Option<Lock>> {
        self.attempt(path, FlockOperation::NonBlockingLockShared)
    }

    fn attempt(&mut self, path: &Path, operation: FlockOperation) -> Result<Option<Lock>> {
        let file = self.file(path)?;
        match fcntl_lock(file, operation) {
            Ok(()) => Ok(Some(Lock(file))),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(cannot("lock", path, error)),
        }
    }

    /// Waits for the lock until `deadline`. The error names the process that holds it.
    pub(crate) fn lock(&mut self, path: &Path, deadline: Instant) -> Result<Lock> {
        let began = Instant::now();
        loop {
            if let Some(held) = self.try_lock(path)? {
                held.write(&std::process::id().to_string());
                return Ok(held);
            }
            if Instant::now() >= deadline {
                let holder = self.read(path)?;
                let what = format!("waited {:.1} s for the lock {}", began.elapsed().as_secs_f64(), path.display());
                return Err(Error::new(Kind::Timeout, what)
                    .because(format!("process {} holds it", holder.trim()))
                    .hint("that process may be stopped; continue or end it"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Returns the process that holds a lock, if another one does; 0 if it can't be seen from here.
    pub(crate) fn holder(&mut self, path: &Path) -> Result<Option<u32>> {
        if !path.exists() {
            return Ok(None);
        }
        let file = self.file(path)?;
        let wanted = rustix::process::Flock::from(rustix::process::FlockType::WriteLock);
        let held = rustix::process::fcntl_getlk(file, &wanted);
        let held = held.map_err(|error| cannot("see who holds", path, error))?;
        Ok(held.map(|lock| lock.pid.map_or(0, |pid| pid.as_raw_nonzero().get().unsigned_abs())))
    }

    /// Returns what the holder wrote into the file.
    pub(crate) fn read(&mut self, path: &Path) -> Result<String> {
        let mut file = self.file(path)?;
        let mut text = String::new();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        read.map_err(|error| cannot("read", path, error)).map(|_| text)
    }
}

fn cannot(what: &str, path: &Path, error: impl Display) -> Error {
    Error::new(Kind::Session, format!("cannot {what} {}", path.display())).because(error)
}

impl Lock {
    /// Replaces the file's content, which says who holds the lock and what others need to know.
    pub(crate) fn write(&self, text: &str) {
        let mut file = self.0;
        // The content is for display and for finding a socket again: a full disk must not break the lock.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fcntl_lock(self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: &str = "CRATEDB_TEST_LOCK_TO_HOLD";

    /// Holds a lock for the test below, in a process of its own, since a lock excludes only other processes.
    #[test]
    fn holder() {
        if let Some(path) = std::env::var_os(HOLD) {
            let held = Locks::take().lock(Path::new(&path), Instant::now()).unwrap();
            held.write("4711");
            println!("held");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
    }

    fn hold_elsewhere(path: &Path) -> std::process::Child {
        use std::io::BufRead as _;
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "host::lock::tests::holder", "--nocapture"])
            .env(HOLD, path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("held")));
        child
    }

    #[test]
    fn names_the_holder_after_the_deadline_and_gets_the_lock_after_its_death() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        let mut child = hold_elsewhere(&path);
        let error = Locks::take().lock(&path, Instant::now() + Duration::from_millis(30)).map(|_| ()).unwrap_err();
        assert!(error.is_timeout() && error.to_string().contains("process 4711"), "{error}");
        child.kill().unwrap();
        child.wait().unwrap();
        Locks::take().lock(&path, Instant::now() + Duration::from_secs(10)).map(|_| ()).unwrap();
    }
}
