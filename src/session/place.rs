//! Where somebody stands who asks for one more cluster: inside a test that has one, or not.
//!
//! It matters while an exclusive test runs: what it asks for itself must not wait for its own end. A thread-local tells
//! for the test's own thread. For the others there is the runtime to which they belong, and where that is unknown too, an
//! error beats a wait that can't end.
//!
//! A process may have several clusters, each with attempts that it numbers itself. An exclusive test excludes the others on
//! its own cluster only: what it asks for on another one waits there like everybody's.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::{self, Handle};

use super::link::{Link, LinkNumber};
use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result};
use crate::wire::AttemptId;

/// The runtimes in which exclusive attempts run.
static RUNTIMES: Mutex<Vec<(runtime::Id, Within)>> = Mutex::new(Vec::new());

/// An attempt of this process, on the cluster of one of its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Within {
    pub(crate) link: LinkNumber,
    pub(crate) attempt: AttemptId,
}

/// Where the calling thread stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In these attempts, of which each is a part of the next.
    Inside(Vec<Within>),
    /// In a process that runs one test.
    OneTest,
    /// On a thread that no test has, of which test is unknown; its name.
    Stray(String),
    /// On the thread of some test, or anywhere else.
    Elsewhere,
}

impl Place {
    /// Of the calling thread: also in a task that the test spawned, which is polled outside of the test's body.
    pub(crate) fn look() -> Self {
        let mut within = super::current_attempts();
        // On a thread that stands in for a test's own.
        if within.is_empty() {
            within.extend(Cluster::current().and_then(|cluster| cluster.grant().attempt));
        }
        if within.is_empty() {
            within = of_runtime();
        }
        if !within.is_empty() {
            return Self::Inside(within);
        }
        if runs_one_test() {
            return Self::OneTest;
        }
        match std::thread::current().name() {
            None => Self::Stray("without a name".to_owned()),
            Some(name) if name.starts_with("tokio-") => Self::Stray(format!("`{name}`")),
            Some(_) => Self::Elsewhere,
        }
    }

    /// The attempt of which one that begins here is a part.
    ///
    /// # Errors
    ///
    /// When it would wait for the test that asks for it.
    pub(super) fn parent(self, link: &Link, name: &str) -> Result<Option<AttemptId>> {
        let thread = match self {
            Self::Inside(within) => return Ok(parent_of(&within, link)),
            Self::OneTest => return Ok(link.exclusive().map(|open| open.id)),
            Self::Elsewhere => return Ok(None),
            Self::Stray(thread) => thread,
        };
        let Some(open) = link.exclusive() else { return Ok(None) };
        Err(Error::new(Kind::Usage, format!("cannot make the cluster `{name}` in a thread {thread}"))
            .because(format!("the exclusive test `{}` of this process has the cluster, and this may be a part of it that would wait for itself", open.test))
            .hint("ask for the cluster in the test's own thread or in a task of its runtime, and hand it to the other threads"))
    }
}

/// The innermost attempt on the cluster of `link`: the number of one on another cluster means nothing here.
pub(super) fn parent_of(within: &[Within], link: &Link) -> Option<AttemptId> {
    within.iter().find(|within| within.link == link.number()).map(|within| within.attempt)
}

/// nextest names the test in the environment and in the arguments; what a test starts inherits only the former.
fn runs_one_test() -> bool {
    let named = std::env::var_os("NEXTEST_TEST_NAME");
    named.is_some_and(|name| std::env::args_os().any(|argument| argument == name))
}

fn of_runtime() -> Vec<Within> {
    let Ok(handle) = Handle::try_current() else { return Vec::new() };
    let id = handle.id();
    runtimes().iter().rev().filter(|(runtime, _)| *runtime == id).map(|(_, within)| *within).collect()
}

/// Notes that an exclusive attempt runs in the runtime of this thread, if there is one.
pub(super) fn remember_runtime(attempt: Within) {
    let Ok(handle) = Handle::try_current() else { return };
    let mut runtimes = runtimes();
    if !runtimes.iter().any(|(_, known)| *known == attempt) {
        runtimes.push((handle.id(), attempt));
    }
}

pub(super) fn forget_runtime(attempt: Within) {
    runtimes().retain(|(_, known)| *known != attempt);
}

fn runtimes() -> std::sync::MutexGuard<'static, Vec<(runtime::Id, Within)>> {
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner)
}
