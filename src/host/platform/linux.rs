//! The calls of Linux: processes from `/proc`, which may be hidden or belong to another namespace, and pidfds.

use std::ffi::{CStr, OsString};
use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, sockopt};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Seen, Unseen, since};

/// The inode of the first process namespace of a machine (`PROC_PID_INIT_INO` in the kernel's `proc_ns.h`).
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFC;

pub(crate) const UNSEEN: Unseen = Unseen {
    cause: "/proc is hidden or belongs to another process namespace",
    remedy: "mount /proc without `hidepid`, for this namespace",
};

pub(super) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
pub(super) const RECEIVE_FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// Does nothing: the flag for sending is enough.
pub(super) fn prevent_sigpipe(_: impl AsFd) -> rustix::io::Result<()> {
    Ok(())
}

/// Reads `/proc/<pid>/stat`: number, name in parentheses (which may hold anything), state, parent …, start in the 22nd
/// field.
pub(crate) fn look(pid: u32) -> Option<Seen> {
    let stat = read_stat(pid)?;
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    let mut rest = stat[close + 1..].split_ascii_whitespace().skip(1);
    let parent = rest.next()?.parse().ok()?;
    let start = rest.nth(17)?.parse().ok()?;
    Some(Seen { pid, parent, start, name: stat[open + 1..close].to_owned() })
}

/// Reads the line in one call. `fs::read` asks for the size first, which is 0 here, and then reads in eight small
/// pieces; a process that joins a session does this for each of its ancestors.
fn read_stat(pid: u32) -> Option<String> {
    /// A line has some 300 bytes.
    const ENOUGH: usize = 2048;
    let mut line = [0; ENOUGH];
    let count = fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    Some(String::from_utf8_lossy(&line[..count]).into_owned())
}

/// Returns the arguments of a process; nothing for a zombie.
pub(crate) fn arguments(pid: u32) -> Vec<OsString> {
    words(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
}

/// Separates words, each with a NUL behind it.
fn words(raw: &[u8]) -> Vec<OsString> {
    let raw = raw.strip_suffix(b"\0").unwrap_or(raw);
    let words = raw.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_owned()));
    if raw.is_empty() { Vec::new() } else { words.collect() }
}

/// Returns the variables that a process was started with, each with a NUL behind it; nothing for a zombie, and for a
/// process of another user.
pub(crate) fn environment(pid: u32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/environ")).unwrap_or_default()
}

/// Returns the variables that this process was started with.
pub(super) fn own_environment() -> Option<Vec<u8>> {
    fs::read("/proc/self/environ").ok()
}

/// Returns true for a process that ended, whether or not its parent has waited for it.
pub(crate) fn is_zombie(pid: u32) -> bool {
    let state = read_stat(pid).and_then(|stat| stat[stat.rfind(')')? + 1..].trim_start().chars().next());
    matches!(state, None | Some('Z' | 'X'))
}

/// Returns true for a process that ended, or has no way but to end: the kernel is taking it apart, or a SIGKILL is on
/// its way to it, which a process with many threads survives by some milliseconds.
pub(crate) fn is_ending(pid: u32) -> bool {
    read_stat(pid).is_none_or(|stat| is_exiting(&stat)) || is_killed(pid)
}

/// Reads the state and the flags: the 3rd and the 9th field.
fn is_exiting(stat: &str) -> bool {
    /// `PF_EXITING` of `linux/sched.h`.
    const EXITING: u64 = 4;
    let Some(name) = stat.rfind(')') else { return false };
    let mut fields = stat[name + 1..].split_ascii_whitespace();
    let state = fields.next();
    let flags = fields.nth(5).and_then(|word| word.parse::<u64>().ok());
    matches!(state, Some("Z" | "X")) || flags.is_some_and(|flags| flags & EXITING != 0)
}

