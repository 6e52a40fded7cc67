//! The control plane, endpoint by endpoint, field by field.

use std::collections::BTreeSet;
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options, Pace};
use serde_json::{Value, json};

use super::support::{Connection, api, path, start};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn suspended() -> Options {
    Options::default().cluster(ClusterOptions::suspended("ci"))
}

#[test]
fn the_current_user_belongs_to_the_first_organization() {
    let simulator = start(Options::default());
    let mut api = api(&simulator);
    let me = api.get("/api/v2/users/me/").expect(200);
    let expected =
        "email hmac idp is_superuser name organization_id organization_roles picture project_roles status uid username";
    assert_eq!(keys(&me), expected.split(' ').collect());
    let organizations = api.get("/api/v2/organizations/").expect(200);
    assert_eq!(organizations[0]["id"], me["organization_id"]);
    assert_eq!(
        me["organization_roles"][0],
        json!({ "organization_id": me["organization_id"], "role_fqn": "org_admin" })
    );
}

#[test]
fn organizations_have_projects_subscriptions_regions_and_clusters() {
    let simulator = start(suspended());
    let mut api = api(&simulator);
    let organization = api.get("/api/v2/organizations/").expect(200)[0].clone();
    let expected = "dc email id name notifications_enabled plan_type project_count role_fqn";
    assert_eq!(keys(&organization), expected.split(' ').collect());
    let base = format!("/api/v2/organizations/{}/", organization["id"].as_str().unwrap());
    assert_eq!(api.get(&base).expect(200), organization);
    for list in ["projects/", "subscriptions/", "clusters/"] {
        assert_eq!(api.get(&format!("{base}{list}")).expect(200).as_array().unwrap().len(), 1, "{list}");
    }
    assert!(api.get(&format!("{base}regions/")).expect(200).as_array().unwrap().len() > 1);
}

#[test]
fn a_project_is_created_listed_and_found() {
    let simulator = start(Options::default());
    let mut api = api(&simulator);
    let organization = api.get("/api/v2/organizations/").expect(200)[0]["id"].clone();
    let made = api.post("/api/v2/projects/", &json!({ "name": "ci", "organization_id": organization })).expect(201);
    assert_eq!(keys(&made), "backup_location dc id name organization_id region".split(' ').collect());
    assert_eq!(made["backup_location"], Value::Null);
    assert_eq!(api.get(&format!("/api/v2/projects/{}/", made["id"].as_str().unwrap())).expect(200), made);
    assert_eq!(api.get("/api/v2/projects/").expect(200).as_array().unwrap().len(), 2);
    let refused = api.post("/api/v2/projects/", &json!({ "name": " x", "organization_id": organization })).expect(400);
    assert_eq!(refused["errors"]["name"], json!(["String does not match expected pattern."]));
}

#[test]
fn subscriptions_products_regions_and_versions_are_listed() {
    let simulator = start(Options::default());
    let mut api = api(&simulator);
    let subscription = api.get("/api/v2/subscriptions/").expect(200)[0].clone();
    assert_eq!((&subscription["state"], &subscription["active"]), (&json!("active"), &json!(true)));
    let id = subscription["id"].as_str().unwrap();
    assert_eq!(api.get(&format!("/api/v2/subscriptions/{id}/")).expect(200), subscription);

    let products = api.get("/api/v2/products/?kind=cluster&name=crfree").expect(200);
    assert!(products.as_array().unwrap().iter().all(|one| one["name"] == "crfree" && one["kind"] == "cluster"));
    assert_eq!(api.get("/api/v2/products/?kind=storage").expect(200), json!([]));
    assert_eq!(api.get("/api/v2/products/cluster/?name=crfree").expect(200), products);

    let region = api.get("/api/v2/regions/").expect(200)[0].clone();
    assert_eq!((&region["status"], &region["is_edge_region"]), (&json!("UP"), &json!(false)));

    let versions = api.get("/api/v2/meta/cratedb-versions/").expect(200);
    assert_eq!(
        versions["crate_versions"]["stable"],
        json!({ "version": "6.4.3", "major": 6, "minor": 4, "hotfix": 3 })
    );
    assert_eq!(api.get("/api/v2/meta/").expect(200)["crate_versions"]["stable"], "6.4.3");
}

