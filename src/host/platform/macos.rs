//! The calls of macOS: processes from libproc and sysctl, their ends from kqueue. It has no process namespaces, no
//! death signal for children and no descriptor of a process that could be sent to another one.

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent_timespec, kqueue};
use rustix::net::{RecvFlags, SendFlags};
use rustix::process::Pid;

use super::portable::Arguments;
pub(crate) use super::portable::is_unix_listener;
use super::{Seen, Unseen, since};

/// `PROC_FLAG_TRACED` of `sys/proc_info.h`.
const TRACED: u32 = 2;
/// `PROC_FLAG_INEXIT` of `sys/proc_info.h`.
const IN_EXIT: u32 = 4;
/// `ARG_MAX` of `sys/syslimits.h`: more than a process can have of arguments and environment.
const LONGEST_ARGUMENTS: usize = 1 << 20;

pub(crate) const UNSEEN: Unseen =
    Unseen { cause: "it belongs to another user", remedy: "run the tests as the user of the program that starts them" };

pub(super) const SEND_FLAGS: SendFlags = SendFlags::empty();
pub(super) const RECEIVE_FLAGS: RecvFlags = RecvFlags::empty();

/// Makes sending to a closed peer an error of this socket. Blocking the signal for the call would not do: the kernel
/// sends it to the process, and another thread would get it.
pub(super) fn prevent_sigpipe(socket: impl AsFd) -> rustix::io::Result<()> {
    rustix::net::sockopt::set_socket_nosigpipe(socket, true)
}

/// Asks the kernel for a process of this user, or of any user if this is root; also for a zombie.
fn info(pid: u32) -> Option<libc::proc_bsdinfo> {
    /// As `arg`, it finds zombies, too.
    const WITH_ZOMBIES: u64 = 1;
    let pid = libc::c_int::try_from(pid).ok()?;
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = libc::c_int::try_from(size_of_val(&info)).expect("a small structure");
    // SAFETY: the kernel writes at most `size` bytes into `info`, which has as many and is plain numbers.
    let (written, info) = unsafe {
        let written = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, WITH_ZOMBIES, info.as_mut_ptr().cast(), size);
        (written, info.assume_init())
    };
    (written == size).then_some(info)
}

/// Looks at a process; its start is in microseconds since 1970.
pub(crate) fn look(pid: u32) -> Option<Seen> {
    let info = info(pid)?;
    let name = [&info.pbi_name[..], &info.pbi_comm[..]].map(text).into_iter().find(|name| !name.is_empty());
    let start = info.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(info.pbi_start_tvusec);
    Some(Seen { pid, parent: info.pbi_ppid, start, name: name.unwrap_or_default() })
}

