//! Deploys over HTTP.

use cratedb_cloud_simulator::{ClusterOptions, Options};
use serde_json::{Value, json};

use super::support::{Connection, api, path, start};

fn request(name: &str, product: &str, subscription: &Value) -> Value {
    json!({
        "cluster": { "name": name, "crate_version": "6.4.3", "channel": "stable", "product_name": product,
            "product_tier": "default", "username": "admin", "password": "at-least-24-characters-here" },
        "subscription_id": subscription,
    })
}

fn organization(api: &mut Connection) -> (String, Value) {
    let organization = api.get("/api/v2/organizations/").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let project = api.get("/api/v2/projects/").expect(200)[0]["id"].clone();
    (format!("/api/v2/organizations/{organization}/clusters/"), project)
}

#[test]
fn a_deployed_cluster_answers_sql_to_its_own_user() {
    let simulator = start(Options::default());
    let mut api = api(&simulator);
    let (clusters, project) = organization(&mut api);
    let mut body = request("fresh", "crfree", &"free_tier".into());
    body["project_id"] = project;
    let made = api.post(&clusters, &body).expect(201);
    assert_eq!(made["last_async_operation"]["type"], "CREATE");
    let id = made["id"].as_str().unwrap();
    let listed = api.get(&path(id, "operations/?type=CREATE&limit=1")).expect(200);
    assert_eq!(listed["operations"][0]["status"], "SUCCEEDED");
    let url = made["url"].as_str().unwrap();
    Connection::open(url).basic("admin", "at-least-24-characters-here").sql("SELECT 1").expect(200);
    assert_eq!(Connection::open(url).basic("admin", "something-else").sql("SELECT 1").status, 401);
    assert!(!simulator.cloud().cluster("fresh").allow_suspend);
    assert_eq!(simulator.requests().iter().filter(|one| one.is_deploy()).count(), 1);
}

#[test]
fn a_deploy_by_organization_and_region_makes_a_project() {
    let simulator = start(Options::default());
    let mut api = api(&simulator);
    let (clusters, _) = organization(&mut api);
    let subscription = api.get("/api/v2/subscriptions/").expect(200)[0]["id"].clone();
    let mut body = request("big", "cr2", &subscription);
    body["project"] = json!({ "name": "big", "region": "eks1.eu-west-1.aws" });
    let made = api.post(&clusters, &body).expect(201);
    let project = api.get(&format!("/api/v2/projects/{}/", made["project_id"].as_str().unwrap())).expect(200);
    assert_eq!(project["name"], "big");
    assert!(simulator.cloud().cluster("big").allow_suspend);
}

#[test]
fn problems_are_named_and_nothing_is_made() {
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci")));
    let mut api = api(&simulator);
    let (clusters, project) = organization(&mut api);
    let mut body = request("x", "crfree", &"free_tier".into());
    body["project_id"] = project;
    body["cluster"]["password"] = "short".into();
    let refused = api.post(&clusters, &body).expect(400);
    assert_eq!(
        refused,
        json!({ "success": false, "message": "Bad request", "errors": { "cluster": {
            "name": ["Length must be between 3 and 63."], "password": ["Shorter than minimum length 24."] } } })
    );
    let broken = api.send("POST", &clusters, Some("{")).unwrap().expect(400);
    assert_eq!(broken["errors"]["_schema"], json!(["Invalid input type."]));
    api.post("/api/v2/organizations/nowhere/clusters/", &body).expect(404);
    assert_eq!(simulator.cloud().clusters().len(), 1);
}

#[test]
fn a_deploy_that_is_planned_to_fail_fails_with_its_message() {
    let simulator = start(Options::default());
    simulator.cloud().fail_next_operation("fresh", "no capacity in this region");
    let mut api = api(&simulator);
    let (clusters, project) = organization(&mut api);
    let mut body = request("fresh", "crfree", &"free_tier".into());
    body["project_id"] = project;
    let made = api.post(&clusters, &body).expect(201);
    let id = made["id"].as_str().unwrap();
    let operation = api.get(&path(id, "operations/?type=CREATE")).expect(200)["operations"][0].clone();
    assert_eq!(
        (&operation["status"], &operation["feedback_data"]["message"]),
        (&json!("FAILED"), &json!("no capacity in this region"))
    );
    assert_eq!(Connection::open(made["url"].as_str().unwrap()).sql("SELECT 1").status, 503);
}

#[test]
fn a_client_may_have_to_choose_among_organizations_and_subscriptions() {
    let simulator = start(Options::default());
    let cloud = simulator.cloud();
    let (organization, subscription) = (cloud.add_organization("Second"), cloud.add_subscription());
    let mut api = api(&simulator);
    assert_eq!(api.get("/api/v2/organizations/").expect(200)[1]["id"], organization);
    assert_eq!(api.get("/api/v2/subscriptions/").expect(200)[1]["id"], subscription);
    assert_eq!(api.get(&format!("/api/v2/subscriptions/?organization_id={organization}")).expect(200), json!([]));
}
