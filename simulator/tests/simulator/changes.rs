//! Changes of clusters and of the account around them, and idle free clusters.

use cratedb_cloud_simulator::{ClusterOptions, Options, Simulator};
use serde_json::{Value, json};

use super::support::{Connection, Reply, api, path, start};

fn running() -> Simulator {
    start(Options::default().cluster(ClusterOptions::running("ci")))
}

fn send(api: &mut Connection, method: &str, path: &str, body: Value) -> Reply {
    api.send(method, path, Some(&body.to_string())).unwrap()
}

/// Requests a change. Returns its operation and the cluster after it.
fn changed(simulator: &Simulator, method: &str, rest: &str, body: Value) -> (Value, Value) {
    let id = simulator.cloud().cluster("ci").id;
    let mut api = api(simulator);
    let before = send(&mut api, method, &path(&id, rest), body).expect(200);
    let kind = before["last_async_operation"]["type"].as_str().unwrap().to_owned();
    let listed = api.get(&path(&id, &format!("operations/?type={kind}&limit=1"))).expect(200);
    assert_eq!(listed["operations"][0]["id"], before["last_async_operation"]["id"]);
    assert_eq!(listed["operations"][0]["status"], "SUCCEEDED");
    (listed["operations"][0].clone(), api.get(&path(&id, "")).expect(200))
}

#[test]
fn a_cluster_is_scaled_and_the_operation_tells_from_where_to_where() {
    let simulator = running();
    let (operation, after) = changed(&simulator, "PUT", "scale/", json!({ "product_unit": 2 }));
    assert_eq!(operation["type"], "SCALE");
    assert_eq!(
        operation["non_sensitive_data"],
        json!({ "current_product_unit": 0, "current_num_nodes": 1, "target_product_unit": 2, "target_num_nodes": 3 })
    );
    assert_eq!((&after["product_unit"], &after["num_nodes"]), (&json!(2), &json!(3)));
}

#[test]
fn an_upgrade_keeps_the_data_and_changes_what_the_database_says() {
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci").with("version", "6.3.1").unwrap()));
    let cluster = simulator.cloud().cluster("ci");
    let sql = || Connection::open(&cluster.url).basic(&cluster.username, &cluster.password);
    sql().sql("CREATE TABLE t (a INTEGER)").expect(200);
    sql().sql("INSERT INTO t VALUES (7)").expect(200);
    sql().sql("REFRESH TABLE t").expect(200);
    assert_eq!(sql().get("/").expect(200)["version"]["number"], "6.3.1");
    let (operation, after) = changed(&simulator, "PUT", "upgrade/", json!({ "crate_version": "6.4.3" }));
    assert_eq!(operation["non_sensitive_data"], json!({ "current_version": "6.3.1", "target_version": "6.4.3" }));
    assert_eq!(after["crate_version"], "6.4.3");
    assert_eq!(sql().get("/").expect(200)["version"]["number"], "6.4.3");
    assert_eq!(sql().sql("SELECT a FROM t").expect(200)["rows"], json!([[7]]));
}

