//! Finds the cluster and the attempts of the code that asks for them.
//!
//! There are three traces to follow, from the surest to the least sure:
//!
//! 1. A thread-local stack, for the test's own thread.
//! 2. The test's name, for code that sees no thread-local of the attribute: a fixture of a test that has no attribute
//!    of this crate, and a thread that stands in for the test's own under its name, as rstest's `#[timeout]` makes it
//!    for sync tests.
//! 3. The Tokio runtime, for a task that an exclusive test spawned: it is polled outside of the test's body.
//!
//! The last one matters while an exclusive test runs: what it asks for itself must not wait for its own end. Where the
//! runtime is unknown too, an error beats a wait that can't end.
//!
//! A process may have several clusters, each with attempts of its own numbering. An exclusive test excludes the others
//! on its own cluster only: what it asks for on another one waits there like the request of any other test.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};

use tokio::runtime::{self, Handle};

use super::{Cluster, Parts};
use crate::wire::AttemptId;

thread_local!(static STACK: RefCell<Vec<Cluster>> = const { RefCell::new(Vec::new()) });

/// Clusters by the test that has them. The handles are weak, so that a cluster ends with the last handle of its test.
static BY_TEST: Mutex<Option<HashMap<RunningTest, Weak<Parts>>>> = Mutex::new(None);

/// The runtimes in which exclusive attempts run.
static RUNTIMES: Mutex<Vec<(runtime::Id, LinkedAttempt)>> = Mutex::new(Vec::new());

/// Tells apart the connections of this process to keepers, one for each cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkNumber(u64);

impl LinkNumber {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// An attempt of this process, on the cluster of one of its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkedAttempt {
    pub(crate) link: LinkNumber,
    pub(crate) id: AttemptId,
    /// It is alone on the cluster.
    pub(crate) exclusive: bool,
}

impl LinkedAttempt {
    /// Forgets the runtime of an exclusive attempt that has ended.
    pub(crate) fn forget_runtime(self) {
        if self.exclusive {
            lock(&RUNTIMES).retain(|(_, known)| *known != self);
        }
    }
}

/// Makes the cluster of an attempt the current one of this thread until the guard is dropped.
pub(crate) fn enter(cluster: &Cluster) -> impl Drop + use<> {
    struct Entered;
    impl Drop for Entered {
        fn drop(&mut self) {
            STACK.with_borrow_mut(|stack| stack.pop());
        }
    }
    if let Some(attempt) = cluster.grant().attempt.filter(|attempt| attempt.exclusive)
        && let Ok(handle) = Handle::try_current()
    {
        let mut runtimes = lock(&RUNTIMES);
        if !runtimes.iter().any(|(_, known)| *known == attempt) {
            runtimes.push((handle.id(), attempt));
        }
    }
    STACK.with_borrow_mut(|stack| stack.push(cluster.clone()));
    Entered
}

/// Returns the attempts in which this thread is, the innermost first. There is more than one where a test calls another
/// annotated function; each may be on a cluster of its own.
pub(crate) fn attempts_of_this_thread() -> Vec<LinkedAttempt> {
    STACK.with_borrow(|stack| stack.iter().rev().filter_map(|cluster| cluster.grant().attempt).collect())
}

/// As much as can be known of the test that runs here.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum RunningTest {
    /// libtest gives this name to the test's thread, and nextest to the whole process.
    Named(String),
    /// Another harness runs it, or a thread that the test started asks.
    Unknown(ThreadId),
}

impl RunningTest {
    /// Returns the test of this process under nextest, else that of this thread.
    pub(crate) fn of_this_process() -> Self {
        std::env::var("NEXTEST_TEST_NAME").map_or_else(|_| Self::of_this_thread(), Self::Named)
    }

