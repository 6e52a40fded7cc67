//! Imports, exports and restores, waited for.

use std::path::Path;
use std::time::Duration;

use super::{Inner, ManagedCluster};
use crate::cloud::lifecycle::named;
use crate::cloud::model::{
    Cluster, ExportJob, ImportJob, JobProgress, NewExportJob, NewImportJob, Restore, Status, UploadedFile,
};
use crate::cloud::operation::{Ended, Known, Which, passing};
use crate::error::{Error, Kind, Result};
use crate::sql::connections::{self, Limits};
use crate::wait::{self, Look};

/// For a file to be sent: whoever has more should say where the service can get it.
const SILENCE: Duration = Duration::from_secs(60 * 60);

impl ManagedCluster {
    /// Imports data into a table and waits for the end of it.
    ///
    /// ```no_run
    /// use cratedb_test::cloud::model::NewImportJob;
    ///
    /// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
    /// let job = NewImportJob::from_url("https://example.org/weather.csv.gz", "csv", "weather").gzip().create_table(true);
    /// println!("{:?} records", cluster.import(&job).await?.progress.records);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the import fails, with the service's words; when it takes longer than the
    /// [start time-out](super::ManagedClusterBuilder::start_timeout).
    pub async fn import(&self, job: &NewImportJob) -> Result<ImportJob> {
        let job = job.clone();
        self.work(move |inner| async move { inner.import(&job).await }).await
    }

    /// Exports a table to a file, which [`Client::file`](crate::cloud::Client::file) then tells where to get, and waits for
    /// the end of it.
    ///
    /// # Errors
    ///
    /// Like [`import`](Self::import).
    pub async fn export(&self, job: &NewExportJob) -> Result<ExportJob> {
        let job = job.clone();
        self.work(move |inner| async move { inner.export(&job).await }).await
    }

    /// Sends a file, for an [import](NewImportJob::from_file). It is read into memory.
    ///
    /// # Errors
    ///
    /// When the file can't be read or is not taken.
    pub async fn upload(&self, path: impl AsRef<Path>) -> Result<UploadedFile> {
        let path = path.as_ref().to_owned();
        self.work(move |inner| async move { inner.upload(&path).await }).await
    }

    /// Takes data back from a snapshot and waits for the end of it.
    ///
    /// # Errors
    ///
    /// When the operation fails, with the service's words; when it takes longer than the
    /// [start time-out](super::ManagedClusterBuilder::start_timeout).
    pub async fn restore(&self, restore: &Restore) -> Result<()> {
        let restore = restore.clone();
        self.work(move |inner| async move { inner.restore(&restore).await }).await
    }
}

impl Inner {
    async fn import(&self, job: &NewImportJob) -> Result<ImportJob> {
        let cluster = self.lifecycle.look().await?;
        let doing = format!("importing into {} of {}", job.destination.table, named(&cluster));
        self.told(doing.clone());
        let client = &self.lifecycle.client;
        let made = client.create_import_job(&cluster.id, job).await?;
        let look = || async {
            let now = client.import_job(&cluster.id, &made.id).await?;
            Ok((now.status.clone(), now.progress.clone(), now))
        };
        self.until_done(&doing, &made.id, look).await
    }

    async fn export(&self, job: &NewExportJob) -> Result<ExportJob> {
        let cluster = self.lifecycle.look().await?;
        let doing = format!("exporting {} of {}", job.source.table, named(&cluster));
        self.told(doing.clone());
        let client = &self.lifecycle.client;
        let made = client.create_export_job(&cluster.id, job).await?;
        let look = || async {
            let now = client.export_job(&cluster.id, &made.id).await?;
            Ok((now.status.clone(), now.progress.clone(), now))
        };
        self.until_done(&doing, &made.id, look).await
    }