#[test]
fn storage_product_backups_networks_and_password_change() {
    let simulator = running();
    let bytes = 274_877_906_944_i64;
    let (operation, after) = changed(&simulator, "PUT", "storage/", json!({ "disk_size_per_node_bytes": bytes }));
    assert_eq!(
        (&operation["type"], &after["hardware_specs"]["disk_size_per_node_bytes"]),
        (&json!("EXPAND_STORAGE"), &json!(bytes))
    );
    let (operation, after) = changed(&simulator, "PUT", "product/", json!({ "product_name": "cr2" }));
    assert_eq!((&operation["type"], &after["product_name"]), (&json!("CHANGE_COMPUTE"), &json!("cr2")));
    let (operation, after) = changed(&simulator, "PUT", "backup-schedule/", json!({ "backup_hours": "2,4,6" }));
    assert_eq!(
        (&operation["type"], &after["backup_schedule"]),
        (&json!("BACKUP_SCHEDULE_UPDATE"), &json!("55 2,4,6 * * *"))
    );
    let list =
        json!({ "ip_whitelist": [{ "cidr": "10.0.0.0/8" }, { "cidr": "192.0.2.1/32", "description": "office" }] });
    let (operation, after) = changed(&simulator, "PUT", "ip-restrictions/", list);
    assert_eq!(operation["non_sensitive_data"]["current_ip_whitelist"], json!([]));
    assert_eq!(operation["non_sensitive_data"]["target_ip_whitelist"], after["ip_whitelist"]);
    assert_eq!(after["ip_whitelist"][0], json!({ "cidr": "10.0.0.0/8", "description": null }));
    let (operation, _) = changed(&simulator, "PATCH", "", json!({ "password": "another-password-of-24-letters" }));
    assert_eq!(operation["type"], "PASSWORD_UPDATE");
    let cluster = simulator.cloud().cluster("ci");
    let login = |password: &str| Connection::open(&cluster.url).basic("admin", password).sql("SELECT 1").status;
    assert_eq!((login("another-password-of-24-letters"), login("simulated-password-of-32-letters")), (200, 401));
}

#[test]
fn what_is_wrong_with_a_change_is_named_at_its_field() {
    let simulator = running();
    let id = simulator.cloud().cluster("ci").id;
    let mut api = api(&simulator);
    for (rest, body, field, problem) in [
        ("scale/", json!({ "product_unit": 9 }), "product_unit", "Must be between 0 and 8."),
        ("scale/", json!({ "product_unit": 0 }), "product_unit", "The cluster has this scale already."),
        ("scale/", json!({}), "product_unit", "Missing data for required field."),
        ("upgrade/", json!({ "crate_version": "1.0.0" }), "crate_version", "No such version in channel stable."),
        ("upgrade/", json!({ "crate_version": "6.4.2" }), "crate_version", "Must be newer than 6.4.3."),
        (
            "storage/",
            json!({ "disk_size_per_node_bytes": 1 }),
            "disk_size_per_node_bytes",
            "Must be greater than 34359738368.",
        ),
        ("storage/", json!({ "disk_size_per_node_bytes": null }), "disk_size_per_node_bytes", "Not a valid integer."),
        ("product/", json!({ "product_name": "s2" }), "product_name", "Must be one of: cr2, cr3, cr4."),
        (
            "backup-schedule/",
            json!({ "backup_hours": "25" }),
            "backup_hours",
            "Not a valid list of hours, such as 2,4,6.",
        ),
        ("ip-restrictions/", json!({ "ip_whitelist": 7 }), "ip_whitelist", "Invalid type."),
    ] {
        let refused = api.put(&path(&id, rest), &body).expect(400);
        assert_eq!(refused["errors"], json!({ field: [problem] }), "{rest} {body}");
    }
    let short = send(&mut api, "PATCH", &path(&id, ""), json!({ "password": "short", "name": "x" })).expect(400);
    assert_eq!(short["errors"], json!({ "name": ["Unknown field."], "password": ["Shorter than minimum length 24."] }));
    assert_eq!(
        api.get(&path(&id, "operations/")).expect(200)["operations"].as_array().unwrap().len(),
        1,
        "only CREATE"
    );
}

#[test]
fn a_second_change_is_a_conflict_and_a_suspended_cluster_has_nothing_to_scale() {
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci")).explicit());
    let id = simulator.cloud().cluster("ci").id;
    let mut api = api(&simulator);
    api.put(&path(&id, "scale/"), &json!({ "product_unit": 1 })).expect(200);
    for (rest, body) in [
        ("upgrade/", json!({ "crate_version": "6.5.0" })),
        ("scale/", json!({ "product_unit": 2 })),
        ("product/", json!({ "product_name": "cr2" })),
        ("ip-restrictions/", json!({ "ip_whitelist": [] })),
        ("suspend/", json!({ "suspended": true })),
    ] {
        let refused = api.put(&path(&id, rest), &body).expect(400);
        let known =
            refused["message"].as_str().unwrap().starts_with("Another cluster operation is currently in progress");
        assert!(known || rest == "upgrade/", "{rest}: {refused}");
    }
    simulator.cloud().settle();
    api.put(&path(&id, "suspend/"), &json!({ "suspended": true })).expect(200);
    simulator.cloud().settle();
    assert_eq!(
        api.put(&path(&id, "scale/"), &json!({ "product_unit": 0 })).expect(400)["message"],
        "The cluster is not running."
    );
}

