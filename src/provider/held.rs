//! The journal's record of a cluster: enough to find it again after a crash and to know what is owed. No secrets.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[cfg(feature = "cloud")]
use super::Ours;
#[cfg(feature = "cloud")]
use crate::cloud::lifecycle::MadeProject;
#[cfg(feature = "cloud")]
use crate::cloud::operation::LastOperation;
use crate::error::{Error, Kind};
use crate::host::process::Identity;

/// The record of one cluster, the same in intents and in resources.
///
/// Journals of older versions are read, so fields may be added with a default and never renamed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "snake_case")]
pub(crate) enum Held {
    Url {
        url: String,
    },
    #[cfg(feature = "cloud")]
    Cloud(HeldCluster),
    Container(HeldContainers),
    Process(HeldProcesses),
    /// A record that this build cannot read. It is kept as it is for a build that can.
    #[serde(untagged)]
    Unreadable(serde_json::Value),
}

/// A cluster of CrateDB Cloud.
#[cfg(feature = "cloud")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldCluster {
    /// Absent in the intent of a deployment, since the service chooses the id.
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) ours: Ours,
    /// Unknown before a deployment.
    pub(super) allow_suspend: Option<bool>,
    /// The newest operation before the call that the intent announces, or at the end of the acquisition.
    pub(super) known: Option<LastOperation>,
    /// The project that was made together with a deployed cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<MadeProject>,
    /// Set once the keeper has joined those of other machines: it saw no other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) alone: Option<bool>,
}

/// A cluster in containers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldContainers {
    /// The container of the first node. The names of the others begin with it.
    pub(super) name: String,
    #[serde(default = "one")]
    pub(super) nodes: u32,
    /// The engine that runs them. By the time they are removed, another engine may answer first.
    pub(super) engine: Option<EngineAddress>,
    /// The file with the certificate of the server's authority, on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<PathBuf>,
}

/// The address of a container engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EngineAddress {
    /// `unix:///…`, `tcp://…`, `http://…` or `https://…`.
    pub(super) host: String,
    /// The directory of `ca.pem`, `cert.pem` and `key.pem`, if the engine requires TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<PathBuf>,
}

/// A cluster of processes on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeldProcesses {
    /// The last part of the directory, for people who read journals.
    pub(super) name: String,
    /// The directory of the only node, or the one that contains those of all nodes.
    pub(super) dir: PathBuf,
    /// The first node, once it was started.
    pub(super) server: Option<Identity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) others: Vec<Identity>,
    /// Set if it was started so that it can outlive its keeper.
    #[serde(default)]
    pub(super) outlives: bool,
}

fn one() -> u32 {
    1
}

impl Held {
    /// Returns the provider's name for the cluster.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Url { .. } => None,
            #[cfg(feature = "cloud")]
            Self::Cloud(held) => Some(&held.name),
            Self::Container(held) => Some(&held.name),
            Self::Process(held) => Some(&held.name),
            Self::Unreadable(json) => json["name"].as_str(),
        }
    }

    /// Returns the id of a cluster of CrateDB Cloud.
    pub(crate) fn cloud_id(&self) -> Option<&str> {
        match self {
            #[cfg(feature = "cloud")]
            Self::Cloud(held) => held.id.as_deref(),
            _ => None,
        }
    }

    /// Notes whether keepers of other machines use the cluster, too.
    pub(crate) fn set_alone(&mut self, alone: bool) {
        match self {
            #[cfg(feature = "cloud")]
            Self::Cloud(held) => held.alone = Some(alone),
            _ => {}
        }
    }

    /// Returns whether keepers of other machines were seen on the cluster.
    pub(crate) fn is_shared(&self) -> bool {
        match self {
            #[cfg(feature = "cloud")]
            Self::Cloud(held) => held.alone == Some(false),
            _ => false,
        }
    }

    /// Returns the error of a provider that finds the record of another one, or one that it cannot read.
    pub(super) fn mismatch(&self, expected: &str) -> Error {
        Error::new(Kind::Provider, format!("cannot read what the journal says of {expected}")).because(self)
    }
}

