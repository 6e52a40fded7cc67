//! What this process has joined: one link for each cluster that its tests want, made by whoever asks first.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::link::Link;
use crate::error::{Error, Kind, Result};
use crate::host::Places;
use crate::host::process;
use crate::settings::{Settings, Wanted};
use crate::sql::SqlClient;
use crate::wire::Ready;

type Slot = Arc<OnceCell<Result<Link>>>;
type Slots<K> = Mutex<Option<HashMap<K, Slot>>>;

/// What the tests of a package want of a cluster, and what they got. An error is kept, too.
static WANTED: Slots<(PathBuf, Wanted)> = Mutex::new(None);
/// Packages and keys of keepers: a cluster that is named is the same one whatever is wanted of it.
static JOINED: Slots<(PathBuf, String)> = Mutex::new(None);

/// The link to the cluster that tests of a package share if they want the same of it.
pub(super) async fn link(manifest_dir: PathBuf, wanted: Wanted) -> Result<Link> {
    let slot = slot(&WANTED, (manifest_dir.clone(), wanted));
    slot.get_or_init(|| fitting(manifest_dir, wanted)).await.clone()
}

fn slot<K: Eq + Hash>(slots: &Slots<K>, key: K) -> Slot {
    let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner);
    slots.get_or_insert_default().entry(key).or_default().clone()
}

async fn fitting(manifest_dir: PathBuf, wanted: Wanted) -> Result<Link> {
    let settings = Settings::load(&manifest_dir, wanted)?;
    let slot = slot(&JOINED, (manifest_dir, settings.spec.key.clone()));
    let link = slot.get_or_init(|| join(settings)).await.clone()?;
    let ready = link.ready()?;
    let nodes = match wanted.nodes {
        // The keeper has counted those that it started.
        Some(_) if matches!(ready.provider.as_str(), "url" | "cloud") => nodes(&link, &ready).await,
        _ => None,
    };
    check(wanted, &ready, nodes).map(|()| link)
}

async fn join(settings: Settings) -> Result<Link> {
    let ancestry = match &settings.session {
        Some(_) => process::by_name(false),
        None => process::ancestry(settings.outer)?,
    };
    let files = Places::find()?.key(&settings.spec.key);
    Link::new(settings, ancestry, files).await
}

/// How many nodes the cluster has, if it tells.
async fn nodes(link: &Link, ready: &Ready) -> Option<u32> {
    let client = SqlClient::new(&ready.http_url, None, link.wallet().ok()?.clone()).ok()?;
    let rows: Vec<(u32,)> = client.rows("SELECT count(*) FROM sys.nodes").await.ok()?;
    rows.first().map(|(nodes,)| *nodes)
}

/// A cluster that is named may be another than the tests want, and so may be what an image or an installation holds.
fn check(wanted: Wanted, ready: &Ready, nodes: Option<u32>) -> Result<()> {
    let refused = |wanted: String, has: String| {
        let error = Error::new(Kind::Setting, format!("cannot run a test that wants {wanted} on {}", ready.name));
        Err(error.because(has).hint(match ready.provider.as_str() {
            named @ ("url" | "cloud") => format!(
                "CRATEDB_TEST_PROVIDER={named} sends every test there; without it, tests that want a version or a number \
                 of nodes run on servers of this machine"
            ),
            _ => "CRATEDB_TEST_IMAGE and CRATEDB_HOME say what is started on this machine".to_owned(),
        }))
    };
    if let Some(version) = wanted.version.filter(|version| !version.includes(ready.version)) {
        return refused(format!("CrateDB {version}"), format!("it is CrateDB {}", ready.version));
    }
    match (wanted.nodes, nodes) {
        (Some(wanted), Some(nodes)) if wanted != nodes => refused(format!("{wanted} nodes"), format!("it has {nodes}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Credentials;

    fn ready(provider: &str, version: &str) -> Ready {
        Ready {
            provider: provider.to_owned(),
            name: "http://db:4200".to_owned(),
            http_url: "http://db:4200".to_owned(),
            pg_url: None,
            pg_hint: None,
            credentials: Credentials::None,
            version: version.parse().unwrap(),
            console: None,
            lives_on: true,
        }
    }

    fn wanted(version: Option<&str>, nodes: Option<u32>) -> Wanted {
        Wanted { version: version.map(|version| version.parse().unwrap()), nodes }
    }

    #[test]
    fn whatever_is_wanted_has_to_be_there() {
        let ready = ready("url", "6.4.3");
        for (version, count) in [(None, None), (Some("6.4"), None), (Some("6.4.3"), Some(3)), (None, Some(3))] {
            check(wanted(version, count), &ready, Some(3)).unwrap();
        }
        // A server that does not tell is believed.
        check(wanted(None, Some(3)), &ready, None).unwrap();
    }

    #[test]
    fn a_cluster_of_another_version_is_refused_with_both() {
        let error = check(wanted(Some("5.10"), None), &ready("cloud", "6.4.3"), None).unwrap_err().to_string();
        for word in ["wants CrateDB 5.10", "http://db:4200", "it is CrateDB 6.4.3", "CRATEDB_TEST_PROVIDER=cloud"] {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        let error = check(wanted(Some("6.4.2"), None), &ready("container", "6.4.3"), None).unwrap_err().to_string();
        assert!(error.contains("6.4.2") && error.contains("CRATEDB_TEST_IMAGE"), "{error}");
    }

    #[test]
    fn a_cluster_of_another_size_is_refused_with_both() {
        let error = check(wanted(None, Some(3)), &ready("url", "6.4.3"), Some(1)).unwrap_err().to_string();
        assert!(error.contains("wants 3 nodes") && error.contains("it has 1"), "{error}");
    }
}
