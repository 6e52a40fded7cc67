//! Providers, which make a cluster available and release it. Only the keeper uses them, on its own runtime.
//!
//! A provider knows nothing of tests, sessions or leases. It takes a [`Target`] and returns a
//! [`Resource`]. To find that resource again, after a crash and in another process, it needs [`Resource::held`]. It
//! wrote the same record to the journal through [`Intents`] before it made or woke anything.

// No single provider uses all that they share.
#![cfg_attr(
    not(all(feature = "cloud", feature = "container", feature = "process")),
    allow(dead_code, unused_variables)
)]

#[cfg(any(feature = "container", feature = "process"))]
mod authority;
#[cfg(feature = "cloud")]
mod cloud;
#[cfg(feature = "container")]
mod container;
#[cfg(any(feature = "container", feature = "process"))]
mod door;
#[cfg(feature = "process")]
pub(crate) mod download;
#[cfg(any(feature = "container", feature = "process"))]
mod guard;
mod held;
mod jvm;
mod local;
mod memory;
#[cfg(feature = "process")]
mod process;
#[cfg(test)]
mod tests;
mod url;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

#[cfg(feature = "cloud")]
use self::cloud::CloudProvider;
#[cfg(feature = "container")]
pub(crate) use self::container::{Leftover, sweep as sweep_containers};
pub(crate) use self::held::Held;
pub(crate) use self::jvm::{STEP as TRAINING_STEP, run as run_training};
use self::local::LocalProvider;
use self::url::UrlProvider;
use crate::background::{caught, guarded_work, panicked};
use crate::clock::ServerClock;
#[cfg(not(feature = "cloud"))]
use crate::error::Kind;
use crate::error::{Error, Result};
use crate::foreign;
use crate::host::process::Identity;
use crate::secret::Secret;
use crate::sharing::Member;
use crate::sql::{Authority, Credentials};
use crate::target::{OnExit, Target};
use crate::version::Version;

/// The most bytes of a step. It is a line for people.
const STEP: usize = 4 << 10;

/// The provider of a session.
///
/// The target alone decides which one it is. For local servers it is the first that this machine has. A configured
/// provider that fails is an error and not followed by the next one: a wrong API key must not silently become a
/// container.
pub(crate) enum Provider {
    Url(UrlProvider),
    #[cfg(feature = "cloud")]
    Cloud(Box<CloudProvider>),
    Local(Box<LocalProvider>),
}

impl Provider {
    /// Returns the provider of a target. Fails only for reasons that need no request: an endpoint that is not a URL, or
    /// a cargo feature that is off.
    pub(crate) fn chain(target: &Target) -> Result<Self> {
        match target {
            Target::Url(target) => Ok(Self::Url(UrlProvider::new(target.clone()))),
            #[cfg(feature = "cloud")]
            Target::Cloud(target) => Ok(Self::Cloud(Box::new(CloudProvider::new((**target).clone())?))),
            #[cfg(not(feature = "cloud"))]
            Target::Cloud(target) => {
                Err(Error::new(Kind::Setting, format!("cannot use {} of CrateDB Cloud", target.cluster))
                    .because("cratedb-test was built without its feature `cloud`")
                    .hint("add `cloud` to the features of cratedb-test in Cargo.toml"))
            }
            Target::Local(target) => Ok(Self::Local(Box::new(LocalProvider::new(target.clone())))),
        }
    }

    /// Names the keeper that uses the provider, for a cluster that keepers of other machines use, too.
    pub(crate) fn shared_by(self, member: Member) -> Self {
        match self {
            #[cfg(feature = "cloud")]
            Self::Cloud(cloud) => Self::Cloud(Box::new(cloud.shared_by(member))),
            alone => alone,
        }
    }

    /// Says whether this keeper wants to run tests while no other one does.
    pub(crate) fn want_alone(&self, wants: bool, number: u64) {
        #[cfg(feature = "cloud")]
        if let Self::Cloud(cloud) = self {
            cloud.want_alone(wants, number);
        }
    }

    /// Says that no test runs, and none begins before more is heard of turns than the news of this number.
    pub(crate) fn quiet(&self, number: u64) {
        #[cfg(feature = "cloud")]
        if let Self::Cloud(cloud) = self {
            cloud.quiet(number);
        }
    }

    /// Looks whether the cluster went away. If it did, the member hears of that before this ends.
    pub(crate) async fn look(&self) {
        #[cfg(feature = "cloud")]
        if let Self::Cloud(cloud) = self {
            cloud.look().await;
        }
    }

