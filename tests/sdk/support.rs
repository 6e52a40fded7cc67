//! Sets up a simulator with clients and clusters, and checks texts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cratedb_cloud_simulator::{Cloud, ClusterOptions, Options, Request, Simulator};
use cratedb_test::ManagedCluster;
use cratedb_test::cloud::{Client, ManagedClusterBuilder};

pub(crate) const KEY: &str = "ada";
pub(crate) const SECRET: &str = "hunter2-is-no-good-secret";

/// A simulator, and the progress messages of its clusters.
pub(crate) struct Bench {
    pub(crate) simulator: Simulator,
    said: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    pub(crate) async fn new(options: Options) -> Self {
        let simulator = Simulator::start(Options { api_secret: Some(SECRET.to_owned()), ..options }).await.unwrap();
        Self { simulator, said: Arc::default() }
    }

    /// Starts a simulator with one cluster.
    pub(crate) async fn with(cluster: ClusterOptions) -> Self {
        Self::new(Options::default().cluster(cluster)).await
    }

    pub(crate) fn cloud(&self) -> Cloud {
        self.simulator.cloud()
    }

    /// Sets up a cluster of this simulator, independent of the environment.
    pub(crate) fn builder(&self) -> ManagedClusterBuilder {
        let said = self.said.clone();
        ManagedCluster::builder()
            .env(false)
            .endpoint(self.simulator.url())
            .api_key(KEY, SECRET)
            .product("cr1")
            .timeout(Duration::from_secs(5))
            .start_timeout(Duration::from_secs(30))
            .on_progress(move |text| said.lock().unwrap().push(text.to_owned()))
    }

    /// Returns the cluster `ci`.
    pub(crate) fn ci(&self) -> ManagedCluster {
        self.builder().cluster_name("ci").build().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client::builder().env(false).endpoint(self.simulator.url()).api_key(KEY, SECRET).build().unwrap()
    }

    /// Returns all progress messages so far, one per line.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    /// Lists the requests to the control plane that change something.
    pub(crate) fn writes(&self) -> Vec<Request> {
        self.simulator.requests().into_iter().filter(|one| one.cluster.is_none() && one.method != "GET").collect()
    }

    pub(crate) fn resumes(&self) -> usize {
        self.writes().iter().filter(|write| write.is_resume()).count()
    }

    pub(crate) fn suspends(&self) -> usize {
        self.writes().iter().filter(|write| write.is_suspend()).count()
    }

    /// Counts the requests to the control plane for paths with this end.
    pub(crate) fn asked(&self, end: &str) -> usize {
        self.simulator.requests().iter().filter(|one| one.cluster.is_none() && one.path.ends_with(end)).count()
    }
}

/// Asserts that a text has all of these parts and no secret.
#[track_caller]
pub(crate) fn says(text: impl ToString, parts: &[&str]) {
    let text = text.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    assert!(!text.contains(SECRET), "{text}");
}

/// Asserts that the cluster answers SQL.
#[track_caller]
pub(crate) fn answers(cluster: &ManagedCluster) -> impl Future<Output = ()> {
    let query = cluster.query("SELECT 1").scalar::<i64>();
    async move { assert_eq!(query.await.unwrap(), 1) }
}
