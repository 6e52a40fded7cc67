//! The process table: whose keepers live, and what they hold.

#[cfg(target_os = "linux")]
#[path = "processes/linux.rs"]
mod table;
#[cfg(not(target_os = "linux"))]
#[path = "processes/macos.rs"]
mod table;

use std::path::Path;

pub use table::*;

/// Keepers whose files are in `dir`, by process id.
pub fn keepers(dir: &Path) -> Vec<u32> {
    named("cratedb-keeper", dir)
}

/// Kills a process that is not a child of this one, and waits for its end.
pub fn kill_and_wait(pid: u32) {
    let raw = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(raw, rustix::process::Signal::KILL);
    super::wait_for("the end of a killed process", || if is_dead(pid) { Ok(()) } else { Err(pid) });
}
