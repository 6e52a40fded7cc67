//! The cloud provider against the simulator: its requests, its messages, and what it leaves behind.

mod access;
mod deploy;
mod doubt;
mod lost;
mod machines;
mod outage;
mod release;
mod resume;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{Cloud as Simulated, ClusterOptions, Options, Request, Simulator};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::HeldCluster;
use crate::error::{Error, Result};
use crate::provider::tests::{answers, as_journalled, json, says};
use crate::provider::{Acquired, Held, Intents, Ours, Progress, Provider, Released, Resource};
use crate::secret::Secret;
use crate::sharing::Member;
use crate::sql::Credentials;
use crate::target::{CloudTarget, OnExit, Target};
use crate::target::{ClusterAddress, DeployPolicy, Login};

const SECRET: &str = "hunter2-is-no-good-secret";

/// A provider, its simulator, and all that it said and wrote.
struct Bench {
    simulator: Simulator,
    target: CloudTarget,
    progress: Progress,
    steps: tokio::sync::Mutex<UnboundedReceiver<String>>,
    said: Mutex<Vec<String>>,
    intents: Arc<Mutex<Vec<Value>>>,
    deadline: Duration,
}

impl Bench {
    async fn new(options: Options) -> Self {
        let simulator = Simulator::start(Options { api_secret: Some(SECRET.to_owned()), ..options }).await.unwrap();
        let target = CloudTarget {
            endpoint: simulator.url().to_owned(),
            login: Login::ApiKey { key: "ada".to_owned(), secret: Secret::new(SECRET) },
            cluster: ClusterAddress::Name("ci".to_owned()),
            organization_id: None,
            project_id: None,
            region: None,
            subscription_id: None,
            product: "cr1".to_owned(),
            product_unit: None,
            tier: "default".to_owned(),
            channel: "stable".to_owned(),
            version: None,
            deploy: DeployPolicy::Auto,
            timeout: Duration::from_millis(500),
            username: None,
            password: None,
            plain_http: false,
        };
        let (sender, steps) = mpsc::unbounded_channel();
        Self {
            simulator,
            target,
            progress: Progress::new(sender),
            steps: tokio::sync::Mutex::new(steps),
            said: Mutex::default(),
            intents: Arc::default(),
            deadline: Duration::from_secs(20),
        }
    }

    /// Starts a simulator with one cluster `ci`.
    async fn with(cluster: ClusterOptions) -> Self {
        Self::new(Options::default().cluster(cluster)).await
    }

    fn cloud(&self) -> Simulated {
        self.simulator.cloud()
    }

    fn provider(&self) -> Provider {
        let member = Member { id: "bench".to_owned(), ..Member::silent("bench") };
        Provider::chain(&Target::Cloud(Box::new(self.target.clone()))).unwrap().shared_by(member)
    }

    async fn acquire(&self) -> Acquired {
        self.acquire_with(&self.provider()).await
    }

    async fn acquire_with(&self, provider: &Provider) -> Acquired {
        let kept = self.intents.clone();
        let requests = self.simulator.requests().len();
        let intents = Intents::new(Arc::new(move |held| {
            kept.lock().unwrap().push(json(&held));
            Ok(())
        }));
        let acquired = provider.acquire(Instant::now() + self.deadline, &self.progress, &intents).await;
        if self.writes().iter().any(|write| !write.is_suspend()) && requests == 0 {
            assert!(self.last_intent().is_some(), "a call that creates or wakes something was made without an intent");
        }
        if let Err(failed) = &acquired {
            says(&failed.error, &[self.simulator.url()]);
            self.keeps_its_secrets(&failed.error.to_string());
        }
        acquired
    }

    /// Returns the error of an acquisition, and whether the cluster may be up.
    async fn failure(&self) -> (Error, bool) {
        let failed = self.acquire().await.expect_err("this acquisition must fail");
        (failed.error, failed.maybe_up)
    }

    async fn release(&self, held: &impl Serialize, on_exit: OnExit) -> Result<Released> {
        self.provider().release(&as_journalled(held), on_exit, &self.progress).await
    }

    async fn recover(&self, held: &impl Serialize) -> Result<Option<Resource>> {
        self.recover_with(held, OnExit::Auto).await
    }

    async fn recover_with(&self, held: &impl Serialize, on_exit: OnExit) -> Result<Option<Resource>> {
        let deadline = Instant::now() + self.deadline;
        let intents = Intents::new(Arc::new(|_| Ok(())));
        self.provider().recover(&as_journalled(held), on_exit, deadline, &self.progress, &intents).await
    }

    /// Returns all steps so far, on a line each.
    fn steps(&self) -> String {
        let mut said = self.said.lock().unwrap();
        let mut steps = self.steps.try_lock().unwrap();
        while let Ok(step) = steps.try_recv() {
            self.keeps_its_secrets(&step);
            said.push(step);
        }
        said.join("\n")
    }

    /// Waits for a step with this text.
    async fn told(&self, part: &str) {
        let mut steps = self.steps.lock().await;
        loop {
            let step = steps.recv().await.unwrap();
            let found = step.contains(part);
            self.said.lock().unwrap().push(step);
            if found {
                return;
            }
        }
    }

    fn last_intent(&self) -> Option<Value> {
        self.intents.lock().unwrap().last().cloned()
    }

    /// Returns the requests to the control plane that change something.
    fn writes(&self) -> Vec<Request> {
        self.simulator.requests().into_iter().filter(|one| one.cluster.is_none() && one.method != "GET").collect()
    }

    fn resumes(&self) -> usize {
        self.writes().iter().filter(|write| write.is_resume()).count()
    }

    fn suspends(&self) -> usize {
        self.writes().iter().filter(|write| write.is_suspend()).count()
    }

    /// Returns a client of the same account.
    fn client(&self) -> crate::cloud::Client {
        let client = crate::cloud::Client::builder().env(false).endpoint(self.simulator.url()).api_key("ada", SECRET);
        client.build().unwrap()
    }

    fn keeps_its_secrets(&self, text: &str) {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!self.cloud().clusters().iter().any(|cluster| text.contains(&cluster.password)), "{text}");
    }
}

/// Returns the intent of a keeper that was killed before its resumption.
async fn intent_of_a_killed_keeper(bench: &Bench, cluster: &str, ours: Ours) -> Held {
    let id = bench.cloud().cluster(cluster).id;
    Held::Cloud(HeldCluster { id: Some(id), ours, ..HeldCluster::planned(cluster) })
}

#[test]
fn futures_can_be_sent_to_another_thread() {
    fn can_be_sent<T: Send>(_: &T) {}
    let target = CloudTarget {
        endpoint: "http://127.0.0.1:1".to_owned(),
        login: Login::Nobody,
        cluster: ClusterAddress::Id(String::new()),
        organization_id: None,
        project_id: None,
        region: None,
        subscription_id: None,
        product: String::new(),
        product_unit: None,
        tier: String::new(),
        channel: String::new(),
        version: None,
        deploy: DeployPolicy::Never,
        timeout: Duration::from_secs(1),
        username: None,
        password: None,
        plain_http: false,
    };
    let provider = Provider::chain(&Target::Cloud(Box::new(target))).unwrap();
    let progress = Progress::new(mpsc::unbounded_channel().0);
    let intents = Intents::new(Arc::new(|_| Ok(())));
    let (held, deadline) = (Held::Unreadable(Value::Null), Instant::now());
    can_be_sent(&provider.acquire(deadline, &progress, &intents));
    can_be_sent(&provider.recover(&held, OnExit::Auto, deadline, &progress, &intents));
    can_be_sent(&provider.release(&held, OnExit::Auto, &progress));
}