#[test]
fn a_cluster_has_every_field_of_the_reference() {
    let simulator = start(suspended());
    let mut api = api(&simulator);
    let cluster = api.get("/api/v2/clusters/").expect(200)[0].clone();
    let expected = "allow_custom_storage allow_suspend backup_schedule channel crate_version dc deletion_protected \
                    external_ip fqdn gc_available hardware_specs health id ip_whitelist last_async_operation name num_nodes \
                    origin product_name product_tier product_unit project_id subscription_id suspended url username";
    assert_eq!(keys(&cluster), expected.split_whitespace().collect());
    assert_eq!(cluster["suspended"], true);
    assert!(cluster["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert_eq!(cluster["health"]["status"], "SUSPENDED");
    assert_eq!(api.get(&path(cluster["id"].as_str().unwrap(), "")).expect(200), cluster);
}

#[test]
fn a_resume_shows_as_an_operation_of_type_suspend_at_the_first_poll() {
    let simulator = start(suspended().operation_time(Duration::from_secs(60)));
    let mut api = api(&simulator);
    let id = simulator.cloud().cluster("ci").id;
    let before = api.put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(200);
    assert_eq!(before["suspended"], true, "the answer is the cluster as it was");
    let listed = api.get(&path(&id, "operations/?type=SUSPEND&limit=1")).expect(200)["operations"][0].clone();
    assert_eq!(
        keys(&listed),
        "dc entity entity_id feedback_data id non_sensitive_data status type".split(' ').collect()
    );
    assert_eq!(listed["id"], before["last_async_operation"]["id"]);
    assert_eq!((&listed["entity"], &listed["entity_id"]), (&json!("CLUSTER"), &json!(id)));
    let conflict = api.put(&path(&id, "suspend/"), &json!({ "suspended": true })).expect(400);
    let text = "Another cluster operation is currently in progress, please try again later.";
    assert_eq!(conflict, json!({ "success": false, "message": text }));
    assert!(simulator.requests().iter().filter(|one| one.is_resume()).count() == 1);
}

#[test]
fn operations_move_by_steps_in_explicit_mode() {
    let simulator = start(suspended().explicit());
    let id = simulator.cloud().cluster("ci").id;
    let mut api = api(&simulator);
    api.put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(200);
    let mut status = || {
        let listed = api.get(&path(&id, "operations/?limit=1")).expect(200);
        listed["operations"][0]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(), "REGISTERED");
    for expected in ["SENT", "IN_PROGRESS", "SUCCEEDED"] {
        assert_eq!(simulator.cloud().step(), 1);
        assert_eq!(status(), expected);
    }
    assert!(simulator.cloud().cluster("ci").running);
}

#[test]
fn a_held_operation_goes_on_when_it_is_released() {
    let simulator = start(suspended());
    let cloud = simulator.cloud();
    let id = cloud.cluster("ci").id;
    cloud.hold_next_operation("ci");
    api(&simulator).put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(200);
    assert_eq!(cloud.cluster("ci").operation, Some(("SUSPEND".into(), "REGISTERED")));
    cloud.release("ci");
    assert!(cloud.cluster("ci").running);
}

#[test]
fn foreign_operations_are_seen_and_block() {
    let simulator = start(suspended());
    let cloud = simulator.cloud();
    let id = cloud.cluster("ci").id;
    let mut api = api(&simulator);
    cloud.foreign_operation("ci", "SCALE", Pace::Explicit);
    assert_eq!(api.get(&path(&id, "")).expect(200)["health"]["running_operation"], "SCALE");
    api.put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(400);
    cloud.settle();
    api.put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(200);
}

#[test]
fn any_key_and_secret_are_accepted_unless_some_are_configured() {
    let open = start(Options::default());
    api(&open).get("/api/v2/users/me/").expect(200);
    let guarded =
        start(Options { api_key: Some("right".into()), api_secret: Some("also-right".into()), ..Options::default() });
    let ask = |key: &str, secret: &str| Connection::open(guarded.url()).basic(key, secret).get("/api/v2/users/me/");
    ask("right", "also-right").expect(200);
    for reply in
        [ask("right", "wrong"), ask("wrong", "also-right"), Connection::open(guarded.url()).get("/api/v2/clusters/")]
    {
        assert_eq!(reply.status, 401);
        assert!(serde_json::from_str::<Value>(&reply.text).is_err(), "not JSON: {}", reply.text);
        assert_eq!(reply.header("set-cookie"), None);
    }
}

#[test]
fn missing_slashes_are_tolerated_and_nothing_redirects() {
    let simulator = start(suspended());
    let mut api = api(&simulator);
    let id = simulator.cloud().cluster("ci").id;
    for path in
        [format!("/api/v2/clusters/{id}"), "/api/v2/users/me".into(), "/api/v2/clusters?product_name=cr1".into()]
    {
        assert_eq!(api.get(&path).status, 200, "{path}");
    }
    for path in ["/api/v2/nothing/", "/", "/api/v1/clusters/", "/api/v2/clusters/x/"] {
        let reply = api.get(path);
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.json()["message"], "Resource not found.");
    }
    assert_eq!(api.send("PATCH", "/api/v2/projects/", Some("{}")).unwrap().status, 405);
}

#[test]
fn one_connection_serves_many_requests_and_says_how_long_answers_are() {
    let simulator = start(suspended());
    let mut api = api(&simulator);
    for _ in 0..3 {
        let reply = api.get("/api/v2/clusters/");
        assert_eq!(reply.header("content-length"), Some(reply.text.len().to_string().as_str()));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    let numbers: BTreeSet<_> = simulator.requests().iter().map(|request| request.connection).collect();
    assert_eq!(numbers.len(), 1);
}

#[test]
fn a_token_has_exactly_three_keys_and_the_key_set_no_alg() {
    let simulator = start(suspended());
    let id = simulator.cloud().cluster("ci").id;
    let token = api(&simulator).get(&path(&id, "jwt/")).expect(200);
    assert_eq!(keys(&token), "expiry refresh token".split(' ').collect());
    assert!(token["expiry"].as_str().unwrap().ends_with("+00:00"));
    let keyed = Connection::open(simulator.url()).get("/api/v2/meta/jwk/");
    assert_eq!(keyed.header("cache-control"), Some("max-age=300"));
    let key = keyed.expect(200)["keys"][0].clone();
    assert_eq!((&key["kty"], &key["alg"]), (&json!("RSA"), &Value::Null));
}

#[test]
fn a_deleted_cluster_is_gone_with_its_gateway() {
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci")));
    let cluster = simulator.cloud().cluster("ci");
    let mut api = api(&simulator);
    api.put(&path(&cluster.id, "deletion-protection/"), &json!({ "deletion_protected": true })).expect(200);
    assert_eq!(api.send("DELETE", &path(&cluster.id, ""), None).unwrap().status, 400);
    api.put(&path(&cluster.id, "deletion-protection/"), &json!({ "deletion_protected": false })).expect(200);
    let gone = api.send("DELETE", &path(&cluster.id, ""), None).unwrap();
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    api.get(&path(&cluster.id, "")).expect(404);
    let address = cluster.url.strip_prefix("http://").unwrap();
    super::support::eventually("the gateway is closed", || {
        std::net::TcpStream::connect(address).is_err().then_some(())
    });
}

#[test]
fn operations_can_be_lost_or_hidden_and_health_can_lag() {
    let simulator = start(suspended());
    let cloud = simulator.cloud();
    let id = cloud.cluster("ci").id;
    let mut api = api(&simulator);
    let mut resume = || {
        let answer = api.put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(200);
        let listed =
            api.get(&path(&id, "operations/?type=SUSPEND")).expect(200)["operations"].as_array().unwrap().len();
        (answer["last_async_operation"]["type"].as_str().unwrap().to_owned(), listed, cloud.cluster("ci").running)
    };
    cloud.lose_next_operation("ci");
    assert_eq!(resume(), ("CREATE".into(), 0, false));
    cloud.hide_next_operation("ci");
    cloud.freeze_health("ci");
    assert_eq!(resume(), ("CREATE".into(), 0, true));
    assert_eq!(api.get(&path(&id, "")).expect(200)["health"]["status"], "SUSPENDED");
    cloud.thaw_health("ci");
    assert_eq!(api.get(&path(&id, "")).expect(200)["health"]["status"], "GREEN");
}

#[test]
fn an_unknown_name_lists_those_that_exist() {
    let simulator = start(suspended());
    let cloud = simulator.cloud();
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cloud.cluster("CI"))).unwrap_err();
    assert_eq!(told.downcast_ref::<String>().unwrap(), "there is no cluster `CI`; there are [\"ci\"]");
}

#[test]
fn a_test_can_wait_for_what_clusters_become() {
    let simulator = start(suspended().operation_time(Duration::from_millis(50)));
    let cloud = simulator.cloud();
    let id = cloud.cluster("ci").id;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let wait = |limit| runtime.block_on(cloud.wait_until(limit, |clusters| clusters[0].running));
    let told = wait(Duration::from_millis(1)).unwrap_err().to_string();
    assert!(told.contains("`ci` suspended=true"), "{told}");
    api(&simulator).put(&path(&id, "suspend/"), &json!({ "suspended": false })).expect(200);
    wait(super::support::DEADLINE).unwrap();
}
