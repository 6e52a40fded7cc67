//! Processes on any Unix, through `sysinfo`; compiled and tested on Linux too.

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

use super::Seen;

fn process<T>(pid: u32, read: impl FnOnce(&sysinfo::Process) -> T) -> Option<T> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, ProcessRefreshKind::nothing());
    system.process(pid).map(read)
}

pub(super) fn look(pid: u32) -> Option<Seen> {
    process(pid, |seen| Seen {
        pid,
        parent: seen.parent().map_or(0, Pid::as_u32),
        start: seen.start_time(),
        name: seen.name().to_string_lossy().into_owned(),
    })
}

/// Its name: other users' arguments can't be read everywhere.
pub(super) fn command(pid: u32) -> Option<String> {
    process(pid, |seen| seen.name().to_string_lossy().into_owned())
}

pub(super) fn is_zombie(pid: u32) -> bool {
    process(pid, |seen| matches!(seen.status(), ProcessStatus::Zombie | ProcessStatus::Dead)).unwrap_or(true)
}

/// There is one namespace.
pub(super) fn namespace() -> u64 {
    0
}

pub(super) fn initial_namespace() -> bool {
    true
}

pub(super) fn boot() -> String {
    System::boot_time().to_string()
}

/// Not asked here: a traced keeper ends at its maximum lifetime.
pub(super) fn is_traced() -> bool {
    false
}
