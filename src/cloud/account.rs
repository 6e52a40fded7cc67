//! What belongs to an account and what the service offers: organizations, projects, subscriptions, regions, versions.

use super::client::Client;
use super::model::{Named, Region, Versions};
use crate::error::{Error, Kind, Result};

impl Client {
    /// The organizations of the key's owner.
    pub(crate) async fn organizations(&self) -> Result<Vec<Named>> {
        self.get("/api/v2/organizations/", &[]).await
    }

    pub(crate) async fn projects(&self, organization: &str) -> Result<Vec<Named>> {
        self.get(&format!("/api/v2/organizations/{organization}/projects/"), &[]).await
    }

    /// Those that can pay for a cluster.
    pub(crate) async fn subscriptions(&self, organization: &str) -> Result<Vec<Named>> {
        let all: Vec<Named> = self.get(&format!("/api/v2/organizations/{organization}/subscriptions/"), &[]).await?;
        Ok(all.into_iter().filter(|subscription| subscription.active != Some(false)).collect())
    }

    /// Where the organization may deploy.
    pub(crate) async fn regions(&self, organization: &str) -> Result<Vec<Region>> {
        let all: Vec<Region> = self.get(&format!("/api/v2/organizations/{organization}/regions/"), &[]).await?;
        Ok(all.into_iter().filter(|region| !region.deprecated).collect())
    }

    /// The newest stable version of CrateDB that can be deployed.
    pub(crate) async fn stable_version(&self) -> Result<String> {
        let path = "/api/v2/meta/cratedb-versions/";
        let answer: Versions = self.get(path, &[]).await?;
        match answer.crate_versions.stable.version {
            version if version.is_empty() => {
                let what = format!("CrateDB Cloud at {} answered GET {path} without a stable version", self.endpoint());
                Err(Error::new(Kind::Decode, what).hint("set CRATEDB_VERSION"))
            }
            version => Ok(version),
        }
    }
}
