//! The signals that ask `test` to end, and who sent them.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Origin;

/// A signal that arrived.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) signal: i32,
    /// The terminal sent it, and so the command in its foreground has it already.
    pub(super) from_terminal: bool,
}

/// Calls `told` for each of them from now on, instead of letting them end this process.
pub(super) fn catch(mut told: impl FnMut(Arrived) + Send + 'static) -> io::Result<()> {
    let mut signals = SignalsInfo::<WithOrigin>::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for Origin { signal, process, .. } in signals.forever() {
            told(Arrived { signal, from_terminal: process.is_none_or(|process| process.pid == 0) });
        }
    })?;
    Ok(())
}
