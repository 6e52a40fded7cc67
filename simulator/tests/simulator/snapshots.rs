//! Backups and what is restored from them.

use cratedb_cloud_simulator::{ClusterOptions, ClusterView, Options, Simulator};
use serde_json::{Value, json};

use super::support::{Connection, api, path, start};

fn running() -> (Simulator, ClusterView) {
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci")));
    let cluster = simulator.cloud().cluster("ci");
    for stmt in [
        "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)",
        "CREATE TABLE s.u (a INTEGER)",
        "CREATE VIEW v AS SELECT a FROM t",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
    ] {
        sql(&cluster, stmt).expect(200);
    }
    (simulator, cluster)
}

fn sql(cluster: &ClusterView, stmt: &str) -> super::support::Reply {
    Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).sql(stmt)
}

fn rows(cluster: &ClusterView, stmt: &str) -> Value {
    sql(cluster, stmt).expect(200)["rows"].clone()
}

/// Takes a snapshot. Returns the beginning of a request that restores it.
fn snapshot(simulator: &Simulator, cluster: &ClusterView) -> Value {
    assert!(simulator.cloud().take_snapshot("ci"));
    let listed = api(simulator).get(&path(&cluster.id, "snapshots/")).expect(200);
    json!({ "repository": listed[0]["repository"], "snapshot": listed[0]["snapshot"] })
}

/// Returns status and message of its operation.
fn restore(simulator: &Simulator, cluster: &ClusterView, body: &Value) -> (String, String) {
    let mut api = api(simulator);
    let shown = api.post(&path(&cluster.id, "snapshots/restore/"), body).expect(200);
    assert_eq!(shown["snapshot"], body["snapshot"]);
    let operations = api.get(&path(&cluster.id, "operations/?type=RESTORE_SNAPSHOT&limit=1")).expect(200);
    let operation = &operations["operations"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&operation["status"]), text(&operation["feedback_data"]["message"]))
}

fn with(base: &Value, more: Value) -> Value {
    let mut body = base.clone();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_snapshot_has_every_field_and_is_listed_newest_first() {
    let (simulator, cluster) = running();
    let mut api = api(&simulator);
    assert_eq!(api.get(&path(&cluster.id, "snapshots/")).expect(200), json!([]));
    snapshot(&simulator, &cluster);
    snapshot(&simulator, &cluster);
    let start = "snapshots/?start=2026-01-03T10%3A00%3A00.000000%2B00%3A00";
    let listed = api.get(&path(&cluster.id, start)).expect(200);
    let (newer, older) = (&listed[0], &listed[1]);
    assert!(newer["snapshot"].as_str() > older["snapshot"].as_str(), "{listed}");
    let keys: Vec<_> = newer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.join(" "), "cluster_id concrete_indices created dc project_id repository snapshot tables");
    assert_eq!(newer["tables"], json!(["doc.t", "s.u"]));
    assert_eq!(api.get(&path(&cluster.id, "snapshots/?end=2026-01-03")).expect(200), json!([]));
}

#[test]
fn a_dropped_table_comes_back_with_its_rows() {
    let (simulator, cluster) = running();
    let body = snapshot(&simulator, &cluster);
    sql(&cluster, "DELETE FROM t WHERE a = 1").expect(200);
    sql(&cluster, "DROP TABLE t").expect(200);
    sql(&cluster, "DROP TABLE s.u").expect(200);
    let done = restore(&simulator, &cluster, &with(&body, json!({ "type": "tables", "tables": ["doc.t"] })));
    assert_eq!(done.0, "SUCCEEDED");
    assert_eq!(rows(&cluster, "SELECT a, b FROM t ORDER BY a"), json!([[1, "x"], [2, "y"]]));
    sql(&cluster, "SELECT * FROM s.u").expect(404);
    let twice = sql(&cluster, "INSERT INTO t VALUES (1, 'again')");
    assert_eq!(twice.status, 409, "the key is one again");
}

