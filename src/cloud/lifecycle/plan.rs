//! Decides the settings of a new cluster: those that are given, else the only choice there is.

use super::Lifecycle;
use crate::cloud::model::{Deployment, NewCluster, NewProject, Project};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// The free product and its subscription, whose id is fixed.
const FREE_PRODUCT: &str = "crfree";
const FREE_SUBSCRIPTION: &str = "free_tier";

/// The database user of a new cluster, unless settings name another.
pub(crate) const ADMIN: &str = "admin";

/// The minimum length that the service demands of a password.
const PASSWORD_MINIMUM: usize = 24;

impl Lifecycle {
    /// Returns the organization and the deployment to request there.
    pub(super) async fn plan(&self, name: &str) -> Result<(String, Deployment)> {
        let target = &self.target;
        let password = self.password()?;
        let organization = self.organization(name).await?;
        let (project_id, project) = self.project(name, &organization).await?;
        let subscription_id = self.subscription(name, &organization).await?;
        let crate_version = match &target.version {
            Some(version) => version.clone(),
            None => self.client.newest_version(&target.channel).await?,
        };
        let cluster = NewCluster {
            name: name.to_owned(),
            crate_version,
            channel: target.channel.clone(),
            product_name: target.product.clone(),
            product_tier: target.tier.clone(),
            product_unit: target.product_unit,
            hardware_specs: None,
            username: target.username.clone().unwrap_or_else(|| ADMIN.to_owned()),
            password,
        };
        Ok((organization, Deployment { project_id, project, ..Deployment::new(cluster, subscription_id) }))
    }

    async fn organization(&self, name: &str) -> Result<String> {
        if let Some(id) = &self.target.organization_id {
            return Ok(id.clone());
        }
        let all = self.client.organizations().await?.into_iter().map(|each| (each.id, each.name));
        the_only(name, "organization", "CRATEDB_CLOUD_ORGANIZATION_ID", all.collect())
    }

    async fn subscription(&self, name: &str, organization: &str) -> Result<String> {
        match &self.target.subscription_id {
            _ if self.target.product == FREE_PRODUCT => return Ok(FREE_SUBSCRIPTION.to_owned()),
            Some(id) => return Ok(id.clone()),
            None => {}
        }
        let all = self.client.subscriptions_of(organization).await?;
        // Those that can pay for a cluster.
        let active = all.into_iter().filter(|each| each.active != Some(false)).map(|each| (each.id, each.name));
        the_only(name, "subscription", "CRATEDB_CLOUD_SUBSCRIPTION_ID", active.collect())
    }

    /// Chooses the project of the settings, else the one with the cluster's name, else a new one of that name.
    async fn project(&self, name: &str, organization: &str) -> Result<(Option<String>, Option<NewProject>)> {
        if let Some(id) = &self.target.project_id {
            return Ok((Some(id.clone()), None));
        }
        let mut projects: Vec<Project> = self.client.projects_of(organization).await?;
        let wanted = self.target.region.as_deref();
        let fits = |region: &str| wanted.is_none_or(|wanted| region.is_empty() || region == wanted);
        projects.retain(|project| project.name == name && fits(&project.region));
        if projects.is_empty() {
            let region = self.region(name, organization).await?;
            return Ok((None, Some(NewProject { name: name.to_owned(), region })));
        }
        let choices = projects.into_iter().map(|project| (project.id, project.name)).collect();
        the_only(name, "project", "CRATEDB_CLOUD_PROJECT_ID", choices).map(|id| (Some(id), None))
    }

    async fn region(&self, name: &str, organization: &str) -> Result<String> {
        if let Some(region) = &self.target.region {
            return Ok(region.clone());
        }
        let regions = self.client.regions_of(organization).await?;
        let open = regions.into_iter().filter(|region| !region.deprecated);
        let choices = open.map(|region| (region.name, String::new())).collect();
        the_only(name, "region", "CRATEDB_CLOUD_REGION", choices).map_err(|error| {
            error.hint(format!(
                "no project is named `{name}`, and a new one needs a region; CRATEDB_CLOUD_PROJECT_ID names another"
            ))
        })
    }

    fn password(&self) -> Result<Secret> {
        match &self.target.password {
            Some(given) if given.expose().chars().count() < PASSWORD_MINIMUM => {
                Err(Error::new(Kind::Setting, format!("cannot deploy {}, which does not exist", self.target.cluster))
                    .because(format!("CRATEDB_PASSWORD has fewer than {PASSWORD_MINIMUM} characters"))
                    .hint("CrateDB Cloud takes none shorter; without CRATEDB_PASSWORD a random one is made"))
            }
            Some(given) => Ok(given.clone()),
            // It is kept nowhere: SQL over HTTP uses JWTs.
            None => Secret::random(),
        }
    }
}

/// Returns the id of the only choice, out of ids and names.
fn the_only(cluster: &str, what: &str, variable: &str, mut choices: Vec<(String, String)>) -> Result<String> {
    if choices.len() == 1 {
        return Ok(choices.remove(0).0);
    }
    let error = Error::new(Kind::Setting, format!("cannot deploy cluster `{cluster}`, which does not exist"));
    if choices.is_empty() {
        return Err(error
            .because(format!("the account has no {what}"))
            .hint(format!("make one in the console, or set {variable}")));
    }
    let told = |(id, name): &(String, String)| match name.as_str() {
        "" => id.clone(),
        name => format!("{id} ({name})"),
    };
    let listed: Vec<_> = choices.iter().map(told).collect();
    Err(error
        .because(format!("there are {} {what}s to choose from: {}", listed.len(), listed.join(", ")))
        .hint(format!("set {variable} to one of them")))
}
