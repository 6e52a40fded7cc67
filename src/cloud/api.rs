//! The calls of the Cloud API, one method each.

use reqwest::Method;
use serde_json::{Value, json};

use super::auth::LONGEST_TOKEN;
use super::client::{Client, Path};
use super::model::{
    ApiKey, Cidr, ClusterInfo, ClusterPrice, Deployment, ExportJob, ImportJob, ImportProgress, Jwt, Meta, NewExportJob,
    NewImportJob, Operation, OperationFilter, Operations, Organization, Product, Project, Quota, Region, Restore,
    Snapshot, Subscription, UploadedFile, User, Versions,
};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Makes calls that are one request each: a name with its arguments, the answer, and what is sent.
macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty = $send:ident($($given:expr),+);)+) => {$(
        $(#[$doc])*
        pub async fn $name(&self, $($arg: $type),*) -> Result<$answer> {
            self.$send($($given),+).await
        }
    )+};
}

/// Users and their API keys.
impl Client {
    calls! {
        /// Returns the owner of the credentials.
        ///
        /// ```no_run
        /// # async fn example(client: cratedb_test::cloud::Client) -> cratedb_test::Result<()> {
        /// println!("{}", client.me().await?.email);
        /// # Ok(())
        /// # }
        /// ```
        me() -> User = get(&["users", "me"], &[]);

        /// Lists the caller's API keys, without their secrets.
        api_keys() -> Vec<ApiKey> = get(&["users", "me", "api-keys"], &[]);

        /// Activates or deactivates an API key.
        set_api_key_active(key: &str, active: bool) -> ApiKey =
            send(Method::PATCH, &["users", "me", "api-keys", key], &json!({ "active": active }));

        /// Deletes an API key.
        delete_api_key(key: &str) -> () = delete(&["users", "me", "api-keys", key]);
    }

    /// Asks for another e-mail address, which has to be confirmed by mail.
    pub async fn change_email(&self, email: &str) -> Result<()> {
        let body = json!({ "email": email });
        self.send::<Value>(Method::PATCH, &["users", "me"], &body).await.map(drop)
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
}

/// Organizations.
impl Client {
    calls! {
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
        organizations() -> Vec<Organization> = get(&["organizations"], &[]);

        /// Returns one organization.
        organization(id: &str) -> Organization = get(&["organizations", id], &[]);

        /// Creates an organization.
        create_organization(name: &str) -> Organization =
            send(Method::POST, &["organizations"], &json!({ "name": name }));

        /// Renames an organization.
        rename_organization(id: &str, name: &str) -> Organization =
            send(Method::PUT, &["organizations", id], &json!({ "name": name }));

        /// Deletes an organization.
        delete_organization(id: &str) -> () = delete(&["organizations", id]);

        /// Lists the limits of an organization and how much of each is used.
        quotas(organization: &str) -> Vec<Quota> = get(&["organizations", organization, "quotas"], &[]);
    }
}

/// Projects.
impl Client {
    calls! {
        /// Lists all projects that the caller may see.
        projects() -> Vec<Project> = get(&["projects"], &[]);

        /// Lists the projects of an organization.
        projects_of(organization: &str) -> Vec<Project> = get(&["organizations", organization, "projects"], &[]);

        /// Returns one project.
        project(id: &str) -> Project = get(&["projects", id], &[]);

        /// Renames a project.
        rename_project(id: &str, name: &str) -> Project =
            send(Method::PATCH, &["projects", id], &json!({ "name": name }));

        /// Deletes a project.
        delete_project(id: &str) -> () = delete(&["projects", id]);
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
}

/// Subscriptions.
impl Client {
    calls! {
        /// Lists all subscriptions that the caller may see.
        subscriptions() -> Vec<Subscription> = get(&["subscriptions"], &[]);

        /// Lists the subscriptions of an organization.
        subscriptions_of(organization: &str) -> Vec<Subscription> =
            get(&["organizations", organization, "subscriptions"], &[]);

        /// Returns one subscription.
        subscription(id: &str) -> Subscription = get(&["subscriptions", id], &[]);

        /// Cancels a subscription, which deletes its clusters together with their data.
        cancel_subscription(id: &str) -> () = delete(&["subscriptions", id]);
    }
}

/// Products, regions and versions.
impl Client {
    calls! {
        /// Lists all regions that the caller may see.
        regions() -> Vec<Region> = get(&["regions"], &[]);

        /// Lists the regions in which an organization may deploy.
        regions_of(organization: &str) -> Vec<Region> = get(&["organizations", organization, "regions"], &[]);

        /// Returns the service's own version and the newest versions of CrateDB.
        meta() -> Meta = get(&["meta"], &[]);

        /// Returns the versions of CrateDB that can be deployed, the newest of each channel.
        versions() -> Versions = get(&["meta", "cratedb-versions"], &[]);

        /// Returns the public keys with which CrateDB checks the tokens of [`jwt`](Self::jwt), as a JSON Web Key Set.
        jwk() -> Value = get(&["meta", "jwk"], &[]);

        /// Exchanges a [refresh token](Jwt::refresh) for a new token.
        refresh_jwt(refresh_token: &str) -> Jwt =
            send(Method::POST, &["meta", "jwt", "refresh"], &json!({ "refresh_token": refresh_token }));
    }

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

