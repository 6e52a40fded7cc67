//! Runs tests, and has every other name that expansions of the attribute use. For them alone: it changes without
//! notice.

mod failure;
mod registry;
mod setup;

/// The functions that the command line needs of sessions and of the cache.
pub mod control {
    pub use crate::control::*;
}

/// The functions with which the command line shows text of servers.
pub mod foreign {
    pub use crate::foreign::*;
}

use std::future::poll_fn;
use std::panic::catch_unwind;
use std::pin::pin;

pub use self::failure::{Probe, TellsFailure};
pub use self::setup::{
    Context, Seed, Setup, SetupKind, SetupOutput, extract, extract_awaited, extract_sync, seed, seed_sync, setup,
    setup_awaited, setup_sync,
};
use crate::background::{self, guarded};
use crate::cluster::current;
use crate::error::{Error, Kind, Result};
use crate::host::say;
pub use crate::migrations::Migrations;
use crate::session::Attempt;
pub use crate::session::Test;
pub use crate::settings::KeepSchema;

/// The value that a test returned, or why the harness could not run it.
///
/// An error stays a value until [`raise`] or [`report`]: as a panic, `#[should_panic]` would take it for success.
pub type TestResult<T> = Result<T, Error>;

/// Runs a sync test.
pub fn run_sync<T>(
    test: Test,
    body: impl FnOnce(&Context) -> TestResult<T>,
    failed: impl FnOnce(&T) -> bool,
) -> TestResult<T> {
    run(test, failed, |context| {
        let _current = current::enter(&context.cluster);
        body(context)
    })
}

/// Runs an async test on a runtime that lives as long as the test.
///
/// Everything that is left on the runtime when the body has returned or panicked is dropped before the attempt ends, so
/// that no task of the test outlives its schema.
pub fn run_async<T>(
    test: Test,
    body: impl AsyncFnOnce(&Context) -> TestResult<T>,
    failed: impl FnOnce(&T) -> bool,
) -> TestResult<T> {
    run(test, failed, |context| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            Error::new(Kind::Session, "cannot make a tokio runtime for the test").because_of(&error)
        })?;
        // An attempt that is alone on the cluster is known by its runtime too.
        let _inside = runtime.enter();
        let _current = current::enter(&context.cluster);
        runtime.block_on(body(context))
    })
}

/// Runs an async test on the runtime of an attribute below this crate's, such as `#[tokio::test]`.
pub async fn run_awaited<T>(
    test: Test,
    body: impl AsyncFnOnce(&Context) -> TestResult<T>,
    failed: impl FnOnce(&T) -> bool,
) -> TestResult<T> {
    let attempt = background::run(guarded(|| begin(test))?).await?;
    let context = Context::of(&attempt);
    let migrated = match attempt.migrations_due() {
        Some(work) => background::run(work).await,
        None => Ok(()),
    };
    let outcome = match migrated {
        Ok(()) => {
            let mut body = pin!(body(&context));
            // The runtime may go on with the test in another thread, so its attempt is the current one for a poll at a
            // time.
            poll_fn(|poll| {
                let _current = current::enter(&context.cluster);
                body.as_mut().poll(poll)
            })
            .await
        }
        Err(error) => Err(not_run(error, context.test())),
    };
    ended(attempt, test, outcome, failed)
}

/// Runs a test on this thread, which waits while the background thread works for it.
fn run<T>(test: Test, failed: impl FnOnce(&T) -> bool, body: impl FnOnce(&Context) -> TestResult<T>) -> TestResult<T> {
    let attempt = guarded(|| background::wait(begin(test)?))?;
    let context = Context::of(&attempt);
    // To the background thread and back only for something.
    let migrated = attempt.migrations_due().map_or(Ok(()), background::wait);
    let outcome = migrated.map_err(|error| not_run(error, context.test())).and_then(|()| body(&context));
    ended(attempt, test, outcome, failed)
}

/// Returns the work of beginning an attempt, for the background thread. To be called on the test's own thread, which
/// knows the attempts it is in: an annotated function that is called inside a test is a part of it.
fn begin(test: Test) -> Result<impl Future<Output = Result<Attempt>> + Send> {
    registry::admit(&test)?;
    Ok(Attempt::begin(test, current::attempts_of_this_thread()))
}

/// Ends the attempt of a test that returned.
fn ended<T>(attempt: Attempt, test: Test, outcome: TestResult<T>, failed: impl FnOnce(&T) -> bool) -> TestResult<T> {
    let passed = !test.should_panic && outcome.as_ref().is_ok_and(|value| !failed(value));
    match guarded(|| attempt.end(passed)) {
        Ok(()) => outcome,
        Err(error) if passed => Err(error),
        // The test fails by itself.
        Err(error) => {
            say(&error.to_string());
            outcome
        }
    }
}

/// Adds to an error that it kept a test from running.
fn not_run(error: Error, test: &str) -> Error {
    error.hint(format!("the test `{test}` was not run"))
}

/// Takes the last step of a test: returns its value, or panics with the harness's error at the place of the attribute.
#[track_caller]
pub fn raise<T>(outcome: TestResult<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// Takes the last step of a `#[should_panic]` test: prints the harness's error. The test, which returns, fails.
pub fn report<T>(outcome: TestResult<T>) {
    if let Err(error) = outcome {
        // The macro panics if it can't write.
        let _ = catch_unwind(|| eprintln!("cratedb-test: this test was not run, so it did not panic: {error}"));
    }
}
