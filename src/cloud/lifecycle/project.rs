//! Deletes a project that was made together with a cluster, once nothing is in it any more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Hooks, Lifecycle, Tell, WRITES, is_unclear, named};
use crate::cloud::model::Project;
use crate::cloud::operation::is_absence;
use crate::error::{Error, Kind, Result};
use crate::wait::{self, Look};

/// A project that was made together with a cluster, under the cluster's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MadeProject {
    /// Unknown until the service has answered the deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    pub(crate) region: String,
}

impl Lifecycle {
    /// Deletes the project of a cluster that is gone. A project that has other clusters by now is left. Doing it again
    /// does no harm.
    pub(crate) async fn delete_project(
        &self,
        made: &MadeProject,
        cluster: &str,
        deadline: Instant,
        hooks: &dyn Hooks,
    ) -> Result<()> {
        let doing = format!("deleting project `{cluster}`, which was made for the cluster");
        let (tell, lost) = (Tell::only_trouble(hooks, &doing), AtomicUsize::new(0));
        let pass = || async {
            let found = match self.project_of(made, cluster).await {
                Err(error) if is_unclear(&error) => return Ok(Look::trouble(&error)),
                found => found?,
            };
            let Some(project) = found else { return Ok(Look::Ready(())) };
            let others = match self.client.clusters_in(&project.id).await {
                Err(error) if is_unclear(&error) => return Ok(Look::trouble(&error)),
                others => others?,
            };
            if let Some(other) = others.first() {
                hooks.step(format!("project `{cluster}` is left: {} is in it", named(other)));
                return Ok(Look::Ready(()));
            }
            hooks.step(doing.clone());
            match self.client.delete_project(&project.id).await {
                Ok(()) => Ok(Look::NotYet("the deletion was accepted; the project is still there".to_owned())),
                Err(error) if is_unclear(&error) && lost.fetch_add(1, Ordering::Relaxed) + 1 < WRITES => {
                    Ok(Look::trouble(&error))
                }
                Err(error) => Err(error.hint(format!("delete project {} at {}", project.id, self.client.endpoint()))),
            }
        };
        wait::until_told(&doing, wait::OPERATION, deadline, tell, pass).await
    }

    /// Returns the project, or none if it is gone. As for clusters, one answer is not enough to believe that.
    async fn project_of(&self, made: &MadeProject, cluster: &str) -> Result<Option<Project>> {
        let mut all = self.client.projects().await?;
        let Some(id) = &made.id else {
            // Before the deployment, the region had no project of that name.
            all.retain(|project| project.name == cluster && project.region == made.region);
            return Ok(if all.len() == 1 { all.pop() } else { None });
        };
        if let Some(project) = all.into_iter().find(|project| project.id == *id) {
            return Ok(Some(project));
        }
        match self.client.project(id).await {
            Err(error) if is_absence(&error) && error.is_in_own_form() => Ok(None),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(Kind::Decode, format!("CrateDB Cloud contradicts itself about project {id}"))
                .because("its list lacks the project")),
        }
    }
}
