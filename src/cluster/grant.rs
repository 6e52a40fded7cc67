//! What the session granted to one attempt.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Trace;
use super::current::LinkedAttempt;
use crate::error::{Error, Kind, Result};
use crate::sql::Wallet;
use crate::version::Version;

/// Made by the session, read by the cluster.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) http_url: String,
    /// An error where there is no way in for the PostgreSQL protocol; it says what to do.
    pub(crate) pg_url: Result<String>,
    pub(crate) wallet: Wallet,
    pub(crate) version: Version,
    pub(crate) schema: String,
    /// The test's name, for errors.
    pub(crate) test: String,
    /// Whether SQL was sent or an address handed out: then there may be something to drop.
    pub(crate) used: Arc<AtomicBool>,
    /// Whether the test ended.
    pub(crate) over: Arc<AtomicBool>,
    /// What it sent.
    pub(crate) trace: Arc<Trace>,
    /// Which attempt it is; none in tests of the handle alone.
    pub(crate) attempt: Option<LinkedAttempt>,
    /// Runs when the last handle goes.
    pub(crate) on_drop: OnDrop,
}

impl Grant {
    /// Notes that something is sent or handed out; an error if the test is over.
    pub(crate) fn note_use(&self) -> Result<()> {
        if self.over.load(Ordering::Acquire) {
            return Err(Error::new(Kind::Usage, format!("the test `{}` is over and its schema is gone", self.test))
                .hint("a cluster belongs to the test that it was given to: don't keep one in a static or a `#[once]` fixture"));
        }
        self.used.store(true, Ordering::Release);
        Ok(())
    }
}

impl Grant {
    /// Says what a statement will not do, once per test.
    pub(crate) fn warn_of(&self, stmt: &str) {
        if let Some(text) = self.trace.warning(stmt) {
            crate::host::say(&format!("`{}`: {text}", self.test));
        }
    }
}

/// Something to do at the end.
#[derive(Default)]
pub(crate) struct OnDrop(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl OnDrop {
    /// Replaces what was to be done.
    pub(crate) fn set(&self, hook: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(hook) = self.0.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            hook();
        }
    }
}

impl fmt::Debug for OnDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnDrop")
    }
}
