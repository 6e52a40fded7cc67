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
//! `#[should_panic]` takes for success.

use rstest::fixture;

use crate::cluster::Cluster;
use crate::cluster::current::RunningTest;
use crate::error::Result;
use crate::session::Session;
use crate::{background, blocking};

/// Returns the cluster of the running test, for async code.
#[fixture]
#[track_caller]
pub fn cluster() -> Cluster {
    match acquire() {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}"),
    }
}

/// Returns the cluster of the running test, for sync code.
#[fixture]
#[track_caller]
pub fn blocking_cluster() -> blocking::Cluster {
    match acquire() {
        Ok(cluster) => cluster.into(),
        Err(error) => panic!("{error}"),
    }
}

/// Returns the cluster of the attribute's attempt, or of another fixture of this test, or of a new attempt.
fn acquire() -> Result<Cluster> {
    let test = RunningTest::of_this_process();
    if let Some(cluster) = test.cluster() {
        return Ok(cluster);
    }
    let name = test.name().to_owned();
    let cluster = background::wait(async move { Session::builder().join_work().await?.cluster_work(&name)?.await })?;
    test.remember(&cluster);
    Ok(cluster)
}
