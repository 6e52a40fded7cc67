//! Real containers of the stand-in image, and all that can be wrong before there is one.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::ContainerProvider;
use super::engine::Engine;
use super::standin::{self, docker};
use crate::provider::tests::{answers, as_journalled, drained, json, says};
use crate::provider::{Acquired, Intents, Ours, Progress, Provider, Released, Resource};
use crate::sql::{SqlClient, Wallet};
use crate::target::{LocalTarget, OnExit, Target};

mod leaving;
mod pulling;
mod real;
mod trouble;

/// A real server may take a minute on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

struct Bench {
    provider: Provider,
    progress: Progress,
    steps: UnboundedReceiver<String>,
    intents: Arc<Mutex<Vec<Value>>>,
}

impl Bench {
    fn new(image: &str) -> Self {
        Self::of(LocalTarget::of_image(image))
    }

    fn of(target: LocalTarget) -> Self {
        let (sender, steps) = mpsc::unbounded_channel();
        let provider = Provider::chain(&Target::Local(target)).unwrap();
        Self { provider, progress: Progress::new(sender), steps, intents: Arc::default() }
    }

    /// Returns a bench with the stand-in, or none without an engine.
    fn with_stand_in() -> Option<Self> {
        standin::image().map(|image| Self::new(&image))
    }

    fn intents(&self) -> Intents {
        let kept = self.intents.clone();
        Intents::new(Arc::new(move |held| {
            kept.lock().unwrap().push(json(&held));
            Ok(())
        }))
    }

    async fn acquire(&self) -> Acquired {
        self.provider.acquire(Instant::now() + LIMIT, &self.progress, &self.intents()).await
    }

    /// Acquires from an engine of the test's choice.
    async fn acquire_with(&self, container: &ContainerProvider, engine: &Engine) -> Resource {
        let acquired = container.acquire(engine, Instant::now() + LIMIT, &self.progress, &self.intents()).await;
        acquired.map_err(|failed| failed.error.to_string()).unwrap()
    }

    async fn release(&self, held: &impl Serialize, on_exit: OnExit) -> Released {
        self.provider.release(&as_journalled(held), on_exit, &self.progress).await.unwrap()
    }

    fn name(&self) -> String {
        let intents = self.intents.lock().unwrap();
        intents.last().expect("an intent comes first")["name"].as_str().unwrap().to_owned()
    }

    fn steps(&mut self) -> String {
        drained(&mut self.steps)
    }
}

/// Returns the names of a container's volumes.
fn volumes(container: &str) -> Vec<String> {
    let format = r#"{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}"#;
    let names = docker(&["inspect", "--format", format, container]).unwrap();
    names.split_whitespace().map(str::to_owned).collect()
}

#[track_caller]
fn is_gone(container: &str, volumes: &[String]) {
    assert!(docker(&["inspect", container]).is_err(), "{container} is still there");
    for volume in volumes {
        assert!(docker(&["volume", "inspect", volume]).is_err(), "volume {volume} of {container} is still there");
    }
}

#[tokio::test]
async fn a_container_that_ends_while_it_is_used_is_told() {
    let Some(bench) = Bench::with_stand_in() else { return };
    for (command, told) in [("kill", "ended with status"), ("rm", "another process removed container")] {
        let mut resource = bench.acquire().await.unwrap();
        let (mut watch, name) = (resource.nodes.take().unwrap(), bench.name());
        let arguments = if command == "rm" { &["rm", "-v", "-f", &name][..] } else { &["kill", &name] };
        assert!(watch.ending().is_none(), "{:?}", watch.ending());
        docker(arguments).unwrap();
        // Seen in the process, before the engine tells of it.
        let ending = watch.ending().unwrap();
        assert!(ending.what.contains(&name) && ending.all, "{ending:?}");
        let loss = tokio::time::timeout(Duration::from_secs(60), watch.next()).await.unwrap().unwrap();
        // A removal is an end first.
        assert!(loss.what.contains(&name) && (loss.what.contains(told) || command == "rm"), "{loss:?}");
        assert!(loss.all);
        assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed);
    }
}

#[tokio::test]
async fn a_container_is_started_answers_and_is_removed_with_its_volumes() {
    let Some(mut bench) = Bench::with_stand_in() else { return };
    let resource = bench.acquire().await.unwrap();
    answers(&resource).await;
    let name = bench.name();
    assert_eq!((resource.ours, resource.name), (Ours::Started, format!("container {name}")));
    assert!(resource.pg_url.unwrap().expose().starts_with("postgres://crate@"));
    let volumes = volumes(&name);
    assert!(!volumes.is_empty(), "the image has a volume");
    assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed);
    is_gone(&name, &volumes);
    assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed, "again");
    says(bench.steps(), &["starting a container of image cratedb-test-standin:", "removing container cratedb-test-"]);
}

#[tokio::test]
async fn a_container_says_whose_it_is_and_lets_only_this_machine_in() {
    let Some(bench) = Bench::with_stand_in() else { return };
    let held = bench.acquire().await.unwrap().held;
    let name = bench.name();
    let labels = docker(&["inspect", "--format", "{{json .Config.Labels}}", &name]).unwrap();
    let ports = docker(&["inspect", "--format", "{{json .NetworkSettings.Ports}}", &name]).unwrap();
    bench.release(&held, OnExit::Auto).await;
    says(
        labels,
        &[r#""io.crate.cratedb-test.key":"local:ada""#, r#""io.crate.cratedb-test.project":"/home/ada/project""#],
    );
    assert!(ports.contains("5432/tcp") && !ports.contains("0.0.0.0") && !ports.contains("::"), "{ports}");
}

#[tokio::test]
async fn a_container_of_a_killed_keeper_is_removed_and_never_used_again() {
    let Some(bench) = Bench::with_stand_in() else { return };
    bench.acquire().await.unwrap();
    let (name, intent) = (bench.name(), bench.intents.lock().unwrap().last().cloned().unwrap());
    let volumes = volumes(&name);
    let another = Bench::new("none");
    let intents = Intents::new(Arc::new(|_| panic!("nothing is started")));
    for _ in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(60);
        let found = another
            .provider
            .recover(&as_journalled(&intent), OnExit::Auto, deadline, &another.progress, &intents)
            .await;
        assert!(found.unwrap().is_none());
        is_gone(&name, &volumes);
    }
}

