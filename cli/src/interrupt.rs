//! Ctrl-C and other signals that interrupt a command.

use crate::failure::Code;

/// Returns whether this process was started to ignore a signal, as `nohup` does. Such a signal does not ask it to end.
#[cfg(unix)]
pub(crate) fn is_ignored(signal: i32) -> bool {
    // SAFETY: every field of this C structure may be zero.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action the call only writes to the structure, which outlives it.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    asked == 0 && now.sa_sigaction == libc::SIG_IGN
}

/// Waits for a signal that asks this process to end.
#[cfg(unix)]
pub(crate) async fn asked_to_end() -> Code {
    use tokio::signal::unix::{SignalKind, signal};

    // Without a handler, the signal ends the process or is ignored, as the system has it.
    let arrives = async |kind: SignalKind| {
        let heard = (!is_ignored(kind.as_raw_value())).then(|| signal(kind).ok()).flatten();
        match heard {
            Some(mut heard) => drop(heard.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = arrives(SignalKind::interrupt()) => Code::Interrupted,
        () = arrives(SignalKind::terminate()) => Code::Terminated,
        () = arrives(SignalKind::hangup()) => Code::Terminated,
    }
}

/// Waits for Ctrl-C, Ctrl-Break or the end of the console.
#[cfg(windows)]
pub(crate) async fn asked_to_end() -> Code {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close};

    // Without a handler, the system ends the process.
    let (Ok(mut interrupt), Ok(mut stop), Ok(mut close)) = (ctrl_c(), ctrl_break(), ctrl_close()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Code::Interrupted,
        _ = stop.recv() => Code::Interrupted,
        _ = close.recv() => Code::Terminated,
    }
}