/// Reads up to the first NUL.
fn text(field: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = field.iter().map(|byte| byte.cast_unsigned()).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns what a process was started with; nothing for a process of another user.
fn start_of(pid: u32) -> Vec<u8> {
    let Ok(pid) = libc::c_int::try_from(pid) else { return Vec::new() };
    let mut what = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    let mut value = vec![0; LONGEST_ARGUMENTS];
    let mut size = value.len();
    // SAFETY: `what` has three numbers, and the kernel writes at most `size` bytes into `value`.
    let asked = unsafe {
        libc::sysctl(what.as_mut_ptr(), 3, value.as_mut_ptr().cast(), &raw mut size, std::ptr::null_mut(), 0)
    };
    value.truncate(if asked == 0 { size } else { 0 });
    value
}

/// Returns the arguments of a process; nothing for a process of another user.
pub(crate) fn arguments(pid: u32) -> Vec<OsString> {
    let raw = start_of(pid);
    let words = Arguments::of(&raw).map_or_else(Vec::new, |arguments| arguments.words);
    words.into_iter().map(|word| OsString::from_vec(word.to_owned())).collect()
}

/// Returns the variables that a process was started with, each with a NUL behind it; nothing for a zombie, a process of
/// another user, and a program that the system protects.
pub(crate) fn environment(pid: u32) -> Vec<u8> {
    let raw = start_of(pid);
    Arguments::of(&raw).map_or_else(Vec::new, |arguments| arguments.environment.to_vec())
}

/// Returns the variables that this process was started with.
pub(super) fn own_environment() -> Option<Vec<u8>> {
    Some(environment(std::process::id())).filter(|environment| !environment.is_empty())
}

/// Returns true for a process that ended, whether or not its parent has waited for it.
pub(crate) fn is_zombie(pid: u32) -> bool {
    info(pid).is_none_or(|info| info.pbi_status == libc::SZOMB)
}

/// Returns true for a process that ended, or is ending.
pub(crate) fn is_ending(pid: u32) -> bool {
    info(pid).is_none_or(|info| info.pbi_status == libc::SZOMB || info.pbi_flags & IN_EXIT != 0)
}

/// Returns false: containers run in a virtual machine, whose processes have numbers of their own.
#[cfg(feature = "container")]
pub(crate) fn is_in_container(_pid: u32, _id: &str) -> bool {
    false
}

/// Returns all processes of this machine.
#[cfg(feature = "process")]
pub(crate) fn pids() -> Vec<u32> {
    /// Processes that may start between the two calls.
    const MORE: usize = 64;
    // SAFETY: without a buffer the number of processes is returned, and nothing is written.
    let count = unsafe { libc::proc_listallpids(std::ptr::null_mut(), 0) };
    let mut pids = vec![0_i32; usize::try_from(count).unwrap_or_default() + MORE];
    let size = libc::c_int::try_from(size_of_val(&pids[..])).unwrap_or_default();
    // SAFETY: the kernel writes at most `size` bytes into `pids`, which has as many.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), size) };
    pids.truncate(usize::try_from(count).unwrap_or_default());
    pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect()
}

/// Returns the file of the program that a process runs.
pub(crate) fn program(pid: u32) -> Option<PathBuf> {
    let pid = libc::c_int::try_from(pid).ok()?;
    let mut path = vec![0_u8; usize::try_from(libc::PROC_PIDPATHINFO_MAXSIZE).expect("a small number")];
    let size = u32::try_from(path.len()).expect("a small number");
    // SAFETY: the kernel writes at most `size` bytes into `path`, which has as many.
    let length = unsafe { libc::proc_pidpath(pid, path.as_mut_ptr().cast(), size) };
    path.truncate(usize::try_from(length).ok().filter(|length| *length > 0)?);
    Some(OsString::from_vec(path).into())
}

/// Returns 0: there is one namespace.
pub(crate) fn namespace() -> u64 {
    0
}

/// Returns true: there are no containers that processes of macOS could be in.
pub(crate) fn initial_namespace() -> bool {
    true
}

/// Returns the id of this boot. `kern.boottime` would not do: it moves when the clock is set.
pub(crate) fn boot() -> String {
    let mut value = [0_u8; 64];
    let mut size = value.len();
    // SAFETY: the name ends with a NUL, and the kernel writes at most `size` bytes into `value`.
    let asked = unsafe {
        let name = c"kern.bootsessionuuid".as_ptr();
        libc::sysctlbyname(name, value.as_mut_ptr().cast(), &raw mut size, std::ptr::null_mut(), 0)
    };
    let uuid = if asked == 0 { CStr::from_bytes_until_nul(&value).ok() } else { None };
    uuid.map_or_else(String::new, |uuid| uuid.to_string_lossy().into_owned())
}

/// Returns the time since this boot: on macOS this clock goes on while the machine sleeps.
pub(crate) fn since_boot() -> Duration {
    since(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

/// Returns true below a debugger, which waits for the process that it traces.
pub(crate) fn is_traced() -> bool {
    info(std::process::id()).is_some_and(|info| info.pbi_flags & TRACED != 0)
}

/// Returns none: a process can't be sent as a descriptor. The keeper watches the number, and compares the start time.
pub(crate) fn handle(_: u32) -> Option<OwnedFd> {
    None
}

/// Returns a descriptor that becomes readable when the process ends: a queue with that one event.
pub(crate) fn watch(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let queue = kqueue()?;
    rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
    let end = EventFilter::Proc { pid, flags: ProcessEvents::EXIT };
    let end = Event::new(end, EventFlags::ADD, std::ptr::null_mut());
    let mut none: [Event; 0] = [];
    // SAFETY: the event refers to no descriptor. Without room for events, the call returns at once.
    unsafe { kevent_timespec(&queue, &[end], &mut none, None) }?;
    Ok(queue)
}

/// Kills a process if `is_it` says so. Its number may be used again between the two.
#[cfg(feature = "process")]
pub(crate) fn kill_if(pid: u32, is_it: impl FnOnce() -> bool) -> bool {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let killed = is_it();
    if killed {
        let _ = rustix::process::kill_process(raw, rustix::process::Signal::KILL);
    }
    killed
}

/// Does nothing: there is no death signal. The next run ends what a killed keeper leaves.
#[cfg(feature = "process")]
pub(crate) fn die_with(_: Pid) -> io::Result<()> {
    Ok(())
}

/// Returns the user at the other end of a socket (`LOCAL_PEERCRED`).
pub(crate) fn peer_user(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = MaybeUninit::<libc::xucred>::zeroed();
    peer_option(stream, libc::LOCAL_PEERCRED, &mut peer)?;
    // SAFETY: plain numbers, of which the kernel has written all.
    let peer = unsafe { peer.assume_init() };
    if peer.cr_version == libc::XUCRED_VERSION { Ok(peer.cr_uid) } else { Err(io::ErrorKind::Unsupported.into()) }
}

/// Returns the process at the other end of a socket (`LOCAL_PEERPID`).
#[cfg(feature = "container")]
pub(crate) fn peer_process(stream: &UnixStream) -> io::Result<u32> {
    let mut pid = MaybeUninit::<libc::pid_t>::zeroed();
    peer_option(stream, libc::LOCAL_PEERPID, &mut pid)?;
    // SAFETY: a number, which the kernel has written.
    Ok(unsafe { pid.assume_init() }.unsigned_abs())
}

fn peer_option<T>(stream: &UnixStream, name: libc::c_int, value: &mut MaybeUninit<T>) -> io::Result<()> {
    let mut size = libc::socklen_t::try_from(size_of::<T>()).expect("a small structure");
    // SAFETY: the kernel writes at most `size` bytes into `value`, which has as many.
    let asked = unsafe {
        libc::getsockopt(stream.as_raw_fd(), libc::SOL_LOCAL, name, value.as_mut_ptr().cast(), &raw mut size)
    };
    if asked == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Names this thread, for debuggers. What `ps` shows of the process is the name of its program.
pub(crate) fn name_thread(name: &CStr) {
    // SAFETY: the name ends with a NUL.
    unsafe { libc::pthread_setname_np(name.as_ptr()) };
}

/// Returns the command that starts this program again, as long as its file is there.
pub(crate) fn own_program() -> Command {
    Command::new(own_file().map_or_else(|| std::env::args_os().next().unwrap_or_default(), Into::into))
}

/// Returns the file of this program.
pub(crate) fn own_file() -> Option<PathBuf> {
    std::env::current_exe().ok()
}

/// Returns none: what translates programs for another processor does not show.
pub(crate) fn own_loader() -> Option<PathBuf> {
    None
}

/// Returns the home that the user database names.
pub(crate) fn home(user: u32) -> Option<PathBuf> {
    let mut buffer = [0; 4096];
    let mut entry = MaybeUninit::<libc::passwd>::zeroed();
    let mut found = std::ptr::null_mut();
    // SAFETY: the call writes into `entry` and at most the buffer's length of texts into `buffer`. If it finds the
    // user,
    // `found` is `entry`, whose home is none or a text in `buffer`.
    let home = unsafe {
        libc::getpwuid_r(user, entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        let home = found.as_ref()?.pw_dir;
        if home.is_null() { None } else { Some(CStr::from_ptr(home).to_owned()) }
    };
    let home = home.map(CString::into_bytes).filter(|home| home.starts_with(b"/"))?;
    Some(OsString::from_vec(home).into())
}

/// Returns none: there is no file system in memory that is always there.
#[cfg(feature = "process")]
pub(crate) fn free_in_memory(_: &std::path::Path) -> Option<u64> {
    None
}

/// Writes everything to the disk: there is no call for one directory.
#[cfg(feature = "process")]
pub(crate) fn sync(_: &std::path::Path) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}
