//! Changes a running cluster, suspends it or deletes it, and waits for the operation.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Hooks, Lifecycle, Tell, WRITES, is_unclear, named};
use crate::cloud::is_conflict;
use crate::cloud::model::{ClusterInfo, Operation};
use crate::cloud::operation::{LastOperation, OperationEnd, Which, passing};
use crate::error::{Error, Kind, Result};
use crate::wait::{self, Look};

/// The cluster's flag may trail the operation by this much. After that, another operation must have started the
/// cluster.
const FLAG: Duration = Duration::from_secs(30);

/// A change of a cluster, and how to recognise that it is done.
pub(crate) struct Change<'a> {
    /// Type of its operation.
    pub(crate) kind: &'static str,
    /// Describes the change to the user, such as "upgrading cluster `ci` (…) to 6.4.3".
    pub(crate) doing: String,
    pub(crate) deadline: Instant,
    pub(crate) hooks: &'a dyn Hooks,
    /// Reports whether a cluster is as it should be.
    pub(crate) reached: &'a (dyn Fn(&ClusterInfo) -> bool + Send + Sync),
}

/// A cluster to suspend or to delete.
pub(crate) struct StopRequest<'a> {
    pub(crate) id: String,
    /// Names the cluster to the user.
    pub(crate) named: String,
    pub(crate) delete: bool,
    /// The newest operation that is known.
    pub(crate) known: Option<LastOperation>,
    /// True if the first pass sends the request without looking, since the cluster costs money until then.
    pub(crate) at_once: bool,
    /// Set if only one request may be sent. It keeps why that had no effect.
    pub(crate) once: Option<OnceLock<Error>>,
    pub(crate) deadline: Instant,
    pub(crate) hooks: &'a dyn Hooks,
    /// The number of requests that were sent.
    pub(crate) writes: AtomicUsize,
}

/// The outcome of suspending or deleting a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Stopped {
    Suspended,
    Deleted,
    /// The product can't be suspended; with the service's refusal.
    NotAllowed(Error),
    /// The cluster's deployment failed, and there is nothing to suspend.
    NeverDeployed(Error),
    /// It runs as before: the only request that was allowed had no effect.
    Unchanged(Error),
}

impl StopRequest<'_> {
    /// Handles a write whose answer was lost: the next pass looks what became of it. Gives up after [`WRITES`] of them.
    fn lost(&self, error: Error) -> Result<Look<Stopped>> {
        let again = self.once.is_some() || self.writes.load(Ordering::Relaxed) < WRITES;
        if again { Ok(self.noted(error)) } else { Err(error) }
    }

    /// Remembers why the request may have had no effect.
    fn noted(&self, error: Error) -> Look<Stopped> {
        let trouble = Look::trouble(&error);
        if let Some(once) = &self.once {
            let _ = once.set(error);
        }
        trouble
    }

    /// Handles an answer that leaves open what there is: the next pass looks. At the deadline it is the last word.
    fn unclear(&self, error: Error) -> Result<Look<Stopped>> {
        match is_unclear(&error) && Instant::now() < self.deadline {
            true => Ok(Look::trouble(&error)),
            false => Err(error),
        }
    }

    fn doing(&self) -> String {
        format!("{} {}", if self.delete { "deleting" } else { "suspending" }, self.named)
    }
}

impl Lifecycle {
    /// Requests a change of the cluster until it is accepted, and waits for its end. A cluster that is as it should be
    /// from the beginning is not changed.
    ///
    /// `ask` sends the request, whose answer is the cluster.
    pub(crate) async fn change<F: Future<Output = Result<ClusterInfo>> + Send>(
        &self,
        id: &str,
        change: &Change<'_>,
        ask: impl Fn() -> F + Send + Sync,
    ) -> Result<ClusterInfo> {
        let lost = AtomicUsize::new(0);
        change.hooks.step(change.doing.clone());
        let pass = || async {
            let now = match self.client.cluster(id).await {
                Err(error) if passing(&error) => return Ok(Look::trouble(&error)),
                now => now?,
            };
            if let Some(running) = now.busy() {
                self.sit_out(&now, running, change.deadline, change.hooks).await?;
                return Ok(Look::NotYet(format!("operation {running} has ended")));
            }
            if (change.reached)(&now) {
                return Ok(Look::Ready(now));
            }
            match ask().await {
                Err(error) if is_conflict(&error) => Ok(Look::trouble(&error)),
                Err(error) if passing(&error) => again(&lost, error),
                answer => self.changed(change, &now, &answer?, &lost).await,
            }
        };
        let tell = Tell::only_trouble(change.hooks, &change.doing);
        wait::until_told(&change.doing, wait::OPERATION, change.deadline, tell, pass).await
    }

