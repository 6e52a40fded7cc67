//! The simulator's clock: the real one, or ahead of it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::state::Micros;

/// The clock goes no further ahead: a hundred years.
const FURTHEST: Micros = 100 * 366 * 86_400_000_000;

/// Returns the time of the real clock.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

#[derive(Debug)]
pub(crate) struct Clock {
    /// The lead over the real clock.
    ahead: AtomicI64,
}

impl Clock {
    pub(crate) fn new(ahead: Micros) -> Self {
        Self { ahead: AtomicI64::new(ahead) }
    }

    pub(crate) fn now(&self) -> Micros {
        now() + self.ahead()
    }

    pub(crate) fn ahead(&self) -> Micros {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Jumps ahead, a hundred years in all at most.
    pub(crate) fn advance(&self, by: Duration) {
        let add =
            |ahead: Micros| ahead.saturating_add(Micros::try_from(by.as_micros()).unwrap_or(Micros::MAX)).min(FURTHEST);
        let _ = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| Some(add(ahead)));
    }
}
