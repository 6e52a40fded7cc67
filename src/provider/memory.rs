//! Memory for servers of this machine: each keeper reserves what its server needs before it starts it, and waits where
//! others have what is left.
//!
//! A server that starts takes its memory bit by bit, so what the system calls available is too much as long as others are
//! starting. A reservation is a locked file in the directory of the sockets; the lock goes with the process that has it.
//! Whoever waits has reserved nothing, so nobody waits for somebody who waits.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{LocalTarget, Progress};
use crate::error::Result;
use crate::host::{Lock, Locks, Places};
use crate::wait::{self, Look};

const MIB: u64 = 1 << 20;
/// Of a server that is alone, and of one of several nodes.
const HEAP: u64 = 512 * MIB;
const HEAP_OF_SEVERAL: u64 = 384 * MIB;
/// What a server needs beside its heap: classes, compiled code, threads, buffers.
const BESIDE_HEAP: u64 = 300 * MIB;
/// More keepers at once than any machine for tests has memory for; those beyond start without a reservation.
const SLOTS: usize = 64;

/// What one keeper says of its server, in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reservation {
    bytes: u64,
    /// "CrateDB 5.10 of /home/ada/project".
    server: String,
    pid: u32,
    /// Later its memory is no longer available, and counts by itself.
    starting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Start,
    /// Nobody else has anything that could become free, so waiting would be for ever.
    StartInSpite,
    Wait,
}

/// What the servers of a cluster with so many nodes need, in bytes.
fn need(nodes: u32) -> u64 {
    let heap = if nodes > 1 { HEAP_OF_SEVERAL } else { HEAP };
    u64::from(nodes) * (heap + BESIDE_HEAP)
}

/// `available` is what the system says, if it does; `others` are the servers of other keepers.
fn decide(need: u64, available: Option<u64>, others: &[Reservation]) -> Decision {
    let Some(available) = available else { return Decision::Start };
    let starting: u64 = others.iter().filter(|other| other.starting).map(|other| other.bytes).sum();
    match available.saturating_sub(starting) {
        enough if enough >= need => Decision::Start,
        _ if others.is_empty() => Decision::StartInSpite,
        _ => Decision::Wait,
    }
}

/// The memory of the server that this process has started or is about to start.
#[derive(Default)]
pub(super) struct Memory(Mutex<Option<Turn>>);

struct Turn {
    file: Lock,
    reservation: Reservation,
}

impl Memory {
    /// Waits until there is memory for the servers of `target`, and reserves it. Without a place for reservations, it
    /// waits for nobody.
    ///
    /// # Errors
    ///
    /// When there is none by `deadline`; the error says who has it.
    pub(super) async fn reserve(&self, target: &LocalTarget, deadline: Instant, progress: &Progress) -> Result<()> {
        self.free();
        let Ok(places) = Places::find() else { return Ok(()) };
        let server = match target.version {
            Some(version) => format!("CrateDB {version} of {}", target.project),
            None => format!("CrateDB of {}", target.project),
        };
        let own = Reservation { bytes: need(target.nodes), server, pid: std::process::id(), starting: true };
        let awaited = format!("memory for {}", own.server);
        let waited = wait::until(
            &awaited,
            wait::SERVER,
            deadline,
            |status| progress.step(format!("waiting for memory: {status}")),
            || async { Ok(attempt(&places.runtime, &own)) },
        );
        let turn = waited.await.map_err(|error| {
            let left = available().unwrap_or_default() / MIB;
            error
                .hint(format!("{left} MiB are available on this machine"))
                .hint("tests on several versions or nodes need memory for all of them: run them apart, as in `cargo test on_5_10`")
        })?;
        *self.turn() = turn;
        Ok(())
    }

    /// The server is up: from now on it shows in what the system has left.
    pub(super) fn is_up(&self) {
        if let Some(turn) = &mut *self.turn() {
            turn.reservation.starting = false;
            turn.write();
        }
    }

    /// The server is gone, or was never started.
    pub(super) fn free(&self) {
        *self.turn() = None;
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, Option<Turn>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    fn write(&self) {
        self.file.write(&serde_json::to_string(&self.reservation).unwrap_or_default());
    }
}

/// One look: the reservation, or for whom to wait. Nobody else looks meanwhile.
fn attempt(dir: &Path, own: &Reservation) -> Look<Option<Turn>> {
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
    let turn = free.map(|file| Turn { file, reservation: own.clone() });
    turn.iter().for_each(Turn::write);
    Look::Ready(turn)
}

/// What other processes have reserved. What dead ones wrote is not locked any more.
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

/// Without numbers that change all the time: each text that differs is shown.
fn whom(own: &Reservation, others: &[Reservation]) -> String {
    let each = others.iter().map(|other| {
        let state = if other.starting { "is starting" } else { "has" };
        format!("process {} {state} {}", other.pid, other.server)
    });
    format!("{} needs {} MiB; {}", own.server, own.bytes / MIB, each.collect::<Vec<_>>().join(", "))
}

/// What this machine has left, or what is left of a container's limit if that is less, in bytes; none if nobody says.
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

/// What files take that nobody has read for long: the kernel gives it away before it refuses anything.
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