#[test]
fn a_restore_replaces_nothing_and_takes_all_or_none() {
    let (simulator, cluster) = running();
    let body = snapshot(&simulator, &cluster);
    sql(&cluster, "DROP TABLE s.u").expect(200);
    let failed = restore(&simulator, &cluster, &with(&body, json!({ "tables": ["all"] })));
    assert_eq!(failed, ("FAILED".into(), "Relation 'doc.t' already exists.".into()));
    sql(&cluster, "SELECT * FROM s.u").expect(404);
    let unknown = restore(&simulator, &cluster, &with(&body, json!({ "tables": ["s.u", "s.w"] })));
    assert_eq!(unknown.1, "The snapshot has no table 's.w'.");
    assert_eq!(restore(&simulator, &cluster, &with(&body, json!({ "tables": ["s.u"] }))).0, "SUCCEEDED");
    sql(&cluster, "SELECT * FROM s.u").expect(200);
}

#[test]
fn sections_and_another_cluster_are_restored() {
    let (simulator, cluster) = running();
    let body = snapshot(&simulator, &cluster);
    sql(&cluster, "DROP VIEW v").expect(200);
    let views = with(&body, json!({ "type": "sections", "sections": ["views"] }));
    assert_eq!(restore(&simulator, &cluster, &views).0, "SUCCEEDED");
    assert_eq!(rows(&cluster, "SELECT count(*) FROM v").as_array().unwrap().len(), 1);

    let other =
        start(Options::default().cluster(ClusterOptions::running("ci")).cluster(ClusterOptions::running("copy")));
    let (from, to) = (other.cloud().cluster("ci"), other.cloud().cluster("copy"));
    sql(&from, "CREATE TABLE t (a INTEGER)").expect(200);
    sql(&from, "INSERT INTO t VALUES (5)").expect(200);
    let body = snapshot(&other, &from);
    assert_eq!(api(&other).post(&path(&to.id, "snapshots/restore/"), &body).status, 404, "not one of its own");
    assert_eq!(restore(&other, &to, &with(&body, json!({ "source_cluster_id": from.id }))).0, "SUCCEEDED");
    assert_eq!(rows(&to, "SELECT a FROM t"), json!([[5]]), "refreshed as well");
}

#[test]
fn problems_of_a_restore_are_named() {
    let (simulator, cluster) = running();
    let body = snapshot(&simulator, &cluster);
    let mut api = api(&simulator);
    let mut post = |body: Value| api.post(&path(&cluster.id, "snapshots/restore/"), &body);
    assert_eq!(post(json!({})).expect(400)["errors"].as_object().unwrap().len(), 2);
    let kind = post(with(&body, json!({ "type": "some" }))).expect(400);
    assert_eq!(kind["errors"], json!({ "type": ["Must be one of: all, metadata, tables, sections."] }));
    let sections = post(with(&body, json!({ "type": "sections", "sections": ["cats"] }))).expect(400);
    assert!(sections["errors"]["sections"][0].as_str().unwrap().starts_with("Must be some of: tables"));
    post(with(&body, json!({ "tables": [7] }))).expect(400);
    post(with(&body, json!({ "snapshot": "20000101000000" }))).expect(404);
}

#[test]
fn backups_are_taken_by_the_schedule_and_removed_after_two_weeks() {
    let (simulator, cluster) = running();
    let mut api = api(&simulator);
    let mut count = || api.get(&path(&cluster.id, "snapshots/")).expect(200).as_array().unwrap().len();
    let advance = |text: &str| {
        Connection::open(simulator.url()).post("/_simulator/clock/", &json!({ "advance": text })).expect(200)
    };
    advance("24h");
    assert_eq!(count(), 1, "once a day");
    advance("3d");
    assert_eq!(count(), 4);
    advance("60d");
    assert_eq!(count(), 14);
}
