//! The calls of the Cloud API, one method each.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, Path};
use super::model::{
    ApiKey, Cidr, ClusterInfo, Deployment, ExportJob, ImportJob, ImportProgress, Jwt, Meta, NewExportJob, NewImportJob,
    Operation, OperationFilter, Operations, Organization, Product, Project, Quota, Region, Restore, Snapshot,
    Subscription, UploadedFile, User, Versions,
};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Users and their API keys.
impl Client {
    /// Returns the owner of the credentials.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client) -> cratedb_test::Result<()> {
    /// println!("{}", client.me().await?.email);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn me(&self) -> Result<User> {
        self.get(&["users", "me"], &[]).await
    }

    /// Asks for another e-mail address, which has to be confirmed by mail.
    pub async fn change_email(&self, email: &str) -> Result<()> {
        let body = json!({ "email": email });
        self.send::<Value>(Method::PATCH, &["users", "me"], &body).await.map(drop)
    }

    /// Lists the caller's API keys, without their secrets.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>> {
        self.get(&["users", "me", "api-keys"], &[]).await
    }

    /// Creates an API key for the caller. Its [secret](ApiKey::secret) is returned only this once.
    pub async fn create_api_key(&self) -> Result<ApiKey> {
        /// The specification nests the key, with the secret beside it; `croud` reads a flat answer.
        #[derive(serde::Deserialize)]
        struct CreatedKey {
            #[serde(default)]
            key: Value,
            #[serde(default)]
            secret: Secret,
            #[serde(flatten)]
            rest: serde_json::Map<String, Value>,
        }
        let created: CreatedKey = self.send(Method::POST, &["users", "me", "api-keys"], &json!({})).await?;
        let object = match created.key {
            nested @ Value::Object(_) => nested,
            key => {
                let mut flat = created.rest;
                flat.insert("key".to_owned(), key);
                Value::Object(flat)
            }
        };
        let key: ApiKey = serde_json::from_value(object).unwrap_or_default();
        if key.key.is_empty() {
            return Err(self
                .unexpected("POST /api/v2/users/me/api-keys/", "strangely")
                .because("no key is in it")
                .hint("`api_keys` tells whether one was made"));
        }
        Ok(if created.secret.expose().is_empty() { key } else { ApiKey { secret: created.secret, ..key } })
    }

    /// Activates or deactivates an API key.
    pub async fn set_api_key_active(&self, key: &str, active: bool) -> Result<ApiKey> {
        self.send(Method::PATCH, &["users", "me", "api-keys", key], &json!({ "active": active })).await
    }

    /// Deletes an API key.
    pub async fn delete_api_key(&self, key: &str) -> Result<()> {
        self.delete(&["users", "me", "api-keys", key]).await
    }
}

/// Organizations.
impl Client {
    /// Lists the organizations that the caller belongs to.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client) -> cratedb_test::Result<()> {
    /// for organization in client.organizations().await? {
    ///     println!("{} {}", organization.id, organization.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn organizations(&self) -> Result<Vec<Organization>> {
        self.get(&["organizations"], &[]).await
    }

    /// Returns one organization.
    pub async fn organization(&self, id: &str) -> Result<Organization> {
        self.get(&["organizations", id], &[]).await
    }

    /// Creates an organization.
    pub async fn create_organization(&self, name: &str) -> Result<Organization> {
        self.send(Method::POST, &["organizations"], &json!({ "name": name })).await
    }

    /// Renames an organization.
    pub async fn rename_organization(&self, id: &str, name: &str) -> Result<Organization> {
        self.send(Method::PUT, &["organizations", id], &json!({ "name": name })).await
    }

    /// Deletes an organization.
    pub async fn delete_organization(&self, id: &str) -> Result<()> {
        self.delete(&["organizations", id]).await
    }

    /// Lists the limits of an organization and how much of each is used.
    pub async fn quotas(&self, organization: &str) -> Result<Vec<Quota>> {
        self.get(&["organizations", organization, "quotas"], &[]).await
    }
}

/// Projects.
impl Client {
    /// Lists all projects that the caller may see.
    pub async fn projects(&self) -> Result<Vec<Project>> {
        self.get(&["projects"], &[]).await
    }

    /// Lists the projects of an organization.
    pub async fn projects_of(&self, organization: &str) -> Result<Vec<Project>> {
        self.get(&["organizations", organization, "projects"], &[]).await
    }