    /// Says which cluster [`Provider::acquire`] would make available. Asks container engines whether they answer, sends
    /// nothing to any other server, and changes nothing.
    pub(crate) async fn foresee(&self, target: &Target, progress: &Progress) -> Result<Foreseen> {
        match (self, target) {
            (Self::Local(local), _) => local.foresee(progress).await,
            (_, Target::Cloud(cloud)) => {
                let what = format!("{} of CrateDB Cloud, resumed if it is suspended", cloud.cluster);
                Ok(Foreseen::new("cloud", what))
            }
            (_, Target::Url(url)) => Ok(Foreseen::new("url", format!("the server at {}", url.url))),
            (_, Target::Local(_)) => unreachable!("a provider is that of its target"),
        }
    }

    /// Makes the cluster available. Ends by `deadline` in every case, and a panic is an error: the keeper waits for an
    /// outcome.
    pub(crate) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        let acquired = caught(async {
            match self {
                Self::Url(url) => url.acquire(deadline, progress).await,
                #[cfg(feature = "cloud")]
                Self::Cloud(cloud) => cloud.acquire(deadline, progress, intents).await,
                Self::Local(local) => local.acquire(deadline, progress, intents).await,
            }
        });
        acquired.await.unwrap_or_else(|panic| Err(NotAcquired::maybe_up(panicked(&*panic))))
    }

    /// Returns the cluster of a killed keeper that the journal's last intent names, if it can be used.
    ///
    /// A Cloud cluster that runs is taken over, after an operation in flight has ended. A local server is removed,
    /// since nothing tells what its tests left in it.
    ///
    /// `on_exit` is the policy under which it was left.
    pub(crate) async fn recover(
        &self,
        held: &Held,
        on_exit: OnExit,
        deadline: Instant,
        progress: &Progress,
        intents: &Intents,
    ) -> Result<Option<Resource>> {
        guarded_work(async {
            match self {
                Self::Url(_) => Ok(None),
                #[cfg(feature = "cloud")]
                Self::Cloud(cloud) => cloud.recover(held, on_exit, deadline, progress, intents).await,
                Self::Local(local) => local.recover(held, deadline, progress).await,
            }
        })
        .await
    }

    /// Releases the cluster that `held` names, which is the record of a resource or of an intent. It may be called
    /// again.
    pub(crate) async fn release(&self, held: &Held, on_exit: OnExit, progress: &Progress) -> Result<Released> {
        guarded_work(async {
            let released = match self {
                Self::Url(url) => Ok(url.release()),
                #[cfg(feature = "cloud")]
                Self::Cloud(cloud) => cloud.release(held, on_exit, progress).await,
                Self::Local(local) => local.release(held, on_exit, progress).await,
            };
            // A cluster that is left running is cleaned as well.
            progress.cleaned().await;
            released
        })
        .await
    }

    /// Is called once, at the keeper's end and after the release.
    pub(crate) fn afterwards(&self) {
        if let Self::Local(local) = self {
            local.afterwards();
        }
    }

    /// Returns fresh credentials: a new JWT on Cloud, the same ones elsewhere.
    pub(crate) async fn credentials(&self, resource: &Resource) -> Result<Credentials> {
        guarded_work(async {
            match self {
                #[cfg(feature = "cloud")]
                Self::Cloud(cloud) => cloud.credentials(&resource.held).await,
                _ => Ok(resource.credentials.clone()),
            }
        })
        .await
    }
}

/// The cluster that an acquisition would make available.
#[derive(Clone, Debug, Serialize)]
pub struct Foreseen {
    /// `url`, `cloud`, `container` or `process`.
    pub provider: &'static str,
    /// A description for people.
    pub what: String,
    /// The reasons for this provider, one line each.
    pub because: Vec<String>,
}

impl Foreseen {
    pub(crate) fn new(provider: &'static str, what: String) -> Self {
        Self { provider, what, because: Vec::new() }
    }

    pub(crate) fn because(mut self, why: String) -> Self {
        self.because.push(why);
        self
    }
}

/// A place at which this machine may have a container engine.
#[derive(Clone, Debug, Serialize)]
pub struct EngineSeen {
    /// The setting or product that names it.
    pub named_by: String,
    /// Its address, if it can be used.
    pub address: Option<String>,
    /// The reason that no engine answered there; none if one did.
    pub problem: Option<String>,
}

