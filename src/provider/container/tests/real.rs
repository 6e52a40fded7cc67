//! A real CrateDB in containers: where the engine has the image of one. It is never pulled for a test.

use super::*;
use crate::provider::Resource;

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

fn client(resource: &Resource) -> Client {
    Client::new(&resource.http_url, Some("t"), Wallet::new(resource.credentials.clone())).unwrap()
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
