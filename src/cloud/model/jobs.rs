//! Imports, exports and their files.

use serde::Serialize;
use serde_json::Value;

use super::{Dates, Status, model};

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
        /// The state of the import.
        pub status: Status,
        /// The table to import into.
        pub destination: ImportDestination,
        /// Set for type `url`.
        pub url: Option<UrlSource>,
        /// Set for type `file`.
        pub file: Option<FileSource>,
        /// Set for type `s3`.
        pub s3: Option<S3Source>,
        /// Set for type `azureblob`.
        pub azureblob: Option<AzureSource>,
        /// The detected columns.
        pub schema: Value,
        /// The progress of the import.
        pub progress: JobProgress,
        /// When it was created and last changed.
        pub dc: Dates,
    }

    /// The table to import into.
    pub struct ImportDestination {
        /// Its name, not quoted.
        pub table: String,
        /// True if the table is created in case it does not exist.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub create_table: Option<bool>,
        /// Its columns, if the service should not detect them.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub table_definition: Vec<Column>,
    }

    /// A column of a table that an import creates.
    pub struct Column {
        /// Its name.
        pub name: String,
        /// Its type, such as `BIGINT`. The field is called `type`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The rest of its definition.
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
        /// The path in the bucket; may have wildcards.
        pub file_path: String,
        /// The organization's secret that holds the credentials.
        pub secret_id: String,
        /// The endpoint of a service other than AWS.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub endpoint: Option<String>,
    }

    /// A blob of Azure to import from.
    pub struct AzureSource {
        /// The container.
        pub container_name: String,
        /// The blob in the container; may have wildcards.
        pub blob_name: String,
        /// The organization's secret that holds the credentials.
        pub secret_id: String,
    }

    /// The progress of a job.
    pub struct JobProgress {
        /// The service's message.
        pub message: String,
        /// The number of records done.
        pub records: Option<u64>,
        /// The number of bytes done.
        pub bytes: Option<u64>,
        /// 0 to 100.
        pub percent: Option<f64>,
        /// The number of records that could not be imported.
        pub failed_records: Option<u64>,
        /// The total number of records.
        pub total_records: Option<u64>,
        /// The number of files done.
        pub processed_files: Option<u64>,
        /// The number of files that could not be imported.
        pub failed_files: Option<u64>,
        /// The total number of files.
        pub total_files: Option<u64>,
        /// The progress of each file, if the answer has it.
        pub files: Vec<FileProgress>,
        /// Further details, as the service writes them.
        pub details: Value,
    }

    /// The progress of one file of an import.
    pub struct FileProgress {
        /// Its name.
        pub name: String,
        /// Such as `SUCCEEDED`.
        pub status: String,
        /// The service's message.
        pub message: Option<String>,
        /// The number of records done.
        pub records: Option<u64>,
        /// The number of bytes done.
        pub bytes: Option<u64>,
        /// 0 to 100.
        pub percent: Option<f64>,
        /// The number of records that could not be imported.
        pub failed_records: Option<u64>,
        /// The total number of records.
        pub total_records: Option<u64>,
    }

    /// The progress of an import, file by file.
    pub struct ImportProgress {
        /// Id of the job.
        pub job_id: String,
        /// The service's message.
        pub message: String,
        /// The numbers for the whole job.
        pub progress: JobProgress,
        /// Further details, as the service writes them.
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
        /// The state of the export.
        pub status: Status,
        /// The exported table.
        pub source: ExportSource,
        /// The file to export to. Once the export is done, it can be downloaded.
        pub destination: ExportDestination,
        /// The progress of the export.
        pub progress: JobProgress,
        /// When it was created and last changed.
        pub dc: Dates,
    }

    /// The source of an export.
    pub struct ExportSource {
        /// The name of the table.
        pub table: String,
    }

    /// The destination of an export.
    pub struct ExportDestination {
        /// `csv`, `json` or `parquet`.
        pub format: String,
        /// The file, once it exists.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub file: Option<ExportFile>,
    }

    /// The file of an export. `Debug` hides the address, which is a secret while it is valid.
    pub struct ExportFile [id, name, file_size] {
        /// Its id; [`Client::file`](crate::cloud::Client::file) returns the address to download it from.
        pub id: String,
        /// Its name.
        pub name: String,
        /// The address to download it from, valid for a time and without credentials. It is a secret while it is valid.
        pub download_url: String,
        /// Its size.
        pub file_size: Option<u64>,
    }

    /// A file that was uploaded, or will be. `Debug` hides the addresses, which are secrets while they are valid.
    pub struct UploadedFile [id, name, status, file_size] {
        /// A UUID.
        pub id: String,
        /// Its name.
        pub name: String,
        /// The organization that it belongs to.
        pub organization_id: String,
        /// `PENDING` or `UPLOADED`.
        pub status: String,
        /// Its size.
        pub file_size: Option<u64>,
        /// The address to send its bytes to by `PUT`, without credentials.
        pub upload_url: String,
        /// The address to download it from.
        pub download_url: Option<String>,
        /// When it was created.
        pub dc: Dates,
    }
}

