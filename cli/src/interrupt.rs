//! Ctrl-C and its like while a command waits for something.

use crate::failure::Code;

/// Waits for a signal that asks this process to end.
#[cfg(unix)]
pub(crate) async fn asked_to_end() -> Code {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        // Without handlers the system's own way of ending holds.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => Code::Interrupted,
        _ = terminate.recv() => Code::Terminated,
        _ = hang_up.recv() => Code::Terminated,
    }
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn asked_to_end() -> Code {
    match tokio::signal::ctrl_c().await {
        Ok(()) => Code::Interrupted,
        Err(_) => std::future::pending().await,
    }
}
