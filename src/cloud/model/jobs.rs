//! Imports, exports and the files that go with them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cluster::Dates;
use super::model;
use super::operation::Status;

model! {
    /// An import of data into a table.
    pub struct ImportJob {
        /// A UUID.
        pub id: String,
        /// The cluster that it imports into.
        pub cluster_id: String,
        /// `url`, `file`, `s3`, `azureblob` or `dynamodb`. The field is called `type`.
        #[serde(rename = "type")]
        pub kind: String,
        /// `csv`, `json` or `parquet`.
        pub format: String,
        /// `gzip`, if it is compressed.
        pub compression: Option<String>,
        /// How far it is.
        pub status: Status,
        /// Where the data go.
        pub destination: ImportDestination,
        /// Of type `url`.
        pub url: Option<UrlSource>,
        /// Of type `file`.
        pub file: Option<FileSource>,
        /// Of type `s3`.
        pub s3: Option<S3Source>,
        /// Of type `azureblob`.
        pub azureblob: Option<AzureSource>,
        /// The columns that were found.
        pub schema: Value,
        /// How much is imported.
        pub progress: JobProgress,
        /// When it was made and last moved.
        pub dc: Dates,
    }

    /// The table that an import goes to.
    pub struct ImportDestination {
        /// Its name, as it was given: not quoted.
        pub table: String,
        /// Whether it is made if it does not exist.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub create_table: Option<bool>,
        /// Its columns, if the service shall not guess them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub table_definition: Vec<Column>,
    }

    /// A column of a table that an import makes.
    pub struct Column {
        /// Its name.
        pub name: String,
        /// Its type, such as `BIGINT`. The field is called `type`.
        #[serde(rename = "type")]
        pub kind: String,
        /// What else belongs to its definition.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub extra: Option<String>,
    }

    /// An address to import from.
    pub struct UrlSource {
        /// `http` or `https`.
        pub url: String,
    }

    /// An uploaded file to import from.
    pub struct FileSource {
        /// Id of the file.
        pub id: String,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
    }

    /// An object of S3 to import from.
    pub struct S3Source {
        /// The bucket.
        pub bucket: String,
        /// The path in it; may have wildcards.
        pub file_path: String,
        /// The organization's secret with the credentials.
        pub secret_id: String,
        /// Of services other than AWS.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub endpoint: Option<String>,
    }

    /// A blob of Azure to import from.
    pub struct AzureSource {
        /// The container.
        pub container_name: String,
        /// The blob in it; may have wildcards.
        pub blob_name: String,
        /// The organization's secret with the credentials.
        pub secret_id: String,
    }

    /// How far a job is.
    pub struct JobProgress {
        /// The service's words.
        pub message: String,
        /// Records that are done.
        pub records: Option<u64>,
        /// Bytes that are done.
        pub bytes: Option<u64>,
        /// 0 to 100.
        pub percent: Option<f64>,
        /// Records that could not be imported.
        pub failed_records: Option<u64>,
        /// Records that there are.
        pub total_records: Option<u64>,
        /// Files that are done.
        pub processed_files: Option<u64>,
        /// Files that could not be imported.
        pub failed_files: Option<u64>,
        /// Files that there are.
        pub total_files: Option<u64>,
        /// Each file, where the answer has them.
        pub files: Vec<FileProgress>,
        /// Whatever else the service says.
        pub details: Value,
    }

    /// How far one file of an import is.
    pub struct FileProgress {
        /// Its name.
        pub name: String,
        /// Such as `SUCCEEDED`.
        pub status: String,
        /// The service's words.
        pub message: Option<String>,
        /// Records that are done.
        pub records: Option<u64>,
        /// Bytes that are done.
        pub bytes: Option<u64>,
        /// 0 to 100.
        pub percent: Option<f64>,
        /// Records that could not be imported.
        pub failed_records: Option<u64>,
        /// Records that there are.
        pub total_records: Option<u64>,
    }

    /// How far an import is, file by file.
    pub struct ImportProgress {
        /// Id of the job.
        pub job_id: String,
        /// The service's words.
        pub message: String,
        /// The numbers.
        pub progress: JobProgress,
        /// Whatever else the service says.
        pub details: Value,
    }

    /// An export of a table to a file.
    pub struct ExportJob {
        /// A UUID.
        pub id: String,
        /// The cluster that it exports from.
        pub cluster_id: String,
        /// `gzip`, if it is compressed.
        pub compression: Option<String>,
        /// How far it is.
        pub status: Status,
        /// What is exported.
        pub source: ExportSource,
        /// Where it goes; names the file to download in the end.
        pub destination: ExportDestination,
        /// How much is exported.
        pub progress: JobProgress,
        /// When it was made and last moved.
        pub dc: Dates,
    }

    /// What an export reads.
    pub struct ExportSource {
        /// Name of the table.
        pub table: String,
    }

    /// What an export writes.
    pub struct ExportDestination {
        /// `csv`, `json` or `parquet`.
        pub format: String,
        /// The file, once there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub file: Option<ExportFile>,
    }
}