/// A request for an import.
///
/// ```
/// use cratedb_test::cloud::model::NewImportJob;
///
/// let source = "https://example.org/weather.csv.gz";
/// let import = NewImportJob::from_url(source, "csv", "weather").gzip().create_table(true);
/// assert_eq!(import.kind, "url");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
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
    /// The table to import into.
    pub destination: ImportDestination,
    /// Set for type `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlSource>,
    /// Set for type `file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSource>,
    /// Set for type `s3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Source>,
    /// Set for type `azureblob`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub azureblob: Option<AzureSource>,
}

impl NewImportJob {
    fn new(kind: &str, format: impl Into<String>, table: impl Into<String>) -> Self {
        let destination = ImportDestination { table: table.into(), ..ImportDestination::default() };
        Self { kind: kind.to_owned(), format: format.into(), destination, ..Self::default() }
    }

    /// Imports from an address that the service can reach.
    pub fn from_url(url: impl Into<String>, format: impl Into<String>, table: impl Into<String>) -> Self {
        Self { url: Some(UrlSource { url: url.into() }), ..Self::new("url", format, table) }
    }

    /// Imports from an uploaded file, by its id.
    pub fn from_file(id: impl Into<String>, format: impl Into<String>, table: impl Into<String>) -> Self {
        Self { file: Some(FileSource { id: id.into(), name: None }), ..Self::new("file", format, table) }
    }

    /// Imports from S3.
    pub fn from_s3(
        bucket: impl Into<String>,
        file_path: impl Into<String>,
        secret_id: impl Into<String>,
        format: impl Into<String>,
        table: impl Into<String>,
    ) -> Self {
        let (bucket, file_path, secret_id) = (bucket.into(), file_path.into(), secret_id.into());
        let s3 = S3Source { bucket, file_path, secret_id, endpoint: None };
        Self { s3: Some(s3), ..Self::new("s3", format, table) }
    }

    /// Imports from Azure's blob storage.
    pub fn from_azure(
        container_name: impl Into<String>,
        blob_name: impl Into<String>,
        secret_id: impl Into<String>,
        format: impl Into<String>,
        table: impl Into<String>,
    ) -> Self {
        let (container_name, blob_name, secret_id) = (container_name.into(), blob_name.into(), secret_id.into());
        let azureblob = AzureSource { container_name, blob_name, secret_id };
        Self { azureblob: Some(azureblob), ..Self::new("azureblob", format, table) }
    }

    /// Declares the data as compressed with gzip.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.compression = Some("gzip".to_owned());
        self
    }

    /// Sets whether the table is created if it does not exist. By default the service decides.
    #[must_use]
    pub fn create_table(mut self, create: bool) -> Self {
        self.destination.create_table = Some(create);
        self
    }
}

/// A request for an export.
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
    /// The table to export.
    pub source: ExportSource,
    /// The file to write.
    pub destination: ExportDestination,
    /// `gzip`, if the file should be compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
}

impl NewExportJob {
    /// Exports a table as `csv`, `json` or `parquet`.
    pub fn new(table: impl Into<String>, format: impl Into<String>) -> Self {
        Self {
            source: ExportSource { table: table.into() },
            destination: ExportDestination { format: format.into(), file: None },
            compression: None,
        }
    }

    /// Compresses the file with gzip.
    #[must_use]
    pub fn gzip(mut self) -> Self {
        self.compression = Some("gzip".to_owned());
        self
    }
}