    /// Returns the price of a cluster that runs, by its product, its size and its region.
    ///
    /// # Errors
    ///
    /// When the project or the price can't be read. The service has prices of products that can be ordered only.
    ///
    /// ```no_run
    /// # async fn example(client: cratedb_test::cloud::Client, id: &str) -> cratedb_test::Result<()> {
    /// let price = client.price_of(&client.cluster(id).await?).await?;
    /// println!("{:?} for an hour", price.total_price.and_then(|total| total.price_per_hour));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn price_of(&self, cluster: &ClusterInfo) -> Result<ClusterPrice> {
        let region = self.project(&cluster.project_id).await?.region;
        let storage = cluster.hardware_specs.as_ref().and_then(|specs| specs.disk_size_per_node_bytes);
        let mut query = vec![
            ("product_name", cluster.product_name.clone()),
            ("product_tier", cluster.product_tier.clone()),
            ("product_unit", cluster.product_unit.to_string()),
            ("region", region),
        ];
        query.extend(storage.map(|bytes| ("storage_bytes", bytes.to_string())));
        self.get_at(Path::without_slash(&["products", "clusters", "price"]), &query).await
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
    calls! {
        /// Lists all clusters that the caller may see.
        clusters() -> Vec<ClusterInfo> = get(&["clusters"], &[]);

        /// Lists the clusters of an organization.
        clusters_of(organization: &str) -> Vec<ClusterInfo> = get(&["organizations", organization, "clusters"], &[]);

        /// Lists the clusters of a project.
        clusters_in(project: &str) -> Vec<ClusterInfo> = get(&["projects", project, "clusters"], &[]);

        /// Returns the versions of CrateDB that a cluster can be upgraded to.
        available_upgrades(id: &str) -> Versions = get(&["clusters", id, "available-upgrades"], &[]);

        /// Returns measurements of a cluster in the service's own form, if it has any.
        metrics(id: &str, metric: &str) -> Option<Value> = get_optional(&["clusters", id, "metrics", metric]);
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
            token if token.len() > LONGEST_TOKEN => "with a token that is too long for a header",
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
}

/// Creating, deleting, suspending and resuming clusters.
impl Client {
    calls! {
        /// Deletes a cluster together with its data.
        delete_cluster(id: &str) -> () = delete(&["clusters", id]);

        /// Switches protection from deletion on or off. Takes effect at once.
        set_deletion_protection(id: &str, protected: bool) -> ClusterInfo =
            send(Method::PUT, &["clusters", id, "deletion-protection"], &json!({ "deletion_protected": protected }));
    }

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

