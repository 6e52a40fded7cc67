//! A real CrateDB in containers, if the engine has its image (it is never pulled for a test), and a real Podman, if
//! `CRATEDB_TEST_PODMAN` names the socket of one (`podman system service`).

use std::path::Path;
use std::process::Command;

use super::*;
use crate::provider::Resource;
use crate::provider::held::EngineAddress;
use crate::provider::jvm::TrainingSubject;
use crate::target::JvmCache;

const IMAGE: &str = "crate:6.4.3";

/// Returns none without an engine or its image, with the reason on descriptor 2.
fn bench(nodes: u32) -> Option<Bench> {
    use std::io::Write as _;
    match docker(&["image", "inspect", "--format", "{{.Id}}", IMAGE]) {
        Ok(_) => Some(Bench::of(LocalTarget { nodes, ..LocalTarget::of_image(IMAGE) })),
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "skipped: no image of a real CrateDB ({why})");
            None
        }
    }
}

fn client(resource: &Resource) -> SqlClient {
    SqlClient::new(&resource.http_url, Some("t"), Wallet::new(resource.credentials.clone())).unwrap()
}

#[tokio::test]
async fn a_real_server_starts_in_memory_and_is_removed() {
    let Some(bench) = bench(1) else { return };
    let resource = bench.acquire().await.unwrap();
    let name = bench.name();
    assert_eq!(resource.version.to_string(), "6.4.3");
    let rows: Vec<(i64,)> = client(&resource).rows("SELECT count(*) FROM sys.nodes").await.unwrap();
    assert_eq!(rows, [(1,)]);
    let volumes = volumes(&name);
    let mounts = docker(&["inspect", "--format", "{{range .HostConfig.Mounts}}{{.Type}} {{.Target}}{{end}}", &name]);
    if mounts.unwrap() == "tmpfs /data" {
        assert_eq!(volumes, Vec::<String>::new(), "what is in memory needs no volume");
    }
    bench.release(&resource.held, OnExit::Auto).await;
    is_gone(&name, &volumes);
}

#[tokio::test]
async fn three_real_nodes_are_one_cluster_and_go_together() {
    let Some(bench) = bench(3) else { return };
    let resource = bench.acquire().await.map_err(|failed| failed.error.to_string()).unwrap();
    let name = bench.name();
    let all = [name.clone(), format!("{name}-2"), format!("{name}-3")];
    let client = client(&resource);
    let nodes: Vec<(String,)> = client.rows("SELECT name FROM sys.nodes ORDER BY name").await.unwrap();
    assert_eq!(nodes, ["node-1", "node-2", "node-3"].map(|name| (name.to_owned(),)));
    client.rows::<(i64,)>("SELECT 1").await.unwrap();
    client.send("CREATE TABLE r (a int) WITH (number_of_replicas = 2)", &[]).await.unwrap();
    client.send("INSERT INTO r VALUES (1), (2)", &[]).await.unwrap();
    let networks = docker(&["network", "ls", "--quiet"]).unwrap();
    bench.release(&resource.held, OnExit::Auto).await;
    all.iter().for_each(|name| is_gone(name, &[]));
    assert_eq!(docker(&["network", "ls", "--quiet"]).unwrap(), networks, "none was made that could be left");
}

/// The server shuts down in order, and the JVM accepts its cache.
#[tokio::test]
async fn a_cache_is_made_after_a_session_and_used_from_then_on() {
    let Some(bench) = bench(1) else { return };
    let target = LocalTarget { jvm_cache: JvmCache::Make, ..LocalTarget::of_image(IMAGE) };
    let caches = tempfile::tempdir().unwrap();
    let container = || ContainerProvider::in_caches(target.clone(), caches.path());
    let engine = Engine::find().await.unwrap();
    let first = container();
    let resource = bench.acquire_with(&first, &engine).await;
    bench.release(&resource.held, OnExit::Auto).await;
    let training = first.training.take().expect("nothing stands against a cache");
    let mut lease = training.begin().unwrap().unwrap();
    let TrainingSubject::Container { image, engine: address } = &training.subject else { panic!() };
    super::super::train(&training, image, address, &mut lease).await.unwrap();
    assert!(lease.left.is_none(), "nothing is left of the trainer's container");
    drop(lease);
    let second = container();
    let resource = bench.acquire_with(&second, &engine).await;
    let name = bench.name();
    let java = docker(&["inspect", "--format", "{{json .Config.Env}} {{json .HostConfig.Mounts}}", &name]).unwrap();
    let log = docker(&["logs", &name]).unwrap();
    bench.release(&resource.held, OnExit::Auto).await;
    says(java, &["-XX:AOTCache=/cratedb-test/crate.aot", "\"ReadOnly\":true"]);
    assert_eq!(crate::provider::jvm::refusal(&log), None);
    assert!(training.cache.file().is_some(), "it was taken, so it stays");
    assert!(second.training.take().is_none(), "it is there");
    let rest: Vec<_> = std::fs::read_dir(caches.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(rest.iter().all(|path| path.extension().is_none_or(|kind| kind == "lock")), "{rest:?}");
}

/// The start takes longer, and does not fail.
#[tokio::test]
async fn a_cache_that_is_none_is_thrown_away() {
    let Some(bench) = bench(1) else { return };
    let target = LocalTarget { jvm_cache: JvmCache::Use, ..LocalTarget::of_image(IMAGE) };
    let files = tempfile::tempdir().unwrap();
    let caches = files.path().join("caches");
    let container = ContainerProvider::in_caches(target, &caches);
    let engine = Engine::find().await.unwrap();
    let id = engine.image_id(IMAGE).await.unwrap().unwrap();
    let training = container.cache(&engine, &id).unwrap();
    std::fs::write(files.path().join("made"), "no cache").unwrap();
    training.cache.publish(&files.path().join("made"), training.about.clone(), true).unwrap();
    assert!(training.cache.file().is_some());
    let resource = bench.acquire_with(&container, &engine).await;
    bench.release(&resource.held, OnExit::Auto).await;
    assert_eq!(training.cache.file(), None);
}

/// Some engines refuse to remove nodes whose network is gone.
#[tokio::test]
async fn nodes_go_in_any_order() {
    let Some(bench) = bench(2) else { return };
    let resource = bench.acquire().await.map_err(|failed| failed.error.to_string()).unwrap();
    let name = bench.name();
    docker(&["rm", "-f", "-v", &name]).unwrap();
    assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed);
    [name.clone(), format!("{name}-2")].iter().for_each(|name| is_gone(name, &[]));
}

