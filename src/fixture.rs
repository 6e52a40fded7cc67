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
//! Both fixtures are sync functions, for async and for sync tests: no `#[future]`, no `#[awt]`. All fixtures of one test
//! get the same schema. Never give a cluster to an `#[once]` fixture: the second test would be refused with the words
//! that the first one is over.
//!
//! # With and without our attribute
//!
//! With `#[cratedb_test::test]` below `#[rstest]` the fixture hands out the cluster of the running test, and the harness
//! knows how the test ended. Without it the fixture begins an attempt of its own, which ends when the last handle goes.
//! Then an `Err` that the test returns looks like success (its schema is dropped in spite of
//! `CRATEDB_TEST_KEEP_SCHEMA=on-failure`), `exclusive` can't be asked for, and a cluster that can't be had is a panic,
//! which `#[should_panic]` takes for success.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use rstest::fixture;

use crate::cluster::{Cluster, WeakCluster};
use crate::error::Result;
use crate::session::{self, Session};
use crate::{background, blocking};

/// The cluster of the running test, for async code.
#[fixture]
#[track_caller]
pub fn cluster() -> Cluster {
    match acquire() {
        Ok(cluster) => cluster,
        Err(error) => panic!("{error}"),
    }
}

/// The cluster of the running test, for sync code.
#[fixture]
#[track_caller]
pub fn blocking_cluster() -> blocking::Cluster {
    match acquire() {
        Ok(cluster) => cluster.into(),
        Err(error) => panic!("{error}"),
    }
}

/// The cluster of the attribute's attempt, or of another fixture of this test, or of an attempt of our own.
fn acquire() -> Result<Cluster> {
    if let Some(cluster) = session::current_cluster() {
        return Ok(cluster);
    }
    let test = RunningTest::look();
    if let Some(cluster) = test.cluster() {
        return Ok(cluster);
    }
    let name = test.name().to_owned();
    let cluster = background::wait(async move { Session::current().await?.cluster(&name).await })?;
    test.remember(&cluster);
    Ok(cluster)
}

/// Clusters that fixtures made, for the other fixtures of the same test.
static MADE: Mutex<Option<HashMap<RunningTest, WeakCluster>>> = Mutex::new(None);

/// As much as can be known about the test in which a fixture is made.
#[derive(Clone, PartialEq, Eq, Hash)]
enum RunningTest {
    /// nextest says it, and libtest names its threads so.
    Named(String),
    /// Another harness, or a thread that the test started.
    Unknown(ThreadId),
}

impl RunningTest {
    fn look() -> Self {
        let thread = thread::current();
        let of_thread = || thread.name().filter(|name| *name != "main").map(str::to_owned);
        let name = std::env::var("NEXTEST_TEST_NAME").ok().or_else(of_thread);
        name.map_or_else(|| Self::Unknown(thread.id()), Self::Named)
    }

    fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Unknown(_) => "unknown",
        }
    }

    fn cluster(&self) -> Option<Cluster> {
        let made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        made.as_ref()?.get(self)?.upgrade()
    }

    fn remember(&self, cluster: &Cluster) {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.get_or_insert_default();
        made.retain(|_, cluster| cluster.is_alive());
        made.insert(self.clone(), cluster.downgrade());
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::RunningTest;

    fn seen_in(thread: thread::Builder) -> String {
        thread.spawn(|| RunningTest::look().name().to_owned()).unwrap().join().unwrap()
    }

    #[test]
    fn a_test_is_known_by_its_thread_or_by_nextest() {
        let named = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| "tables::inserts".into());
        assert_eq!(seen_in(thread::Builder::new().name("tables::inserts".into())), named);
    }

    #[test]
    fn a_thread_without_a_name_tells_nothing() {
        let named = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| "unknown".into());
        assert_eq!(seen_in(thread::Builder::new()), named);
        assert_eq!(seen_in(thread::Builder::new().name("main".into())), named);
    }
}
