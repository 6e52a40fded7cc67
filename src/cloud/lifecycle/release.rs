//! Letting go: suspending or deleting what was resumed or deployed, and saying so where that can't be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Hooks, Lifecycle, WRITES};
use crate::cloud::is_conflict;
use crate::cloud::model::Cluster;
use crate::cloud::operation::{Ended, Known, Which, passing};
use crate::error::{Error, Result};
use crate::wait::{self, Look};

/// How long the cluster's flag may trail the operation before the operation counts as somebody else's.
const FLAG: Duration = Duration::from_secs(30);

/// How letting go ended.
#[derive(Clone, Debug)]
pub(crate) enum Stopped {
    Suspended,
    Deleted,
    /// Its product can't be suspended; with what the service said.
    NotAllowed(Error),
    /// It never got further than a deployment that failed, and there is nothing to suspend.
    NeverDeployed(Error),
}

/// A cluster to suspend or to delete, and what is needed at every pass.
pub(crate) struct StopRequest<'a> {
    pub(crate) id: String,
    /// For people.
    pub(crate) named: String,
    pub(crate) delete: bool,
    /// The newest operation that is known.
    pub(crate) known: Option<Known>,
    /// The first pass asks without looking, since the cluster costs money until the request is there.
    pub(crate) at_once: bool,
    pub(crate) deadline: Instant,
    pub(crate) hooks: &'a dyn Hooks,
    pub(crate) writes: AtomicUsize,
}

impl StopRequest<'_> {
    /// A write of which nothing is known: the next pass looks what became of it, but not for ever.
    fn lost(&self, error: Error) -> Result<Look<Stopped>> {
        let again = self.writes.load(Ordering::Relaxed) < WRITES;
        if again { Ok(Look::not_yet(&error)) } else { Err(error) }
    }

    fn doing(&self) -> String {
        format!("{} {}", if self.delete { "deleting" } else { "suspending" }, self.named)
    }
}

impl Lifecycle {
    /// Suspends or deletes a cluster, and waits for the end of it. Doing it again does no harm.
    pub(crate) async fn suspend_or_delete(&self, wanted: &StopRequest<'_>) -> Result<Stopped> {
        let doing = wanted.doing();
        wanted.hooks.step(doing.clone());
        wait::until(&doing, wait::OPERATION, wanted.deadline, |_| (), || self.suspend_or_delete_once(wanted)).await
    }

    /// One pass; every one but a hurried first looks before it asks.
    async fn suspend_or_delete_once(&self, wanted: &StopRequest<'_>) -> Result<Look<Stopped>> {
        let mut known = wanted.known.clone();
        if wanted.writes.fetch_add(1, Ordering::Relaxed) > 0 || !wanted.at_once {
            let now = match self.now(wanted).await? {
                Look::Ready(Some(now)) => now,
                Look::Ready(None) => return Ok(Look::Ready(Stopped::Deleted)),
                Look::NotYet(status) => return Ok(Look::NotYet(status)),
            };
            if let Some(kind) = now.busy() {
                self.sit_out(&now, kind, wanted.deadline, wanted.hooks).await?;
                return Ok(Look::NotYet(format!("operation {kind} has ended")));
            }
            if now.suspended && !wanted.delete {
                return Ok(Look::Ready(Stopped::Suspended));
            }
            known = now.last_async_operation.as_ref().map(Known::from);
        }
        if wanted.delete {
            return match self.client.delete_cluster(&wanted.id).await {
                Ok(()) => Ok(Look::Ready(Stopped::Deleted)),
                Err(error) => self.refused(wanted, error).await,
            };
        }
        match self.client.set_suspended(&wanted.id, true).await {
            Ok(answer) => self.suspended(wanted, &answer, known.as_ref()).await,
            Err(error) => self.refused(wanted, error).await,
        }
    }

    /// The cluster, or none if somebody deleted it.
    async fn now(&self, wanted: &StopRequest<'_>) -> Result<Look<Option<Cluster>>> {
        match self.client.cluster(&wanted.id).await {
            Ok(now) => Ok(Look::Ready(Some(now))),
            Err(error) if error.status() == Some(404) => Ok(Look::Ready(None)),
            Err(error) if passing(&error) => Ok(Look::not_yet(&error)),
            Err(error) => Err(error),
        }
    }

    async fn suspended(&self, wanted: &StopRequest<'_>, answer: &Cluster, known: Option<&Known>) -> Result<Look<Stopped>> {
        if answer.suspended && answer.busy().is_none() {
            return Ok(Look::Ready(Stopped::Suspended));
        }
        let cluster = Cluster { id: wanted.id.clone(), ..Cluster::default() };
        let which = Which::started("SUSPEND", answer, known);
        let doing = wanted.doing();
        let told = |status: &str| wanted.hooks.step(format!("{doing}: {status}"));
        match self.client.follow(&cluster, &which, &doing, |now| now.suspended, wanted.deadline, told).await? {
            Ended::Failed(error) => {
                match self.now(wanted).await? {
                    Look::Ready(Some(now)) if now.suspended => Ok(Look::Ready(Stopped::Suspended)),
                    _ => Err(error
                        .hint(format!("the cluster may be running still; suspend it at {}", self.client.endpoint()))),
                }
            }
            Ended::Lost(error) => wanted.lost(error),
            Ended::Succeeded => {
                let deadline = wanted.deadline.min(Instant::now() + FLAG);
                let flag = self.until(&cluster, &doing, deadline, |now| match now.suspended {
                    true => Look::Ready(Look::Ready(Stopped::Suspended)),
                    false => Look::NotYet("suspended, says the operation; running, says the cluster".to_owned()),
                });
                match flag.await {
                    Err(error) if error.is_timeout() => Ok(Look::not_yet(&error)),
                    Err(error) if error.status() == Some(404) => Ok(Look::Ready(Stopped::Deleted)),
                    done => done,
                }
            }
        }
    }

    /// What a refusal means depends on how the cluster is.
    async fn refused(&self, wanted: &StopRequest<'_>, error: Error) -> Result<Look<Stopped>> {
        if error.status() == Some(404) {
            return Ok(Look::Ready(Stopped::Deleted));
        }
        if is_conflict(&error) {
            return Ok(Look::not_yet(&error));
        }
        if passing(&error) {
            return wanted.lost(error);
        }
        let hint = format!("suspend or delete {} at {}", wanted.named, self.client.endpoint());
        if wanted.delete {
            return Err(error.hint(hint));
        }
        match self.now(wanted).await? {
            Look::Ready(None) => Ok(Look::Ready(Stopped::Deleted)),
            Look::Ready(Some(now)) if now.suspended => Ok(Look::Ready(Stopped::Suspended)),
            Look::Ready(Some(now)) if now.allow_suspend == Some(false) => Ok(Look::Ready(Stopped::NotAllowed(error))),
            Look::Ready(Some(now)) if now.never_deployed().is_some() => Ok(Look::Ready(Stopped::NeverDeployed(error))),
            _ => Err(error.hint(hint)),
        }
    }
}
