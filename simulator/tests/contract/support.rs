//! Support for these tests: the programs, a simulator for them, and the requests between the two.

pub(crate) mod cloud;
pub(crate) mod program;
pub(crate) mod python;
pub(crate) mod web;

use std::time::Duration;

/// Long enough for a loaded machine. Tests wait this long only if something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// Prints the reason why a test does nothing. Fails if `CRATEDB_TEST_REQUIRE` names the missing part.
pub(crate) fn skip(needs: &str, why: &str) {
    use std::io::Write as _;
    let required = std::env::var("CRATEDB_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == needs), "CRATEDB_TEST_REQUIRE names {needs}, but {why}");
    // The harness captures only the print macros.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
