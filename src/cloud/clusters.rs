//! Calls about clusters: list, look, deploy, delete, suspend, resume, change, and the key to their SQL.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::model::{
    Cidr, Cluster, Deployment, Jwt, Operation, OperationFilter, Operations, Product, Restore, Snapshot, Versions,
};
use super::path::Path;
use crate::error::{Error, Kind, Result};

/// Looking at clusters.
impl Client {
    /// All clusters that the caller may see.
    pub async fn clusters(&self) -> Result<Vec<Cluster>> {
        self.get(&["clusters"], &[]).await
    }

    /// The clusters of an organization.
    pub async fn clusters_of(&self, organization: &str) -> Result<Vec<Cluster>> {
        self.get(&["organizations", organization, "clusters"], &[]).await
    }

    /// The clusters of a project.
    pub async fn clusters_in(&self, project: &str) -> Result<Vec<Cluster>> {
        self.get(&["projects", project, "clusters"], &[]).await
    }

    /// One cluster; status 404 if there is none.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client, id: &str) -> cratedb_test::Result<()> {
    /// match client.cluster(id).await {
    ///     Ok(cluster) => println!("{} is {}", cluster.name, cluster.health.status),
    ///     Err(error) if error.is_not_found() => println!("there is none"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn cluster(&self, id: &str) -> Result<Cluster> {
        self.get(&["clusters", id], &[]).await
    }

    /// The operations of a cluster, in the service's order, which seems to be newest first.
    pub async fn operations(&self, id: &str, filter: &OperationFilter) -> Result<Vec<Operation>> {
        let answer: Operations = self.get(&["clusters", id, "operations"], &filter.query()).await?;
        Ok(answer.operations)
    }

    /// A new token for the cluster's HTTP port; [`ManagedCluster::jwt`](crate::ManagedCluster::jwt) asks only when it has to.
    pub async fn jwt(&self, id: &str) -> Result<Jwt> {
        let jwt: Jwt = self.get(&["clusters", id, "jwt"], &[]).await?;
        if jwt.token().is_empty() {
            let what =
                format!("CrateDB Cloud at {} answered GET /api/v2/clusters/{id}/jwt/ without a token", self.endpoint());
            return Err(Error::new(Kind::Decode, what));
        }
        Ok(jwt)
    }

    /// The products that a cluster can be changed to.
    pub async fn available_products(&self, id: &str) -> Result<Vec<Product>> {
        // The specification says one product, and means several.
        match self.get(&["clusters", id, "available-products"], &[]).await? {
            OneOrMany::Many(all) => Ok(all),
            OneOrMany::One(one) => Ok(vec![*one]),
        }
    }

    /// The versions of CrateDB that a cluster can be upgraded to.
    pub async fn available_upgrades(&self, id: &str) -> Result<Versions> {
        self.get(&["clusters", id, "available-upgrades"], &[]).await
    }

    /// Measurements of a cluster, as the service writes them; none if it has none.
    pub async fn metrics(&self, id: &str, metric: &str) -> Result<Option<Value>> {
        self.get_optional(&["clusters", id, "metrics", metric], &[]).await
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<Product>),
    One(Box<Product>),
}

/// Making, ending, suspending and resuming clusters.
impl Client {
    /// Starts to make a cluster; follow its operation of type `CREATE`.
    ///
    /// ```no_run
    /// use cratedb_test::cloud::model::{Deployment, NewCluster};
    ///
    /// # async fn example(client: cratedb_test::cloud::Client, password: &str) -> cratedb_test::Result<()> {
    /// let organization = &client.organizations().await?[0].id;
    /// let cluster = NewCluster::new("ci", "6.4.3", "cr1", "admin", password);
    /// let deployment = Deployment::new(cluster, "my-subscription").in_new_project("ci", "eks1.eu-west-1.aws");
    /// println!("{}", client.deploy(organization, &deployment).await?.id);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn deploy(&self, organization: &str, deployment: &Deployment) -> Result<Cluster> {
        let made: Result<Cluster> =
            self.send(Method::POST, &["organizations", organization, "clusters"], deployment).await;
        let made = made.map_err(|error| error.without_secret(deployment.cluster.password.expose()))?;
        if made.id.is_empty() {
            let path = format!("/api/v2/organizations/{organization}/clusters/");
            let what = format!("CrateDB Cloud at {} answered POST {path} without a cluster's id", self.endpoint());
            return Err(Error::new(Kind::Decode, what).hint("look in the console whether the cluster was made"));
        }
        Ok(made)
    }

    /// Removes a cluster with its data.
    pub async fn delete_cluster(&self, id: &str) -> Result<()> {
        self.delete(&["clusters", id]).await
    }

    /// Starts to suspend (`true`) or to resume (`false`); the answer is the cluster as it was before. Follow its operation
    /// of type `SUSPEND`, which is the type of both.
    pub async fn set_suspended(&self, id: &str, suspended: bool) -> Result<Cluster> {
        self.send(Method::PUT, &["clusters", id, "suspend"], &json!({ "suspended": suspended })).await
    }

    /// Keeps a cluster from being deleted, or doesn't. At once.
    pub async fn set_deletion_protection(&self, id: &str, protected: bool) -> Result<Cluster> {
        self.send(Method::PUT, &["clusters", id, "deletion-protection"], &json!({ "deletion_protected": protected }))
            .await
    }
}

