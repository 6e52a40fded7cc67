//! `serve`: a simulator until a signal.

use std::io::Write;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{FAILURE, complain, runtime};
use crate::options::Options;
use crate::simulator::Simulator;

pub(super) fn serve(options: Options) -> ExitCode {
    match runtime().and_then(|runtime| runtime.block_on(until_told(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(FAILURE)
        }
    }
}

async fn until_told(options: Options) -> std::io::Result<()> {
    // Before the first line is printed: its reader may send a signal at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let simulator = Simulator::start_forgetful(options)?;
    announce(&simulator);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Prints the addresses. A reader may close the pipe after the first line; that is ignored.
fn announce(simulator: &Simulator) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "listening on {}", simulator.url());
    for cluster in simulator.cloud().clusters() {
        let state = if cluster.suspended { "suspended" } else { "running" };
        let _ = writeln!(out, "cluster {} `{}` {state}: {}", cluster.id, cluster.name, cluster.url);
    }
}
