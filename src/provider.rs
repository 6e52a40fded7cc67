//! What makes a cluster available and lets go of it again; used by the keeper only, on the keeper's own runtime.
//!
//! A provider knows nothing of tests, sessions or leases. It is given a [`Target`] and answers with a [`Resource`]; what
//! it needs to find that resource again, after a crash and in another process, is [`Resource::held`], the same words that
//! it wrote to the journal through [`Intents`] before it touched anything.

// No provider alone uses all that they share.
#![cfg_attr(not(all(feature = "cloud", feature = "container", feature = "process")), allow(dead_code))]

mod chain;
#[cfg(feature = "cloud")]
mod cloud;
#[cfg(feature = "container")]
mod container;
#[cfg(any(feature = "process", feature = "container"))]
#[cfg_attr(not(feature = "process"), allow(dead_code))]
mod jvm;
mod local;
mod memory;
#[cfg(feature = "process")]
mod process;
#[cfg(feature = "process")]
pub(crate) mod release;
mod url;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use self::chain::Provider;
#[cfg(feature = "container")]
pub(crate) use self::container::{Leftover, sweep as sweep_containers};
#[cfg(any(feature = "process", feature = "container"))]
pub(crate) use self::jvm::{STEP as TRAINING_STEP, run as run_training};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::sql::Credentials;
use crate::target::{CloudTarget, JvmCache, LocalKind, LocalTarget, OnExit, Origin, Target, UrlTarget};
use crate::version::Version;

/// A cluster that answers SQL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resource {
    /// `url`, `cloud`, `container` or `process`.
    pub(crate) provider: String,
    /// For people: "cluster `ci` (e1e3…)", "container cratedb-test-1a2b3c4d", a URL.
    pub(crate) name: String,
    /// Without a slash at the end and without credentials.
    pub(crate) http_url: String,
    /// `postgres://user:password@host:port`, maybe with a query; the path, which is the schema, is not set.
    pub(crate) pg_url: Option<Secret>,
    /// The user of `pg_url`, if it was made with this resource: somebody has to drop it.
    pub(crate) user: Option<String>,
    /// Why there is no `pg_url`, and what would give one.
    pub(crate) pg_hint: Option<String>,
    pub(crate) credentials: Credentials,
    pub(crate) version: Version,
    pub(crate) ours: Ours,
    /// A page where people can look at it.
    pub(crate) console: Option<String>,
    /// What `release`, `recover` and `credentials` need; no secrets. The last intent holds the same.
    pub(crate) held: serde_json::Value,
}

/// What the harness did to make the resource available, and so what it owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ours {
    /// Found running.
    No,
    /// Found suspended.
    Resumed,
    /// Did not exist.
    Deployed,
    /// A local server.
    Started,
}

/// How a release ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    Suspended,
    /// A local server is gone, with its data.
    Removed,
    /// A Cloud cluster is gone, with its data.
    Deleted,
    /// Left as it is; the line says what, why and, if it may cost something, how to end it.
    Left(String),
}

/// Why there is no resource.
#[derive(Debug)]
pub(crate) struct NotAcquired {
    pub(crate) error: Error,
    /// Something of ours may be running, so the last intent must be released.
    pub(crate) maybe_up: bool,
}

impl NotAcquired {
    /// Nothing was touched, or what was touched is down for certain.
    pub(crate) fn nothing(error: Error) -> Self {
        Self { error, maybe_up: false }
    }

    pub(crate) fn maybe_up(error: Error) -> Self {
        Self { error, maybe_up: true }
    }
}

/// What is being waited for: to the people who wait, and to the log.
#[derive(Clone)]
pub(crate) struct Progress {
    steps: tokio::sync::mpsc::UnboundedSender<String>,
    wanted: Option<watch::Receiver<bool>>,
}

impl Progress {
    pub(crate) fn new(steps: tokio::sync::mpsc::UnboundedSender<String>) -> Self {
        Self { steps, wanted: None }
    }

    /// The same with somebody who says whether anybody still waits.
    pub(crate) fn while_wanted(self, wanted: watch::Receiver<bool>) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// Ends when nobody waits any more: what takes minutes and costs nothing to stop need not go on then.
    pub(crate) async fn unwanted(&self) {
        if let Some(mut wanted) = self.wanted.clone()
            && wanted.wait_for(|wanted| !wanted).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// One step, a fragment such as "resuming cluster `ci`". Nobody listening is no error.
    pub(crate) fn step(&self, text: impl Into<String>) {
        let _ = self.steps.send(text.into());
    }
}

/// The provider's words in the journal.
///
/// Written, and on disk, before every call that can create or wake something: no intent, no call. Each one replaces the
/// one before.
#[derive(Clone)]
pub(crate) struct Intents {
    write: Arc<dyn Fn(serde_json::Value) -> Result<()> + Send + Sync>,
    journal: Option<PathBuf>,
}

impl Intents {
    pub(crate) fn new(write: Arc<dyn Fn(serde_json::Value) -> Result<()> + Send + Sync>) -> Self {
        Self { write, journal: None }
    }

    /// Says which file they are written to, for those who find what was made and want to know who is responsible.
    pub(crate) fn kept_in(self, journal: PathBuf) -> Self {
        Self { journal: Some(journal), ..self }
    }

    #[cfg_attr(not(feature = "container"), allow(dead_code))]
    pub(crate) fn journal(&self) -> Option<&Path> {
        self.journal.as_deref()
    }

    /// Returns once `held` would survive a crash of this machine.
    pub(crate) fn write(&self, held: serde_json::Value) -> Result<()> {
        (self.write)(held)
    }
}

/// Names the one signature all providers share; see [`Provider`].
pub(crate) type Acquired = Result<Resource, NotAcquired>;

/// For whoever sweeps: see the providers of this machine. Blocks.
#[cfg(any(feature = "process", feature = "container"))]
pub(crate) fn clear_trainings(dry_run: bool) -> Vec<(String, Option<Result<()>>)> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(local::clear_trainings(dry_run)),
        Err(error) => {
            tracing::warn!(%error, "nobody looks for what trainers left");
            Vec::new()
        }
    }
}
