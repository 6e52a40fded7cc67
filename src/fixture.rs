//! The rstest fixtures: a cluster for a test whose only attribute is `#[rstest]`, or for another fixture.
//!
//! ```no_run
//! use cratedb_test::fixture::cluster;
//! use cratedb_test::{Cluster, Result};
//! use rstest::rstest;
//!
//! #[rstest]
//! #[case("a", 1)]
//! #[case("b", 2)]
//! #[cratedb_test::test]
//! async fn finds_what_was_stored(cluster: Cluster, #[case] key: &str, #[case] value: i32) -> Result<()> {
//!     cluster.execute("CREATE TABLE pairs (key TEXT, value INT)").await?;
//!     cluster.query("INSERT INTO pairs VALUES (?, ?)").bind(key).bind(value).execute().await?;
//!     cluster.refresh().await?;
//!     assert_eq!(cluster.query("SELECT value FROM pairs").scalar::<i32>().await?, value);
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! Both fixtures are sync functions, for async and for sync tests: no `#[future]`, no `#[awt]`. All fixtures of one
//! test get the same schema. Never give a cluster to an `#[once]` fixture: the second test would get the error that the
//! first one is over.
//!
//! # With and without this crate's attribute
//!
//! With `#[cratedb_test::test]` below `#[rstest]` the fixture hands out the cluster of the running test, and the
//! harness knows how the test ended. Without it the fixture begins an attempt of its own, which ends when the last
//! handle goes. Then an `Err` that the test returns looks like success: its schema is dropped in spite of
//! `CRATEDB_TEST_KEEP_SCHEMA=on-failure`. `exclusive` can't be asked for. A cluster that can't be had is a panic, which
//! `#[should_panic]` takes for success. So the process fails at its end, whatever became of the test.

use std::collections::BTreeSet;
use std::sync::{Mutex, Once, PoisonError};

use rstest::fixture;

use crate::background::{self, guarded};
use crate::blocking;
use crate::cluster::Cluster;
use crate::cluster::current::RunningTest;
use crate::error::Result;
use crate::host::say;
use crate::session::Session;

/// Returns the cluster of the running test, for async code.
#[fixture]
#[track_caller]
pub fn cluster() -> Cluster {
    acquired()
}

/// Returns the cluster of the running test, for sync code.
#[fixture]
#[track_caller]
pub fn blocking_cluster() -> blocking::Cluster {
    acquired().into()
}

/// The tests that had no cluster the last time they asked.
static NOT_RUN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Returns the cluster or panics, which is the only way in which a fixture can fail.
#[track_caller]
fn acquired() -> Cluster {
    let test = RunningTest::of_this_process();
    let name = test.name().to_owned();
    let not_run = || NOT_RUN.lock().unwrap_or_else(PoisonError::into_inner);
    match guarded(|| acquire(test)) {
        Ok(cluster) => {
            not_run().remove(&name);
            cluster
        }
        Err(error) => {
            static LAST: Once = Once::new();
            // SAFETY: the function may run at any exit: it needs nothing that could be gone by then.
            LAST.call_once(|| unsafe {
                libc::atexit(fail_if_not_run);
            });
            not_run().insert(name);
            panic!("{error}")
        }
    }
}

/// Makes the process fail at its end if a test was not run: `#[should_panic]` may have taken that for success.
extern "C" fn fail_if_not_run() {
    /// The exit code of a test runner of Rust whose tests failed.
    const FAILED: libc::c_int = 101;
    let names = NOT_RUN.lock().unwrap_or_else(PoisonError::into_inner);
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        say(&format!("not run for want of a cluster: {}", names.join(", ")));
        // SAFETY: ends the process. Calling `exit` a second time would not be allowed.
        unsafe { libc::_exit(FAILED) }
    }
}

/// Returns the cluster of the attribute's attempt, or of another fixture of this test, or of a new attempt.
fn acquire(test: RunningTest) -> Result<Cluster> {
    if let Some(cluster) = test.cluster() {
        return Ok(cluster);
    }
    let name = test.name().to_owned();
    let cluster = background::wait(async move { Session::builder().join_work().await?.cluster_work(&name)?.await })?;
    test.remember(&cluster);
    Ok(cluster)
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::process::Command;

    #[test]
    fn a_test_that_swallows_the_panic_does_not_make_its_process_pass() {
        const CHILD: &str = "CRATEDB_TEST_SWALLOWS";
        let name = "fixture::tests::a_test_that_swallows_the_panic_does_not_make_its_process_pass";
        if let Some(which) = std::env::var_os(CHILD) {
            // As `#[should_panic]` does.
            match which.to_str() {
                Some("blocking") => assert!(catch_unwind(super::blocking_cluster).is_err()),
                _ => assert!(catch_unwind(super::cluster).is_err()),
            }
            return;
        }
        for which in ["async", "blocking"] {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", name]).env(CHILD, which).env("CRATEDB_TEST_PROVIDER", "nonsense");
            let output = child.output().unwrap();
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(stdout.contains("1 passed"), "{stdout}{stderr}");
            assert_eq!(output.status.code(), Some(101), "{stdout}{stderr}");
            assert!(stderr.contains(&format!("not run for want of a cluster: `{name}`")), "{stderr}");
        }
    }
}
