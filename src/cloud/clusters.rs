//! Clusters: list, look, deploy, delete, suspend, resume, and the key to their SQL.

use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::model::{Cluster, Deployment, Jwt, Operation, Operations};
use crate::error::{Error, Kind, Result};

impl Client {
    /// All clusters that the key's owner may see.
    pub(crate) async fn clusters(&self) -> Result<Vec<Cluster>> {
        self.get("/api/v2/clusters/", &[]).await
    }

    /// One cluster; status 404 if there is none.
    pub(crate) async fn cluster(&self, id: &str) -> Result<Cluster> {
        self.get(&cluster(id), &[]).await
    }

    /// Starts to make a cluster; follow its operation of type `CREATE`.
    pub(crate) async fn deploy(&self, organization: &str, deployment: &Deployment) -> Result<Cluster> {
        let path = format!("/api/v2/organizations/{organization}/clusters/");
        let made: Cluster = self.send(Method::POST, &path, deployment).await?;
        if made.id.is_empty() {
            let what = format!("CrateDB Cloud at {} answered POST {path} without a cluster's id", self.endpoint());
            return Err(Error::new(Kind::Decode, what).hint("look in the console whether the cluster was made"));
        }
        Ok(made)
    }

    /// Removes a cluster with its data.
    pub(crate) async fn delete_cluster(&self, id: &str) -> Result<()> {
        self.delete(&cluster(id)).await
    }

    /// Starts to suspend (`true`) or to resume (`false`); the answer is the cluster as it was before. Follow its operation
    /// of type `SUSPEND`, which is the type of both.
    pub(crate) async fn set_suspended(&self, id: &str, suspended: bool) -> Result<Cluster> {
        self.send(Method::PUT, &format!("{}suspend/", cluster(id)), &json!({ "suspended": suspended })).await
    }

    /// The newest operations of a cluster, newest first.
    pub(crate) async fn operations(&self, id: &str, kind: Option<&str>) -> Result<Vec<Operation>> {
        // Enough to find one that was newest a moment ago, whatever was started since.
        let mut query = vec![("limit", "10")];
        query.extend(kind.map(|kind| ("type", kind)));
        let answer: Operations = self.get(&format!("{}operations/", cluster(id)), &query).await?;
        Ok(answer.operations)
    }

    /// A new token for the cluster's HTTP port.
    pub(crate) async fn jwt(&self, id: &str) -> Result<Jwt> {
        self.get(&format!("{}jwt/", cluster(id)), &[]).await
    }
}

fn cluster(id: &str) -> String {
    format!("/api/v2/clusters/{id}/")
}