    /// Returns one project.
    pub async fn project(&self, id: &str) -> Result<Project> {
        self.get(&["projects", id], &[]).await
    }

    /// Creates a project. Without a region, the service chooses one.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client, organization: &str) -> cratedb_test::Result<()> {
    /// let project = client.create_project(organization, "ci", Some("eks1.eu-west-1.aws")).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_project(&self, organization: &str, name: &str, region: Option<&str>) -> Result<Project> {
        let mut body = json!({ "name": name, "organization_id": organization });
        if let Some(region) = region {
            body["region"] = region.into();
        }
        self.send(Method::POST, &["projects"], &body).await
    }

    /// Renames a project.
    pub async fn rename_project(&self, id: &str, name: &str) -> Result<Project> {
        self.send(Method::PATCH, &["projects", id], &json!({ "name": name })).await
    }

    /// Deletes a project.
    pub async fn delete_project(&self, id: &str) -> Result<()> {
        self.delete(&["projects", id]).await
    }
}

/// Subscriptions.
impl Client {
    /// Lists all subscriptions that the caller may see.
    pub async fn subscriptions(&self) -> Result<Vec<Subscription>> {
        self.get(&["subscriptions"], &[]).await
    }

    /// Lists the subscriptions of an organization.
    pub async fn subscriptions_of(&self, organization: &str) -> Result<Vec<Subscription>> {
        self.get(&["organizations", organization, "subscriptions"], &[]).await
    }

    /// Returns one subscription.
    pub async fn subscription(&self, id: &str) -> Result<Subscription> {
        self.get(&["subscriptions", id], &[]).await
    }

    /// Cancels a subscription, which deletes its clusters together with their data.
    pub async fn cancel_subscription(&self, id: &str) -> Result<()> {
        self.delete(&["subscriptions", id]).await
    }
}
/// Products, regions and versions.
impl Client {
    /// Lists all products, or those of one kind: `cluster` or `storage`.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client) -> cratedb_test::Result<()> {
    /// for product in client.products(Some("cluster")).await? {
    ///     println!("{} {} {}", product.name, product.region, product.description);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn products(&self, kind: Option<&str>) -> Result<Vec<Product>> {
        let query: Vec<_> = kind.map(|kind| ("kind", kind.to_owned())).into_iter().collect();
        self.get(&["products"], &query).await
    }

    /// Lists all regions that the caller may see.
    pub async fn regions(&self) -> Result<Vec<Region>> {
        self.get(&["regions"], &[]).await
    }

    /// Lists the regions in which an organization may deploy.
    pub async fn regions_of(&self, organization: &str) -> Result<Vec<Region>> {
        self.get(&["organizations", organization, "regions"], &[]).await
    }

    /// Returns the service's own version and the newest versions of CrateDB.
    pub async fn meta(&self) -> Result<Meta> {
        self.get(&["meta"], &[]).await
    }

    /// Returns the versions of CrateDB that can be deployed, the newest of each channel.
    pub async fn versions(&self) -> Result<Versions> {
        self.get(&["meta", "cratedb-versions"], &[]).await
    }

    /// Returns the public keys with which CrateDB checks the tokens of [`jwt`](Self::jwt), as a JSON Web Key Set.
    pub async fn jwk(&self) -> Result<Value> {
        self.get(&["meta", "jwk"], &[]).await
    }

    /// Exchanges a [refresh token](Jwt::refresh) for a new token.
    pub async fn refresh_jwt(&self, refresh_token: &str) -> Result<Jwt> {
        self.send(Method::POST, &["meta", "jwt", "refresh"], &json!({ "refresh_token": refresh_token })).await
    }

    /// Returns the newest version of CrateDB in a channel that can be deployed.
    pub(crate) async fn newest_version(&self, channel: &str) -> Result<String> {
        let versions = self.versions().await?.crate_versions;
        let release = match channel {
            "testing" => versions.testing,
            "nightly" => versions.nightly,
            _ => versions.stable,
        };
        if !release.version.is_empty() {
            return Ok(release.version);
        }
        let how = format!("without a version of channel `{channel}`");
        Err(self.unexpected("GET /api/v2/meta/cratedb-versions/", &how).hint("set CRATEDB_VERSION"))
    }
}
/// Looking at clusters.
impl Client {
    /// Lists all clusters that the caller may see.
    pub async fn clusters(&self) -> Result<Vec<ClusterInfo>> {
        self.get(&["clusters"], &[]).await
    }

