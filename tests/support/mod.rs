//! The shared parts of these tests: consumer projects, runners, a simulated Cloud, and conditions with deadlines.

pub mod cloud;
pub mod consumer;
pub mod engine;
#[path = "../../src/host/executable.rs"]
pub(crate) mod executable;
pub mod home;
pub mod mirror;
pub mod processes;
pub mod run;
pub mod server;
// The provider's own tests use the same image.
#[path = "../../src/provider/container/standin.rs"]
pub mod standin;

use std::time::{Duration, Instant};

/// Anything that takes longer is broken, even with both cores busy and while another project is built: cargo lets only
/// one build at a time use its directory.
pub const DEADLINE: Duration = Duration::from_secs(240);

/// Waits for a condition; panics with what was there instead.
#[track_caller]
pub fn wait_for<T: std::fmt::Debug>(what: &str, look: impl FnMut() -> Result<(), T>) {
    wait_within(DEADLINE, what, look);
}

#[track_caller]
pub fn wait_within<T: std::fmt::Debug>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<(), T>) {
    let began = Instant::now();
    loop {
        match look() {
            Ok(()) => return,
            Err(seen) if began.elapsed() > limit => panic!("waited {limit:?} for {what}; saw {seen:?}"),
            Err(_) => std::thread::park_timeout(Duration::from_millis(5)),
        }
    }
}

/// Says why a test does nothing here; a failure where `CRATEDB_TEST_REQUIRE` names what is missing.
pub fn skip(needs: &str, why: &str) {
    use std::io::Write as _;
    let required = std::env::var("CRATEDB_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == needs), "CRATEDB_TEST_REQUIRE names {needs}, but {why}");
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
