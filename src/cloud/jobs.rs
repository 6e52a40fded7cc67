//! Calls about imports, exports and the files that go with them.

use reqwest::Method;
use serde_json::json;

use super::client::Client;
use super::model::{ExportJob, ImportJob, ImportProgress, NewExportJob, NewImportJob, UploadedFile};
use crate::error::Result;

impl Client {
    /// The imports of a cluster.
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

    /// One import.
    pub async fn import_job(&self, cluster: &str, id: &str) -> Result<ImportJob> {
        self.get(&["clusters", cluster, "import-jobs", id], &[]).await
    }

    /// How far an import is, file by file: at most `limit` files, after `offset`.
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

    /// Cancels an import, or removes one that ended.
    pub async fn delete_import_job(&self, cluster: &str, id: &str) -> Result<()> {
        self.delete(&["clusters", cluster, "import-jobs", id]).await
    }

    /// The exports of a cluster.
    pub async fn export_jobs(&self, cluster: &str) -> Result<Vec<ExportJob>> {
        self.get(&["clusters", cluster, "export-jobs"], &[]).await
    }

    /// Starts an export; [`ManagedCluster::export`](crate::ManagedCluster::export) waits for its end.
    pub async fn create_export_job(&self, cluster: &str, job: &NewExportJob) -> Result<ExportJob> {
        self.send(Method::POST, &["clusters", cluster, "export-jobs"], job).await
    }

    /// One export.
    pub async fn export_job(&self, cluster: &str, id: &str) -> Result<ExportJob> {
        self.get(&["clusters", cluster, "export-jobs", id], &[]).await
    }

    /// Cancels an export, or removes one that ended.
    pub async fn delete_export_job(&self, cluster: &str, id: &str) -> Result<()> {
        self.delete(&["clusters", cluster, "export-jobs", id]).await
    }

    /// The files of an organization: for imports, and of exports.
    pub async fn files(&self, organization: &str) -> Result<Vec<UploadedFile>> {
        self.get(&["organizations", organization, "files"], &[]).await
    }

    /// Announces a file; its bytes are then sent by `PUT` to its `upload_url`.
    /// [`ManagedCluster::upload`](crate::ManagedCluster::upload) does both.
    pub async fn create_file(&self, organization: &str, name: &str) -> Result<UploadedFile> {
        self.send(Method::POST, &["organizations", organization, "files"], &json!({ "name": name })).await
    }

    /// One file.
    pub async fn file(&self, organization: &str, id: &str) -> Result<UploadedFile> {
        self.get(&["organizations", organization, "files", id], &[]).await
    }

    /// Removes a file.
    pub async fn delete_file(&self, organization: &str, id: &str) -> Result<()> {
        self.delete(&["organizations", organization, "files", id]).await
    }
}
