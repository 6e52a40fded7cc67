//! What the journal says of a Cloud cluster: enough to find it again and to know what is owed.

use serde::{Deserialize, Serialize};

use crate::cloud::model::Cluster;
use crate::cloud::operation::Known;
use crate::error::{Error, Kind, Result};
use crate::provider::Ours;

/// The same words in intents and in resources. No secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) provider: String,
    /// Absent in the intent of a deployment: the id is the service's to choose.
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) ours: Ours,
    /// Unknown before a deployment.
    pub(super) allow_suspend: Option<bool>,
    /// The newest operation before the call that the intent is for, or at the end of the acquisition.
    #[serde(default)]
    pub(super) known: Option<Known>,
}

impl Held {
    pub(super) fn of(cluster: &Cluster, ours: Ours) -> Self {
        Self {
            provider: "cloud".to_owned(),
            id: Some(cluster.id.clone()),
            name: cluster.name.clone(),
            ours,
            allow_suspend: cluster.allow_suspend,
            known: cluster.last_async_operation.as_ref().map(Known::from),
        }
    }

    /// Of a cluster that is about to be deployed.
    pub(super) fn planned(name: &str) -> Self {
        Self {
            provider: "cloud".to_owned(),
            id: None,
            name: name.to_owned(),
            ours: Ours::Deployed,
            allow_suspend: None,
            known: None,
        }
    }

    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("plain data is JSON")
    }

    pub(super) fn read(json: &serde_json::Value) -> Result<Self> {
        Self::deserialize(json).map_err(|error| {
            Error::new(Kind::Provider, "cannot read what the journal says of a Cloud cluster").because(error)
        })
    }

    /// For people: the name and, as soon as there is one, the id.
    pub(super) fn told(&self) -> String {
        match &self.id {
            Some(id) => format!("cluster `{}` ({id})", self.name),
            None => format!("cluster `{}`", self.name),
        }
    }
}

#[cfg(test)]
mod form_on_disk {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_cluster() {
        let all = [
            json!({ "provider": "cloud", "id": null, "name": "ci", "ours": "deployed", "allow_suspend": null, "known": null }),
            json!({ "provider": "cloud", "id": "e1", "name": "ci", "ours": "resumed", "allow_suspend": true, "known": { "id": "o", "created": "2026-01-01" } }),
            json!({ "provider": "cloud", "id": "e1", "name": "ci", "ours": "no", "allow_suspend": false, "known": null }),
        ];
        for one in all {
            assert_eq!(Held::read(&one).unwrap().to_json(), one);
        }
        let old = json!({ "provider": "cloud", "name": "ci", "ours": "started" });
        assert_eq!(Held::read(&old).unwrap().id, None);
    }
}