struct Podman {
    socket: String,
    engine: Engine,
    image: String,
}

impl Podman {
    /// Returns none without a socket, with the reason on descriptor 2.
    async fn find() -> Option<Self> {
        use std::io::Write as _;
        let Ok(socket) = std::env::var("CRATEDB_TEST_PODMAN") else {
            let _ = writeln!(std::io::stderr(), "skipped: CRATEDB_TEST_PODMAN does not name the socket of a Podman");
            return None;
        };
        let image = standin::image()?;
        let files = tempfile::tempdir().unwrap();
        let archive = files.path().join("image.tar").display().to_string();
        docker(&["save", "--output", &archive, &image]).unwrap();
        let engine = Engine::at(&EngineAddress::unix(Path::new(&socket))).await.unwrap();
        let podman = Self { socket, engine, image: format!("localhost/{image}") };
        podman.say(&["load", "--input", &archive]).unwrap();
        Some(podman)
    }

    fn say(&self, arguments: &[&str]) -> Result<String, String> {
        let url = format!("unix://{}", self.socket);
        let output = Command::new("podman").args(["--url", &url]).args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    async fn acquire(&self, bench: &Bench) -> Acquired {
        let container = ContainerProvider::new(LocalTarget::of_image(&self.image));
        container.acquire(&self.engine, Instant::now() + LIMIT, &bench.progress, &bench.intents()).await
    }
}

#[tokio::test]
async fn podman_starts_it_labels_it_and_removes_it() {
    let Some(podman) = Podman::find().await else { return };
    let bench = Bench::new(&podman.image);
    let resource = podman.acquire(&bench).await.map_err(|failed| failed.error.to_string()).unwrap();
    answers(&resource).await;
    let name = bench.name();
    let labels = podman.say(&["inspect", "--format", "{{json .Config.Labels}}", &name]).unwrap();
    says(labels, &[r#""io.crate.cratedb-test.key":"local:ada""#, r#"io.crate.cratedb-test.keeper-start"#]);
    let ports = podman.say(&["port", &name]).unwrap();
    assert!(ports.contains("127.0.0.1:") && !ports.contains("0.0.0.0"), "{ports}");
    let volumes = podman.say(&["inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", &name]).unwrap();
    // The engine that the journal names is asked, and not the first one that is found.
    let release = || bench.release(&resource.held, OnExit::Auto);
    assert_eq!(tokio::join!(release(), release()), (Released::Removed, Released::Removed));
    assert!(podman.say(&["inspect", &name]).is_err(), "{name} is still there");
    let left = podman.say(&["volume", "ls", "--quiet"]).unwrap();
    assert!(volumes.split_whitespace().all(|volume| !left.contains(volume)), "{volumes} of {left}");
    assert_eq!(release().await, Released::Removed, "again");
}

#[tokio::test]
async fn podman_says_why_a_server_ended() {
    let Some(mut podman) = Podman::find().await else { return };
    podman.image = "localhost/cratedb-test-standin:no-such-tag".to_owned();
    let bench = Bench::new(&podman.image);
    let failed = podman.acquire(&bench).await.err().unwrap();
    assert!(!failed.maybe_up);
    says(failed.error, &["can't be pulled", "CRATEDB_TEST_IMAGE"]);
}