/// Reads the signals that are pending for the whole process. A SIGKILL stays among them to the end, while each thread
/// forgets its own before it begins to exit.
fn is_killed(pid: u32) -> bool {
    const KILLED: u64 = 1 << (libc::SIGKILL - 1);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    pending.and_then(|word| u64::from_str_radix(word.trim(), 16).ok()).is_some_and(|signals| signals & KILLED != 0)
}

/// Returns all processes of this namespace.
#[cfg(feature = "process")]
pub(crate) fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Returns the file of the program that a process runs.
pub(crate) fn program(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Returns true if a process belongs to the container of this id: engines name its control group by it.
#[cfg(feature = "container")]
pub(crate) fn is_in_container(pid: u32, id: &str) -> bool {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    !id.is_empty() && groups.contains(id)
}

/// Returns the process namespace of this process.
pub(crate) fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino())
}

/// Returns true outside containers.
pub(crate) fn initial_namespace() -> bool {
    namespace() == INITIAL_NAMESPACE
}

/// Returns the id of this boot, from which start times count.
pub(crate) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Returns the time since this boot, sleep included. Setting the clock does not change it.
pub(crate) fn since_boot() -> Duration {
    since(rustix::time::clock_gettime(rustix::time::ClockId::Boottime))
}

/// Returns true below a debugger and `strace -f`, which wait for the process that they trace.
pub(crate) fn is_traced() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|pid| pid.trim() != "0"))
}

/// Returns a descriptor that means this very process, and that can be sent to another one.
pub(crate) fn handle(pid: u32) -> Option<OwnedFd> {
    watch(pid).ok()
}

/// Returns a descriptor that becomes readable when the process ends.
pub(crate) fn watch(pid: u32) -> io::Result<OwnedFd> {
    Ok(pidfd_open(number(pid)?, PidfdFlags::empty())?)
}

/// Kills a process if `is_it` says so. The descriptor is opened before, so that what is killed is what was looked at.
#[cfg(feature = "process")]
pub(crate) fn kill_if(pid: u32, is_it: impl FnOnce() -> bool) -> bool {
    use rustix::process::Signal;
    let Ok(raw) = number(pid) else { return false };
    let process = pidfd_open(raw, PidfdFlags::empty());
    let killed = is_it();
    if killed {
        let _ = match process {
            Ok(process) => rustix::process::pidfd_send_signal(process, Signal::KILL),
            Err(_) => rustix::process::kill_process(raw, Signal::KILL),
        };
    }
    killed
}

fn number(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Makes this process die with `parent`. Allowed between fork and exec; a change of the user afterwards would undo it.
#[cfg(feature = "process")]
pub(crate) fn die_with(parent: Pid) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // It may have died before the signal was asked for.
    if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
}

/// Returns the user at the other end of a socket.
pub(crate) fn peer_user(stream: &UnixStream) -> io::Result<u32> {
    Ok(sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// Returns the process at the other end of a socket; 0 if it is not among the processes that this one can see.
#[cfg(feature = "container")]
pub(crate) fn peer_process(stream: &UnixStream) -> io::Result<u32> {
    // `rustix` has a number that can't be zero, and that is the one in question.
    use std::os::fd::AsRawFd as _;
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of_val(&peer)).expect("a small structure");
    // SAFETY: the kernel writes at most `size` bytes into `peer`, which has as many.
    let found = unsafe {
        let peer = (&raw mut peer).cast();
        libc::getsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, peer, &raw mut size)
    };
    if found == 0 { Ok(peer.pid.unsigned_abs()) } else { Err(io::Error::last_os_error()) }
}

/// Returns true for a Unix socket that listens.
pub(crate) fn is_unix_listener<Fd: AsFd>(socket: Fd) -> bool {
    matches!(sockopt::socket_acceptconn(&socket), Ok(true))
        && matches!(sockopt::socket_domain(&socket), Ok(AddressFamily::UNIX))
}

/// Names this thread. The name of the first one is what `ps -o comm` and `top` show of the process.
pub(crate) fn name_thread(name: &CStr) {
    let _ = rustix::thread::set_name(name);
}

