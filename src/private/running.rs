//! The attempt of a running test, which ends with it, however the test ends.

use std::thread;

use super::{Context, Outcome, Test};
use crate::background;
use crate::cluster::current::RunningTest;
use crate::error::Error;
use crate::session::Attempt;

/// Ends its attempt when it is dropped: a test that panics drops it while unwinding.
pub(super) struct Running {
    /// Nothing once the attempt has ended.
    attempt: Option<Attempt>,
    test: String,
    should_panic: bool,
}

impl Running {
    pub(super) fn new(attempt: Attempt, test: &Test) -> Self {
        let Test { module, name, should_panic, .. } = *test;
        RunningTest::of_this_thread().remember(attempt.cluster());
        Self { attempt: Some(attempt), test: format!("{module}::{name}"), should_panic }
    }

    pub(super) fn attempt(&self) -> &Attempt {
        self.attempt.as_ref().expect("the attempt is taken only when `self` goes")
    }

    /// Applies the test's migrations, unless that was done ahead.
    pub(super) fn migrate(&self) -> Outcome<()> {
        // To the background thread and back only for something.
        if !self.attempt().has_migrations_due() {
            return Ok(());
        }
        background::wait(self.attempt().migrate()).map_err(|error| self.not_migrated(error))
    }

    pub(super) fn not_migrated(&self, error: Error) -> Error {
        error.hint(format!("the test `{}` was not run", self.test))
    }

    /// What parameters are made from.
    pub(super) fn context(&self) -> Context {
        Context { cluster: self.attempt().cluster().clone(), test: self.test.clone() }
    }

    /// Ends the attempt of a test that returned.
    pub(super) fn end<T>(mut self, outcome: Outcome<T>, failed: impl FnOnce(&T) -> bool) -> Outcome<T> {
        let passed = !self.should_panic && outcome.as_ref().is_ok_and(|value| !failed(value));
        self.end_as(passed);
        outcome
    }

    fn end_as(&mut self, passed: bool) {
        if let Some(attempt) = self.attempt.take() {
            attempt.end(passed);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Not panicking means that the test's future was dropped in its middle, by a time-out for example.
        self.end_as(thread::panicking() && self.should_panic);
    }
}
