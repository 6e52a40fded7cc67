//! After a killed keeper: a cluster that its journal names and that runs is taken over.

use std::time::Instant;

use super::held::Held;
use super::{Cloud, Told};
use crate::cloud::lifecycle::{NameLookup, named};
use crate::cloud::model::ClusterInfo;
use crate::error::Result;
use crate::provider::{Progress, Resource};
use crate::wait::{self, Look};

impl Cloud {
    /// The cluster with what the journal says is owed for it; none if it is suspended or gone.
    pub(in crate::provider) async fn recover(
        &self,
        held: &serde_json::Value,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Option<Resource>> {
        let held = Held::read(held)?;
        let awaited = format!("{}, which an earlier session left", held.told());
        let look = || self.left_behind(&held, deadline, progress);
        let Some(cluster) = wait::until(&awaited, wait::OPERATION, deadline, |_| (), look).await? else {
            return Ok(None);
        };
        progress.step(format!("taking over {}, which an earlier session left running", named(&cluster)));
        self.resource(cluster, held.ours, deadline, progress).await.map(Some)
    }

    async fn left_behind(
        &self,
        held: &Held,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Look<Option<ClusterInfo>>> {
        let Some(cluster) = self.again(held, deadline).await? else { return Ok(Look::Ready(None)) };
        if let Some(kind) = cluster.busy() {
            self.lifecycle.sit_out(&cluster, kind, deadline, &Told(progress)).await?;
            return Ok(Look::NotYet(format!("operation {kind} has ended")));
        }
        if cluster.never_deployed().is_some() {
            progress.step(self.left(held, "its deployment failed"));
            return Ok(Look::Ready(None));
        }
        Ok(Look::Ready((!cluster.suspended).then_some(cluster)))
    }

    async fn again(&self, held: &Held, deadline: Instant) -> Result<Option<ClusterInfo>> {
        let Some(id) = &held.id else {
            return Ok(match self.lifecycle.by_name_at_last(&held.name, deadline).await? {
                NameLookup::One(cluster) => Some(*cluster),
                NameLookup::None { .. } => None,
            });
        };
        match self.client().cluster(id).await {
            Err(error) if error.status() == Some(404) => Ok(None),
            found => found.map(Some),
        }
    }
}
