//! The control interface below `/_simulator/`, and faults as texts.

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};
use serde_json::{Value, json};

use super::support::{Connection, api, path, start};

fn suspended() -> Simulator {
    start(Options::default().cluster(ClusterOptions::suspended("ci")))
}

/// Sends a request without credentials.
fn control(simulator: &Simulator) -> Connection {
    Connection::open(simulator.url())
}

fn post(simulator: &Simulator, path: &str, body: Value) -> Value {
    control(simulator).post(&format!("/_simulator/{path}"), &body).expect(200)
}

#[test]
fn clusters_are_looked_at_and_moved_without_leaving_a_trace() {
    let simulator = start(Options::default().cluster(ClusterOptions::suspended("ci")).explicit());
    let id = simulator.cloud().cluster("ci").id;
    api(&simulator).put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(200);
    let mut control = control(&simulator);
    let seen = control.get("/_simulator/clusters/").expect(200)[0].clone();
    assert_eq!((&seen["id"], &seen["running"]), (&json!(id), &json!(false)));
    assert_eq!(seen["operation"], json!({ "type": "SUSPEND", "status": "REGISTERED" }));
    assert!(seen.get("password").is_none());
    assert_eq!(post(&simulator, "step", json!({})), json!({ "moved": 1 }));
    assert_eq!(simulator.cloud().cluster("ci").operation, Some(("SUSPEND".into(), "SENT")));
    post(&simulator, "settle/", json!({}));
    assert!(simulator.cloud().cluster("ci").running);
    assert_eq!(simulator.requests().len(), 1, "only the request of a client is recorded");
}

#[test]
fn faults_are_added_listed_and_cleared() {
    let simulator = suspended();
    let shown = post(&simulator, "faults/", json!({ "method": "GET", "path": "/users/me", "status": 502, "times": 2 }));
    assert_eq!((&shown[0]["times"], &shown[0]["status"]), (&json!(2), &json!(502)));
    let ask = || api(&simulator).get("/api/v2/users/me/").status;
    assert_eq!(ask(), 502);
    assert_eq!(control(&simulator).get("/_simulator/faults/").expect(200)[0]["times"], 1);
    assert_eq!(control(&simulator).send("DELETE", "/_simulator/faults/", None).unwrap().status, 200);
    assert_eq!(ask(), 200);
    post(&simulator, "faults/", json!({ "drop": true, "times": "always" }));
    assert_eq!(control(&simulator).get("/_simulator/clusters/").status, 200, "no fault is meant for these paths");
}

#[test]
fn the_next_operation_and_the_next_job_fail_as_told() {
    let simulator = suspended();
    let id = simulator.cloud().cluster("ci").id;
    let mut api = api(&simulator);
    post(&simulator, "faults/", json!({ "cluster": "ci", "fail": "no room, sorry" }));
    api.put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(200);
    let operation = api.get(&path(&id, "operations/?limit=1")).expect(200)["operations"][0].clone();
    assert_eq!(
        (&operation["status"], &operation["feedback_data"]["message"]),
        (&json!("FAILED"), &json!("no room, sorry"))
    );

    post(&simulator, "faults/", json!({ "cluster": &id, "fail_job": "out of disk" }));
    let body = json!({ "type": "url", "format": "csv", "destination": { "table": "t" }, "url": { "url": "http://127.0.0.1:1/" } });
    let made = api.post(&path(&id, "import-jobs/"), &body).expect(201);
    let job = api.get(&path(&id, &format!("import-jobs/{}/", made["id"].as_str().unwrap()))).expect(200);
    assert_eq!((&job["status"], &job["progress"]["message"]), (&json!("FAILED"), &json!("out of disk")));
}

#[test]
fn a_held_job_waits_until_it_is_released() {
    let simulator = suspended();
    let id = simulator.cloud().cluster("ci").id;
    let mut api = api(&simulator);
    post(&simulator, "faults/", json!({ "cluster": "ci", "hold_job": true }));
    let body = json!({ "type": "url", "format": "csv", "destination": { "table": "t" }, "url": { "url": "http://127.0.0.1:1/" } });
    let made = api.post(&path(&id, "import-jobs/"), &body).expect(201);
    let own = path(&id, &format!("import-jobs/{}/", made["id"].as_str().unwrap()));
    assert_eq!(api.get(&own).expect(200)["status"], "REGISTERED");
    post(&simulator, "clusters/ci/release/", json!({}));
    super::support::eventually("the job is over", || (api.get(&own).expect(200)["status"] == "FAILED").then_some(()));
}

