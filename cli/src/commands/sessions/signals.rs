//! The signals that ask `test` to end, and who sent them.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::interrupt::is_ignored;

/// A signal that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) signal: i32,
    /// The terminal sent it, and so the command in its foreground has it already.
    pub(super) from_terminal: bool,
}

/// Calls `told` for each of them from now on, instead of letting them end this process. Those that this process was
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

/// Whether a terminal sent it to all processes in its foreground: keys do, whereas a hang-up is told to the leader of
/// the session alone.
fn is_from_terminal(origin: &Origin) -> bool {
    // Linux names the kernel as the cause. That no process is named is no sign there: neither is one outside the
    // container of this process. Other systems name no cause, and have no such containers.
    let from_kernel = match cfg!(target_os = "linux") {
        true => origin.cause == Cause::Kernel,
        false => origin.process.is_none_or(|process| process.pid == 0),
    };
    from_kernel && matches!(origin.signal, SIGINT | SIGQUIT)
}