    /// Returns the test that the thread's name tells, which is the same under every runner.
    pub(crate) fn of_this_thread() -> Self {
        let thread = thread::current();
        let name = thread.name().filter(|name| *name != "main");
        name.map_or_else(|| Self::Unknown(thread.id()), |name| Self::Named(name.to_owned()))
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the cluster that this thread has entered, else the one that was remembered for this test and is not
    /// over.
    pub(crate) fn cluster(&self) -> Option<Cluster> {
        let entered = STACK.with_borrow(|stack| stack.last().cloned());
        entered.or_else(|| {
            let cluster = lock(&BY_TEST).as_ref()?.get(self)?.upgrade().map(Cluster)?;
            (!cluster.grant().over.load(Ordering::Acquire)).then_some(cluster)
        })
    }

    /// Notes the cluster that the test has.
    pub(crate) fn remember(self, cluster: &Cluster) {
        let mut clusters = lock(&BY_TEST);
        let clusters = clusters.get_or_insert_default();
        clusters.retain(|_, cluster| cluster.strong_count() > 0);
        clusters.insert(self, Arc::downgrade(&cluster.0));
    }
}

/// The place of the calling thread among tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// In these attempts, of which each is a part of the next.
    Inside(Vec<LinkedAttempt>),
    /// In a process that runs one test.
    OneTest,
    /// On a thread that belongs to a test, but it is unknown to which; the thread's name.
    Stray(String),
    /// On the thread of a test without a cluster, or on any other named one.
    Elsewhere,
}

impl Whereabouts {
    /// Returns those of the calling thread.
    pub(crate) fn look() -> Self {
        let mut within = attempts_of_this_thread();
        if within.is_empty() {
            within.extend(Cluster::current().and_then(|cluster| cluster.grant().attempt));
        }
        if within.is_empty() {
            within = attempts_of_this_runtime();
        }
        if !within.is_empty() {
            return Self::Inside(within);
        }
        if runs_one_test() {
            return Self::OneTest;
        }
        match thread::current().name() {
            None => Self::Stray("without a name".to_owned()),
            Some(name) if name.starts_with("tokio-") => Self::Stray(format!("`{name}`")),
            Some(_) => Self::Elsewhere,
        }
    }
}

fn attempts_of_this_runtime() -> Vec<LinkedAttempt> {
    let Ok(handle) = Handle::try_current() else { return Vec::new() };
    let id = handle.id();
    lock(&RUNTIMES).iter().rev().filter(|(runtime, _)| *runtime == id).map(|(_, attempt)| *attempt).collect()
}

/// nextest names the test in the environment and in the arguments; what a test starts inherits only the former.
fn runs_one_test() -> bool {
    let named = std::env::var_os("NEXTEST_TEST_NAME");
    named.is_some_and(|name| std::env::args_os().any(|argument| argument == name))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{Cluster, RunningTest, enter};
    use crate::cluster::tests::{cluster, counting};
    use crate::sql::test_server::TestServer;

    fn seen_in(thread: thread::Builder) -> String {
        thread.spawn(|| RunningTest::of_this_process().name().to_owned()).unwrap().join().unwrap()
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
    fn a_thread_that_bears_the_tests_name_has_its_cluster_and_no_other_thread_has() {
        let server = TestServer::start(counting);
        let cluster = cluster(&server);
        let _entered = enter(&cluster);
        RunningTest::Named("tables::current".into()).remember(&cluster);
        let current = || Cluster::current().map(|found| found.schema().to_owned());
        assert_eq!(current().as_deref(), Some(cluster.schema()));
        assert_eq!(thread::spawn(current).join().unwrap(), None);
        for (name, found) in [("tables::current", Some(cluster.schema())), ("tokio-runtime-worker", None)] {
            let other = thread::Builder::new().name(name.into()).spawn(current).unwrap();
            assert_eq!(other.join().unwrap().as_deref(), found, "{name}");
        }
    }

    #[test]
    fn threads_without_a_name_are_told_apart() {
        let one = thread::spawn(RunningTest::of_this_thread).join().unwrap();
        let other = thread::spawn(RunningTest::of_this_thread).join().unwrap();
        assert!(one != other && one == one.clone());
    }
}