    /// Lists the clusters of an organization.
    pub async fn clusters_of(&self, organization: &str) -> Result<Vec<ClusterInfo>> {
        self.get(&["organizations", organization, "clusters"], &[]).await
    }

    /// Lists the clusters of a project.
    pub async fn clusters_in(&self, project: &str) -> Result<Vec<ClusterInfo>> {
        self.get(&["projects", project, "clusters"], &[]).await
    }

    /// Returns one cluster. If it does not exist, the error has status 404.
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
    pub async fn cluster(&self, id: &str) -> Result<ClusterInfo> {
        let answer = self.get(&["clusters", id], &[]).await?;
        self.about(id, answer, &format!("GET /api/v2/clusters/{id}/"))
    }

    /// Refuses an answer about another cluster: it says nothing about the one that was asked for.
    fn about(&self, id: &str, answer: ClusterInfo, request: &str) -> Result<ClusterInfo> {
        match answer.id.eq_ignore_ascii_case(id) {
            true => Ok(answer),
            false => Err(self
                .unexpected(request, "strangely")
                .because(format!("it is about cluster {:?}", answer.id))
                .hint("something between may have answered instead of the API: a proxy, a cache")),
        }
    }

    /// Lists the operations of a cluster in the service's order, which seems to be newest first.
    pub async fn operations(&self, id: &str, filter: &OperationFilter) -> Result<Vec<Operation>> {
        let answer: Operations = self.get(&["clusters", id, "operations"], &filter.query()).await?;
        Ok(answer.operations)
    }

    /// Requests a new token for the cluster's HTTP port; [`ManagedCluster::jwt`](crate::ManagedCluster::jwt) does so
    /// only when it has to.
    pub async fn jwt(&self, id: &str) -> Result<Jwt> {
        let jwt: Jwt = self.get(&["clusters", id, "jwt"], &[]).await?;
        let how = match jwt.token() {
            "" => "without a token",
            // A request with it would look like a connection that breaks.
            token if !token.bytes().all(|byte| byte.is_ascii_graphic()) => "with a token that no header can carry",
            _ => return Ok(jwt),
        };
        Err(self.unexpected(&format!("GET /api/v2/clusters/{id}/jwt/"), how))
    }

    /// Lists the products that a cluster can be changed to.
    pub async fn available_products(&self, id: &str) -> Result<Vec<Product>> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            Many(Vec<Product>),
            One(Box<Product>),
        }
        // The specification says one product, and means several.
        match self.get(&["clusters", id, "available-products"], &[]).await? {
            OneOrMany::Many(all) => Ok(all),
            OneOrMany::One(one) => Ok(vec![*one]),
        }
    }

    /// Returns the versions of CrateDB that a cluster can be upgraded to.
    pub async fn available_upgrades(&self, id: &str) -> Result<Versions> {
        self.get(&["clusters", id, "available-upgrades"], &[]).await
    }

    /// Returns measurements of a cluster in the service's own form, if it has any.
    pub async fn metrics(&self, id: &str, metric: &str) -> Result<Option<Value>> {
        self.get_optional(&["clusters", id, "metrics", metric]).await
    }
}

/// Creating, deleting, suspending and resuming clusters.
impl Client {
    /// Starts to create a cluster. The operation is of type `CREATE`.
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
    pub async fn deploy(&self, organization: &str, deployment: &Deployment) -> Result<ClusterInfo> {
        let made = self.send(Method::POST, &["organizations", organization, "clusters"], deployment).await;
        let made: ClusterInfo =
            made.map_err(|error: Error| error.without_secret(deployment.cluster.password.expose()))?;
        if made.id.is_empty() {
            return Err(self
                .unexpected(&format!("POST /api/v2/organizations/{organization}/clusters/"), "without a cluster's id")
                .hint("look in the console whether the cluster was made"));
        }
        Ok(made)
    }

    /// Deletes a cluster together with its data.
    pub async fn delete_cluster(&self, id: &str) -> Result<()> {
        self.delete(&["clusters", id]).await
    }

    /// Starts to suspend (`true`) or to resume (`false`) a cluster, and returns the cluster as it was before. The
    /// operation is of type `SUSPEND` in both cases.
    pub async fn set_suspended(&self, id: &str, suspended: bool) -> Result<ClusterInfo> {
        let answer = self.send(Method::PUT, &["clusters", id, "suspend"], &json!({ "suspended": suspended })).await?;
        self.about(id, answer, &format!("PUT /api/v2/clusters/{id}/suspend/"))
    }

