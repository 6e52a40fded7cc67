//! The data that the Cloud API accepts and returns: every field that its clients are known to use.
//!
//! Unknown fields are ignored. Missing fields and `null` become defaults: an empty text, `None`, zero. Any struct may
//! get more fields, so none can be written as a literal; those that are sent have constructors.

mod account;
mod catalog;
mod cluster;
mod jobs;

use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use account::{ApiKey, Organization, Project, Quota, RoleIn, Subscription, User};
pub use catalog::{
    Channels, ClusterPrice, Meta, MetaVersions, Price, Product, Region, Release, ScaleOption, Specs, Versions,
};
pub(crate) use cluster::Operations;
pub use cluster::{
    Cidr, ClusterInfo, Dates, Deployment, Feedback, HardwareSpecs, HealthStatus, Jwt, NewCluster, NewProject,
    Operation, OperationFilter, Restore, Snapshot, Status,
};
pub use jobs::{
    AzureSource, Column, ExportDestination, ExportFile, ExportJob, ExportSource, FileProgress, FileSource,
    ImportDestination, ImportJob, ImportProgress, JobProgress, NewExportJob, NewImportJob, S3Source, UploadedFile,
    UrlSource,
};

/// Defines structs of the API: lenient when they are read, and open for more fields. Where a list of fields follows the
/// name, `Debug` shows only those, because the others are secrets.
macro_rules! model {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident $([$($shown:ident),*])? {
            $($(#[$of_field:meta])* $seen:vis $field:ident: $type:ty,)*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$of_field])* #[serde(deserialize_with = "crate::cloud::model::or_default")] $seen $field: $type,)*
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                $($(shown.field(stringify!($shown), &self.$shown);)* return shown.finish_non_exhaustive();)?
                #[allow(unreachable_code)]
                shown$(.field(stringify!($field), &self.$field))*.finish()
            }
        }
    )*};
}
use model;

/// Reads a moment in any of the service's forms: with `Z`, with an offset, or with neither, which means UTC.
pub(crate) fn moment(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim().replace(' ', "T");
    OffsetDateTime::parse(&text, &Rfc3339).or_else(|_| OffsetDateTime::parse(&format!("{text}Z"), &Rfc3339)).ok()
}

/// Reads `null`, which the service writes for missing values, as the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_empty_cluster_and_one_full_of_nulls_and_strange_fields() {
        let empty: ClusterInfo = serde_json::from_str("{}").unwrap();
        assert!(!empty.suspended && empty.busy().is_none() && empty.allow_suspend.is_none());
        let strange = r#"{"id": null, "health": null, "suspended": null, "last_async_operation": null, "new": [1]}"#;
        let strange: ClusterInfo = serde_json::from_str(strange).unwrap();
        assert_eq!(strange.id, "");
    }

    #[test]
    fn an_address_that_is_good_without_credentials_is_not_shown() {
        let file =
            serde_json::json!({ "id": "7", "download_url": "https://x/geheim", "upload_url": "https://x/geheim" });
        let export: ExportFile = serde_json::from_value(file.clone()).unwrap();
        let uploaded: UploadedFile = serde_json::from_value(file).unwrap();
        let shown = format!("{export:?} {uploaded:?}");
        assert!(!shown.contains("geheim") && shown.contains("\"7\""), "{shown}");
    }

    #[test]
    fn a_cluster_is_busy_while_its_operation_is_in_flight() {
        let with = |status: &str| -> ClusterInfo {
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
        let only: ClusterInfo = serde_json::from_str(r#"{"health": {"running_operation": "SCALE"}}"#).unwrap();
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
        let deployment = || Deployment::new(NewCluster::new("ci", "6.4.3", "cr1", "admin", "secret-secret"), "s");
        let sent = serde_json::to_value(deployment().in_project("p")).unwrap();
        assert_eq!((&sent["project_id"], &sent["project"]), (&"p".into(), &serde_json::Value::Null));
        let sent = serde_json::to_value(deployment().in_new_project("ci", "r")).unwrap();
        assert_eq!(sent["project"], serde_json::json!({ "name": "ci", "region": "r" }));
        assert!(sent.get("project_id").is_none() && sent["cluster"].get("product_unit").is_none());
    }

    #[test]
    fn nothing_prints_a_secret() {
        let jwt: Jwt = serde_json::from_str(r#"{"token": "geheim1", "refresh": "geheim2", "expiry": ""}"#).unwrap();
        let key: ApiKey = serde_json::from_str(r#"{"key": "k", "secret": "geheim3"}"#).unwrap();
        let deployment = Deployment::new(NewCluster::new("ci", "6.4.3", "cr1", "admin", "geheim4"), "s");
        assert!(!format!("{jwt:?} {key:?} {deployment:?}").contains("geheim"));
        assert_eq!((key.secret(), jwt.token()), (Some("geheim3"), "geheim1"));
    }
}