#[tokio::test]
async fn three_nodes_are_one_cluster_and_go_together() {
    let Some(image) = standin::image() else { return };
    let bench = Bench::of(LocalTarget { nodes: 3, ..LocalTarget::of_image(&image) });
    let resource = bench.acquire().await.map_err(|failed| failed.error.to_string()).unwrap();
    let name = bench.name();
    let all = [name.clone(), format!("{name}-2"), format!("{name}-3")];
    let client = SqlClient::new(&resource.http_url, None, Wallet::new(resource.credentials.clone())).unwrap();
    let nodes: Vec<(String,)> = client.rows("SELECT name FROM sys.nodes ORDER BY name").await.unwrap();
    assert_eq!(nodes, ["node-1", "node-2", "node-3"].map(|name| (name.to_owned(),)));
    let volumes: Vec<String> = all.iter().flat_map(|name| volumes(name)).collect();
    assert_eq!(bench.intents.lock().unwrap().len(), 1, "all were named before the first was made");
    bench.release(&resource.held, OnExit::Auto).await;
    all.iter().for_each(|name| is_gone(name, &volumes));
}

#[tokio::test]
async fn a_node_that_ends_takes_the_others_along() {
    let Some(tag) = standin::image() else { return };
    let broken = format!("{tag}-second");
    let made = docker(&["create", &tag]).unwrap();
    // The entry point has a setting that the server does not know.
    let entry = r#"ENTRYPOINT ["/docker-entrypoint.sh", "-Cno.such.setting=1"]"#;
    docker(&["commit", "--change", entry, &made, &broken]).unwrap();
    docker(&["rm", "-v", &made]).unwrap();
    let bench = Bench::of(LocalTarget { nodes: 3, ..LocalTarget::of_image(&broken) });
    let failed = bench.acquire().await.err().unwrap();
    docker(&["image", "rm", &broken]).unwrap();
    assert!(!failed.maybe_up, "{}", failed.error);
    let name = bench.name();
    [name.clone(), format!("{name}-2"), format!("{name}-3")].iter().for_each(|name| is_gone(name, &[]));
}

#[tokio::test]
async fn a_container_outlives_the_provider_that_started_it() {
    let Some(bench) = Bench::with_stand_in() else { return };
    let resource = bench.acquire().await.unwrap();
    let another = Bench::with_stand_in().unwrap();
    drop(bench);
    answers(&resource).await;
    another.release(&resource.held, OnExit::Auto).await;
}

#[tokio::test]
async fn a_container_can_be_kept_and_is_named() {
    let Some(bench) = Bench::with_stand_in() else { return };
    let resource = bench.acquire().await.unwrap();
    let Released::Left(line) = bench.release(&resource.held, OnExit::Keep).await else { panic!() };
    let removal = format!("docker rm -v -f {}", bench.name());
    says(line, &["left running", "CRATEDB_TEST_ON_EXIT=keep", &removal]);
    answers(&resource).await;
    bench.release(&resource.held, OnExit::Auto).await;
}

#[tokio::test]
async fn two_removals_at_once_both_succeed() {
    let Some(bench) = Bench::with_stand_in() else { return };
    let resource = bench.acquire().await.unwrap();
    let remove = || bench.release(&resource.held, OnExit::Auto);
    assert_eq!(tokio::join!(remove(), remove(), remove()), (Released::Removed, Released::Removed, Released::Removed));
    is_gone(&bench.name(), &[]);
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_an_error_with_its_last_words() {
    let Some(tag) = standin::image() else { return };
    // The entry point has a setting that the server does not know.
    let broken = format!("{tag}-broken");
    let made = docker(&["create", "--entrypoint", "/docker-entrypoint.sh", &tag, "-Cno.such.setting=1"]).unwrap();
    let entry = r#"ENTRYPOINT ["/docker-entrypoint.sh", "-Cno.such.setting=1"]"#;
    docker(&["commit", "--change", entry, &made, &broken]).unwrap();
    docker(&["rm", "-v", &made]).unwrap();
    let bench = Bench::new(&broken);
    let failed = bench.acquire().await.err().unwrap();
    docker(&["image", "rm", &broken]).unwrap();
    assert!(!failed.maybe_up);
    says(failed.error, &["cannot start a container of image", "ended", "the end of its log:", "no.such.setting"]);
    is_gone(&bench.name(), &[]);
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_an_error_that_says_which() {
    let Some(_) = standin::image() else { return };
    let bench = Bench::new("cratedb-test-standin:no-such-tag");
    let failed = bench.acquire().await.err().unwrap();
    assert!(!failed.maybe_up);
    says(
        failed.error,
        &[
            "cannot start a container of image cratedb-test-standin:no-such-tag",
            "not on this machine and can't be pulled",
            "docker pull cratedb-test-standin:no-such-tag",
            "CRATEDB_TEST_IMAGE",
        ],
    );
    is_gone(&bench.name(), &[]);
}
