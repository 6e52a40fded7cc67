//! What the journal says of a Cloud cluster: enough to find it again and to know what is owed.

use serde::{Deserialize, Serialize};

use crate::cloud::model::ClusterInfo;
use crate::cloud::operation::LastOperation;
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
    pub(super) known: Option<LastOperation>,
}

impl Held {
    pub(super) fn of(cluster: &ClusterInfo, ours: Ours) -> Self {
        Self {
            provider: "cloud".to_owned(),
            id: Some(cluster.id.clone()),
            name: cluster.name.clone(),
            ours,
            allow_suspend: cluster.allow_suspend,
            known: cluster.last_async_operation.as_ref().map(LastOperation::from),
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
