//! The process table: whose keepers live, and what they hold.

use std::fs;
use std::path::Path;

/// Keepers whose files are in `dir`, by process id.
pub fn keepers(dir: &Path) -> Vec<u32> {
    named("cratedb-keeper", dir)
}

/// Processes of that name whose files are in `dir`.
pub fn named(wanted_name: &str, dir: &Path) -> Vec<u32> {
    let wanted = format!("CRATEDB_TEST_DIR={}", dir.display());
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    all.filter(|pid| {
        name(*pid).as_deref() == Some(wanted_name) && !is_dead(*pid) && environment(*pid).contains(&wanted)
    })
    .collect()
}

pub fn name(pid: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}

/// Gone, or a zombie that nobody has waited for.
pub fn is_dead(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

fn environment(pid: u32) -> Vec<String> {
    let raw = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    raw.split(|byte| *byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

/// What the descriptors of a process are.
pub fn descriptors(pid: u32) -> Vec<String> {
    let dir = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok().map(|path| path.display().to_string());
    dir.filter_map(|entry| target(entry.ok()?)).collect()
}

/// User and system time used so far, in ticks of 10 ms.
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Kills a process that is not a child of this one, and waits for its end.
pub fn kill_and_wait(pid: u32) {
    let raw = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = rustix::process::kill_process(raw, rustix::process::Signal::KILL);
    super::wait_for("the end of a killed process", || if is_dead(pid) { Ok(()) } else { Err(pid) });
}

/// Processes with a variable in their environment, and what is in it.
pub fn marked(variable: &str) -> Vec<(u32, std::path::PathBuf)> {
    let prefix = format!("{variable}=");
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let value = |pid| environment(pid).iter().find_map(|entry| entry.strip_prefix(&prefix).map(Into::into));
    all.filter_map(|pid| Some((pid, value(pid)?))).collect()
}