    /// Switches protection from deletion on or off. Takes effect at once.
    pub async fn set_deletion_protection(&self, id: &str, protected: bool) -> Result<ClusterInfo> {
        self.send(Method::PUT, &["clusters", id, "deletion-protection"], &json!({ "deletion_protected": protected }))
            .await
    }
}

/// Changing clusters. Each of these calls starts an operation;
/// [`ManagedCluster::follow`](crate::ManagedCluster::follow) waits for its end.
impl Client {
    /// Starts to change the number of nodes to `unit` + 1. The operation is of type `SCALE`.
    pub async fn scale(&self, id: &str, unit: u32) -> Result<ClusterInfo> {
        self.send(Method::PUT, &["clusters", id, "scale"], &json!({ "product_unit": unit })).await
    }

    /// Starts to upgrade CrateDB. The operation is of type `UPGRADE`.
    pub async fn upgrade(&self, id: &str, version: &str) -> Result<ClusterInfo> {
        self.send(Method::PUT, &["clusters", id, "upgrade"], &json!({ "crate_version": version })).await
    }

    /// Starts to enlarge the disk of each node. The operation is of type `EXPAND_STORAGE`.
    pub async fn expand_storage(&self, id: &str, disk_size_per_node_bytes: u64) -> Result<ClusterInfo> {
        let body = json!({ "disk_size_per_node_bytes": disk_size_per_node_bytes });
        self.send(Method::PUT, &["clusters", id, "storage"], &body).await
    }

    /// Starts to change the product of a cluster. The operation is of type `CHANGE_COMPUTE`.
    pub async fn change_product(&self, id: &str, product: &str) -> Result<ClusterInfo> {
        self.send(Method::PUT, &["clusters", id, "product"], &json!({ "product_name": product })).await
    }

    /// Starts to change the hours of backups, such as `2,4,6`. The operation is of type `BACKUP_SCHEDULE_UPDATE`.
    pub async fn set_backup_schedule(&self, id: &str, hours: &str) -> Result<ClusterInfo> {
        self.send(Method::PUT, &["clusters", id, "backup-schedule"], &json!({ "backup_hours": hours })).await
    }

    /// Starts to change the addresses that may connect to a cluster. This replaces the list; an empty list allows every
    /// address. The operation is of type `ALLOWED_CIDR_UPDATE`.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client, id: &str) -> cratedb_test::Result<()> {
    /// use cratedb_test::cloud::model::Cidr;
    ///
    /// client.set_ip_restrictions(id, &[Cidr::new("198.51.100.0/24").described("office")]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_ip_restrictions(&self, id: &str, allowed: &[Cidr]) -> Result<ClusterInfo> {
        self.send(Method::PUT, &["clusters", id, "ip-restrictions"], &json!({ "ip_whitelist": allowed })).await
    }

    /// Starts to change the password of the cluster's database user: 24 to 128 characters. The operation is of type
    /// `PASSWORD_UPDATE`.
    pub async fn change_password(&self, id: &str, password: &str) -> Result<ClusterInfo> {
        let changed = self.send(Method::PATCH, &["clusters", id], &json!({ "password": password })).await;
        changed.map_err(|error: Error| error.without_secret(password))
    }

    /// Restarts one node. Nodes are numbered from 0.
    pub async fn restart_node(&self, id: &str, ordinal: u32) -> Result<()> {
        self.delete_at(Path::without_slash(&["clusters", id, "nodes", &ordinal.to_string()])).await
    }

    /// Moves a cluster to another subscription. Only the operators of the service may do this.
    pub async fn transfer_subscription(&self, id: &str, old: &str, new: &str) -> Result<ClusterInfo> {
        let body = json!({ "old_subscription_id": old, "new_subscription_id": new });
        self.send(Method::POST, &["clusters", id, "transfer-subscription"], &body).await
    }
}

/// Backups.
impl Client {
    /// Lists the snapshots of a cluster between two moments such as `2026-01-05T13:00:00Z`, newest first. The service
    /// covers at most two weeks at a time.
    pub async fn snapshots(&self, id: &str, start: Option<&str>, end: Option<&str>) -> Result<Vec<Snapshot>> {
        let mut query = Vec::new();
        query.extend(start.map(|start| ("start", start.to_owned())));
        query.extend(end.map(|end| ("end", end.to_owned())));
        self.get(&["clusters", id, "snapshots"], &query).await
    }

