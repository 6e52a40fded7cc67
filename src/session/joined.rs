//! Joins sessions: one link for each cluster that the tests of this process want, made by the first that asks, and the
//! link of a process that holds an explicit session.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::link::Link;
use super::speaker::Listener;
use crate::background;
use crate::environment::Package;
use crate::error::{Error, Kind, Result};
use crate::host::process::{self, Identity};
use crate::host::{KeyFiles, Places};
use crate::settings::{Settings, Wanted};
use crate::sql::SqlClient;
use crate::wire::Ready;

type SharedLink = Arc<OnceCell<Result<Link>>>;
type Links<K> = Mutex<Option<HashMap<K, SharedLink>>>;

/// Links by package and by the cluster that its tests want. An error is kept, too.
static WANTED: Links<(PathBuf, Wanted)> = Mutex::new(None);
/// Links by package and by the key of the keeper: a cluster that is named is the same one whatever is wanted of it.
static JOINED: Links<(PathBuf, String)> = Mutex::new(None);

/// Returns the link to the cluster that tests of a package share if they want the same of it. Runs on the background
/// thread.
pub(super) async fn link(package: Package, wanted: Wanted) -> Result<Link> {
    let link = shared(&WANTED, (package.dir.clone(), wanted.clone()));
    link.get_or_init(|| fitting(package, wanted)).await.clone()
}

fn shared<K: Eq + Hash>(links: &Links<K>, key: K) -> SharedLink {
    let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
    links.get_or_insert_default().entry(key).or_default().clone()
}

async fn fitting(package: Package, wanted: Wanted) -> Result<Link> {
    let settings = Settings::of_package(&package, wanted.clone())?;
    let link = shared(&JOINED, (package.dir, settings.spec.key.clone()));
    let link = link.get_or_init(|| join(settings)).await.clone()?;
    let ready = link.ready()?;
    let nodes = match wanted.nodes {
        // The keeper has counted those that it started.
        Some(_) if matches!(ready.provider.as_str(), "url" | "cloud") => nodes(&link, &ready).await,
        _ => None,
    };
    check(&wanted, &ready, nodes).map(|()| link)
}

async fn join(settings: Settings) -> Result<Link> {
    let ancestry = match &settings.session {
        Some(_) => process::by_name(false),
        None => process::ancestry(settings.outer)?,
    };
    let (files, remarks) = (Places::find()?.key(&settings.spec.key), settings.remarks.clone());
    Link::new(settings, ancestry, files, None).await.map_err(|error| remarks.on(error))
}

/// Asks how many nodes the cluster has; none if it does not tell.
async fn nodes(link: &Link, ready: &Ready) -> Option<u32> {
    let client = SqlClient::new(&ready.http_url, None, link.wallet().ok()?.clone()).ok()?;
    let rows: Vec<(u32,)> = client.rows("SELECT count(*) FROM sys.nodes").await.ok()?;
    rows.first().map(|(nodes,)| *nodes)
}

/// Checks that the cluster is what the tests want. One that is named may be another, and so may be what an image or an
/// installation holds.
fn check(wanted: &Wanted, ready: &Ready, nodes: Option<u32>) -> Result<()> {
    let refused = |wanted: String, has: String| {
        let error = Error::new(Kind::Setting, format!("cannot run a test that wants {wanted} on {}", ready.name));
        Err(error.because(has).hint(match ready.provider.as_str() {
            named @ ("url" | "cloud") => format!(
                "CRATEDB_TEST_PROVIDER={named} sends every test there; without it, tests that want a version, nodes, \
                 settings, `auth` or `tls` run on servers of this machine"
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

/// This process as a part of an explicit session without a test.
pub(crate) struct Hold {
    link: Link,
    /// The cluster is there as long as this process wants it. Dropping this gives up its part: the session ends unless
    /// others hold it too.
    holds: bool,
}

impl Hold {
    /// Joins and waits for the cluster, unless `given_up` comes first. `settings` name the session. Blocks.
    pub(crate) fn new(
        settings: Settings,
        listener: Option<Listener>,
        given_up: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self> {
        Self::joined(settings, true, listener, given_up)
    }

    /// Does the same for a session that outlives this process by its idle time.
    pub(crate) fn visit(
        settings: Settings,
        listener: Option<Listener>,
        given_up: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self> {
        Self::joined(settings, false, listener, given_up)
    }

    fn joined(
        settings: Settings,
        holds: bool,
        listener: Option<Listener>,
        given_up: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self> {
        let (files, remarks) = (Places::find()?.key(&settings.spec.key), settings.remarks.clone());
        let joined = Link::new(settings, process::by_name(holds), files, listener);
        let link = background::wait(async {
            tokio::select! {
                biased;
                () = given_up => Err(Error::new(Kind::Session, "the cluster is not waited for any more")),
                link = joined => link,
            }
        });
        link.map(|link| Self { link, holds }).map_err(|error| remarks.on(error))
    }

    pub(crate) fn settings(&self) -> &Settings {
        self.link.settings()
    }

    pub(crate) fn files(&self) -> &KeyFiles {
        self.link.files()
    }

    /// Returns the cluster.
    pub(crate) fn ready(&self) -> Result<Arc<Ready>> {
        self.link.ready()
    }

    /// Returns this process, as its keeper knows it.
    pub(crate) fn process(&self) -> &Identity {
        self.link.own()
    }

    /// Ends the connection, which is not made again. The life of this process still holds the session.
    pub(crate) fn close(&self) {
        self.link.close();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.holds {
            self.link.finish_session();
        }
        self.link.close();
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
            authority: None,
            version: version.parse().unwrap(),
            clock: None,
            console: None,
            lives_on: true,
        }
    }

    fn wanted(version: Option<&str>, nodes: Option<u32>) -> Wanted {
        Wanted { version: version.map(|version| version.parse().unwrap()), nodes, ..Wanted::default() }
    }

    #[test]
    fn whatever_is_wanted_has_to_be_there() {
        let ready = ready("url", "6.4.3");
        for (version, count) in [(None, None), (Some("6.4"), None), (Some("6.4.3"), Some(3)), (None, Some(3))] {
            check(&wanted(version, count), &ready, Some(3)).unwrap();
        }
        // A server that does not tell is believed.
        check(&wanted(None, Some(3)), &ready, None).unwrap();
    }

    #[test]
    fn a_cluster_of_another_version_is_refused_with_both() {
        let error = check(&wanted(Some("5.10"), None), &ready("cloud", "6.4.3"), None).unwrap_err().to_string();
        for word in ["wants CrateDB 5.10", "http://db:4200", "it is CrateDB 6.4.3", "CRATEDB_TEST_PROVIDER=cloud"] {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
        let error = check(&wanted(Some("6.4.2"), None), &ready("container", "6.4.3"), None).unwrap_err().to_string();
        assert!(error.contains("6.4.2") && error.contains("CRATEDB_TEST_IMAGE"), "{error}");
    }

    #[test]
    fn a_cluster_of_another_size_is_refused_with_both() {
        let error = check(&wanted(None, Some(3)), &ready("url", "6.4.3"), Some(1)).unwrap_err().to_string();
        assert!(error.contains("wants 3 nodes") && error.contains("it has 1"), "{error}");
    }
}
