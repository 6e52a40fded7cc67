//! The support code of the integration tests that benchmarks use: runs, the simulator and the process table.

#![allow(dead_code)] // the integration tests and the benchmarks each need only a part

#[path = "../../tests/support/cloud.rs"]
pub mod cloud;
#[path = "../../tests/support/consumer.rs"]
pub mod consumer;
#[path = "../../tests/support/engine.rs"]
pub mod engine;
#[path = "../../src/host/executable.rs"]
pub(crate) mod executable;
#[path = "../../tests/support/home.rs"]
pub mod home;
#[path = "../../tests/support/processes.rs"]
pub mod processes;
#[path = "../../tests/support/run.rs"]
pub mod run;
#[path = "../../tests/support/server.rs"]
pub mod server;
#[path = "../../src/provider/container/standin.rs"]
pub mod standin;

use std::time::{Duration, Instant};

/// The limit of every wait.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for a condition. Panics with the last value that `look` returned if the wait takes too long.
#[track_caller]
pub fn wait_for<T: std::fmt::Debug>(what: &str, look: impl FnMut() -> Result<(), T>) {
    wait_within(DEADLINE, what, look);
}

#[track_caller]
pub fn wait_within<T: std::fmt::Debug>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<(), T>) {
    let began = Instant::now();
    while let Err(seen) = look() {
        assert!(began.elapsed() < limit, "waited {limit:?} for {what}; saw {seen:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Says why something is not measured.
pub fn skip(_needs: &str, why: &str) {
    eprintln!("skipped: {why}");
}
