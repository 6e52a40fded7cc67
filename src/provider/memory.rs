//! Memory for servers of this machine: a keeper reserves what its server needs before it starts it, and waits while
//! other keepers have what is left.
//!
//! A starting server takes its memory bit by bit, so the system reports too much as available while others are
//! starting. A reservation is a locked file in the directory of the sockets, and the lock ends with its process. A
//! keeper that waits has reserved nothing, so no keeper waits for one that waits.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Progress;
use crate::error::Result;
use crate::host::{Lock, Locks, Places};
use crate::target::LocalTarget;
use crate::wait::{self, Look};

const MIB: u64 = 1 << 20;
/// The heap of a single server, and of one of several nodes.
const HEAP: u64 = 512 * MIB;
const HEAP_OF_SEVERAL: u64 = 384 * MIB;
/// The bytes that a server needs beside its heap, for classes, compiled code, threads and buffers.
const BESIDE_HEAP: u64 = 300 * MIB;
/// The maximum number of reservations, more than any test machine has memory for. Further keepers start without one.
const SLOTS: usize = 64;

/// The content of a keeper's file, about its server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reservation {
    bytes: u64,
    /// "CrateDB 5.10 of /home/ada/project".
    server: String,
    pid: u32,
    /// Once the server has started, the system counts its memory as used.
    starting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Start,
    /// No other keeper has memory that could become free, so waiting would never end.
    StartInSpite,
    Wait,
}

/// Returns what the servers of a cluster with so many nodes need, in bytes.
pub(super) fn need(nodes: u32) -> u64 {
    let heap = if nodes > 1 { HEAP_OF_SEVERAL } else { HEAP };
    u64::from(nodes) * (heap + BESIDE_HEAP)
}

/// Decides for a server that needs `need` bytes. `available` is what the system reports, if it does. `others` are the
/// servers of other keepers.
fn decide(need: u64, available: Option<u64>, others: &[Reservation]) -> Decision {
    let Some(available) = available else { return Decision::Start };
    let starting: u64 = others.iter().filter(|other| other.starting).map(|other| other.bytes).sum();
    match available.saturating_sub(starting) {
        enough if enough >= need => Decision::Start,
        _ if others.is_empty() => Decision::StartInSpite,
        _ => Decision::Wait,
    }
}

/// The memory of the server that this process starts or has started.
#[derive(Default)]
pub(super) struct Memory(Mutex<Option<OwnReservation>>);

struct OwnReservation {
    file: Lock,
    reservation: Reservation,
}

impl Memory {
    /// Waits until there is memory for the servers of `target`, and reserves it. It does not wait if there is no
    /// directory for reservations.
    ///
    /// # Errors
    ///
    /// When there is not enough memory by `deadline`. The error says which processes have it.
    pub(super) async fn reserve(&self, target: &LocalTarget, deadline: Instant, progress: &Progress) -> Result<()> {
        self.free();
        let Ok(places) = Places::find() else { return Ok(()) };
        let server = match target.version {
            Some(version) => format!("CrateDB {version} of {}", target.project),
            None => format!("CrateDB of {}", target.project),
        };
        let own = Reservation { bytes: need(target.nodes), server, pid: std::process::id(), starting: true };
        let awaited = format!("memory for {}", own.server);
        let told = |status: &str| progress.step(format!("waiting for memory: {status}"));
        let look = || async { Ok(attempt(&places.runtime, &own)) };
        let reserved = wait::until(&awaited, wait::SERVER, deadline, told, look).await.map_err(|error| {
            let left = available().unwrap_or_default() / MIB;
            error
                .hint(format!("{left} MiB are available on this machine"))
                .hint("tests on several versions or nodes need memory for all of them: run them apart, as in `cargo test on_5_10`")
        })?;
        *self.own() = reserved;
        Ok(())
    }

    /// Notes that the server is up. From now on the system counts its memory.
    pub(super) fn is_up(&self) {
        if let Some(own) = &mut *self.own() {
            own.reservation.starting = false;
            own.write();
        }
    }

