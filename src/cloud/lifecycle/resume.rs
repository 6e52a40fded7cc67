//! Waking a suspended cluster.

use super::{Intent, Lifecycle, Run, Touch, named};
use crate::cloud::is_conflict;
use crate::cloud::model::Cluster;
use crate::cloud::operation::{Ended, Known, Which, passing};
use crate::error::{Error, Result};
use crate::wait::Look;

impl Lifecycle {
    /// One attempt. A conflict or a lost answer is "not yet", and the next pass looks at the cluster again.
    pub(super) async fn resume(&self, cluster: &Cluster, run: &Run<'_>) -> Result<Look<Cluster>> {
        let name = named(cluster);
        run.step(format!("resuming {name}"));
        let touch = run.touch().unwrap_or(Touch::Resumed);
        run.intend(&Intent { name: &cluster.name, cluster: Some(cluster), touch })?;
        match self.client.set_suspended(&cluster.id, false).await {
            Ok(answer) => {
                run.owe(Touch::Resumed);
                self.resumed(cluster, &answer, run).await
            }
            Err(error) if is_conflict(&error) => {
                run.undone();
                run.step(format!("waiting for another operation on {name} before it can be resumed"));
                Ok(Look::not_yet(&error))
            }
            Err(error) if error.is_never_sent() => run.never_sent(error),
            Err(error) if passing(&error) => {
                // It was suspended and we asked: if it runs at the next look, that is our doing.
                run.owe(Touch::Resumed);
                run.lost(error)
            }
            Err(error) => {
                run.undone();
                let is = if run.may_have_touched() { "may be running" } else { "stays suspended" };
                Err(error.hint(format!("{name} {is}")))
            }
        }
    }

    async fn resumed(&self, cluster: &Cluster, answer: &Cluster, run: &Run<'_>) -> Result<Look<Cluster>> {
        let name = named(cluster);
        let known = cluster.last_async_operation.as_ref().map(Known::from);
        let which = Which::started("SUSPEND", answer, known.as_ref());
        let doing = format!("resuming {name}");
        let told = |status: &str| run.step(format!("{doing}: {status}"));
        match self.client.follow(cluster, &which, &doing, |now| !now.suspended, run.deadline, told).await? {
            Ended::Failed(error) => Err(self.after_failure(cluster, error, run).await),
            Ended::Lost(error) => run.lost(error),
            // The flag may trail the operation.
            Ended::Succeeded => self
                .until(cluster, &doing, run.deadline, |now| match now.suspended {
                    false => Look::Ready(now),
                    true => Look::NotYet("resumed, says the operation; suspended, says the cluster".to_owned()),
                })
                .await
                .map(Look::Ready),
        }
    }

    /// A failed resumption leaves the cluster as it was, mostly; only a look tells.
    async fn after_failure(&self, cluster: &Cluster, error: Error, run: &Run<'_>) -> Error {
        let console = self.client.endpoint();
        match self.client.cluster(&cluster.id).await {
            Ok(now) if now.suspended && now.busy().is_none() => {
                run.seen_suspended();
                error.hint(format!("the cluster is suspended still; {console} may tell more"))
            }
            _ => error.hint(format!("the cluster may be running; {console} tells")),
        }
    }
}
