//! The processes of `test`: signals that this one gets, and the child that runs the command.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::interrupt::is_ignored;

/// Exit codes as shells have them.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;
const SIGNALLED: i32 = 128;

/// A signal that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) signal: i32,
    /// The terminal sent it, and so to the command too, which runs in its foreground.
    pub(super) from_terminal: bool,
}

/// Calls `told` for each signal that asks this process to end, instead of letting it end. Signals that this process was
/// started to ignore stay ignored, by the command too.
pub(super) fn catch(mut told: impl FnMut(Arrived) + Send + 'static) -> io::Result<()> {
    let heeded = [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals = SignalsInfo::<WithOrigin>::new(heeded)?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for origin in signals.forever() {
            told(Arrived { signal: origin.signal, from_terminal: is_from_terminal(&origin) });
        }
    })?;
    Ok(())
}

/// Returns whether a terminal sent a signal to all processes in its foreground. Keys do that, whereas a hang-up is sent
/// to the leader of the session alone.
fn is_from_terminal(origin: &Origin) -> bool {
    // Linux names the kernel as the cause. A missing process proves nothing there: a sender outside this process's
    // container has none either. Other systems name no cause, and have no such containers.
    let from_kernel = match cfg!(target_os = "linux") {
        true => origin.cause == Cause::Kernel,
        false => origin.process.is_none_or(|process| process.pid == 0),
    };
    from_kernel && matches!(origin.signal, SIGINT | SIGQUIT)
}

/// Starts the command in the foreground of this terminal. With `aside`, its stdout goes to stderr.
pub(super) fn start(command: &[OsString], environment: Vec<(String, String)>, aside: bool) -> io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program);
    child.args(arguments).envs(environment);
    if aside {
        child.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?));
    }
    child.spawn()
}

/// Passes a signal on to the command.
pub(super) fn signal(child: u32, signal: i32) {
    let pid = i32::try_from(child).ok().and_then(Pid::from_raw);
    // It may be gone already.
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(signal)) {
        let _ = kill_process(pid, signal);
    }
}

/// Returns the exit code for a command that ended.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNALLED + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// Returns the exit code for a command that did not start.
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
