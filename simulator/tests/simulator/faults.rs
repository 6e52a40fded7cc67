//! Faults of the transport, and the record of requests.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options};
use serde_json::{Value, json};

use super::support::{Connection, api, path, start};

fn options() -> Options {
    Options::default().cluster(ClusterOptions::running("ci"))
}

#[test]
fn a_status_comes_as_often_as_told() {
    let simulator = start(options());
    simulator.cloud().fault(Fault::on("GET", "/operations/").status(502).times(2));
    let mut api = api(&simulator);
    let operations = path(&simulator.cloud().cluster("ci").id, "operations/");
    let statuses: Vec<_> = (0..3).map(|_| api.get(&operations).status).collect();
    assert_eq!(statuses, [502, 502, 200]);
    assert_eq!(simulator.requests().iter().map(|one| one.status).collect::<Vec<_>>(), [502, 502, 200]);
}

#[test]
fn an_answer_can_ask_for_a_pause() {
    let simulator = start(options());
    simulator.cloud().fault(Fault::on("GET", "/clusters/").retry_after(2).status(429));
    let mut api = api(&simulator);
    let busy = api.get("/api/v2/clusters/");
    assert_eq!((busy.status, busy.header("retry-after")), (429, Some("2")));
    let served = api.get("/api/v2/clusters/");
    assert_eq!((served.status, served.header("retry-after")), (200, None));
}

#[test]
fn a_dropped_connection_gives_no_answer() {
    let simulator = start(options());
    simulator.cloud().fault(Fault::on("GET", "/clusters/").drop_connection());
    let error = api(&simulator).send("GET", "/api/v2/clusters/", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    api(&simulator).get("/api/v2/clusters/").expect(200);
    assert_eq!(simulator.requests()[0].status, 0);
}

#[test]
fn a_hanging_request_leaves_others_alone() {
    let simulator = start(options());
    simulator.cloud().fault(Fault::on("GET", "/clusters/").hang());
    let mut hanging = api(&simulator).patience(Duration::from_millis(100));
    let error = hanging.send("GET", "/api/v2/clusters/", None).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    api(&simulator).get("/api/v2/clusters/").expect(200);
    assert_eq!(simulator.requests()[0].status, 0, "recorded at once, though nothing was answered");
}

#[test]
fn a_delayed_answer_is_the_usual_one() {
    let simulator = start(options());
    simulator.cloud().fault(Fault::on("*", "/users/me").delay(Duration::from_millis(120)));
    let begun = Instant::now();
    api(&simulator).get("/api/v2/users/me/").expect(200);
    assert!(begun.elapsed() >= Duration::from_millis(120));
}

#[test]
fn a_conflict_can_be_played_without_an_operation() {
    let simulator = start(options());
    simulator.cloud().fault(Fault::on("PUT", "/suspend/").conflict());
    let suspend = path(&simulator.cloud().cluster("ci").id, "suspend/");
    let mut api = api(&simulator);
    let refused = api.put(&suspend, &json!({ "suspended": true })).expect(400);
    assert!(refused["message"].as_str().unwrap().starts_with("Another cluster operation is currently in progress"));
    api.put(&suspend, &json!({ "suspended": true })).expect(200);
}

#[test]
fn faults_reach_the_data_plane_and_can_be_cleared() {
    let simulator = start(options());
    let cluster = simulator.cloud().cluster("ci");
    simulator.cloud().fault(Fault::on("POST", "/_sql").answer(500, "oops").always());
    let mut sql = Connection::open(&cluster.url).basic(&cluster.username, &cluster.password);
    assert_eq!(sql.sql("SELECT 1").text, "oops");
    simulator.cloud().clear_faults();
    sql.sql("SELECT 1").expect(200);
}

#[test]
fn every_request_of_both_planes_is_written_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("requests.ndjson");
    let simulator = start(Options { requests: Some(file.clone()), ..options() });
    let cluster = simulator.cloud().cluster("ci");
    let mut api = api(&simulator);
    let token = api.get(&path(&cluster.id, "jwt/?a=b")).expect(200)["token"].as_str().unwrap().to_owned();
    api.put(&path(&cluster.id, "suspend/"), &json!({ "suspended": "no" })).expect(400);
    let mut sql = Connection::open(&cluster.url).bearer(&token);
    sql.post("/_sql", &json!({ "stmt": "SELECT ?", "args": [cluster.password] }));
    api.post("/api/v2/projects/", &json!({ "name": token, "password": "hunter22" }));

    let text = std::fs::read_to_string(file).unwrap();
    for secret in [&token, &cluster.password, "hunter22", "some-secret"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> =
        lines.iter().map(|line| (line["method"].as_str().unwrap(), line["status"].as_u64().unwrap())).collect();
    assert_eq!(shown, [("GET", 200), ("PUT", 400), ("POST", 200), ("POST", 400)]);
    assert_eq!((&lines[0]["query"], &lines[0]["body"]), (&json!("a=b"), &Value::Null));
    assert_eq!((&lines[1]["body"], &lines[2]["path"]), (&json!({ "suspended": "no" }), &json!("/_sql")));
    assert!(lines.windows(2).all(|pair| pair[0]["at_ms"].as_f64() <= pair[1]["at_ms"].as_f64()));
    let digits = text.lines().next().unwrap().split(['.', ',']).nth(1).unwrap();
    assert_eq!(digits.len(), 3, "three decimals");
}
