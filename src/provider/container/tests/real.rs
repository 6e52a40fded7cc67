//! A real CrateDB in containers: where the engine has the image of one. It is never pulled for a test.

use super::*;
use crate::provider::Resource;
use crate::target::JvmCache;

const IMAGE: &str = "crate:6.4.3";

/// None without an engine or its image, with the reason on descriptor 2.
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

/// A server that does not stop at its first exception, and a JVM that takes what it is given.
#[tokio::test]
async fn a_cache_is_made_after_a_session_and_used_from_then_on() {
    let Some(bench) = bench(1) else { return };
    let target = LocalTarget { jvm_cache: JvmCache::Make, ..LocalTarget::of_image(IMAGE) };
    let caches = tempfile::tempdir().unwrap();
    let container = || Container::in_caches(target.clone(), caches.path());
    let engine = Engine::find().await.unwrap();
    let first = container();
    let resource = bench.acquire_with(&first, &engine).await;
    bench.release(&resource.held, OnExit::Auto).await;
    let training = first.training().expect("nothing stands against a cache");
    let mut lease = training.begin().unwrap().unwrap();
    super::super::make(&training, &mut lease).await.unwrap();
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
    assert!(second.training().is_none(), "it is there");
    let rest: Vec<_> = std::fs::read_dir(caches.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(rest.iter().all(|path| path.extension().is_none_or(|kind| kind == "lock")), "{rest:?}");
}

/// A file that is no cache costs nothing but the time that one would have saved.
#[tokio::test]
async fn a_cache_that_is_none_is_thrown_away() {
    let Some(bench) = bench(1) else { return };
    let target = LocalTarget { jvm_cache: JvmCache::Use, ..LocalTarget::of_image(IMAGE) };
    let files = tempfile::tempdir().unwrap();
    let caches = files.path().join("caches");
    let container = Container::in_caches(target, &caches);
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

/// Nodes that use a network which is gone can still be removed.
#[tokio::test]
async fn nodes_go_in_any_order() {
    let Some(bench) = bench(2) else { return };
    let resource = bench.acquire().await.map_err(|failed| failed.error.to_string()).unwrap();
    let name = bench.name();
    docker(&["rm", "-f", "-v", &name]).unwrap();
    assert_eq!(bench.release(&resource.held, OnExit::Auto).await, Released::Removed);
    [name.clone(), format!("{name}-2")].iter().for_each(|name| is_gone(name, &[]));
}