/// Returns the command that starts this program again, also after its file was replaced or removed.
///
/// Below an emulator, or a loader that was called by its name, the executable of this process is that one. It gets the
/// words again that it got before the program's own. Others, such as valgrind, may refuse to be started so.
pub(crate) fn own_program() -> Command {
    match Loader::of_this_process() {
        Some(Loader { itself, before, program }) if super::is_emulator(&itself) => {
            let mut command = Command::new(REAL_PROGRAM);
            command.args(before).arg(program);
            command
        }
        Some(Loader { program, .. }) => Command::new(program),
        None => Command::new("/proc/self/exe"),
    }
}

/// Returns the file of this program.
pub(crate) fn own_file() -> Option<PathBuf> {
    Loader::of_this_process().map(|loader| loader.program).or_else(|| std::env::current_exe().ok())
}

/// Returns the emulator or loader below which this program runs, if there is one.
pub(crate) fn own_loader() -> Option<PathBuf> {
    Loader::of_this_process().map(|loader| loader.itself)
}

/// The executable of this process as the kernel sees it: emulators answer for `/proc/self` themselves.
const REAL_PROGRAM: &str = "/proc/thread-self/exe";

/// A program that stands between the kernel and this one.
struct Loader {
    itself: PathBuf,
    /// The words of its command line between its own name and those of this program.
    before: Vec<OsString>,
    /// The file of this program.
    program: PathBuf,
}

impl Loader {
    fn of_this_process() -> Option<Self> {
        let mut all = words(&fs::read("/proc/thread-self/cmdline").ok()?);
        let more = all.len().checked_sub(std::env::args_os().count()).filter(|more| *more > 0)?;
        let own = own_program as fn() -> Command;
        let program = file_at(own as usize, &fs::read("/proc/self/maps").ok()?)?;
        // Before `main` some C libraries tell no arguments.
        let itself = fs::read_link(REAL_PROGRAM).ok().filter(|itself| *itself != program)?;
        let before = all.drain(..more).skip(1).collect();
        Some(Self { itself, before, program })
    }
}

/// Returns the file from which an address is mapped, from the lines of `/proc/<pid>/maps`: a range of addresses, then
/// four words, then the path.
fn file_at(address: usize, maps: &[u8]) -> Option<PathBuf> {
    let inside = |line: &&[u8]| {
        let range = line.split(|byte| *byte == b' ').next().and_then(|range| std::str::from_utf8(range).ok());
        let (from, to) = range.and_then(|range| range.split_once('-')).unwrap_or_default();
        let number = |text| usize::from_str_radix(text, 16).unwrap_or_default();
        (number(from)..number(to)).contains(&address)
    };
    let line = maps.split(|byte| *byte == b'\n').find(inside)?;
    let path = line.iter().position(|byte| *byte == b'/')?;
    Some(OsString::from_vec(line[path..].to_owned()).into())
}

/// Returns the home that the user database names.
pub(crate) fn home(user: u32) -> Option<PathBuf> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let own = users.lines().find(|line| line.split(':').nth(2) == Some(user.to_string().as_str()))?;
    own.split(':').nth(5).filter(|home| home.starts_with('/')).map(PathBuf::from)
}

/// Returns the bytes that are free in a file system that is in memory; none for any other.
#[cfg(feature = "process")]
pub(crate) fn free_in_memory(dir: &std::path::Path) -> Option<u64> {
    let stat = rustix::fs::statfs(dir).ok().filter(|stat| stat.f_type == libc::TMPFS_MAGIC as rustix::fs::FsWord)?;
    Some(stat.f_bavail.saturating_mul(u64::try_from(stat.f_bsize).ok()?))
}

/// Writes everything below a directory to the disk, with one call for hundreds of files.
#[cfg(feature = "process")]
pub(crate) fn sync(dir: &std::path::Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(dir)?)?)
}
