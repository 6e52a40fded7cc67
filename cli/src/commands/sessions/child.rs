//! The command of `test`: its signals, its end, and its exit code.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// As shells have it.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;
const SIGNALLED: i32 = 128;

/// Starts the command in the foreground of this terminal. With `aside`, what it writes to stdout goes to stderr.
pub(super) fn start(command: &[OsString], environment: Vec<(String, String)>, aside: bool) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program);
    child.args(arguments).envs(environment);
    if aside {
        child.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?));
    }
    child.spawn()
}

/// Passes a signal on.
pub(super) fn signal(child: u32, signal: i32) {
    let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
    // It may be gone already.
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
        let _ = kill_process(pid, signal);
    }
}

/// The exit code that tells how a command ended.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The exit code that tells why a command did not start.
pub(super) fn not_started(error: &io::Error) -> u8 {
    if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_shells() {
        assert_eq!(code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
        assert_eq!(not_started(&io::ErrorKind::NotFound.into()), 127);
        assert_eq!(not_started(&io::ErrorKind::PermissionDenied.into()), 126);
    }
}