/// The file of an export.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ExportFile {
    /// Its id; [`Client::file`](crate::cloud::Client::file) has the address to download it from.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub name: String,
    /// Where to get it, for a time, without credentials: a secret as long as it is good.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub download_url: String,
    /// Its size.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub file_size: Option<u64>,
}

/// Without the address, which is a secret as long as it is good.
impl fmt::Debug for ExportFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, file_size, .. } = self;
        f.debug_struct("ExportFile")
            .field("id", id)
            .field("name", name)
            .field("file_size", file_size)
            .finish_non_exhaustive()
    }
}

/// A file that was uploaded, or is to be.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct UploadedFile {
    /// A UUID.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub name: String,
    /// The organization that it belongs to.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub organization_id: String,
    /// `PENDING` or `UPLOADED`.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub status: String,
    /// Its size.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub file_size: Option<u64>,
    /// Where its bytes are sent by `PUT`, without credentials.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub upload_url: String,
    /// Where to get it.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub download_url: Option<String>,
    /// When it was made.
    #[serde(deserialize_with = "crate::cloud::model::or_default")]
    pub dc: Dates,
}

/// Without the addresses, which are secrets as long as they are good.
impl fmt::Debug for UploadedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, status, file_size, .. } = self;
        let mut shown = f.debug_struct("UploadedFile");
        shown
            .field("id", id)
            .field("name", name)
            .field("status", status)
            .field("file_size", file_size)
            .finish_non_exhaustive()
    }
}

/// An import to be made.
///
/// ```
/// use cratedb_test::cloud::model::NewImportJob;
///
/// let import = NewImportJob::from_url("https://example.org/weather.csv.gz", "csv", "weather").gzip().create_table(true);
/// assert_eq!(import.kind, "url");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NewImportJob {
    /// `url`, `file`, `s3` or `azureblob`. The field is called `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `csv`, `json` or `parquet`.
    pub format: String,
    /// `gzip`, if it is compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// Where the data go.
    pub destination: ImportDestination,
    /// Of type `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlSource>,
    /// Of type `file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSource>,
    /// Of type `s3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Source>,
    /// Of type `azureblob`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azureblob: Option<AzureSource>,
}

impl NewImportJob {
    fn new(kind: &str, format: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            format: format.into(),
            compression: None,
            destination: ImportDestination { table: table.into(), ..ImportDestination::default() },
            url: None,
            file: None,
            s3: None,
            azureblob: None,
        }
    }

    /// From an address that the service can reach.
    pub fn from_url(url: impl Into<String>, format: impl Into<String>, table: impl Into<String>) -> Self {
        Self { url: Some(UrlSource { url: url.into() }), ..Self::new("url", format, table) }
    }

    /// From a file that was uploaded, by its id.
    pub fn from_file(id: impl Into<String>, format: impl Into<String>, table: impl Into<String>) -> Self {
        Self { file: Some(FileSource { id: id.into(), name: None }), ..Self::new("file", format, table) }
    }

    /// From S3.
    pub fn from_s3(
        bucket: impl Into<String>,
        file_path: impl Into<String>,
        secret_id: impl Into<String>,
        format: impl Into<String>,
        table: impl Into<String>,
    ) -> Self {
        let s3 = S3Source {
            bucket: bucket.into(),
            file_path: file_path.into(),
            secret_id: secret_id.into(),
            endpoint: None,
        };
        Self { s3: Some(s3), ..Self::new("s3", format, table) }
    }

    /// From Azure's blob storage.
    pub fn from_azure(
        container_name: impl Into<String>,
        blob_name: impl Into<String>,
        secret_id: impl Into<String>,
        format: impl Into<String>,
        table: impl Into<String>,
    ) -> Self {
        let azureblob = AzureSource {
            container_name: container_name.into(),
            blob_name: blob_name.into(),
            secret_id: secret_id.into(),
        };
        Self { azureblob: Some(azureblob), ..Self::new("azureblob", format, table) }
    }

    /// The data are compressed by gzip.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.compression = Some("gzip".to_owned());
        self
    }

    /// Whether the table is made if it does not exist; the service decides if nothing is said.
    #[must_use]
    pub fn create_table(mut self, create: bool) -> Self {
        self.destination.create_table = Some(create);
        self
    }
}

/// An export to be made.
///
/// ```
/// use cratedb_test::cloud::model::NewExportJob;
///
/// let export = NewExportJob::new("weather", "csv");
/// assert_eq!(export.source.table, "weather");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NewExportJob {
    /// What is exported.
    pub source: ExportSource,
    /// What is written.
    pub destination: ExportDestination,
    /// `gzip`, if it shall be compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
}

impl NewExportJob {
    /// Of a table, as `csv`, `json` or `parquet`.
    pub fn new(table: impl Into<String>, format: impl Into<String>) -> Self {
        Self {
            source: ExportSource { table: table.into() },
            destination: ExportDestination { format: format.into(), file: None },
            compression: None,
        }
    }

    /// The file is to be compressed by gzip.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.compression = Some("gzip".to_owned());
        self
    }
}
