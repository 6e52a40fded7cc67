//! What takes time, and how far it is.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cluster::Dates;
use super::model;

model! {
    /// Something that takes time: `CREATE`, `SUSPEND` (which also resumes), `SCALE`, `UPGRADE`, ….
    pub struct Operation {
        /// A UUID.
        pub id: String,
        /// `CREATE`, `SUSPEND`, `SCALE`, `UPGRADE`, `EXPAND_STORAGE`, `CHANGE_COMPUTE`, `ALLOWED_CIDR_UPDATE`,
        /// `PASSWORD_UPDATE`, `BACKUP_SCHEDULE_UPDATE` or `RESTORE_SNAPSHOT`. The field is called `type`.
        #[serde(rename = "type")]
        pub kind: String,
        /// How far it is.
        pub status: Status,
        /// `CLUSTER`.
        pub entity: String,
        /// Id of the cluster.
        pub entity_id: String,
        /// The service's words for what it does, or why it failed.
        pub feedback_data: Feedback,
        /// What is changed from what to what; depends on the type.
        pub non_sensitive_data: Value,
        /// When it began and when it last moved.
        pub dc: Dates,
    }

    /// The service's words for what an operation does.
    pub struct Feedback {
        /// For people.
        pub message: String,
    }

    /// Which operations of a cluster to list; all if nothing is said.
    pub struct OperationFilter {
        /// Of this type only.
        pub kind: Option<String>,
        /// In one of these states only, such as `IN_PROGRESS`.
        pub statuses: Vec<String>,
        /// The newest so many.
        pub limit: Option<u32>,
        /// Begun at or after this moment, such as `2026-01-05T13:00:00Z`.
        pub start: Option<String>,
        /// Begun before this moment.
        pub end: Option<String>,
    }
}

impl Operation {
    /// The status and the service's words for it.
    pub(crate) fn told(&self) -> String {
        match self.feedback_data.message.as_str() {
            "" => self.status.to_string(),
            message => format!("{} ({message})", self.status),
        }
    }
}

impl OperationFilter {
    /// The newest `limit` operations.
    ///
    /// ```
    /// use cratedb_test::cloud::model::OperationFilter;
    ///
    /// let last_upgrade = OperationFilter::newest(1).of("UPGRADE");
    /// assert_eq!(last_upgrade.limit, Some(1));
    /// ```
    pub fn newest(limit: u32) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// Of one type only.
    #[must_use]
    pub fn of(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    pub(crate) fn query(&self) -> Vec<(&str, String)> {
        let mut query = Vec::new();
        query.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        query.extend(self.kind.clone().map(|kind| ("type", kind)));
        query.extend(self.statuses.iter().map(|status| ("statuses", status.clone())));
        query.extend(self.start.clone().map(|start| ("start", start)));
        query.extend(self.end.clone().map(|end| ("end", end)));
        query
    }
}

/// How far an operation or a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "String")]
#[non_exhaustive]
pub enum Status {
    /// Received.
    Registered,
    /// On its way to the region.
    Sent,
    /// Being done.
    InProgress,
    /// Done.
    Succeeded,
    /// Given up.
    Failed,
    /// One that this crate doesn't know; empty if the service said none.
    Other(String),
}

impl Status {
    /// Whether an operation in this state keeps others from starting. A state that nobody knows doesn't: else it would
    /// block a cluster for ever.
    pub(crate) fn in_flight(&self) -> bool {
        matches!(self, Self::Registered | Self::Sent | Self::InProgress)
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl From<Option<String>> for Status {
    fn from(text: Option<String>) -> Self {
        match text.as_deref().unwrap_or_default() {
            "REGISTERED" => Self::Registered,
            "SENT" => Self::Sent,
            "IN_PROGRESS" => Self::InProgress,
            "SUCCEEDED" => Self::Succeeded,
            "FAILED" => Self::Failed,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        match status {
            Status::Other(text) => text,
            known => known.to_string(),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Registered => "REGISTERED",
            Self::Sent => "SENT",
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Other(text) if text.is_empty() => "unknown",
            Self::Other(text) => text,
        })
    }
}

#[derive(Deserialize)]
pub(crate) struct Operations {
    #[serde(default, deserialize_with = "super::or_default")]
    pub(crate) operations: Vec<Operation>,
}
