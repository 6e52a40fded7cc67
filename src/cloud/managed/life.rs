//! What is done to the cluster as a whole.

use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use super::Inner;
use crate::cloud::lifecycle::{Change, Found, Gone, LetGo, May, Run, is_taken, named};
use crate::cloud::model::{Cluster, Operation};
use crate::cloud::operation::{Known, passing};
use crate::error::{Error, Kind, Result};
use crate::target::ClusterAddress;
use crate::wait::{self, Look};

impl Inner {
    pub(super) async fn start(&self) -> Result<Cluster> {
        let run = Run::new(self.deadline(), self, May::DeployAndResume);
        self.bring_up(&run).await
    }

    pub(super) async fn resume(&self) -> Result<Cluster> {
        let run = Run::new(self.deadline(), self, May::Resume);
        self.bring_up(&run).await
    }

    pub(super) async fn deploy(&self) -> Result<Cluster> {
        let ClusterAddress::Name(name) = &self.lifecycle.target.cluster else {
            return Err(Error::new(Kind::Usage, format!("cannot deploy {}", self.lifecycle.target.cluster))
                .because("a new cluster gets its id and its URL from the service")
                .hint("give it a name: cluster_name(…), or CRATEDB_CLUSTER_NAME"));
        };
        if let Found::One(cluster) = self.lifecycle.by_name(name).await? {
            return Err(is_taken(&cluster));
        }
        self.forget_connection();
        let run = Run::new(self.deadline(), self, May::Deploy);
        self.bring_up(&run).await
    }

    /// To the end: what runs but does not answer SQL is not there.
    pub(super) async fn bring_up(&self, run: &Run<'_>) -> Result<Cluster> {
        let work = async {
            let cluster = self.lifecycle.make_available(run).await?;
            run.step(format!("connecting to {}", named(&cluster)));
            self.until_it_answers(&cluster, run.deadline).await?;
            Ok(cluster)
        };
        let outcome = self.lifecycle.in_time(run, work).await;
        outcome.map_err(|error| match error.is_timeout() && Instant::now() >= run.deadline {
            true => error.hint("`start_timeout` is the time for all of it"),
            false => error,
        })
    }

    pub(super) async fn suspend(&self) -> Result<Cluster> {
        match self.let_go(false, self.deadline()).await? {
            (_, Gone::Suspended) => self.lifecycle.look().await,
            (cluster, Gone::Deleted) => {
                Err(Error::new(Kind::Missing, format!("cannot suspend {}", named(&cluster)))
                    .because("somebody deleted it"))
            }
            (_, Gone::NotAllowed(error)) => Err(error.hint("its product can't be suspended (allow_suspend is false)")),
            (_, Gone::NeverDeployed(error)) => Err(error.hint("its deployment failed; delete it")),
        }
    }

    pub(super) async fn delete(&self) -> Result<()> {
        let (cluster, gone) = self.let_go(true, self.deadline()).await?;
        self.forget_connection();
        debug_assert!(matches!(gone, Gone::Deleted));
        self.told(format!("{} is deleted", named(&cluster)));
        Ok(())
    }

    pub(super) async fn let_go(&self, delete: bool, deadline: Instant) -> Result<(Cluster, Gone)> {
        let cluster = self.look_patiently(deadline).await?;
        if cluster.suspended && cluster.busy().is_none() && !delete {
            return Ok((cluster, Gone::Suspended));
        }
        let wanted = LetGo {
            id: cluster.id.clone(),
            named: named(&cluster),
            delete,
            known: cluster.last_async_operation.as_ref().map(Known::from),
            // It was looked at just now; and a deletion doesn't care what runs.
            at_once: delete || cluster.busy().is_none(),
            deadline,
            hooks: self,
            writes: AtomicUsize::new(0),
        };
        let gone = self.lifecycle.let_go(&wanted).await.map_err(|error| self.lifecycle.with_place(error))?;
        Ok((cluster, gone))
    }

    /// A service in trouble does not end a stop, which somebody pays for; one that nobody reaches does.
    async fn look_patiently(&self, deadline: Instant) -> Result<Cluster> {
        let awaited = format!("what CrateDB Cloud says of {}", self.lifecycle.target.cluster);
        let told = |status: &str| self.told(status.to_owned());
        wait::until(&awaited, wait::OPERATION, deadline, told, || async {
            match self.lifecycle.look().await {
                Ok(cluster) => Ok(Look::Ready(cluster)),
                Err(error) if error.status().is_some() && passing(&error) => Ok(Look::not_yet(&error)),
                Err(error) => Err(error),
            }
        })
        .await
    }

    pub(super) async fn scale(&self, nodes: u32) -> Result<Cluster> {
        let Some(unit) = nodes.checked_sub(1) else {
            return Err(Error::new(Kind::Usage, "cannot scale a cluster to 0 nodes").hint("`suspend` stops it"));
        };
        let cluster = self.lifecycle.look().await?;
        let plural = if nodes == 1 { "" } else { "s" };
        let doing = format!("scaling {} to {nodes} node{plural}", named(&cluster));
        let client = &self.lifecycle.client;
        let ask = || async { client.scale(&cluster.id, unit).await };
        self.change(&cluster, "SCALE", doing, move |now| now.product_unit == unit, ask).await
    }

    pub(super) async fn upgrade(&self, version: &str) -> Result<Cluster> {
        let cluster = self.lifecycle.look().await?;
        let doing = format!("upgrading {} from {} to {version}", named(&cluster), cluster.crate_version);
        let client = &self.lifecycle.client;
        let ask = || async { client.upgrade(&cluster.id, version).await };
        self.change(&cluster, "UPGRADE", doing, |now| now.crate_version == version, ask).await
    }

    async fn change<F: Future<Output = Result<Cluster>> + Send>(
        &self,
        cluster: &Cluster,
        kind: &'static str,
        doing: String,
        reached: impl Fn(&Cluster) -> bool + Send + Sync,
        ask: impl Fn() -> F + Send + Sync,
    ) -> Result<Cluster> {
        let change = Change { kind, doing, deadline: self.deadline(), hooks: self, reached: &reached };
        let done = self.lifecycle.change(&cluster.id, &change, ask).await;
        done.map_err(|error| self.lifecycle.with_place(error))
    }

    pub(super) async fn follow(&self, operation: &str) -> Result<Operation> {
        let cluster = self.lifecycle.look().await?;
        self.lifecycle.operation(&cluster, operation, self.deadline(), self).await
    }

    pub(super) fn told(&self, text: String) {
        crate::cloud::lifecycle::Hooks::step(self, text);
    }
}
