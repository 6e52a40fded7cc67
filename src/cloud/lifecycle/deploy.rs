//! Making a cluster that does not exist, and the wait for it.

use std::time::Instant;

use super::find::which_exist;
use super::{Intent, Lifecycle, May, Run, Touch, named};
use crate::cloud::is_conflict;
use crate::cloud::model::Cluster;
use crate::cloud::operation::{Ended, Known, Which, passing};
use crate::error::{Error, Kind, Result};
use crate::target::{ClusterAddress, DeployPolicy};
use crate::wait::Look;

/// A cluster is there under the name of one that is to be made.
pub(crate) fn is_taken(cluster: &Cluster) -> Error {
    Error::new(Kind::Usage, format!("cannot deploy cluster `{}`", cluster.name))
        .because(format!("there is one of that name: {}", cluster.id))
        .hint("`start` makes it available")
}

impl Lifecycle {
    /// One attempt, like [`Lifecycle::resume`].
    pub(super) async fn deploy(&self, others: &[Cluster], run: &Run<'_>) -> Result<Look<Cluster>> {
        let ClusterAddress::Name(name) = &self.target.cluster else {
            unreachable!("a cluster that is named by its id or URL is found or an error");
        };
        let others = which_exist(others);
        if run.may == May::Resume {
            return Err(Error::new(Kind::Missing, format!("no cluster is named `{name}`"))
                .because(others)
                .hint("check CRATEDB_CLUSTER_NAME"));
        }
        if self.target.deploy == DeployPolicy::Never && run.may != May::Deploy {
            return Err(Error::new(Kind::Missing, format!("no cluster is named `{name}`"))
                .because(format!("{others}, and CRATEDB_CLOUD_DEPLOY=never keeps it from being deployed"))
                .hint("check CRATEDB_CLUSTER_NAME, or set CRATEDB_CLOUD_DEPLOY=auto"));
        }
        let (organization, deployment) = self.plan(name).await?;
        let new = &deployment.cluster;
        run.step(format!(
            "no cluster is named `{name}` ({others}): deploying it with CrateDB {} as product {} ({})",
            new.crate_version, new.product_name, new.product_tier
        ));
        run.intend(&Intent { name, cluster: None, touch: Touch::Deployed })?;
        match self.client.deploy(&organization, &deployment).await {
            Ok(made) => self.deployed(&made, run).await.map(Look::Ready),
            // Refused before anything was done, so it may be asked again.
            Err(error) if is_conflict(&error) || error.status() == Some(429) => {
                run.undone();
                Ok(Look::not_yet(&error))
            }
            Err(error) if error.is_never_sent() => run.never_sent(error),
            Err(error) if passing(&error) || error.kind() == Kind::Decode => {
                // There was none and we asked: if there is one at the next look, it is ours.
                run.owe(Touch::Deployed);
                let seen = Look::not_yet(&error);
                run.state().lost_deployment = Some((Instant::now(), error));
                Ok(seen)
            }
            Err(error) => {
                run.undone();
                let is = if run.may_have_touched() { "may have been deployed" } else { "was not deployed" };
                Err(error.without_secret(new.password.expose()).hint(format!("cluster `{name}` {is}")))
            }
        }
    }

    async fn deployed(&self, made: &Cluster, run: &Run<'_>) -> Result<Cluster> {
        run.owe(Touch::Deployed);
        run.found(made)?;
        let doing = format!("deploying {}", named(made));
        let which = Which::started("CREATE", made, Some(&Known::default()));
        let told = |status: &str| run.step(format!("{doing}: {status}"));
        match self.client.follow(made, &which, &doing, |now| !now.url.is_empty(), run.deadline, told).await? {
            Ended::Failed(error) | Ended::Lost(error) => {
                Err(error.hint(format!("what there is of it stays: delete it at {}", self.client.endpoint())))
            }
            Ended::Succeeded => {
                self.until(made, &doing, run.deadline, |now| match now.url.is_empty() {
                    false => Look::Ready(now),
                    true => Look::NotYet("deployed, but without a URL".to_owned()),
                })
                .await
            }
        }
    }
}
