//! What the Cloud API answers, as far as this crate reads it. Unknown fields are ignored, missing ones have a default.

use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::secret::Secret;

/// A cluster as it was when the answer was written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Cluster {
    #[serde(deserialize_with = "or_default")]
    pub(crate) id: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) username: String,
    /// Ends with a dot.
    #[serde(deserialize_with = "or_default")]
    pub(crate) fqdn: String,
    /// Where the cluster speaks HTTP.
    #[serde(deserialize_with = "or_default")]
    pub(crate) url: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) product_name: String,
    /// Stays true while a cluster resumes.
    #[serde(deserialize_with = "or_default")]
    pub(crate) suspended: bool,
    pub(crate) allow_suspend: Option<bool>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) health: Health,
    /// The newest operation of any type.
    pub(crate) last_async_operation: Option<Operation>,
}

impl Cluster {
    /// The type of the operation that runs on the cluster, if one does.
    pub(crate) fn busy(&self) -> Option<&str> {
        match &self.last_async_operation {
            Some(operation) => operation.status.in_flight().then_some(&operation.kind),
            // Health trails the operations by up to a minute, so it counts only where there is nothing better.
            None => Some(self.health.running_operation.as_str()).filter(|running| !running.is_empty()),
        }
    }

    /// The deployment that failed, if the cluster never got further than that.
    pub(crate) fn never_deployed(&self) -> Option<&Operation> {
        self.last_async_operation.as_ref().filter(|last| last.kind == "CREATE" && last.status == Status::Failed)
    }
}

/// How the cluster was when it was last looked at, which may be a minute ago.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Health {
    #[serde(deserialize_with = "or_default")]
    pub(crate) running_operation: String,
}

/// Something that takes time: `CREATE`, `SUSPEND` (which also resumes), `SCALE` ….
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Operation {
    #[serde(deserialize_with = "or_default")]
    pub(crate) id: String,
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub(crate) kind: String,
    pub(crate) status: Status,
    #[serde(deserialize_with = "or_default")]
    pub(crate) feedback_data: Feedback,
    #[serde(deserialize_with = "or_default")]
    pub(crate) dc: Dates,
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

/// The service's words for what an operation does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Feedback {
    #[serde(deserialize_with = "or_default")]
    pub(crate) message: String,
}

/// When something was made.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Dates {
    #[serde(deserialize_with = "or_default")]
    pub(crate) created: String,
}

/// How far an operation is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Option<String>")]
pub(crate) enum Status {
    Registered,
    Sent,
    InProgress,
    Succeeded,
    Failed,
    /// One that this crate doesn't know.
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
pub(super) struct Operations {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) operations: Vec<Operation>,
}

/// A key to the cluster's HTTP port.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Jwt {
    pub(crate) token: Secret,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) expiry: String,
}

impl Jwt {
    /// When it ends, in Unix seconds; unknown if the service does not say so in a form that can be read.
    pub(crate) fn expires(&self) -> Option<i64> {
        moment(&self.expiry).map(OffsetDateTime::unix_timestamp)
    }
}

/// What lists of choices have in common: an organization, a project, a subscription.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    #[serde(deserialize_with = "or_default")]
    pub(crate) id: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) name: String,
    /// Of projects.
    #[serde(deserialize_with = "or_default")]
    pub(crate) region: String,
    /// Of subscriptions; false for one that was cancelled.
    pub(crate) active: Option<bool>,
}

/// Where clusters can be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Region {
    #[serde(deserialize_with = "or_default")]
    pub(crate) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(crate) deprecated: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Versions {
    pub(super) crate_versions: Channels,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Channels {
    pub(super) stable: Release,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Release {
    #[serde(deserialize_with = "or_default")]
    pub(super) version: String,
}

/// A cluster to be made.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Deployment {
    pub(crate) cluster: NewCluster,
    pub(crate) subscription_id: String,
    #[serde(flatten)]
    pub(crate) place: Place,
}

/// In which project a new cluster goes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    ProjectId(String),
    /// Made together with the cluster.
    Project {
        name: String,
        region: String,
    },
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct NewCluster {
    pub(crate) name: String,
    pub(crate) crate_version: String,
    pub(crate) channel: &'static str,
    pub(crate) product_name: String,
    pub(crate) product_tier: String,
    pub(crate) username: String,
    pub(crate) password: Secret,
}

/// A moment in any of the service's forms: with `Z`, with an offset, or with neither, which means UTC.
pub(crate) fn moment(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim().replace(' ', "T");
    OffsetDateTime::parse(&text, &Rfc3339).or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339)).ok()
}

/// The service writes null where a value is missing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_empty_cluster_and_one_full_of_nulls_and_strange_fields() {
        let empty: Cluster = serde_json::from_str("{}").unwrap();
        assert!(!empty.suspended && empty.busy().is_none() && empty.allow_suspend.is_none());
        let strange = r#"{"id": null, "health": null, "suspended": null, "last_async_operation": null, "new": [1]}"#;
        let strange: Cluster = serde_json::from_str(strange).unwrap();
        assert_eq!(strange.id, "");
    }

    #[test]
    fn a_cluster_is_busy_while_its_operation_is_in_flight() {
        let with = |status: &str| -> Cluster {
            serde_json::from_value(serde_json::json!({
                "health": { "running_operation": "SCALE" },
                "last_async_operation": { "id": "1", "type": "SUSPEND", "status": status },
            }))
            .unwrap()
        };
        for status in ["REGISTERED", "SENT", "IN_PROGRESS"] {
            assert_eq!(with(status).busy(), Some("SUSPEND"));
        }
        // The health is older than the operation that has ended.
        for status in ["SUCCEEDED", "FAILED", "PAUSED"] {
            assert_eq!(with(status).busy(), None);
        }
        let only: Cluster = serde_json::from_str(r#"{"health": {"running_operation": "SCALE"}}"#).unwrap();
        assert_eq!(only.busy(), Some("SCALE"));
    }

    #[test]
    fn reads_moments_with_and_without_an_offset() {
        let at = |text| moment(text).map(OffsetDateTime::unix_timestamp);
        for same in [
            "2026-01-05T11:00:00+00:00",
            "2026-01-05T11:00:00.000000",
            "2026-01-05 11:00:00Z",
            "2026-01-05T12:00:00+01:00",
        ] {
            assert_eq!(at(same), Some(1_767_610_800), "{same}");
        }
        assert_eq!(at(""), None);
    }

    #[test]
    fn a_deployment_names_its_project_or_makes_one() {
        let place = |place: Place| serde_json::to_value(Wrapper { place }).unwrap();
        #[derive(Serialize)]
        struct Wrapper {
            #[serde(flatten)]
            place: Place,
        }
        assert_eq!(place(Place::ProjectId("p".into())), serde_json::json!({ "project_id": "p" }));
        let made = Place::Project { name: "ci".into(), region: "r".into() };
        assert_eq!(place(made), serde_json::json!({ "project": { "name": "ci", "region": "r" } }));
    }
}
