//! A cluster that several keepers use, seen from one of them: who it is for the others, and the news that it hears.

use std::sync::Arc;

/// The tests that may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Turns {
    None,
    Shared,
    /// No other keeper runs tests: an exclusive one may begin.
    Alone,
}

/// The way in which a cluster went away under the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum CutOff {
    /// The cluster was suspended from outside.
    Suspended,
    /// This keeper was stopped for so long that others have, or may have, suspended the cluster meanwhile.
    Expired,
}

/// News of a shared cluster, which come unasked.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "harness"), allow(dead_code))]
pub(crate) enum News {
    /// A line for people.
    Line(String),
    /// The tests that may begin, if they changed. Each of these news has a number of its own, and that of the last wish
    /// to be alone, or not any more, that it heeds.
    Turns { turns: Turns, number: u64, wish: u64 },
    /// Tells the journal that another keeper was seen (false), or that none is left (true).
    Alone(bool),
    /// The cluster went away, since this time if the service tells it. Nothing is held any more.
    Cut(CutOff, Option<String>),
}

/// A keeper or a program, as others see it, and the way in which it hears news.
#[derive(Clone)]
pub(crate) struct Member {
    /// Tells it from every other one. A successor that continues its journal has the same id.
    pub(crate) id: String,
    /// Its work, for people on other machines.
    pub(crate) session: String,
    pub(crate) hear: Arc<dyn Fn(News) + Send + Sync>,
}

impl Member {
    /// Returns a member with a new id that hears nothing.
    pub(crate) fn silent(session: &str) -> Self {
        Self { id: new_id(), session: session.to_owned(), hear: Arc::new(|_| {}) }
    }
}

/// Makes an id that no other member has.
pub(crate) fn new_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // Its keys come from the system, so that copies of one machine differ.
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