    /// Follows a job by its id. An API in trouble doesn't end the wait, since the job goes on without it.
    async fn until_done<T, F>(&self, doing: &str, id: &str, look: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<(Status, JobProgress, T)>>,
    {
        if id.is_empty() {
            return Err(Error::new(Kind::Decode, format!("{doing} can't be followed"))
                .because("the service took the job and did not say its id"));
        }
        let told = |status: &str| self.told(format!("{doing}: {status}"));
        wait::until(&format!("the end of {doing}"), wait::OPERATION, self.deadline(), told, || async {
            match look().await {
                Ok((Status::Succeeded, _, now)) => Ok(Look::Ready(now)),
                Ok((Status::Failed, progress, _)) => Err(failed(doing, id, &progress)),
                Ok((status, progress, _)) => Ok(Look::NotYet(in_words(&status, &progress))),
                Err(error) if passing(&error) => Ok(Look::not_yet(&error)),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn restore(&self, restore: &Restore) -> Result<()> {
        let cluster = self.lifecycle.look().await?;
        let doing = format!("restoring snapshot {} on {}", restore.snapshot, named(&cluster));
        let deadline = self.deadline();
        if let Some(kind) = cluster.busy() {
            self.lifecycle.sit_out(&cluster, kind, deadline, self).await?;
        }
        let before = self.lifecycle.client.cluster(&cluster.id).await?;
        let known = before.last_async_operation.as_ref().map_or_else(Known::default, Known::from);
        self.told(doing.clone());
        self.lifecycle.client.restore_snapshot(&cluster.id, restore).await?;
        let which = Which::NewestOf("RESTORE_SNAPSHOT", Some(known));
        let told = |status: &str| self.told(format!("{doing}: {status}"));
        // Nothing of the cluster shows that a snapshot was restored, so only its operation tells.
        match self.lifecycle.client.follow(&before, &which, &doing, |_| false, deadline, told).await? {
            Ended::Succeeded => Ok(()),
            Ended::Failed(error) | Ended::Lost(error) => Err(error),
        }
    }

    async fn upload(&self, path: &Path) -> Result<UploadedFile> {
        let fail = || Error::new(Kind::Usage, format!("cannot upload {}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| fail().because(error))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let cluster = self.lifecycle.look().await?;
        let organization = self.organization_of(&cluster).await?;
        let file = self.lifecycle.client.create_file(&organization, &name).await?;
        self.told(format!("uploading {} ({} bytes)", path.display(), bytes.len()));
        put(&file.upload_url, bytes).await.map_err(|cause| fail().because(cause))?;
        Ok(file)
    }

    async fn organization_of(&self, cluster: &Cluster) -> Result<String> {
        let project = self.lifecycle.client.project(&cluster.project_id).await?;
        Ok(project.organization_id)
    }
}

/// Sends bytes to an address that needs no credentials, and that nobody should see: whoever has it may write there.
async fn put(address: &str, bytes: Vec<u8>) -> Result<(), String> {
    let url =
        url::Url::parse(address).map_err(|error| format!("the address that the service gave is none: {error}"))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let limits = Limits { silence: SILENCE, ..Limits::SQL };
    let client = connections::open(&url, None, limits).map_err(|error| error.to_string())?;
    let answer = client.put(url).body(bytes).send().await;
    let answer = answer.map_err(|error| format!("{host} did not take it: {}", error.without_url()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("{host} refused it: {status}")),
    }
}

fn failed(doing: &str, id: &str, progress: &JobProgress) -> Error {
    let words = match progress.message.as_str() {
        "" => "CrateDB Cloud gave no reason",
        words => words,
    };
    Error::new(Kind::Cloud, format!("{doing} failed")).because(words).hint(format!("job {id} ended as FAILED"))
}

fn in_words(status: &Status, progress: &JobProgress) -> String {
    let mut text = status.to_string();
    if let Some(percent) = progress.percent {
        text.push_str(&format!(", {percent:.0} %"));
    }
    if let Some(records) = progress.records {
        text.push_str(&format!(", {records} records"));
    }
    if !progress.message.is_empty() {
        text.push_str(&format!(" ({})", progress.message));
    }
    text
}