/// Changing clusters. Each of these starts an operation, whose end [`ManagedCluster::follow`](crate::ManagedCluster::follow)
/// waits for.
impl Client {
    /// Starts to give a cluster another number of nodes: `unit` + 1. Operation `SCALE`.
    pub async fn scale(&self, id: &str, unit: u32) -> Result<Cluster> {
        self.send(Method::PUT, &["clusters", id, "scale"], &json!({ "product_unit": unit })).await
    }

    /// Starts to upgrade CrateDB. Operation `UPGRADE`.
    pub async fn upgrade(&self, id: &str, version: &str) -> Result<Cluster> {
        self.send(Method::PUT, &["clusters", id, "upgrade"], &json!({ "crate_version": version })).await
    }

    /// Starts to give each node a larger disk. Operation `EXPAND_STORAGE`.
    pub async fn expand_storage(&self, id: &str, disk_size_per_node_bytes: u64) -> Result<Cluster> {
        let body = json!({ "disk_size_per_node_bytes": disk_size_per_node_bytes });
        self.send(Method::PUT, &["clusters", id, "storage"], &body).await
    }

    /// Starts to change a cluster to another product. Operation `CHANGE_COMPUTE`.
    pub async fn change_product(&self, id: &str, product: &str) -> Result<Cluster> {
        self.send(Method::PUT, &["clusters", id, "product"], &json!({ "product_name": product })).await
    }

    /// Starts to change the hours of backups, such as `2,4,6`. Operation `BACKUP_SCHEDULE_UPDATE`.
    pub async fn set_backup_schedule(&self, id: &str, hours: &str) -> Result<Cluster> {
        self.send(Method::PUT, &["clusters", id, "backup-schedule"], &json!({ "backup_hours": hours })).await
    }

    /// Starts to change from where a cluster may be reached; this replaces the list, and an empty one means from everywhere.
    /// Operation `ALLOWED_CIDR_UPDATE`.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client, id: &str) -> cratedb_test::Result<()> {
    /// use cratedb_test::cloud::model::Cidr;
    ///
    /// client.set_ip_restrictions(id, &[Cidr::new("198.51.100.0/24").described("office")]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_ip_restrictions(&self, id: &str, allowed: &[Cidr]) -> Result<Cluster> {
        self.send(Method::PUT, &["clusters", id, "ip-restrictions"], &json!({ "ip_whitelist": allowed })).await
    }

    /// Starts to change the password of the cluster's own user: 24 to 128 characters. Operation `PASSWORD_UPDATE`.
    pub async fn change_password(&self, id: &str, password: &str) -> Result<Cluster> {
        let changed: Result<Cluster> =
            self.send(Method::PATCH, &["clusters", id], &json!({ "password": password })).await;
        changed.map_err(|error| error.without_secret(password))
    }

    /// Restarts one node, by its number from 0.
    pub async fn restart_node(&self, id: &str, ordinal: u32) -> Result<()> {
        self.delete_at(Path::without_slash(&["clusters", id, "nodes", &ordinal.to_string()])).await
    }

    /// Lets another subscription pay for a cluster. For the service's own people.
    pub async fn transfer_subscription(&self, id: &str, old: &str, new: &str) -> Result<Cluster> {
        let body = json!({ "old_subscription_id": old, "new_subscription_id": new });
        self.send(Method::POST, &["clusters", id, "transfer-subscription"], &body).await
    }
}

/// Backups.
impl Client {
    /// The snapshots of a cluster between two moments such as `2026-01-05T13:00:00Z`, newest first. The service shows at
    /// most two weeks at a time.
    pub async fn snapshots(&self, id: &str, start: Option<&str>, end: Option<&str>) -> Result<Vec<Snapshot>> {
        let mut query = Vec::new();
        query.extend(start.map(|start| ("start", start.to_owned())));
        query.extend(end.map(|end| ("end", end.to_owned())));
        self.get(&["clusters", id, "snapshots"], &query).await
    }

    /// Starts to take data back from a snapshot. Operation `RESTORE_SNAPSHOT`;
    /// [`ManagedCluster::restore`](crate::ManagedCluster::restore) waits for its end.
    pub async fn restore_snapshot(&self, id: &str, restore: &Restore) -> Result<()> {
        self.send::<Value>(Method::POST, &["clusters", id, "snapshots", "restore"], restore).await.map(drop)
    }
}
