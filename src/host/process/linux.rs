//! Processes on Linux, from `/proc`.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use super::Seen;

/// The inode of the first process namespace of a machine (`PROC_PID_INIT_INO` in the kernel's `proc_ns.h`).
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFC;

/// `/proc/<pid>/stat`: number, name in parentheses (which may hold anything), state, parent …, start in the 22nd field.
pub(super) fn look(pid: u32) -> Option<Seen> {
    let stat = read_stat(pid)?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let mut rest = stat[close + 1..].split_ascii_whitespace().skip(1);
    let parent = rest.next()?.parse().ok()?;
    let start = rest.nth(17)?.parse().ok()?;
    Some(Seen { pid, parent, start, name: stat[open + 1..close].to_owned() })
}

/// In one read. `fs::read` asks for the size first, which is 0 here, and then reads in eight small pieces; a process that
/// joins a session does this for each of its ancestors.
fn read_stat(pid: u32) -> Option<String> {
    /// A line has some 300 bytes.
    const ENOUGH: usize = 2048;
    let mut line = [0; ENOUGH];
    let count = fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    Some(String::from_utf8_lossy(&line[..count]).into_owned())
}

/// Its arguments, separated by spaces.
pub(super) fn command(pid: u32) -> Option<String> {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> =
        raw.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(String::from_utf8_lossy).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

pub(super) fn is_zombie(pid: u32) -> bool {
    let state = read_stat(pid).and_then(|stat| stat[stat.rfind(')')? + 1..].trim_start().chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

pub(super) fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

pub(super) fn initial_namespace() -> bool {
    namespace() == INITIAL_NAMESPACE
}

pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// A debugger, `strace -f`: whoever traces waits for the traced.
pub(super) fn is_traced() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
}
