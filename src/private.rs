//! All that expansions of the attribute may name. Nobody else should: it changes without notice.

mod description;
mod failure;
mod parameters;
mod prepare;
mod registry;
mod running;

/// What the command line needs of sessions and of the cache.
pub mod control {
    pub use crate::control::*;
}

use std::future::poll_fn;
use std::pin::pin;

pub use description::{KeepSchema, Migrations, Test};
pub use failure::{Failed, Probe};
pub use parameters::{Context, extract, extract_awaited, extract_sync};
pub use prepare::{Done, Seed, SetUp, Way, seed, seed_sync, set_up, set_up_awaited, set_up_sync};
use running::Running;

use crate::cluster::current;
use crate::error::{Error, Kind, Result};
use crate::{background, session};

/// What a test returned, or why the harness could not run it.
///
/// An error stays a value until [`raise`] or [`report`]: as a panic, `#[should_panic]` would take it for success.
pub type Outcome<T> = Result<T, Error>;

/// Runs a sync test.
pub fn run_sync<T>(
    test: Test,
    body: impl FnOnce(&Context) -> Outcome<T>,
    failed: impl FnOnce(&T) -> bool,
) -> Outcome<T> {
    let running = begin(&test)?;
    let context = running.context();
    let outcome = running.migrate().and_then(|()| {
        let _current = current::enter(running.attempt().cluster());
        body(&context)
    });
    running.end(outcome, failed)
}

/// Runs an async test on a runtime that lives as long as the test.
///
/// What is left on the runtime when the body has returned or panicked is dropped before the attempt ends, so that no
/// task of the test outlives its schema.
pub fn run_async<T>(
    test: Test,
    body: impl AsyncFnOnce(&Context) -> Outcome<T>,
    failed: impl FnOnce(&T) -> bool,
) -> Outcome<T> {
    let running = begin(&test)?;
    let context = running.context();
    let outcome = running.migrate().and_then(|()| {
        let runtime = runtime()?;
        // An attempt that is alone on the cluster is known by its runtime too.
        let _inside = runtime.enter();
        let _current = current::enter(running.attempt().cluster());
        runtime.block_on(body(&context))
    });
    running.end(outcome, failed)
}

/// Runs an async test on the runtime of an attribute below ours, such as `#[tokio::test]`.
pub async fn run_awaited<T>(
    test: Test,
    body: impl AsyncFnOnce(&Context) -> Outcome<T>,
    failed: impl FnOnce(&T) -> bool,
) -> Outcome<T> {
    registry::admit(&test)?;
    let running = Running::new(session::Attempt::begin(test.info()?, current::attempts_of_this_thread()).await?, &test);
    let context = running.context();
    let outcome = match background::run(running.attempt().migrate()).await {
        Ok(()) => {
            let mut body = pin!(body(&context));
            // The runtime may go on with the test in another thread, so its attempt is the current one for a poll at a time.
            poll_fn(|poll| {
                let _current = current::enter(running.attempt().cluster());
                body.as_mut().poll(poll)
            })
            .await
        }
        Err(error) => Err(running.not_migrated(error)),
    };
    running.end(outcome, failed)
}

/// The last step of a test: its value, or a panic with the harness's error at the place of the attribute.
#[track_caller]
pub fn raise<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

/// The last step of a `#[should_panic]` test: the harness's error is printed, and the test, which returns, fails.
pub fn report<T>(outcome: Outcome<T>) {
    if let Err(error) = outcome {
        eprintln!("cratedb-test: this test was not run, so it did not panic: {error}");
    }
}

fn begin(test: &Test) -> Result<Running> {
    registry::admit(test)?;
    // Seen by this thread, not by the one that waits: an annotated function called inside a test is a part of it.
    let within = current::attempts_of_this_thread();
    let attempt = background::wait(session::Attempt::begin(test.info()?, within))?;
    Ok(Running::new(attempt, test))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| Error::new(Kind::Session, "cannot make a tokio runtime for the test").because_of(&error))
}
