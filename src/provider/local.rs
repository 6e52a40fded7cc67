//! Servers of this machine: the first kind that it can start, or one error that says what each kind lacks.

use std::time::Instant;

#[cfg(feature = "container")]
use super::container::{Container, Engine};
use super::{Acquired, Intents, LocalTarget, NotAcquired, OnExit, Progress, Released, Resource};
use crate::error::{Error, Kind, Result};

pub(crate) struct Local {
    #[cfg(feature = "container")]
    container: Container,
    lacking: Vec<String>,
}

impl Local {
    pub(super) fn new(mut target: LocalTarget) -> Self {
        let lacking = std::mem::take(&mut target.lacking);
        Self {
            #[cfg(feature = "container")]
            container: Container::new(target),
            lacking,
        }
    }

    #[cfg(feature = "container")]
    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        match Engine::find().await {
            Ok(engine) => self.container.acquire(&engine, deadline, progress, intents).await,
            Err(lacks) => Err(NotAcquired::nothing(self.nothing_usable(&lacks))),
        }
    }

    #[cfg(not(feature = "container"))]
    pub(super) async fn acquire(&self, _: Instant, _: &Progress, _: &Intents) -> Acquired {
        Err(NotAcquired::nothing(self.nothing_usable("cratedb-test was built without its feature `container`")))
    }

    #[cfg(feature = "container")]
    pub(super) async fn recover(
        &self,
        held: &serde_json::Value,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Option<Resource>> {
        self.container.remove(held, deadline, progress).await.map(|()| None)
    }

    #[cfg(feature = "container")]
    pub(super) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        self.container.release(held, on_exit, progress).await
    }

    #[cfg(not(feature = "container"))]
    pub(super) async fn recover(&self, held: &serde_json::Value, _: Instant, _: &Progress) -> Result<Option<Resource>> {
        Err(without_containers(held))
    }

    #[cfg(not(feature = "container"))]
    pub(super) async fn release(&self, held: &serde_json::Value, _: OnExit, _: &Progress) -> Result<Released> {
        Err(without_containers(held))
    }

    fn nothing_usable(&self, container: &str) -> Error {
        let error = Error::new(Kind::Provider, "no CrateDB for the tests")
            .because("nothing is configured, and this machine can start nothing");
        let process = "process: this version of cratedb-test can't start local processes".to_owned();
        let own = [format!("container: {container}"), process];
        self.lacking.iter().cloned().chain(own).fold(error, Error::hint)
    }
}

/// A journal of another build of the same project.
#[cfg(not(feature = "container"))]
fn without_containers(held: &serde_json::Value) -> Error {
    Error::new(Kind::Provider, format!("cannot let go of {held}"))
        .because("cratedb-test was built without its feature `container`")
}

#[cfg(all(test, feature = "container"))]
mod tests;
