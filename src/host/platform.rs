//! Everything that Linux and macOS do differently, under one name each. No other file of the library asks for the
//! system.
//!
//! The two files below make the calls of their kernel and export the same functions. What macOS needs beyond that is in
//! [`portable`], which is also compiled and tested on Linux.

#[cfg(target_os = "linux")]
#[path = "platform/linux.rs"]
mod os;
#[cfg(target_os = "macos")]
#[path = "platform/macos.rs"]
mod os;
#[cfg(any(test, target_os = "macos"))]
mod portable;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("the feature `harness` of cratedb-test needs Linux or macOS; the feature `cloud` alone works anywhere");

use std::ffi::OsString;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer};

pub(crate) use self::os::{
    UNSEEN, arguments, boot, environment, handle, home, initial_namespace, is_ending, is_traced, is_unix_listener,
    is_zombie, look, name_thread, namespace, own_file, own_loader, own_program, peer_user, program, since_boot, watch,
};
#[cfg(feature = "process")]
pub(crate) use self::os::{die_with, free_in_memory, kill_if, pids, sync};
#[cfg(feature = "container")]
pub(crate) use self::os::{is_in_container, peer_process};

/// The facts of a process that one look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: u32,
    /// 0 at the edge of the process namespace.
    pub(crate) parent: u32,
    /// When it started, in the units of the system.
    pub(crate) start: u64,
    /// The file name of its program. Linux cuts it after 15 bytes, macOS after 31.
    pub(crate) name: String,
}

/// Returns a variable as it was when the process started: tests change variables. Where the system does not show the
/// initial environment, it is the current value.
pub(crate) fn initial_environment(name: &str) -> Option<OsString> {
    let Some(environment) = os::own_environment() else { return std::env::var_os(name) };
    let prefix = format!("{name}=").into_bytes();
    let entry = environment.split(|byte| *byte == 0).find(|entry| entry.starts_with(&prefix))?;
    Some(OsString::from_vec(entry[prefix.len()..].to_vec()))
}

/// Converts what a clock shows, which is never negative here.
fn since(shown: rustix::time::Timespec) -> Duration {
    Duration::new(u64::try_from(shown.tv_sec).unwrap_or_default(), u32::try_from(shown.tv_nsec).unwrap_or_default())
}

/// Returns true for an emulator of another processor, and for a loader that was called by its own name.
pub(crate) fn is_emulator(program: &Path) -> bool {
    const NAMES: [&str; 5] = ["ld-", "ld.so", "ld64.so", "qemu-", "box64"];
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    NAMES.iter().any(|known| name.starts_with(known))
}

/// The reason for which a process may be out of sight.
pub(crate) struct Unseen {
    pub(crate) cause: &'static str,
    pub(crate) remedy: &'static str,
}

/// Sends bytes over a socket. A peer that is gone is an error and no SIGPIPE, whatever this process does on that
/// signal.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> rustix::io::Result<usize> {
    os::prevent_sigpipe(&socket)?;
    rustix::net::send(&socket, bytes, os::SEND_FLAGS)
}

/// Sends bytes and descriptors over a Unix socket, as [`send`] does.
pub(crate) fn send_with_ancillary(
    socket: impl AsFd,
    bytes: &[u8],
    ancillary: &mut SendAncillaryBuffer<'_, '_, '_>,
) -> rustix::io::Result<usize> {
    os::prevent_sigpipe(&socket)?;
    rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], ancillary, os::SEND_FLAGS)
}

/// Receives bytes from a Unix socket, and appends the descriptors beside them. Children do not inherit those.
pub(crate) fn receive_with_ancillary(
    socket: impl AsFd,
    buffer: &mut [u8],
    ancillary: &mut RecvAncillaryBuffer<'_>,
    descriptors: &mut Vec<OwnedFd>,
) -> rustix::io::Result<usize> {
    receive_with_flags(socket, buffer, ancillary, descriptors, os::RECEIVE_FLAGS)
}

