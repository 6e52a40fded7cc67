//! What every test here needs: the programs, a simulator to point them at, and what the two said to each other.

pub(crate) mod cloud;
pub(crate) mod program;
pub(crate) mod python;
pub(crate) mod web;

use std::time::Duration;

/// Long enough for a loaded machine; nothing here waits for it unless something is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Says why a test does nothing here; a failure where `CRATEDB_TEST_REQUIRE` names what is missing.
pub(crate) fn skip(needs: &str, why: &str) {
    use std::io::Write as _;
    let required = std::env::var("CRATEDB_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == needs), "CRATEDB_TEST_REQUIRE names {needs}, but {why}");
    // The harness captures only the print macros.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
