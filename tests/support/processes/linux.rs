//! Processes of Linux, from `/proc`.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

fn all() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Returns the processes of that name whose files are in `dir`.
pub fn named(wanted_name: &str, dir: &Path) -> Vec<u32> {
    let wanted = format!("CRATEDB_TEST_DIR={}", dir.display());
    let is_wanted = |pid| name(pid).as_deref() == Some(wanted_name) && !is_dead(pid);
    all().filter(|pid| is_wanted(*pid) && environment(*pid).contains(&wanted)).collect()
}

/// Returns the processes with a variable in their environment, and its value.
pub fn marked(variable: &str) -> Vec<(u32, PathBuf)> {
    let prefix = format!("{variable}=");
    let value = |pid| environment(pid).iter().find_map(|entry| entry.strip_prefix(&prefix).map(Into::into));
    all().filter_map(|pid| Some((pid, value(pid)?))).collect()
}

pub fn name(pid: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}

/// Returns true for a process that is gone, and for a zombie.
pub fn is_dead(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

/// Returns a descriptor that becomes readable when the process ends.
pub fn watch(pid: Pid) -> OwnedFd {
    pidfd_open(pid, PidfdFlags::empty()).unwrap()
}

pub fn environment(pid: u32) -> Vec<String> {
    let raw = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    raw.split(|byte| *byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

/// Returns the working directory.
pub fn directory(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/cwd")).unwrap()
}

/// Returns what the descriptors of a process are.
pub fn descriptors(pid: u32) -> Vec<String> {
    let dir = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok().map(|path| path.display().to_string());
    dir.filter_map(|entry| target(entry.ok()?)).collect()
}

/// Returns the fields of `/proc/<pid>/stat` from the third on.
fn stat(pid: u32) -> Vec<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_ascii_whitespace();
    fields.map(|field| field.parse().unwrap_or_default()).collect()
}

/// Returns the user and system time used so far, in ticks of 10 ms.
pub fn cpu_ticks(pid: u32) -> u64 {
    let fields = stat(pid);
    fields[11] + fields[12]
}

/// Returns the start of a process as the harness knows it.
pub fn start(pid: u32) -> u64 {
    stat(pid)[19]
}

/// Returns the process namespace as the harness knows it.
pub fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").unwrap().ino()
}

/// Returns the boot as the harness knows it.
pub fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}