/// Asks each place at which this machine may have a container engine.
pub(crate) async fn survey_engines() -> Vec<EngineSeen> {
    #[cfg(feature = "container")]
    return container::Engine::survey().await;
    #[cfg(not(feature = "container"))]
    Vec::new()
}

/// A cluster that answers SQL.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// `url`, `cloud`, `container` or `process`.
    pub(crate) provider: String,
    /// The name for people: "cluster `ci` (e1e3…)", "container cratedb-test-1a2b3c4d", a URL.
    pub(crate) name: String,
    /// The address without a slash at the end and without credentials.
    pub(crate) http_url: String,
    /// `postgres://user:password@host:port`, maybe with a query. It has no path, which would be the schema.
    pub(crate) pg_url: Option<Secret>,
    /// The user of `pg_url`, if it was made with this resource. The keeper has to drop it.
    pub(crate) user: Option<String>,
    /// The reason that there is no `pg_url`, and what would give one.
    pub(crate) pg_hint: Option<String>,
    pub(crate) credentials: Credentials,
    /// The authority by which the server is known, if it has one of its own.
    pub(crate) authority: Option<Authority>,
    pub(crate) version: Version,
    /// The server's clock; none if it is on this machine, or does not tell its time.
    pub(crate) clock: Option<ServerClock>,
    pub(crate) ours: Ours,
    /// A page on which people can see it.
    pub(crate) console: Option<String>,
    /// The record for `release`, `recover` and `credentials`. The last intent is equal to it.
    pub(crate) held: Held,
    /// The nodes that this provider started, and that may end by themselves.
    pub(crate) nodes: Option<NodeWatch>,
}

/// Waits for the ends of a started cluster's nodes. None of them is asked: an end is told by what started it.
#[derive(Clone, Debug)]
pub(crate) struct NodeWatch {
    nodes: usize,
    ended: watch::Receiver<Vec<String>>,
    /// The number of ends that were returned.
    told: usize,
    /// The processes of the nodes by name, where they can be looked at.
    processes: Vec<(String, Identity)>,
}

/// Nodes ended although the harness did not end them.
#[derive(Debug)]
pub(crate) struct NodeLoss {
    /// Which ones and how, for people.
    pub(crate) what: String,
    /// No node is left.
    pub(crate) all: bool,
}

impl NodeWatch {
    /// Watches so many nodes. Each text that is added to the sender's list says how one of them ended.
    pub(super) fn of(nodes: usize) -> (watch::Sender<Vec<String>>, Self) {
        let (ends, ended) = watch::channel(Vec::new());
        (ends, Self { nodes, ended, told: 0, processes: Vec::new() })
    }

    /// Looks at these processes, too.
    pub(super) fn with(self, processes: Vec<(String, Identity)>) -> Self {
        Self { processes, ..self }
    }

    /// Returns the nodes that can't but end. That is seen some milliseconds before [`NodeWatch::next`] can tell.
    pub(crate) fn ending(&self) -> Option<NodeLoss> {
        let ending = self.processes.iter().filter(|(_, process)| process.is_ending());
        let names: Vec<&str> = ending.map(|(name, _)| name.as_str()).collect();
        let (what, all) = (format!("{} ended, or was killed", names.join(" and ")), names.len() >= self.nodes);
        (!names.is_empty()).then_some(NodeLoss { what, all })
    }

    /// Waits for the next loss. Returns none once nothing watches the nodes any more.
    pub(crate) async fn next(&mut self) -> Option<NodeLoss> {
        let ended = self.ended.wait_for(|ended| ended.len() > self.told).await.ok()?;
        let what = ended[self.told..].join(", ");
        self.told = ended.len();
        Some(NodeLoss { what, all: ended.len() >= self.nodes })
    }
}

/// The way in which the harness made the resource available, and so what it owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ours {
    /// It was found running.
    No,
    /// It was found suspended.
    Resumed,
    /// It did not exist.
    Deployed,
    /// It is a local server.
    Started,
}

/// The result of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    Suspended,
    /// A local server is gone, with its data.
    Removed,
    /// A Cloud cluster is gone, with its data.
    Deleted,
    /// Left as it is. The line says what, why and, if it may cost money, how to end it.
    Left(String),
}

/// The reason that there is no resource.
#[derive(Debug)]
pub(crate) struct NotAcquired {
    pub(crate) error: Error,
    /// Set if a cluster may be running, so that the last intent must be released.
    pub(crate) maybe_up: bool,
}