#[test]
fn a_restarted_node_ends_the_connections() {
    let simulator = running();
    let cluster = simulator.cloud().cluster("ci");
    let mut sql = Connection::open(&cluster.url).basic(&cluster.username, &cluster.password);
    sql.sql("SELECT 1").expect(200);
    let mut api = api(&simulator);
    let done = api.send("DELETE", &format!("/api/v2/clusters/{}/nodes/0", cluster.id), None).unwrap().expect(202);
    assert_eq!((&done["status"], &done["code"]), (&json!("Success"), &json!(200)));
    super::support::eventually("the connection ends", || sql.send("GET", "/", None).is_err().then_some(()));
    for ordinal in ["1", "x", "-1"] {
        let path = format!("/api/v2/clusters/{}/nodes/{ordinal}", cluster.id);
        assert_eq!(api.send("DELETE", &path, None).unwrap().status, 404);
    }
}

#[test]
fn only_superusers_move_a_cluster_to_another_subscription() {
    let simulator = running();
    let id = simulator.cloud().cluster("ci").id;
    let other = simulator.cloud().add_subscription();
    let body = json!({ "subscription_id": other });
    let transfer = path(&id, "transfer-subscription/");
    assert_eq!(api(&simulator).post(&transfer, &body).expect(403)["message"], "Permission denied for user.");
    let mut sudo = api(&simulator).with("x-auth-sudo", "1");
    assert_eq!(sudo.post(&transfer, &body).expect(200)["subscription_id"], other.as_str());
    sudo.post(&transfer, &json!({ "subscription_id": "free_tier" })).expect(400);
}

