//! Backups, and what is taken back from them.

use serde::Serialize;
use serde_json::Value;

use super::model;

model! {
    /// A backup of a cluster.
    pub struct Snapshot {
        /// When it was made, in ISO 8601.
        pub created: String,
        /// Where it is.
        pub repository: String,
        /// Its name there.
        pub snapshot: String,
        /// The cluster that it is of.
        pub cluster_id: String,
        /// The project of that cluster.
        pub project_id: String,
        /// The tables in it, with their schemas.
        pub tables: Vec<String>,
        /// The same as the storage names them.
        pub concrete_indices: Vec<String>,
        /// Whatever else the service says.
        pub dc: Value,
    }
}

/// What to take back from a snapshot.
///
/// ```
/// use cratedb_test::cloud::model::Restore;
///
/// let restore = Restore::tables("system_backup_20260101000000", "20260105065500", ["doc.weather"]);
/// assert_eq!(restore.kind, "tables");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Restore {
    /// Where the snapshot is.
    pub repository: String,
    /// Its name there.
    pub snapshot: String,
    /// `all`, `metadata`, `tables` or `sections`. The field is called `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of type `tables`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Of type `sections`: such as `views`, `users`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<String>,
    /// The cluster that the snapshot is of, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_cluster_id: Option<String>,
}

impl Restore {
    fn of(repository: impl Into<String>, snapshot: impl Into<String>, kind: &str) -> Self {
        Self {
            repository: repository.into(),
            snapshot: snapshot.into(),
            kind: kind.to_owned(),
            tables: Vec::new(),
            sections: Vec::new(),
            source_cluster_id: None,
        }
    }

    /// Everything.
    pub fn all(repository: impl Into<String>, snapshot: impl Into<String>) -> Self {
        Self::of(repository, snapshot, "all")
    }

    /// Users, settings, views and the like, without tables.
    pub fn metadata(repository: impl Into<String>, snapshot: impl Into<String>) -> Self {
        Self::of(repository, snapshot, "metadata")
    }

    /// Some tables.
    pub fn tables(
        repository: impl Into<String>,
        snapshot: impl Into<String>,
        tables: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self { tables: tables.into_iter().map(Into::into).collect(), ..Self::of(repository, snapshot, "tables") }
    }

    /// Some parts, such as `views`.
    pub fn sections(
        repository: impl Into<String>,
        snapshot: impl Into<String>,
        sections: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self { sections: sections.into_iter().map(Into::into).collect(), ..Self::of(repository, snapshot, "sections") }
    }

    /// From a snapshot of another cluster.
    #[must_use]
    pub fn from_cluster(mut self, id: impl Into<String>) -> Self {
        self.source_cluster_id = Some(id.into());
        self
    }
}