    /// Starts to restore data from a snapshot. The operation is of type `RESTORE_SNAPSHOT`;
    /// [`ManagedCluster::restore`](crate::ManagedCluster::restore) waits for its end.
    pub async fn restore_snapshot(&self, id: &str, restore: &Restore) -> Result<()> {
        self.send::<Value>(Method::POST, &["clusters", id, "snapshots", "restore"], restore).await.map(drop)
    }
}
/// Imports, exports and their files.
impl Client {
    /// Lists the imports of a cluster.
    pub async fn import_jobs(&self, cluster: &str) -> Result<Vec<ImportJob>> {
        self.get(&["clusters", cluster, "import-jobs"], &[]).await
    }

    /// Starts an import; [`ManagedCluster::import`](crate::ManagedCluster::import) waits for its end.
    ///
    /// ```no_run
    /// use cratedb_test::cloud::model::NewImportJob;
    ///
    /// # async fn example(client: cratedb_test::cloud::Client, cluster: &str) -> cratedb_test::Result<()> {
    /// let import = NewImportJob::from_url("https://example.org/weather.csv.gz", "csv", "weather").gzip();
    /// println!("{}", client.create_import_job(cluster, &import).await?.id);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_import_job(&self, cluster: &str, job: &NewImportJob) -> Result<ImportJob> {
        self.send(Method::POST, &["clusters", cluster, "import-jobs"], job).await
    }

    /// Returns one import.
    pub async fn import_job(&self, cluster: &str, id: &str) -> Result<ImportJob> {
        self.get(&["clusters", cluster, "import-jobs", id], &[]).await
    }

    /// Reports the progress of an import file by file: at most `limit` files, starting after `offset`.
    pub async fn import_progress(
        &self,
        cluster: &str,
        id: &str,
        limit: Option<u32>,
        offset: Option<u32>,
    ) -> Result<ImportProgress> {
        let mut query = Vec::new();
        query.extend(limit.map(|limit| ("limit", limit.to_string())));
        query.extend(offset.map(|offset| ("offset", offset.to_string())));
        self.get(&["clusters", cluster, "import-jobs", id, "progress"], &query).await
    }

    /// Cancels an import, or deletes one that has ended.
    pub async fn delete_import_job(&self, cluster: &str, id: &str) -> Result<()> {
        self.delete(&["clusters", cluster, "import-jobs", id]).await
    }

    /// Lists the exports of a cluster.
    pub async fn export_jobs(&self, cluster: &str) -> Result<Vec<ExportJob>> {
        self.get(&["clusters", cluster, "export-jobs"], &[]).await
    }

    /// Starts an export; [`ManagedCluster::export`](crate::ManagedCluster::export) waits for its end.
    pub async fn create_export_job(&self, cluster: &str, job: &NewExportJob) -> Result<ExportJob> {
        self.send(Method::POST, &["clusters", cluster, "export-jobs"], job).await
    }

    /// Returns one export.
    pub async fn export_job(&self, cluster: &str, id: &str) -> Result<ExportJob> {
        self.get(&["clusters", cluster, "export-jobs", id], &[]).await
    }

    /// Cancels an export, or deletes one that has ended.
    pub async fn delete_export_job(&self, cluster: &str, id: &str) -> Result<()> {
        self.delete(&["clusters", cluster, "export-jobs", id]).await
    }

    /// Lists the files of an organization: those uploaded for imports and those of exports.
    pub async fn files(&self, organization: &str) -> Result<Vec<UploadedFile>> {
        self.get(&["organizations", organization, "files"], &[]).await
    }

    /// Announces a file. Its bytes are then sent by `PUT` to its `upload_url`.
    /// [`ManagedCluster::upload`](crate::ManagedCluster::upload) does both.
    pub async fn create_file(&self, organization: &str, name: &str) -> Result<UploadedFile> {
        self.send(Method::POST, &["organizations", organization, "files"], &json!({ "name": name })).await
    }

    /// Returns one file.
    pub async fn file(&self, organization: &str, id: &str) -> Result<UploadedFile> {
        self.get(&["organizations", organization, "files", id], &[]).await
    }

    /// Deletes a file.
    pub async fn delete_file(&self, organization: &str, id: &str) -> Result<()> {
        self.delete(&["organizations", organization, "files", id]).await
    }
}
