//! Processes of macOS, from `ps`, `lsof` and libproc.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent_timespec, kqueue};
use rustix::process::Pid;

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A line of `ps`. Words with spaces in them fall apart; no test has any.
struct Row {
    pid: u32,
    dead: bool,
    /// The arguments, then the environment.
    words: Vec<String>,
}

fn rows(which: &[&str]) -> Vec<Row> {
    let text = output("ps", &[which, &["-E", "-ww", "-o", "pid=,stat=,command="]].concat());
    let row = |line: &str| {
        let mut words = line.split_ascii_whitespace().map(str::to_owned);
        let (pid, state) = (words.next()?.parse().ok()?, words.next()?);
        Some(Row { pid, dead: state.starts_with('Z'), words: words.collect() })
    };
    text.lines().filter_map(row).collect()
}

fn row(pid: u32) -> Option<Row> {
    rows(&["-p", &pid.to_string()]).pop()
}

impl Row {
    fn name(&self) -> Option<String> {
        Some(Path::new(self.words.first()?).file_name()?.to_string_lossy().into_owned())
    }
}

/// Returns the processes of that name whose files are in `dir`.
pub fn named(wanted_name: &str, dir: &Path) -> Vec<u32> {
    let wanted = format!("CRATEDB_TEST_DIR={}", dir.display());
    let is_wanted = |row: &Row| !row.dead && row.name().as_deref() == Some(wanted_name) && row.words.contains(&wanted);
    rows(&["-A"]).into_iter().filter(is_wanted).map(|row| row.pid).collect()
}

/// Returns the processes with a variable in their environment, and its value.
pub fn marked(variable: &str) -> Vec<(u32, PathBuf)> {
    let prefix = format!("{variable}=");
    let value = |row: &Row| row.words.iter().find_map(|word| word.strip_prefix(&prefix).map(Into::into));
    rows(&["-A"]).into_iter().filter_map(|row| Some((row.pid, value(&row)?))).collect()
}

pub fn name(pid: u32) -> Option<String> {
    row(pid)?.name()
}

/// Returns true for a process that is gone, and for a zombie.
pub fn is_dead(pid: u32) -> bool {
    row(pid).is_none_or(|row| row.dead)
}

/// Returns a descriptor that becomes readable when the process ends.
pub fn watch(pid: Pid) -> OwnedFd {
    let queue = kqueue().unwrap();
    let end = EventFilter::Proc { pid, flags: ProcessEvents::EXIT };
    let mut none: [Event; 0] = [];
    // SAFETY: the event refers to no descriptor. Without room for events, the call returns at once.
    unsafe { kevent_timespec(&queue, &[Event::new(end, EventFlags::ADD, std::ptr::null_mut())], &mut none, None) }
        .unwrap();
    queue
}

pub fn environment(pid: u32) -> Vec<String> {
    let words = row(pid).map(|row| row.words).unwrap_or_default();
    words.into_iter().filter(|word| word.contains('=')).collect()
}

fn open_files(arguments: &[&str]) -> Vec<String> {
    let text = output("lsof", &[arguments, &["-Fn"]].concat());
    text.lines().filter_map(|line| line.strip_prefix('n')).map(str::to_owned).collect()
}

/// Returns the working directory.
pub fn directory(pid: u32) -> PathBuf {
    open_files(&["-a", "-p", &pid.to_string(), "-d", "cwd"]).pop().unwrap().into()
}

/// Returns what the descriptors of a process are.
pub fn descriptors(pid: u32) -> Vec<String> {
    open_files(&["-a", "-p", &pid.to_string(), "-d", "0-1023"])
}

/// Returns the user and system time used so far, in ticks of 10 ms.
pub fn cpu_ticks(pid: u32) -> u64 {
    // Minutes, seconds and hundredths of them: `0:01.25`.
    let time = output("ps", &["-o", "time=", "-p", &pid.to_string()]);
    let parts = time.trim().split([':', '.']).map(|part| part.parse::<u64>().unwrap());
    let factors = [1, 100, 6_000, 360_000];
    parts.collect::<Vec<_>>().into_iter().rev().zip(factors).map(|(part, factor)| part * factor).sum()
}

/// Returns the start of a process as the harness knows it.
#[cfg(target_os = "macos")]
pub fn start(pid: u32) -> u64 {
    let mut info = std::mem::MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = libc::c_int::try_from(size_of_val(&info)).unwrap();
    let pid = libc::c_int::try_from(pid).unwrap();
    // SAFETY: the kernel writes at most `size` bytes into `info`, which has as many and is plain numbers.
    let (written, info) = unsafe {
        let written = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size);
        (written, info.assume_init())
    };
    assert_eq!(written, size);
    info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec
}

/// Returns the process namespace as the harness knows it.
pub fn namespace() -> u64 {
    0
}

/// Returns the boot as the harness knows it.
pub fn boot() -> String {
    output("sysctl", &["-n", "kern.bootsessionuuid"]).trim().to_owned()
}
