//! Making a cluster that does not exist, and the wait for it.

use super::find::which_exist;
use super::held::Held;
use super::{Cloud, Run, named};
use crate::cloud::is_conflict;
use crate::cloud::model::Cluster;
use crate::cloud::operation::{Ended, Known, Which, passing};
use crate::error::{Error, Kind, Result};
use crate::provider::{ClusterAddress, DeployPolicy, Ours};
use crate::secret::Secret;
use crate::wait::Look;

impl Cloud {
    /// One attempt, like [`Cloud::resume`].
    pub(super) async fn deploy(&self, others: &[Cluster], run: &Run<'_>) -> Result<Look<Cluster>> {
        let ClusterAddress::Name(name) = &self.target.cluster else {
            unreachable!("a cluster that is named by its id is found or an error");
        };
        let others = which_exist(others);
        if self.target.deploy == DeployPolicy::Never {
            return Err(Error::new(Kind::Provider, format!("no cluster is named `{name}`"))
                .because(format!("{others}, and CRATEDB_CLOUD_DEPLOY=never keeps it from being deployed"))
                .hint("check CRATEDB_CLUSTER_NAME, or set CRATEDB_CLOUD_DEPLOY=auto"));
        }
        let (organization, deployment) = self.plan(name).await?;
        let new = &deployment.cluster;
        run.step(format!(
            "no cluster is named `{name}` ({others}): deploying it with CrateDB {} as product {} ({})",
            new.crate_version, new.product_name, new.product_tier
        ));
        run.intend(&Held::planned(name))?;
        match self.client.deploy(&organization, &deployment).await {
            Ok(made) => self.deployed(&made, run).await.map(Look::Ready),
            Err(error) if is_conflict(&error) => {
                run.undone();
                Ok(Look::not_yet(&error))
            }
            Err(error) if passing(&error) || error.kind() == Kind::Decode => {
                // There was none and we asked: if there is one at the next look, it is ours.
                run.owe(Ours::Deployed);
                run.lost(error)
            }
            Err(error) => {
                run.undone();
                Err(without(error, &new.password).hint(format!("cluster `{name}` was not deployed")))
            }
        }
    }

    async fn deployed(&self, made: &Cluster, run: &Run<'_>) -> Result<Cluster> {
        run.state().id = Some(made.id.clone());
        run.owe(Ours::Deployed);
        // Now that the id is known, the cluster is found again whatever happens to its name.
        run.intend(&Held::of(made, Ours::Deployed))?;
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

/// The service may repeat what it refused.
fn without(error: Error, password: &Secret) -> Error {
    if !error.to_string().contains(password.expose()) {
        return error;
    }
    Error::new(error.kind(), "CrateDB Cloud refused the deployment")
        .because("its message holds the new cluster's password and is not shown")
}
