//! Changes of a cluster that take time: asked for once nothing else runs, followed by the operation's id, told as errors if
//! they fail.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::{Hooks, Lifecycle, WRITES, named};
use crate::cloud::is_conflict;
use crate::cloud::model::{Cluster, Operation};
use crate::cloud::operation::{Ended, Known, Which, passing};
use crate::error::{Error, Kind, Result};
use crate::wait::{self, Look};

/// A change and how to know that it is there.
pub(crate) struct Change<'a> {
    /// Type of its operation.
    pub(crate) kind: &'static str,
    /// For people, such as "upgrading cluster `ci` (…) to 6.4.3".
    pub(crate) doing: String,
    pub(crate) deadline: Instant,
    pub(crate) hooks: &'a dyn Hooks,
    /// Whether a cluster is as it should be.
    pub(crate) reached: &'a (dyn Fn(&Cluster) -> bool + Send + Sync),
}

impl Lifecycle {
    /// Asks for a change of the cluster with this id until it is taken, and waits for its end. A cluster that is as it
    /// should be from the beginning is not changed.
    ///
    /// `ask` sends the request, whose answer is the cluster.
    pub(crate) async fn change<F>(
        &self,
        id: &str,
        change: &Change<'_>,
        ask: impl Fn() -> F + Send + Sync,
    ) -> Result<Cluster>
    where
        F: Future<Output = Result<Cluster>> + Send,
    {
        let lost = AtomicUsize::new(0);
        change.hooks.step(change.doing.clone());
        let pass = || self.change_once(id, change, &ask, &lost);
        wait::until(&change.doing, wait::OPERATION, change.deadline, |_| (), pass).await
    }

    async fn change_once<F>(
        &self,
        id: &str,
        change: &Change<'_>,
        ask: &(impl Fn() -> F + Send + Sync),
        lost: &AtomicUsize,
    ) -> Result<Look<Cluster>>
    where
        F: Future<Output = Result<Cluster>> + Send,
    {
        let now = match self.client.cluster(id).await {
            Err(error) if passing(&error) => return Ok(Look::not_yet(&error)),
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
            Err(error) if is_conflict(&error) => Ok(Look::not_yet(&error)),
            Err(error) if passing(&error) => again(lost, error),
            answer => self.changed(change, &now, &answer?, lost).await,
        }
    }

    async fn changed(
        &self,
        change: &Change<'_>,
        before: &Cluster,
        answer: &Cluster,
        lost: &AtomicUsize,
    ) -> Result<Look<Cluster>> {
        let known = before.last_async_operation.as_ref().map_or_else(Known::default, Known::from);
        let which = Which::started(change.kind, answer, Some(&known));
        let told = |status: &str| change.hooks.step(format!("{}: {status}", change.doing));
        match self.client.follow(before, &which, &change.doing, change.reached, change.deadline, told).await? {
            Ended::Failed(error) => Err(error),
            Ended::Lost(error) => again(lost, error),
            Ended::Succeeded => self
                .until(before, &change.doing, change.deadline, |now| match (change.reached)(&now) {
                    true => Look::Ready(now),
                    false => Look::NotYet("done, says the operation; as before, says the cluster".to_owned()),
                })
                .await
                .map(Look::Ready),
        }
    }

    /// Waits for an operation of the cluster, by its id, and brings it in full.
    pub(crate) async fn operation(
        &self,
        cluster: &Cluster,
        id: &str,
        deadline: Instant,
        hooks: &dyn Hooks,
    ) -> Result<Operation> {
        let doing = format!("operation {id} on {}", named(cluster));
        hooks.step(format!("waiting for {doing}"));
        let told = |status: &str| hooks.step(format!("waiting for {doing}: {status}"));
        let which = Which::Id(id.to_owned());
        match self.client.follow(cluster, &which, &doing, |_| false, deadline, told).await? {
            Ended::Failed(error) => Err(error),
            Ended::Lost(_) => Err(Error::new(Kind::Missing, format!("cannot wait for {doing}"))
                .because("the cluster has no operation of that id")),
            Ended::Succeeded => {
                let all = self.client.operations(&cluster.id, &which.filter_of()).await?;
                all.into_iter().find(|operation| operation.id == id).ok_or_else(|| {
                    Error::new(Kind::Decode, format!("cannot tell how {doing} ended"))
                        .because("it is not listed any more")
                })
            }
        }
    }
}

/// A write of which nothing is known is sent again after a look, but not for ever.
fn again(lost: &AtomicUsize, error: Error) -> Result<Look<Cluster>> {
    if lost.fetch_add(1, Ordering::Relaxed) + 1 < WRITES { Ok(Look::not_yet(&error)) } else { Err(error) }
}