/// The JSON of the journal.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Asserts that each record is understood, and written as it was read.
    #[track_caller]
    fn keeps(records: &[Value], understood: impl Fn(&Held) -> bool) {
        for record in records {
            let held: Held = serde_json::from_str(&record.to_string()).unwrap();
            assert!(understood(&held), "{record} is read as {held:?}");
            let written: Value = serde_json::from_str(&held.to_string()).unwrap();
            assert_eq!(written, *record);
        }
    }

    #[test]
    fn the_record_of_a_server_by_url_is_frozen() {
        keeps(&[json!({ "provider": "url", "url": "http://localhost:4200" })], |held| matches!(held, Held::Url { .. }));
    }

    #[test]
    #[cfg(feature = "cloud")]
    fn the_record_of_a_cloud_cluster_is_frozen() {
        keeps(
            &[
                json!({ "provider": "cloud", "id": null, "name": "ci", "ours": "deployed", "allow_suspend": null, "known": null }),
                json!({ "provider": "cloud", "id": "e1", "name": "ci", "ours": "resumed", "allow_suspend": true, "known": { "id": "o", "created": "2026-01-01" } }),
                json!({ "provider": "cloud", "id": "e1", "name": "ci", "ours": "no", "allow_suspend": false, "known": null }),
                json!({ "provider": "cloud", "id": null, "name": "ci", "ours": "deployed", "allow_suspend": null, "known": null, "project": { "region": "r" } }),
                json!({ "provider": "cloud", "id": "e1", "name": "ci", "ours": "deployed", "allow_suspend": true, "known": null, "project": { "id": "p", "region": "r" } }),
                json!({ "provider": "cloud", "id": "e1", "name": "ci", "ours": "resumed", "allow_suspend": true, "known": null, "alone": true }),
            ],
            |held| matches!(held, Held::Cloud(_)),
        );
        let old = serde_json::from_value(json!({ "provider": "cloud", "name": "ci", "ours": "started" })).unwrap();
        let Held::Cloud(old) = old else { panic!("{old:?}") };
        assert_eq!((old.id, old.known), (None, None));
    }

    #[test]
    fn the_record_of_containers_is_frozen() {
        keeps(
            &[
                json!({ "provider": "container", "name": "cratedb-test-01234567", "nodes": 1, "engine": { "host": "unix:///var/run/docker.sock" } }),
                json!({ "provider": "container", "name": "cratedb-test-01234567", "nodes": 3, "engine": { "host": "tcp://h:2376", "tls": "/home/ada/.docker" } }),
                json!({ "provider": "container", "name": "cratedb-test-01234567", "nodes": 2, "engine": null }),
                json!({ "provider": "container", "name": "cratedb-test-01234567", "nodes": 1, "engine": null, "ca": "/home/ada/x.ca.pem" }),
            ],
            |held| matches!(held, Held::Container(_)),
        );
        let old = serde_json::from_value(json!({ "provider": "container", "name": "cratedb-test-00000000" })).unwrap();
        let Held::Container(old) = old else { panic!("{old:?}") };
        assert_eq!((old.nodes, old.engine), (1, None));
    }

    #[test]
    fn the_record_of_processes_is_frozen() {
        let server = |pid| json!({ "pid": pid, "start": 7, "namespace": 8, "boot": "b", "name": "java" });
        let dir = "/dev/shm/cratedb-test-0123456789abcdef";
        keeps(
            &[
                json!({ "provider": "process", "name": "cratedb-test-0123456789abcdef", "dir": dir, "server": null, "outlives": false }),
                json!({ "provider": "process", "name": "cratedb-test-0123456789abcdef", "dir": dir, "server": server(1), "others": [server(2)], "outlives": true }),
            ],
            |held| matches!(held, Held::Process(_)),
        );
        let old = json!({ "provider": "process", "name": "x", "dir": "/x", "server": null });
        let Held::Process(old) = serde_json::from_value(old).unwrap() else { panic!() };
        assert!(!old.outlives && old.others.is_empty());
    }

    #[test]
    fn a_record_that_cannot_be_read_is_kept_as_it_is() {
        let strange = [
            json!({ "cluster_id": "e1" }),
            json!({ "provider": "cloud" }),
            json!({ "provider": "moon", "x": 1 }),
            json!("x"),
        ];
        keeps(&strange, |held| matches!(held, Held::Unreadable(_)));
    }
}
