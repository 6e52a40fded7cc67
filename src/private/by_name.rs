//! Which cluster belongs to which running test, where only the test's name is there to tell.
//!
//! Two places see no thread-local of the attribute: a fixture of a test that has no attribute of ours, and a thread that
//! stands in for the test's own under its name, as rstest's `#[timeout]` makes it for sync tests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use crate::cluster::{Cluster, WeakCluster};

/// Only weak handles, so that a cluster ends with the last handle of the test.
static CLUSTERS: Mutex<Option<HashMap<RunningTest, WeakCluster>>> = Mutex::new(None);

/// As much as can be known of the test that runs here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum RunningTest {
    /// libtest names the test's thread so, and nextest says it to the whole process.
    Named(String),
    /// Another harness, or a thread that the test started.
    Unknown(ThreadId),
}

impl RunningTest {
    /// The test of this process under nextest, else that of this thread.
    pub(crate) fn look() -> Self {
        std::env::var("NEXTEST_TEST_NAME").map_or_else(|_| Self::of_this_thread(), Self::Named)
    }

    /// What the thread's name says, which is the same under every runner.
    pub(crate) fn of_this_thread() -> Self {
        let thread = thread::current();
        let name = thread.name().filter(|name| *name != "main");
        name.map_or_else(|| Self::Unknown(thread.id()), |name| Self::Named(name.to_owned()))
    }

    /// The test's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Unknown(_) => "unknown",
        }
    }

    /// The cluster that the test has, if it is known and the test is not over.
    pub(crate) fn cluster(&self) -> Option<Cluster> {
        let clusters = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = clusters.as_ref()?.get(self)?.upgrade();
        drop(clusters);
        cluster.filter(|cluster| !cluster.is_over())
    }

    /// Notes the cluster that the test has.
    pub(crate) fn remember(self, cluster: &Cluster) {
        let mut clusters = CLUSTERS.lock().unwrap_or_else(PoisonError::into_inner);
        let clusters = clusters.get_or_insert_default();
        clusters.retain(|_, cluster| cluster.is_alive());
        clusters.insert(self, cluster.downgrade());
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
    fn a_test_is_known_by_nextest_or_by_its_thread() {
        let named = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| "tables::inserts".into());
        assert_eq!(seen_in(thread::Builder::new().name("tables::inserts".into())), named);
    }

    #[test]
    fn a_thread_without_a_name_tells_nothing() {
        let named = std::env::var("NEXTEST_TEST_NAME").unwrap_or_else(|_| "unknown".into());
        assert_eq!(seen_in(thread::Builder::new()), named);
        assert_eq!(seen_in(thread::Builder::new().name("main".into())), named);
    }

    #[test]
    fn threads_without_a_name_are_told_apart() {
        let one = thread::spawn(RunningTest::of_this_thread).join().unwrap();
        let other = thread::spawn(RunningTest::of_this_thread).join().unwrap();
        assert!(one != other && one == one.clone());
    }
}