impl NotAcquired {
    /// Returns the error of an acquisition after which no cluster can be up.
    pub(crate) fn nothing(error: Error) -> Self {
        Self { error, maybe_up: false }
    }

    pub(crate) fn maybe_up(error: Error) -> Self {
        Self { error, maybe_up: true }
    }
}

/// Reports what a call does or waits for, to the people who wait and to the log.
#[derive(Clone)]
pub(crate) struct Progress {
    steps: tokio::sync::mpsc::UnboundedSender<String>,
    /// The reason why the call can't go on for now, if it can't.
    trouble: Option<watch::Sender<Option<String>>>,
    wanted: Option<watch::Receiver<bool>>,
    cleaned: Option<watch::Receiver<bool>>,
}

impl Progress {
    pub(crate) fn new(steps: tokio::sync::mpsc::UnboundedSender<String>) -> Self {
        Self { steps, trouble: None, wanted: None, cleaned: None }
    }

    /// Adds a place where the trouble of the moment is kept.
    pub(crate) fn with_trouble(self, trouble: watch::Sender<Option<String>>) -> Self {
        Self { trouble: Some(trouble), ..self }
    }

    /// Adds a channel that tells whether a client still waits.
    pub(crate) fn while_wanted(self, wanted: watch::Receiver<bool>) -> Self {
        Self { wanted: Some(wanted), ..self }
    }

    /// Adds a channel that tells when the cluster is cleaned. Until then a release may prepare to stop it, and no more.
    pub(crate) fn once_cleaned(self, cleaned: watch::Receiver<bool>) -> Self {
        Self { cleaned: Some(cleaned), ..self }
    }

    /// Returns when the cluster is cleaned, or is not going to be.
    pub(crate) async fn cleaned(&self) {
        if let Some(mut cleaned) = self.cleaned.clone() {
            let _ = cleaned.wait_for(|cleaned| *cleaned).await;
        }
    }

    /// Returns when no client waits any more. Work that takes minutes and can be stopped at no cost ends then.
    pub(crate) async fn unwanted(&self) {
        if let Some(mut wanted) = self.wanted.clone()
            && wanted.wait_for(|wanted| !wanted).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }

    /// Reports one step, a fragment such as "resuming cluster `ci`". It is no error if no one listens.
    pub(crate) fn step(&self, text: impl Into<String>) {
        self.say(text.into(), false);
    }

    /// Reports why the call can't go on for now. The next step says that it goes on.
    pub(crate) fn trouble(&self, text: impl Into<String>) {
        self.say(text.into(), true);
    }

    fn say(&self, text: String, is_trouble: bool) {
        // It may quote a server, and it goes to the log, to the journal and to every client.
        let text = foreign::shortened(&foreign::block(&text), STEP).into_owned();
        if let Some(trouble) = &self.trouble {
            trouble.send_replace(is_trouble.then(|| text.clone()));
        }
        let _ = self.steps.send(text);
    }
}

/// Writes the provider's intents to the journal.
///
/// Each call that can create or wake a cluster is preceded by an intent that is on disk. An intent replaces the one
/// before.
#[derive(Clone)]
pub(crate) struct Intents {
    write: Arc<dyn Fn(Held) -> Result<()> + Send + Sync>,
    journal: Option<PathBuf>,
}

impl Intents {
    pub(crate) fn new(write: Arc<dyn Fn(Held) -> Result<()> + Send + Sync>) -> Self {
        Self { write, journal: None }
    }

    /// Names the file of the journal, for labels that tell who is responsible for a container.
    pub(crate) fn kept_in(self, journal: PathBuf) -> Self {
        Self { journal: Some(journal), ..self }
    }

    #[cfg_attr(not(feature = "container"), allow(dead_code, unused_variables))]
    pub(crate) fn journal(&self) -> Option<&Path> {
        self.journal.as_deref()
    }

    /// Writes `held`, and returns once it would survive a crash of this machine.
    pub(crate) fn write(&self, held: Held) -> Result<()> {
        (self.write)(held)
    }
}

/// The result of an acquisition.
pub(crate) type Acquired = Result<Resource, NotAcquired>;

/// Removes what killed trainers left on this machine. Blocks. Returns the name of each server and how its removal
/// ended.
pub(crate) fn clear_trainings(dry_run: bool) -> Vec<(String, Option<Result<()>>)> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(local::clear_trainings(dry_run)),
        Err(error) => {
            tracing::warn!(%error, "what killed trainers left is not looked for");
            Vec::new()
        }
    }
}