    /// Frees the reservation, since the server is gone or was never started.
    pub(super) fn free(&self) {
        *self.own() = None;
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Option<OwnReservation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OwnReservation {
    fn write(&self) {
        self.file.write(&serde_json::to_string(&self.reservation).unwrap_or_default());
    }
}

/// Looks once: returns the reservation, or for which processes to wait. No other keeper looks at the same time.
fn attempt(dir: &Path, own: &Reservation) -> Look<Option<OwnReservation>> {
    let mut locks = Locks::take();
    let _alone = match locks.try_lock(&dir.join("memory.lock")) {
        Ok(Some(held)) => held,
        Ok(None) => return Look::NotYet("another keeper looks for it, too".to_owned()),
        Err(error) => {
            tracing::warn!(%error, "memory can't be reserved");
            return Look::Ready(None);
        }
    };
    let others = others(dir, &mut locks);
    let decision = decide(own.bytes, available(), &others);
    tracing::debug!(?decision, need = own.bytes / MIB, available = ?available().map(|bytes| bytes / MIB), ?others);
    match decision {
        Decision::Wait => return Look::NotYet(whom(own, &others)),
        Decision::StartInSpite => {
            let (need, server) = (own.bytes / MIB, &own.server);
            tracing::warn!("{server} needs {need} MiB, which this machine does not have; it is started all the same");
        }
        Decision::Start => {}
    }
    let free = (0..SLOTS).find_map(|slot| locks.try_lock(&file(dir, slot)).ok().flatten());
    let reserved = free.map(|file| OwnReservation { file, reservation: own.clone() });
    reserved.iter().for_each(OwnReservation::write);
    Look::Ready(reserved)
}

/// Returns what other processes have reserved. Files of dead processes are no longer locked.
fn others(dir: &Path, locks: &mut Locks) -> Vec<Reservation> {
    let mut read = |slot| {
        let file = file(dir, slot);
        locks.holder(&file).ok().flatten()?;
        serde_json::from_str(&locks.read(&file).ok()?).ok()
    };
    (0..SLOTS).filter_map(&mut read).collect()
}

fn file(dir: &Path, slot: usize) -> PathBuf {
    dir.join(format!("memory-{slot}.reserved"))
}

/// Describes for whom a keeper waits. It has no numbers that change all the time, since each new text is shown.
fn whom(own: &Reservation, others: &[Reservation]) -> String {
    let each = others.iter().map(|other| {
        let state = if other.starting { "is starting" } else { "has" };
        format!("process {} {state} {}", other.pid, other.server)
    });
    format!("{} needs {} MiB; {}", own.server, own.bytes / MIB, each.collect::<Vec<_>>().join(", "))
}

/// Returns the available memory of this machine, or what is left of a container's limit if that is less, in bytes.
/// Returns none if the system tells neither.
pub(super) fn available() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let limits = [
        ("/sys/fs/cgroup", ["memory.max", "memory.current"], "inactive_file"),
        ("/sys/fs/cgroup/memory", ["memory.limit_in_bytes", "memory.usage_in_bytes"], "total_inactive_file"),
    ];
    let limited = limits.into_iter().find_map(|(dir, files, cache)| {
        let [limit, used] = files.map(|file| read(&format!("{dir}/{file}"))?.trim().parse::<u64>().ok());
        let stat = read(&format!("{dir}/memory.stat")).unwrap_or_default();
        Some(limit?.saturating_sub(used?.saturating_sub(reclaimable_in(&stat, cache))))
    });
    let whole = read("/proc/meminfo").and_then(|text| available_in(&text));
    [limited, whole].into_iter().flatten().min()
}

/// Returns the size of cached files that were not read for long. The kernel frees it before it refuses memory.
fn reclaimable_in(stat: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    stat.lines().find_map(value).unwrap_or(0)
}

fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests;