#[test]
fn what_a_cluster_can_become_is_listed() {
    let simulator = start(
        Options::default()
            .cluster(ClusterOptions::running("ci").with("version", "6.3.1").unwrap())
            .cluster(ClusterOptions::running("free").with("product", "crfree").unwrap()),
    );
    let mut api = api(&simulator);
    let cloud = simulator.cloud();
    let mut names = |cluster: &str| {
        let all = api.get(&path(&cloud.cluster(cluster).id, "available-products/")).expect(200);
        all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((names("ci"), names("free")), (vec!["cr2".into(), "cr3".into(), "cr4".into()], vec![]));
    let upgrades = api.get(&path(&cloud.cluster("ci").id, "available-upgrades/")).expect(200);
    assert_eq!(upgrades["crate_versions"]["stable"]["version"], "6.4.3");
    let none = api.get(&path(&cloud.cluster("free").id, "available-upgrades/")).expect(200);
    assert_eq!(none, json!({ "crate_versions": {} }));
    let free = cloud.cluster("free").id;
    let scale = api.put(&path(&free, "scale/"), &json!({ "product_unit": 0 })).expect(400);
    assert_eq!(scale["message"], "Clusters of product crfree cannot be scaled.");
}

#[test]
fn organizations_and_projects_are_made_changed_and_deleted() {
    let simulator = running();
    let mut api = api(&simulator);
    let made = api.post("/api/v2/organizations/", &json!({ "name": "Team B", "plan_type": 4 })).expect(201);
    let own = format!("/api/v2/organizations/{}/", made["id"].as_str().unwrap());
    assert_eq!((&made["plan_type"], &made["project_count"]), (&json!(4), &json!(0)));
    let edited = api.put(&own, &json!({ "name": "Team C", "notifications_enabled": false })).expect(200);
    assert_eq!(
        (&edited["name"], &edited["plan_type"], &edited["notifications_enabled"]),
        (&json!("Team C"), &json!(4), &json!(false))
    );
    assert_eq!(
        api.put(&own, &json!({ "plan_type": 9 })).expect(400)["errors"]["plan_type"],
        json!(["Must be between 1 and 6."])
    );
    let quotas = api.get(&format!("{own}quotas/")).expect(200);
    assert_eq!(quotas[0], json!({ "code": "clusters", "current_value": 0, "quota": 10 }));

    let project = api.post("/api/v2/projects/", &json!({ "name": "p", "organization_id": made["id"] })).expect(201);
    let project = format!("/api/v2/projects/{}/", project["id"].as_str().unwrap());
    assert_eq!(send(&mut api, "PATCH", &project, json!({ "name": "q" })).expect(200)["name"], "q");
    assert_eq!(api.send("DELETE", &own, None).unwrap().status, 403, "it has a project");
    assert_eq!(api.send("DELETE", &project, None).unwrap().status, 204);
    assert_eq!(api.send("DELETE", &own, None).unwrap().status, 204);
    api.get(&own).expect(404);
    let busy = api.get("/api/v2/clusters/").expect(200)[0]["project_id"].as_str().unwrap().to_owned();
    let refused = api.send("DELETE", &format!("/api/v2/projects/{busy}/"), None).unwrap().expect(403);
    assert_eq!(refused["message"], "The project still has clusters.");
}

#[test]
fn a_cancelled_subscription_takes_its_clusters_along() {
    let simulator = running();
    let mut api = api(&simulator);
    let cluster = api.get("/api/v2/clusters/").expect(200)[0].clone();
    let own = format!("/api/v2/subscriptions/{}/", cluster["subscription_id"].as_str().unwrap());
    let gone = api.send("DELETE", &own, None).unwrap().expect(200);
    assert_eq!((&gone["active"], &gone["state"]), (&json!(false), &json!("canceled")));
    assert_eq!(api.get("/api/v2/clusters/").expect(200), json!([]));
    api.get(&own).expect(404);
}

#[test]
fn a_new_mail_address_is_confirmed_by_mail() {
    let simulator = running();
    let mut api = api(&simulator);
    let told = send(&mut api, "PATCH", "/api/v2/users/me/", json!({ "email": "eve@example.org" })).expect(202);
    assert_eq!((&told["success"], &told["status"]), (&json!(true), &json!("pending")));
    assert_eq!(api.get("/api/v2/users/me/").expect(200)["email"], "eve@example.org");
    let refused = send(&mut api, "PATCH", "/api/v2/users/me/", json!({ "email": "nobody" })).expect(400);
    assert_eq!(refused["errors"], json!({ "email": ["Not a valid email address."] }));
}

#[test]
fn a_token_is_renewed_once_with_its_refresh_token() {
    let simulator = running();
    let cluster = simulator.cloud().cluster("ci");
    let first = api(&simulator).get(&path(&cluster.id, "jwt/")).expect(200);
    simulator.cloud().revoke_tokens();
    let login =
        |token: &Value| Connection::open(&cluster.url).bearer(token["token"].as_str().unwrap()).sql("SELECT 1").status;
    assert_eq!(login(&first), 401);
    let mut anybody = Connection::open(simulator.url());
    let body = json!({ "refresh_token": first["refresh"] });
    let second = anybody.post("/api/v2/meta/jwt/refresh/", &body).expect(200);
    assert_eq!((login(&second), second.as_object().unwrap().len()), (200, 3));
    anybody.post("/api/v2/meta/jwt/refresh/", &body).expect(401);
    anybody.post("/api/v2/meta/jwt/refresh/", &json!({})).expect(400);
}

#[test]
fn metrics_have_points_while_the_cluster_runs() {
    let simulator = running();
    let id = simulator.cloud().cluster("ci").id;
    let mut api = api(&simulator);
    let found = api.get(&path(&id, "metrics/crate_cpu_seconds/?minutes_ago=5")).expect(200);
    assert_eq!(found["data"]["result"][0]["values"].as_array().unwrap().len(), 6);
    assert_eq!(api.get(&path(&id, "metrics/crate_moons/")).status, 404);
    api.put(&path(&id, "suspend/"), &json!({ "suspended": true })).expect(200);
    assert_eq!(api.get(&path(&id, "metrics/crate_cpu_seconds/")).status, 204);
}