/// Without a flag that makes the kernel do it, closing on exec is set here. A child that another thread starts between
/// the two steps inherits the descriptors.
fn receive_with_flags(
    socket: impl AsFd,
    buffer: &mut [u8],
    ancillary: &mut RecvAncillaryBuffer<'_>,
    descriptors: &mut Vec<OwnedFd>,
    flags: RecvFlags,
) -> rustix::io::Result<usize> {
    let received = rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(buffer)], ancillary, flags)?;
    for message in ancillary.drain() {
        let RecvAncillaryMessage::ScmRights(rights) = message else { continue };
        for descriptor in rights {
            if flags.is_empty() {
                rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
            }
            descriptors.push(descriptor);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::BorrowedFd;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use rustix::net::SendAncillaryMessage;

    use super::*;

    /// Ends and reaps its process when dropped.
    struct Sleeper(std::process::Child);

    impl Sleeper {
        fn start() -> Self {
            Self(Command::new("sleep").arg("60").env("CRATEDB_TEST_MARK", "seen").spawn().unwrap())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn is_ready(descriptor: &OwnedFd, patience: Duration) -> bool {
        let mut asked = [rustix::event::PollFd::new(descriptor, rustix::event::PollFlags::IN)];
        let patience = patience.try_into().unwrap();
        rustix::event::poll(&mut asked, Some(&patience)).unwrap() == 1
    }

    /// The time between the signal and the end of the process depends on the scheduler, so it is done often.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_killed_process_is_ending_from_the_signal_on() {
        for _ in 0..300 {
            let mut sleeper = Sleeper::start();
            let pid = sleeper.0.id();
            assert!(!is_ending(pid));
            sleeper.0.kill().unwrap();
            assert!(is_ending(pid), "{:?}", std::fs::read_to_string(format!("/proc/{pid}/stat")));
            sleeper.0.wait().unwrap();
            assert!(is_ending(pid));
        }
        assert!(!is_ending(std::process::id()));
    }

    #[test]
    fn a_look_shows_a_process_until_it_is_reaped() {
        let own = look(std::process::id()).unwrap();
        assert_eq!((own.pid, own.parent), (std::process::id(), std::os::unix::process::parent_id()));
        let mut sleeper = Sleeper::start();
        let pid = sleeper.0.id();
        // Until it is executed, it has its parent's name and arguments, and for a moment none.
        let deadline = Instant::now() + Duration::from_secs(10);
        while arguments(pid) != ["sleep", "60"] {
            assert!(Instant::now() < deadline, "{:?}", arguments(pid));
        }
        assert_eq!(look(pid).unwrap().name, "sleep");
        assert!(look(pid).unwrap().start >= own.start && !is_zombie(pid) && !is_traced());
        assert!(environment(pid).split(|byte| *byte == 0).any(|entry| entry == b"CRATEDB_TEST_MARK=seen"));
        sleeper.0.kill().unwrap();
        while !is_zombie(pid) {
            assert!(Instant::now() < deadline, "still alive");
        }
        assert!(look(pid).is_some(), "a zombie still has its number");
        sleeper.0.wait().unwrap();
        assert!(look(pid).is_none() && is_zombie(pid));
        assert!(look(u32::MAX / 2).is_none());
    }

    #[test]
    fn the_descriptor_of_a_process_becomes_readable_when_it_ends() {
        let mut sleeper = Sleeper::start();
        let watched = watch(sleeper.0.id()).unwrap();
        assert!(!is_ready(&watched, Duration::ZERO));
        sleeper.0.kill().unwrap();
        assert!(is_ready(&watched, Duration::from_secs(10)));
        sleeper.0.wait().unwrap();
        assert!(watch(sleeper.0.id()).is_err());
    }

    #[test]
    fn received_descriptors_are_closed_on_exec_with_the_flag_and_without() {
        for flags in [os::RECEIVE_FLAGS, RecvFlags::empty()] {
            let (here, there) = UnixStream::pair().unwrap();
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let sent = [there.as_fd()];
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&sent)));
            assert_eq!(send_with_ancillary(&here, b"abc", &mut ancillary), Ok(3));
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let (mut buffer, mut descriptors) = ([0; 8], Vec::new());
            let received = receive_with_flags(&there, &mut buffer, &mut ancillary, &mut descriptors, flags);
            assert_eq!((received, descriptors.len()), (Ok(3), 1));
            assert!(rustix::io::fcntl_getfd(&descriptors[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
    }

    #[test]
    fn a_closed_peer_is_an_error_even_where_sigpipe_would_end_the_process() {
        const CHILD: &str = "CRATEDB_TEST_SIGPIPE";
        if std::env::var_os(CHILD).is_none() {
            let name = "host::platform::tests::a_closed_peer_is_an_error_even_where_sigpipe_would_end_the_process";
            let mut child = Command::new(std::env::current_exe().unwrap());
            let output = child.args(["--exact", name]).env(CHILD, "1").stdout(Stdio::piped()).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
            return;
        }
        // SAFETY: sets a disposition in a process that does nothing else.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        assert_eq!(send(&here, b"abc"), Err(rustix::io::Errno::PIPE));
        let mut none = SendAncillaryBuffer::default();
        assert_eq!(send_with_ancillary(&here, b"abc", &mut none), Err(rustix::io::Errno::PIPE));
    }

    #[test]
    fn only_a_listening_unix_socket_makes_a_keeper() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        // Both ways on Linux; on macOS they are the same.
        for listens in [is_unix_listener::<BorrowedFd<'_>>, portable::is_unix_listener::<BorrowedFd<'_>>] {
            assert!(listens(listener.as_fd()));
            for other in [client.as_fd(), accepted.as_fd(), tcp.as_fd(), file.as_fd()] {
                assert!(!listens(other), "{other:?}");
            }
        }
        drop(accepted);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        assert!(!is_unix_listener(client.as_fd()));
    }

    #[test]
    fn both_ends_of_a_socket_are_this_user() {
        let (here, _there) = UnixStream::pair().unwrap();
        assert_eq!(peer_user(&here).unwrap(), rustix::process::getuid().as_raw());
        #[cfg(feature = "container")]
        assert_eq!(peer_process(&here).unwrap(), std::process::id());
    }

    #[test]
    fn the_initial_environment_does_not_change() {
        assert_eq!(initial_environment("PATH"), std::env::var_os("PATH"));
        assert_eq!(initial_environment("CRATEDB_TEST_NOT_SET_ANYWHERE"), None);
    }

    #[test]
    fn this_program_starts_itself_again_also_below_a_loader_that_was_called_by_its_name() {
        const STEP: &str = "CRATEDB_TEST_STARTED";
        const FILE: &str = "CRATEDB_TEST_STARTED_FILE";
        const LOADERS: [&str; 3] =
            ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-x86_64.so.1"];
        let name =
            "host::platform::tests::this_program_starts_itself_again_also_below_a_loader_that_was_called_by_its_name";
        let passes = |command: &mut Command, step: &str| {
            let output = command.args(["--exact", name]).env(STEP, step).output().unwrap();
            assert!(output.status.success(), "{command:?}: {output:?}");
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{command:?}: {output:?}");
        };
        if let Some(step) = std::env::var_os(STEP) {
            assert_eq!(own_file().map(Into::into), std::env::var_os(FILE));
            if step == "first" {
                passes(&mut own_program(), "second");
            }
            return;
        }
        assert_eq!(own_loader(), None);
        let own = std::env::current_exe().unwrap().canonicalize().unwrap();
        passes(Command::new(&own).env(FILE, &own), "first");
        for loader in LOADERS.iter().filter(|loader| Path::new(loader).exists()) {
            passes(Command::new(loader).arg(&own).env(FILE, &own), "first");
            passes(Command::new(loader).args(["--library-path", "/nowhere"]).arg(&own).env(FILE, &own), "first");
        }
    }

    #[test]
    #[cfg(feature = "process")]
    fn a_process_is_found_by_its_program_and_killed_only_if_it_is_the_one() {
        let mut sleeper = Sleeper::start();
        let pid = sleeper.0.id();
        assert!(pids().contains(&pid) && pids().contains(&std::process::id()));
        assert_eq!(program(std::process::id()), std::env::current_exe().unwrap().canonicalize().ok());
        assert!(!kill_if(pid, || false) && sleeper.0.try_wait().unwrap().is_none());
        assert!(kill_if(pid, || true));
        assert!(!sleeper.0.wait().unwrap().success());
    }
}
