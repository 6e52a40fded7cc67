//! What happens to a cluster so that it is as somebody wants it: found, deployed, resumed, changed, suspended, deleted.
//!
//! Everything here is goal-driven: each pass looks at the cluster, does at most one thing and looks again. So it makes no
//! difference whether an operation was ours, another machine's or one of a process that was killed. Shared by
//! [`ManagedCluster`](crate::ManagedCluster) and by the tests' provider, which writes a journal through [`Hooks`].

mod change;
mod deploy;
mod find;
mod plan;
mod release;
mod resume;
mod turn;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use change::Change;
pub(crate) use deploy::is_taken;
pub(crate) use find::Found;
pub(crate) use plan::ADMIN;
pub(crate) use release::{Gone, LetGo};

use tokio::sync::OwnedMutexGuard;

use super::client::Client;
use super::model::{Cluster, Operation, OperationFilter};
use super::operation::LISTED;
use crate::error::{Error, Kind, Result};
use crate::target::CloudTarget;
use crate::wait::{self, Look};

/// The time that one step is given to say by itself that time is up, before it is cut off.
const GRACE: Duration = Duration::from_millis(100);

/// How often a write whose answer got lost is sent again, each time after a look at what became of it.
pub(crate) const WRITES: usize = 3;

/// A cluster of CrateDB Cloud that somebody wants, and the way there.
pub(crate) struct Lifecycle {
    pub(crate) target: CloudTarget,
    pub(crate) client: Client,
}

/// Who hears what is done, and may have to write it down before.
pub(crate) trait Hooks: Send + Sync {
    /// A step, for people.
    fn step(&self, text: String);

    /// Called before every request that can create or wake something; no request is sent if this fails.
    fn intend(&self, intent: &Intent<'_>) -> Result<()>;
}

/// What is about to be done.
pub(crate) struct Intent<'a> {
    pub(crate) name: &'a str,
    /// None while a cluster that is about to be deployed has no id.
    pub(crate) cluster: Option<&'a Cluster>,
    pub(crate) touch: Touch,
}

/// What was done to make a cluster available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    Resumed,
    Deployed,
}

/// What may be done to make a cluster available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum May {
    /// Deploy it if it does not exist, resume it if it is suspended.
    DeployAndResume,
    /// The same, whatever settings say about deployments: somebody asked for one.
    Deploy,
    Resume,
}

/// One try to make a cluster available, and what is known in the middle of it.
pub(crate) struct Run<'a> {
    pub(crate) deadline: Instant,
    pub(crate) hooks: &'a dyn Hooks,
    pub(crate) may: May,
    /// Something was sent that may leave a cluster running.
    touched: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Once found or deployed; names are looked up only once.
    id: Option<String>,
    touch: Option<Touch>,
    lost_writes: usize,
    /// Held from before a deployment until there is a cluster, or none any more.
    turn: Option<OwnedMutexGuard<()>>,
    /// When the answer to a deployment got lost, and how. It is the one write that is never sent again.
    lost_deployment: Option<(Instant, Error)>,
    step: String,
}

impl Lifecycle {
    /// Makes the cluster run. Ends by the run's deadline in every case. SQL is not tried: an operation that ended and a
    /// server that answers are two things.
    pub(crate) async fn make_available(&self, run: &Run<'_>) -> Result<Cluster> {
        let awaited = format!("{} of CrateDB Cloud to run", self.target.cluster);
        wait::until(&awaited, wait::OPERATION, run.deadline, |_| (), || self.pass(run)).await
    }