    /// Starts to suspend (`true`) or to resume (`false`) a cluster, and returns the cluster as it was before. The
    /// operation is of type `SUSPEND` in both cases.
    pub async fn set_suspended(&self, id: &str, suspended: bool) -> Result<ClusterInfo> {
        let answer = self.send(Method::PUT, &["clusters", id, "suspend"], &json!({ "suspended": suspended })).await?;
        self.about(id, answer, &format!("PUT /api/v2/clusters/{id}/suspend/"))
    }
}

/// Changing clusters. Each of these calls starts an operation;
/// [`ManagedCluster::follow`](crate::ManagedCluster::follow) waits for its end.
impl Client {
    calls! {
        /// Starts to change the number of nodes to `unit` + 1. The operation is of type `SCALE`.
        scale(id: &str, unit: u32) -> ClusterInfo =
            send(Method::PUT, &["clusters", id, "scale"], &json!({ "product_unit": unit }));

        /// Starts to upgrade CrateDB. The operation is of type `UPGRADE`.
        upgrade(id: &str, version: &str) -> ClusterInfo =
            send(Method::PUT, &["clusters", id, "upgrade"], &json!({ "crate_version": version }));

        /// Starts to enlarge the disk of each node. The operation is of type `EXPAND_STORAGE`.
        expand_storage(id: &str, disk_size_per_node_bytes: u64) -> ClusterInfo =
            send(Method::PUT, &["clusters", id, "storage"],
                 &json!({ "disk_size_per_node_bytes": disk_size_per_node_bytes }));

        /// Starts to change the product of a cluster. The operation is of type `CHANGE_COMPUTE`.
        change_product(id: &str, product: &str) -> ClusterInfo =
            send(Method::PUT, &["clusters", id, "product"], &json!({ "product_name": product }));

        /// Starts to change the hours of backups, such as `2,4,6`. The operation is of type `BACKUP_SCHEDULE_UPDATE`.
        set_backup_schedule(id: &str, hours: &str) -> ClusterInfo =
            send(Method::PUT, &["clusters", id, "backup-schedule"], &json!({ "backup_hours": hours }));

        /// Starts to change the addresses that may connect to a cluster. This replaces the list; an empty list allows
        /// every address. The operation is of type `ALLOWED_CIDR_UPDATE`.
        ///
        /// ```no_run
        /// # async fn example(client: cratedb_test::cloud::Client, id: &str) -> cratedb_test::Result<()> {
        /// use cratedb_test::cloud::model::Cidr;
        ///
        /// client.set_ip_restrictions(id, &[Cidr::new("198.51.100.0/24").described("office")]).await?;
        /// # Ok(())
        /// # }
        /// ```
        set_ip_restrictions(id: &str, allowed: &[Cidr]) -> ClusterInfo =
            send(Method::PUT, &["clusters", id, "ip-restrictions"], &json!({ "ip_whitelist": allowed }));

        /// Restarts one node. Nodes are numbered from 0.
        restart_node(id: &str, ordinal: u32) -> () =
            delete_at(Path::without_slash(&["clusters", id, "nodes", &ordinal.to_string()]));

        /// Moves a cluster to another subscription. Only the operators of the service may do this.
        transfer_subscription(id: &str, old: &str, new: &str) -> ClusterInfo =
            send(Method::POST, &["clusters", id, "transfer-subscription"],
                 &json!({ "old_subscription_id": old, "new_subscription_id": new }));
    }

    /// Starts to change the password of the cluster's database user: 24 to 128 characters. The operation is of type
    /// `PASSWORD_UPDATE`.
    pub async fn change_password(&self, id: &str, password: &str) -> Result<ClusterInfo> {
        let changed = self.send(Method::PATCH, &["clusters", id], &json!({ "password": password })).await;
        changed.map_err(|error: Error| error.without_secret(password))
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
    calls! {
        /// Lists the imports of a cluster.
        import_jobs(cluster: &str) -> Vec<ImportJob> = get(&["clusters", cluster, "import-jobs"], &[]);

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
        create_import_job(cluster: &str, job: &NewImportJob) -> ImportJob =
            send(Method::POST, &["clusters", cluster, "import-jobs"], job);

        /// Returns one import.
        import_job(cluster: &str, id: &str) -> ImportJob = get(&["clusters", cluster, "import-jobs", id], &[]);

        /// Cancels an import, or deletes one that has ended.
        delete_import_job(cluster: &str, id: &str) -> () = delete(&["clusters", cluster, "import-jobs", id]);

        /// Lists the exports of a cluster.
        export_jobs(cluster: &str) -> Vec<ExportJob> = get(&["clusters", cluster, "export-jobs"], &[]);

        /// Starts an export; [`ManagedCluster::export`](crate::ManagedCluster::export) waits for its end.
        create_export_job(cluster: &str, job: &NewExportJob) -> ExportJob =
            send(Method::POST, &["clusters", cluster, "export-jobs"], job);

        /// Returns one export.
        export_job(cluster: &str, id: &str) -> ExportJob = get(&["clusters", cluster, "export-jobs", id], &[]);

        /// Cancels an export, or deletes one that has ended.
        delete_export_job(cluster: &str, id: &str) -> () = delete(&["clusters", cluster, "export-jobs", id]);

        /// Lists the files of an organization: those uploaded for imports and those of exports.
        files(organization: &str) -> Vec<UploadedFile> = get(&["organizations", organization, "files"], &[]);

        /// Announces a file. Its bytes are then sent by `PUT` to its `upload_url`.
        /// [`ManagedCluster::upload`](crate::ManagedCluster::upload) does both.
        create_file(organization: &str, name: &str) -> UploadedFile =
            send(Method::POST, &["organizations", organization, "files"], &json!({ "name": name }));

        /// Returns one file.
        file(organization: &str, id: &str) -> UploadedFile = get(&["organizations", organization, "files", id], &[]);

        /// Deletes a file.
        delete_file(organization: &str, id: &str) -> () = delete(&["organizations", organization, "files", id]);
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
}
