//! The file of `--state`, which keeps everything from one run to the next.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};
use serde_json::{Value, json};

use super::support::{Connection, Reply, api, eventually, path, start};

fn options(file: &Path) -> Options {
    Options { state: Some(file.to_owned()), ..Options::default().cluster(ClusterOptions::running("ci")) }
}

fn sql(simulator: &Simulator, stmt: &str) -> Reply {
    let cluster = simulator.cloud().cluster("ci");
    Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).sql(stmt)
}

/// Returns whether another process has taken the port: all processes of a machine share them.
fn is_taken(url: &str) -> bool {
    std::net::TcpListener::bind(url.strip_prefix("http://").unwrap()).is_err()
}

#[test]
fn clusters_data_and_the_account_are_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.json");
    let first = start(options(&file));
    let cluster = first.cloud().cluster("ci");
    for stmt in [
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b DOUBLE PRECISION DEFAULT 1.5, c INTEGER GENERATED ALWAYS AS a + 1, CHECK (a < 9))",
        "INSERT INTO t (a) VALUES (1), (2)",
        "REFRESH TABLE t",
        "INSERT INTO t (a) VALUES (3)",
        "CREATE VIEW v AS SELECT a, CASE WHEN b > 1 THEN 'x' ELSE 'y' END AS d FROM t WHERE a BETWEEN 1 AND 5",
        "CREATE USER eve",
        "GRANT DQL ON TABLE doc.t TO eve",
    ] {
        sql(&first, stmt).expect(200);
    }
    assert!(first.cloud().take_snapshot("ci"));
    let token = first.cloud().session();
    let mut client = api(&first);
    let key = client.send("POST", "/api/v2/users/me/api-keys/", None).unwrap().expect(200);
    let organization = client.get("/api/v2/organizations/").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let files = format!("/api/v2/organizations/{organization}/files/");
    let made = client.post(&files, &json!({ "name": "f" })).expect(201);
    let target = made["upload_url"].as_str().unwrap().strip_prefix(first.url()).unwrap().to_owned();
    client.send("PUT", &target, Some("some bytes")).unwrap();
    first.cloud().advance_clock(std::time::Duration::from_secs(3600));
    let lists =
        ["/api/v2/clusters/", "/api/v2/organizations/", "/api/v2/projects/"].map(|list| client.get(list).expect(200));
    let snapshots = client.get(&path(&cluster.id, "snapshots/")).expect(200);
    drop(client);
    drop(first);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let second = start(options(&file));
    let again = second.cloud().cluster("ci");
    assert_eq!(again.id, cluster.id);
    assert!(again.url == cluster.url || is_taken(&cluster.url), "with its port");
    let mut client =
        Connection::open(second.url()).basic(key["key"].as_str().unwrap(), key["secret"].as_str().unwrap());
    let mut relisted =
        ["/api/v2/clusters/", "/api/v2/organizations/", "/api/v2/projects/"].map(|list| client.get(list).expect(200));
    for volatile in ["health", "url"] {
        relisted[0][0][volatile] = lists[0][0][volatile].clone();
    }
    assert_eq!(relisted, lists);
    Connection::open(second.url()).with("cookie", &format!("session={token}")).get("/api/v2/users/me/").expect(200);
    assert_eq!(client.get(&target).text, "some bytes");
    let rows = |stmt: &str| sql(&second, stmt).expect(200)["rows"].clone();
    assert_eq!(rows("SELECT a, b, c FROM t ORDER BY a"), json!([[1, 1.5, 2], [2, 1.5, 3]]), "3 is not refreshed yet");
    assert_eq!(rows("SELECT a, d FROM v ORDER BY a"), json!([[1, "x"], [2, "x"]]));
    assert_eq!(rows("SELECT a FROM t WHERE a = 3"), json!([[3]]), "but there by its key");
    sql(&second, "INSERT INTO t (a) VALUES (10)").expect(400);
    assert_eq!(rows("SELECT name FROM sys.users ORDER BY name"), json!([["admin"], ["crate"], ["eve"]]));
    assert_eq!(client.get(&path(&cluster.id, "snapshots/")).expect(200), snapshots);
    sql(&second, "DROP VIEW v").expect(200);
    sql(&second, "DROP TABLE t").expect(200);
    let restore = json!({ "repository": snapshots[0]["repository"], "snapshot": snapshots[0]["snapshot"] });
    client.post(&path(&cluster.id, "snapshots/restore/"), &restore).expect(200);
    assert_eq!(rows("SELECT count(*) FROM t"), json!([[3]]));
    let clock = Connection::open(second.url()).get("/_simulator/clock/").expect(200);
    assert_eq!(clock["ahead_ms"], 3_600_000);
}

#[test]
fn the_file_follows_every_change_and_is_never_half_written() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.json");
    let simulator = start(options(&file));
    let kept = || serde_json::from_str::<Value>(&std::fs::read_to_string(&file).ok()?).ok();
    let text = || kept().map(|kept| kept.to_string()).unwrap_or_default();
    eventually("the file is there", || kept().map(drop));
    api(&simulator).post("/api/v2/organizations/", &json!({ "name": "Written soon" })).expect(201);
    eventually("a change of the account is written", || text().contains("Written soon").then_some(()));
    sql(&simulator, "CREATE TABLE written_as_well (a INTEGER)").expect(200);
    eventually("a change of the data is written", || text().contains("written_as_well").then_some(()));
    Connection::open(simulator.url()).post("/_simulator/save/", &json!({})).expect(200);
    let names: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["state.json"], "nothing else is left behind");
}

#[test]
fn a_taken_port_is_replaced_by_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.json");
    let before = start(options(&file)).cloud().cluster("ci").url;
    let taken = std::net::TcpListener::bind(before.strip_prefix("http://").unwrap());
    let simulator = start(options(&file));
    // Another process may have taken the port.
    assert!(taken.is_err() || simulator.cloud().cluster("ci").url != before);
    sql(&simulator, "SELECT 1").expect(200);
    assert_eq!(simulator.cloud().clusters().len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("state.json");
    let told = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let told = Simulator::start_blocking(options(&file)).unwrap_err().to_string();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "and is left alone");
        assert!(told.contains(file.to_str().unwrap()) && told.contains("move it away"), "{told}");
        told
    };
    assert!(told("{\"version\":7}").contains("version 7"));
    told("{");
    told("{\"version\":1}");
}

#[test]
fn a_place_that_cannot_be_written_is_said_when_one_asks() {
    let simulator = start(options(Path::new("/nowhere/at/all.json")));
    let refused = Connection::open(simulator.url()).post("/_simulator/save/", &json!({})).expect(500);
    assert!(refused["message"].as_str().unwrap().contains("/nowhere/at/all.json"), "{refused}");
}