    /// Cuts off what does not end in time, and names the step that it was at.
    pub(crate) async fn in_time<T>(&self, run: &Run<'_>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let error = match tokio::time::timeout_at((run.deadline + GRACE).into(), work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => {
                let what = format!("{} of CrateDB Cloud was not available in time", self.target.cluster);
                Error::new(Kind::Timeout, what).because(format!("last step: {}", run.state().step))
            }
        };
        Err(self.with_place(error))
    }

    /// Whatever fails, people must know which CrateDB Cloud it was.
    pub(crate) fn with_place(&self, error: Error) -> Error {
        let place = self.client.endpoint();
        if error.to_string().contains(place) { error } else { error.hint(format!("CrateDB Cloud is {place}")) }
    }

    /// Looks once and does the next thing.
    async fn pass(&self, run: &Run<'_>) -> Result<Look<Cluster>> {
        let found = match self.find(run).await? {
            // Somebody else in this process may have deployed it since.
            Found::None { .. } if self.takes_turn(run).await? => self.find(run).await?,
            found => found,
        };
        let cluster = match found {
            Found::One(cluster) => *cluster,
            Found::None { others } => return self.absent(&others, run).await,
        };
        if run.may == May::Deploy && run.touch().is_none() {
            return Err(is_taken(&cluster));
        }
        run.found(&cluster)?;
        if let Some(kind) = cluster.busy() {
            self.sit_out(&cluster, kind, run.deadline, run.hooks).await?;
            return Ok(Look::NotYet(format!("operation {kind} of somebody else has ended")));
        }
        if let Some(failed) = cluster.never_deployed() {
            return Err(self.broken(&cluster, failed).await);
        }
        if cluster.suspended {
            return self.resume(&cluster, run).await;
        }
        Ok(Look::Ready(cluster))
    }

    /// Nobody has the name: it is deployed, unless it was already and the answer got lost.
    async fn absent(&self, others: &[Cluster], run: &Run<'_>) -> Result<Look<Cluster>> {
        let lost = run.state().lost_deployment.clone();
        match lost {
            None => self.deploy(others, run).await,
            Some((since, _)) if since.elapsed() < LISTED => {
                Ok(Look::NotYet("the deployment is not listed yet".to_owned()))
            }
            Some((_, error)) => Err(error.hint("the cluster may be deployed all the same")),
        }
    }

    /// A cluster whose deployment failed is listed like any other and never answers.
    async fn broken(&self, cluster: &Cluster, failed: &Operation) -> Error {
        // The cluster has the short form of the operation, without the service's words.
        let filter = OperationFilter::newest(10).of("CREATE");
        let all = self.client.operations(&cluster.id, &filter).await.unwrap_or_default();
        let full = all.iter().find(|operation| operation.id == failed.id).unwrap_or(failed);
        Error::new(Kind::Cloud, format!("{} can't be used", named(cluster)))
            .because(format!("its deployment failed: {}", full.told()))
            .hint(format!("delete it at {}, or name another", self.client.endpoint()))
    }

    /// Where a cluster speaks HTTP, without a slash at the end.
    pub(crate) fn http_url<'a>(&self, cluster: &'a Cluster) -> Result<&'a str> {
        match cluster.url.trim_end_matches('/') {
            "" => Err(Error::new(Kind::Decode, format!("cannot connect to {}", named(cluster)))
                .because("the API does not say at which URL it is")),
            url => Ok(url),
        }
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(deadline: Instant, hooks: &'a dyn Hooks, may: May) -> Self {
        Self { deadline, hooks, may, touched: AtomicBool::new(false), state: Mutex::default() }
    }

    /// What was done, and so is owed; nothing if the cluster ran already.
    pub(crate) fn touch(&self) -> Option<Touch> {
        self.state().touch
    }

    /// Whether something was sent that may leave a cluster running.
    pub(crate) fn may_have_touched(&self) -> bool {
        self.touched.load(Ordering::Relaxed)
    }

    pub(crate) fn step(&self, text: impl Into<String>) {
        let text = text.into();
        self.state().step.clone_from(&text);
        self.hooks.step(text);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No intent, no call.
    fn intend(&self, intent: &Intent<'_>) -> Result<()> {
        self.hooks.intend(intent)?;
        self.touched.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// What is owed from now on. What was deployed stays so, whatever happens to it later.
    fn owe(&self, touch: Touch) -> Touch {
        *self.state().touch.get_or_insert(touch)
    }

    /// The call was refused, so it did nothing. That says nothing about an earlier one whose answer got lost.
    fn undone(&self) {
        if self.touch().is_none() {
            self.touched.store(false, Ordering::Relaxed);
        }
    }

    /// The cluster is there. If it was deployed, its id, which is known only now, is worth an intent: with it, the cluster
    /// is found again whatever happens to its name.
    fn found(&self, cluster: &Cluster) -> Result<()> {
        let first = self.state().id.replace(cluster.id.clone()).is_none();
        self.state().turn = None;
        if first && self.touch() == Some(Touch::Deployed) {
            self.intend(&Intent { name: &cluster.name, cluster: Some(cluster), touch: Touch::Deployed })?;
        }
        Ok(())
    }

    /// A write for which there was no connection did nothing, and is tried again, but not for ever.
    fn never_sent(&self, error: Error) -> Result<Look<Cluster>> {
        self.undone();
        self.lost(error)
    }

    /// The cluster was seen suspended, so nothing runs, whatever was sent.
    fn seen_suspended(&self) {
        self.touched.store(false, Ordering::Relaxed);
    }

    /// A write without an answer: look what became of it, but not for ever.
    fn lost(&self, error: Error) -> Result<Look<Cluster>> {
        let mut state = self.state();
        state.lost_writes += 1;
        if state.lost_writes >= WRITES {
            let then = if self.may_have_touched() { "; the cluster may be running" } else { "" };
            return Err(error.hint(format!("tried {WRITES} times{then}")));
        }
        Ok(Look::not_yet(&error))
    }
}

/// For people: the name and the id.
pub(crate) fn named(cluster: &Cluster) -> String {
    format!("cluster `{}` ({})", cluster.name, cluster.id)
}