#[test]
fn sessions_are_made_renewed_and_ended() {
    let simulator = suspended();
    let token = post(&simulator, "sessions/", json!({}))["token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 64);
    let ask = |token: &str| {
        Connection::open(simulator.url()).with("cookie", &format!("a=b; session={token}")).get("/api/v2/users/me/")
    };
    assert_eq!((ask(&token).status, ask(&token).header("set-cookie")), (200, None));
    post(&simulator, "sessions/rotate/", json!({ "every": 1 }));
    assert!(ask(&token).header("set-cookie").unwrap().starts_with("session="));
    post(&simulator, "sessions/rotate/", json!({ "every": null }));
    post(&simulator, "sessions/expire/", json!({}));
    assert_eq!(ask(&token).header("location"), Some("/?rd=/api/v2/users/me/"));
    let cloud = simulator.cloud();
    assert_eq!(ask(&cloud.session()).status, 200);
}

#[test]
fn requests_are_listed_with_what_the_file_does_not_have() {
    let simulator = suspended();
    api(&simulator).with("x-region", "_any_").with("user-agent", "me/1").get("/api/v2/clusters/").expect(200);
    let mut control = control(&simulator);
    let listed = control.get("/_simulator/requests/").expect(200);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let one = &listed[0];
    assert_eq!((&one["auth"], &one["region"], &one["user_agent"]), (&json!("basic"), &json!("_any_"), &json!("me/1")));
    assert_eq!(
        (&one["path"], &one["status"], &one["cluster"]),
        (&json!("/api/v2/clusters/"), &json!(200), &Value::Null)
    );
    control.send("DELETE", "/_simulator/requests/", None).unwrap().expect(200);
    assert_eq!(control.get("/_simulator/requests/").expect(200), json!([]));
}

#[test]
fn what_cannot_be_done_is_said() {
    let simulator = suspended();
    let mut control = control(&simulator);
    let told = control.post("/_simulator/nothing/", &json!({})).expect(404)["message"].as_str().unwrap().to_owned();
    assert!(told.contains("POST faults/"), "{told}");
    let mut refused = |path: &str, body: Value| {
        let reply = control.post(&format!("/_simulator/{path}"), &body);
        (reply.status, reply.json()["message"].as_str().unwrap().to_owned())
    };
    assert_eq!(refused("clusters/CI/release/", json!({})), (404, "there is no cluster `CI`; there are [`ci`]".into()));
    assert_eq!(refused("faults/", json!({ "cluster": "CI", "freeze_health": true })).0, 400);
    assert!(refused("faults/", json!({ "status": "x" })).1.contains("accepted: a number from 200 to 599"));
    assert!(refused("clock/", json!({ "advance": "soon" })).1.contains("such as 250ms"));
    assert_eq!(refused("clusters/ci/snapshots/", json!({})).0, 400, "it is suspended");
    assert!(refused("save/", json!({})).1.contains("--state FILE"));
    assert!(refused("sessions/rotate/", json!({ "every": 0 })).1.contains("accepted"));
}

#[test]
fn idle_free_clusters_are_suspended_and_deleted_by_the_clock() {
    let free = ClusterOptions::running("free").with("product", "crfree").unwrap();
    let simulator = start(Options::default().cluster(free).cluster(ClusterOptions::running("paid")));
    let cluster = simulator.cloud().cluster("free");
    let mut api = api(&simulator);
    let ahead = post(&simulator, "clock/", json!({ "advance": "3d" }));
    assert_eq!(ahead["ahead_ms"], 3 * 86_400_000);
    let ask = || Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).sql("SELECT 1").status;
    assert_eq!(ask(), 200, "which counts as use");
    post(&simulator, "clock/", json!({ "advance": "3d" }));
    assert!(simulator.cloud().cluster("free").running);
    post(&simulator, "clock/", json!({ "advance": "25h" }));
    let seen = api.get(&path(&cluster.id, "")).expect(200);
    assert_eq!((&seen["suspended"], &seen["last_async_operation"]["type"]), (&json!(true), &json!("SUSPEND")));
    assert_eq!(ask(), 503);
    post(&simulator, "clock/", json!({ "advance": "9d" }));
    api.put(&path(&cluster.id, "suspend/"), &json!({ "suspended": false })).expect(200);
    assert_eq!(ask(), 200, "resumed before it was deleted");
    post(&simulator, "clock/", json!({ "advance": "15d" }));
    api.get(&path(&cluster.id, "")).expect(404);
    super::support::eventually("its gateway is closed", || {
        std::net::TcpStream::connect(cluster.url.strip_prefix("http://").unwrap()).is_err().then_some(())
    });
    post(&simulator, "clock/", json!({ "advance": "1000000y" }));
    assert!(simulator.cloud().cluster("paid").running, "who pays may be idle");
}

#[test]
fn organizations_and_projects_of_the_options_are_what_there_is() {
    let simulator = start(
        Options::default()
            .organization("A")
            .organization("B")
            .project("B", "blue")
            .project("B", "green")
            .cluster("name=one".parse().unwrap())
            .cluster("name=two,organization=B,project=green".parse().unwrap()),
    );
    let mut api = api(&simulator);
    let all = api.get("/api/v2/organizations/").expect(200);
    assert_eq!((&all[0]["name"], &all[1]["name"], all.as_array().unwrap().len()), (&json!("A"), &json!("B"), 2));
    let mut inside = |organization: usize, what: &str| {
        let path = format!("/api/v2/organizations/{}/{what}/", all[organization]["id"].as_str().unwrap());
        let listed = api.get(&path).expect(200);
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (inside(0, "projects"), inside(1, "projects")),
        (vec!["simulator".into()], vec!["blue".into(), "green".into()])
    );
    assert_eq!((inside(0, "clusters"), inside(1, "clusters")), (vec!["one".to_owned()], vec!["two".to_owned()]));
    assert_eq!(inside(0, "subscriptions").len() + inside(1, "subscriptions").len(), 2);

    let told = |options: Options| Simulator::start_blocking(options).unwrap_err().to_string();
    let lost = Options::default().cluster("name=x,organization=Z".parse().unwrap());
    assert_eq!(told(lost), "cluster `x`: there is no organization `Z`; add it with --organization, --project");
    assert!(told(Options::default().organization("A").project("B", "p")).contains("there is no organization `B`"));
}