    async fn changed(
        &self,
        change: &Change<'_>,
        before: &ClusterInfo,
        answer: &ClusterInfo,
        lost: &AtomicUsize,
    ) -> Result<Look<ClusterInfo>> {
        let known = before.last_operation().unwrap_or_default();
        let which = Which::started(change.kind, answer, Some(&known));
        let tell = Tell::all(change.hooks, &change.doing);
        match self.client.follow(before, &which, &change.doing, change.reached, change.deadline, tell).await? {
            OperationEnd::Failed(error) => Err(error),
            OperationEnd::Lost(error) => again(lost, error),
            OperationEnd::Succeeded => {
                let differs = "done, says the operation; as before, says the cluster";
                let lacks = |now: &ClusterInfo| (!(change.reached)(now)).then_some(differs);
                self.until(before, &change.doing, change.deadline, change.hooks, lacks).await.map(Look::Ready)
            }
        }
    }

    /// Waits for an operation of the cluster, by its id, and returns it in full.
    pub(crate) async fn operation(
        &self,
        cluster: &ClusterInfo,
        id: &str,
        deadline: Instant,
        hooks: &dyn Hooks,
    ) -> Result<Operation> {
        let doing = format!("operation {id} on {}", named(cluster));
        let waiting = format!("waiting for {doing}");
        hooks.step(waiting.clone());
        let (which, tell) = (Which::Id(id.to_owned()), Tell::all(hooks, &waiting));
        match self.client.follow(cluster, &which, &doing, |_| false, deadline, tell).await? {
            OperationEnd::Failed(error) => Err(error),
            OperationEnd::Lost(_) => Err(Error::new(Kind::Missing, format!("cannot wait for {doing}"))
                .because("the cluster has no operation of that id")),
            OperationEnd::Succeeded => {
                let all = self.client.operations(&cluster.id, &which.filter_of()).await?;
                all.into_iter().find(|operation| operation.id == id).ok_or_else(|| {
                    Error::new(Kind::Decode, format!("cannot tell how {doing} ended"))
                        .because("it is not listed any more")
                })
            }
        }
    }

    /// Suspends or deletes a cluster, and waits for the end. Doing it again does no harm.
    pub(crate) async fn suspend_or_delete(&self, wanted: &StopRequest<'_>) -> Result<Stopped> {
        let doing = wanted.doing();
        wanted.hooks.step(doing.clone());
        let (tell, pass) = (Tell::only_trouble(wanted.hooks, &doing), || self.suspend_or_delete_once(wanted));
        wait::until_told(&doing, wait::OPERATION, wanted.deadline, tell, pass).await
    }

    /// Makes one pass. Every pass but a hurried first one looks before it sends a request.
    async fn suspend_or_delete_once(&self, wanted: &StopRequest<'_>) -> Result<Look<Stopped>> {
        let mut known = wanted.known.clone();
        if wanted.writes.load(Ordering::Relaxed) > 0 || !wanted.at_once {
            let now = match self.presence(&wanted.id).await {
                Ok(Some(now)) => now,
                Ok(None) => return Ok(Look::Ready(Stopped::Deleted)),
                Err(error) => return wanted.unclear(error),
            };
            if let Some(kind) = now.busy() {
                return match self.sit_out(&now, kind, wanted.deadline, wanted.hooks).await {
                    Ok(()) => Ok(Look::NotYet(format!("operation {kind} has ended"))),
                    Err(error) => wanted.unclear(error),
                };
            }
            if now.suspended && !wanted.delete {
                return Ok(Look::Ready(Stopped::Suspended));
            }
            if let Some(once) = wanted.once.as_ref().filter(|_| wanted.writes.load(Ordering::Relaxed) > 0) {
                let failed = || Error::new(Kind::Cloud, format!("{} had no effect", wanted.doing()));
                return Ok(Look::Ready(Stopped::Unchanged(once.get().cloned().unwrap_or_else(failed))));
            }
            known = now.last_operation();
        }
        wanted.writes.fetch_add(1, Ordering::Relaxed);
        let done = match wanted.delete {
            true => self.client.delete_cluster(&wanted.id).await.map(|()| None),
            false => self.client.set_suspended(&wanted.id, true).await.map(Some),
        };
        match done {
            Ok(None) => self.deleted(wanted).await,
            Ok(Some(answer)) => self.suspended(wanted, &answer, known.as_ref()).await,
            Err(error) => self.refused(wanted, error).await,
        }
    }

