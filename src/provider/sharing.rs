//! The part of a keeper in a cluster that keepers of other machines use, too.

use std::sync::Arc;

use super::turns::{CutOff, Turns};

/// News of a shared cluster, which come unasked.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// A line for people.
    Line(String),
    /// The tests that may begin, if they changed. Each of these news has a number of its own.
    Turns { turns: Turns, number: u64 },
    /// Whether no other keeper was seen, for the journal.
    Alone(bool),
    /// The cluster went away. Nothing is held any more.
    Cut(CutOff),
}

/// A keeper, as other keepers see it, and the way in which it hears news.
#[derive(Clone)]
pub(crate) struct Member {
    /// Tells it from every other keeper. A successor that continues its journal has the same id.
    pub(crate) id: String,
    /// Whom it works for, for people on other machines.
    pub(crate) session: String,
    pub(crate) hear: Arc<dyn Fn(News) + Send + Sync>,
}

impl Member {
    /// Returns a keeper that is of no interest to anybody, for one look or one release.
    pub(crate) fn nobody() -> Self {
        Self { id: new_id(), session: String::new(), hear: Arc::new(|_| {}) }
    }
}

/// Makes an id that no other keeper has.
pub(crate) fn new_id() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    // Its keys come from the system, so that copies of one machine differ.
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