    /// Waits until a cluster is gone whose deletion was accepted. The deletion may take its time.
    async fn deleted(&self, wanted: &StopRequest<'_>) -> Result<Look<Stopped>> {
        let look = || async {
            let found = self.presence(&wanted.id).await.map(|found| match found {
                None => Look::Ready(Look::Ready(Stopped::Deleted)),
                Some(_) => Look::NotYet("the deletion was accepted; the cluster is still there".to_owned()),
            });
            wait::tolerate(is_unclear, found)
        };
        let doing = wanted.doing();
        wait::until_told(&doing, wait::OPERATION, wanted.deadline, Tell::all(wanted.hooks, &doing), look).await
    }

    async fn suspended(
        &self,
        wanted: &StopRequest<'_>,
        answer: &ClusterInfo,
        known: Option<&LastOperation>,
    ) -> Result<Look<Stopped>> {
        if answer.suspended && answer.busy().is_none() {
            return Ok(Look::Ready(Stopped::Suspended));
        }
        let cluster = ClusterInfo { id: wanted.id.clone(), ..ClusterInfo::default() };
        let (which, doing) = (Which::started("SUSPEND", answer, known), wanted.doing());
        let tell = Tell::all(wanted.hooks, &doing);
        let ended = self.client.follow(&cluster, &which, &doing, |now| now.suspended, wanted.deadline, tell).await;
        match ended {
            Err(error) => wanted.unclear(error),
            Ok(OperationEnd::Failed(error)) => match self.presence(&wanted.id).await {
                Ok(Some(now)) if now.suspended => Ok(Look::Ready(Stopped::Suspended)),
                _ => {
                    let hint = format!("the cluster may be running still; suspend it at {}", self.client.endpoint());
                    Err(error.hint(hint))
                }
            },
            Ok(OperationEnd::Lost(error)) => wanted.lost(error),
            Ok(OperationEnd::Succeeded) => {
                let deadline = wanted.deadline.min(Instant::now() + FLAG);
                let differs = "suspended, says the operation; running, says the cluster";
                let lacks = |now: &ClusterInfo| (!now.suspended).then_some(differs);
                match self.until(&cluster, &doing, deadline, wanted.hooks, lacks).await {
                    Ok(_) => Ok(Look::Ready(Stopped::Suspended)),
                    Err(error) => wanted.unclear(error),
                }
            }
        }
    }

    /// Interprets a refusal, which depends on the state of the cluster.
    async fn refused(&self, wanted: &StopRequest<'_>, error: Error) -> Result<Look<Stopped>> {
        if is_conflict(&error) {
            return Ok(wanted.noted(error));
        }
        if is_unclear(&error) {
            return wanted.lost(error);
        }
        let hint = format!("suspend or delete {} at {}", wanted.named, self.client.endpoint());
        if wanted.delete {
            return Err(error.hint(hint));
        }
        match self.presence(&wanted.id).await {
            Ok(None) => Ok(Look::Ready(Stopped::Deleted)),
            Ok(Some(now)) if now.suspended => Ok(Look::Ready(Stopped::Suspended)),
            Ok(Some(now)) if now.allow_suspend == Some(false) => Ok(Look::Ready(Stopped::NotAllowed(error))),
            Ok(Some(now)) if now.never_deployed().is_some() => Ok(Look::Ready(Stopped::NeverDeployed(error))),
            _ => Err(error.hint(hint)),
        }
    }
}

/// Handles a write whose answer was lost: it is sent again after a look, at most [`WRITES`] times.
fn again(lost: &AtomicUsize, error: Error) -> Result<Look<ClusterInfo>> {
    if lost.fetch_add(1, Ordering::Relaxed) + 1 < WRITES { Ok(Look::trouble(&error)) } else { Err(error) }
}
