//! `ctk`: the toolkit's commands against the control plane and the gateway.

use serde_json::json;

use super::support::cloud::{Cloud, PASSWORD, USER};
use super::support::program::{Home, Ran};
use super::support::python;

const CONFLICT: &str = "Another cluster operation is currently in progress, please try again later.";
const GET: &str = "GET clusters/{ci}/";
const JWT: &str = "GET clusters/{ci}/jwt/";

fn start(arguments: &[&str]) -> Option<(Cloud, Home)> {
    let environment = python::clients()?;
    let cloud = Cloud::serve(arguments);
    let home = Home::new(environment, &cloud);
    Some((cloud, home))
}

fn ctk(home: &Home, arguments: &[&str]) -> Ran {
    home.run("ctk", arguments)
}

/// Runs `ctk cluster <command> --cluster-id <ci>`.
fn cluster(home: &Home, cloud: &Cloud, command: &str) -> Ran {
    ctk(home, &["cluster", command, "--cluster-id", cloud.id("ci")])
}

#[test]
fn info_by_id_and_by_name() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci,state=suspended", "--cluster", "name=b"]) else { return };
    let info = cluster(&home, &cloud, "info").exits(0).json();
    assert_eq!(cloud.asked(), [GET]);
    assert_eq!((&info["cloud"]["name"], &info["cloud"]["suspended"]), (&json!("ci"), &json!(true)));
    assert_eq!(info["database"], json!({}));
    let by_name = ctk(&home, &["cluster", "info", "--cluster-name", "ci"]).exits(0).json();
    assert_eq!(cloud.asked(), ["GET clusters/"]);
    assert_eq!(by_name["cloud"]["id"], cloud.id("ci"));
}

#[test]
fn the_id_comes_from_the_environment_and_wins_over_a_name() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci", "--cluster", "name=b"]) else { return };
    let home = home.with("CRATEDB_CLUSTER_ID", cloud.id("ci"));
    assert_eq!(ctk(&home, &["cluster", "info"]).exits(0).json()["cloud"]["name"], "ci");
    assert_eq!(ctk(&home, &["cluster", "info", "--cluster-name", "b"]).exits(0).json()["cloud"]["name"], "ci");
    assert_eq!(cloud.asked(), [GET, GET]);
}

#[test]
fn a_cluster_that_does_not_exist() {
    let Some((cloud, home)) = start(&[]) else { return };
    let id = "00000000-0000-4000-8000-000000000000";
    let ran = ctk(&home, &["cluster", "info", "--cluster-id", id]).exits(1);
    ran.says("Resource not found.");
    ctk(&home, &["cluster", "info", "--cluster-name", "nobody"]).exits(1).says("Cluster not found: nobody");
    assert_eq!(cloud.asked(), ["GET clusters/{id}/ -> 404", "GET clusters/"]);
}

#[test]
fn wrong_credentials() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    home.write_profile(&cloud.url, &[("key", "some-key"), ("secret", "wrong-one")]);
    cluster(&home, &cloud, "info").exits(1).says("401 - Unauthorized");
    assert_eq!(cloud.asked(), ["GET clusters/{ci}/ -> 401"]);
}

#[test]
fn start_of_a_running_one_only_looks() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    assert_eq!(cluster(&home, &cloud, "start").exits(0).json()["cloud"]["suspended"], false);
    ctk(&home, &["cluster", "start", "--cluster-name", "ci"]).exits(0);
    assert_eq!(cloud.asked(), [GET, "GET clusters/"]);
}

#[test]
fn start_resumes_a_suspended_one() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci,state=suspended"]) else { return };
    // The toolkit shows what it read first (its bug 3), so the cluster is asked instead.
    assert_eq!(cluster(&home, &cloud, "start").exits(0).json()["cloud"]["suspended"], true);
    let asked = [
        GET,
        r#"PUT clusters/{ci}/suspend/ {"suspended":false}"#,
        "GET clusters/{ci}/operations/?type=SUSPEND&limit=1",
    ];
    assert_eq!(cloud.asked(), asked);
    assert_eq!(cloud.cluster("ci")["suspended"], false);
}

#[test]
fn stop_suspends() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    assert_eq!(cluster(&home, &cloud, "stop").exits(0).json()["cloud"]["suspended"], false);
    let asked =
        [GET, r#"PUT clusters/{ci}/suspend/ {"suspended":true}"#, "GET clusters/{ci}/operations/?type=SUSPEND&limit=1"];
    assert_eq!(cloud.asked(), asked);
    assert_eq!(cloud.cluster("ci")["suspended"], true);
}

#[test]
fn stop_during_another_operation_fails() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci", "--operation-time", "1h"]) else { return };
    let path = format!("/api/v2/clusters/{}/suspend/", cloud.id("ci"));
    assert_eq!(cloud.api("PUT", &path, Some(&json!({ "suspended": true }))).0, 200);
    cluster(&home, &cloud, "stop").exits(1).says(CONFLICT);
    assert_eq!(cloud.asked(), [GET, r#"PUT clusters/{ci}/suspend/ {"suspended":true} -> 400"#]);
}

#[test]
fn stop_that_fails_is_a_success_by_the_toolkits_fourth_bug() {
    let arguments = ["--cluster", "name=ci", "--fault", "cluster=ci,fail=The region has no room."];
    let Some((cloud, home)) = start(&arguments) else { return };
    cluster(&home, &cloud, "stop").exits(0).says("The region has no room.");
    assert_eq!(cloud.cluster("ci")["suspended"], false);
}

#[test]
fn start_of_a_missing_one_ends_in_the_toolkits_first_bug() {
    let Some((cloud, home)) = start(&[]) else { return };
    let ran = ctk(&home, &["cluster", "start", "--cluster-name", "new"]).exits(1);
    ran.says("Cluster information not yet available");
    assert_eq!(cloud.asked(), ["GET clusters/"], "it would deploy, but never gets there");
}

#[test]
fn jobs_are_listed() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    assert_eq!(cluster(&home, &cloud, "list-jobs").exits(0).json(), json!([]));
    assert_eq!(cloud.asked(), [GET, "GET clusters/{ci}/import-jobs/"]);
    let yaml = ctk(&home, &["cluster", "list-jobs", "--cluster-id", cloud.id("ci"), "--format", "yaml"]).exits(0);
    assert_eq!(yaml.stdout.trim(), "[]");
}

/// The statements of `ctk cluster health`: its 18 elements, one statement each.
const FIRST_STATEMENTS: [&str; 4] = [
    "SQL SELECT name FROM sys.cluster;",
    "SQL SELECT health, severity, description, missing_shards, underreplicated_shards FROM sys.cluster_health;",
    "SQL SELECT COUNT(*) AS count FROM sys.nodes;",
    "SQL SELECT * FROM sys.nodes ORDER BY hostname;",
];
const STATEMENTS: usize = 18;

#[track_caller]
fn diagnosed(asked: &[String]) {
    assert_eq!(asked.first().map(String::as_str), Some("SQL /"), "{asked:?}");
    assert_eq!(&asked[1..=FIRST_STATEMENTS.len()], FIRST_STATEMENTS);
    assert_eq!(asked.len(), 1 + STATEMENTS, "{asked:?}");
    assert!(asked.iter().all(|line| line.starts_with("SQL ") && !line.contains(" -> ")), "{asked:?}");
}

#[test]
fn health_of_cloud_and_database() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let tables = "CREATE TABLE a (id INT); CREATE TABLE b (id INT) CLUSTERED INTO 2 SHARDS; INSERT INTO a VALUES (1);";
    let other = Home::new(python::clients().unwrap(), &cloud);
    ctk(&other, &["shell", "--cluster-id", cloud.id("ci"), "--command", tables]).exits(0);
    cloud.asked();
    let health = cluster(&home, &cloud, "health").exits(0).json();
    assert_eq!(health["meta"], json!({ "cluster-id": cloud.id("ci"), "cluster-name": "ci" }));
    assert_eq!(health["cloud"]["status"], "GREEN");
    assert_eq!(health["database"], json!([{ "health": "GREEN", "table_count": 2 }]));
    let asked = cloud.asked();
    assert_eq!(asked[..3], [GET, GET, JWT]);
    diagnosed(&asked[3..]);

    // The token is kept in the home's data directory for the next time.
    cluster(&home, &cloud, "health").exits(0);
    let asked = cloud.asked();
    assert_eq!(asked[..2], [GET, GET]);
    diagnosed(&asked[2..]);
}

#[test]
fn health_of_a_suspended_one_is_a_failure() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci,state=suspended"]) else { return };
    cluster(&home, &cloud, "health").exits(1).says("table_health").says("503");
    assert_eq!(cloud.asked(), [GET, GET, JWT, "SQL / -> 503"]);
}

/// The requests of `ping` once the cluster runs. It evaluates `ready` twice, which looks at everything each time.
#[track_caller]
fn pinged(asked: &[String]) {
    assert_eq!(asked[..3], [JWT, "SQL /", "SQL SELECT 42 AS availability_check -- ctk"]);
    let (first, second) = asked[3..].split_at(2 + STATEMENTS);
    assert_eq!((first[0].as_str(), second[0].as_str()), (GET, GET));
    diagnosed(&first[1..]);
    diagnosed(&second[1..]);
}

#[test]
fn ping_asks_both_planes() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let ping = cluster(&home, &cloud, "ping").exits(0).json();
    assert_eq!((&ping["cloud"], &ping["database"]), (&json!(true), &json!(true)));
    let asked = cloud.asked();
    assert_eq!(asked[0], GET);
    pinged(&asked[1..]);
}

#[test]
fn ping_resumes_and_then_believes_what_it_read_before() {
    let arguments = ["--cluster", "name=ci,state=suspended"];
    let Some((cloud, home)) = start(&arguments) else { return };
    // The toolkit's bug 3 once more: the cluster runs and answers, but the toolkit judges the previous state.
    let ping = cluster(&home, &cloud, "ping").exits(1).json();
    assert_eq!((&ping["cloud"], &ping["database"]), (&json!(false), &json!(true)));
    let asked = cloud.asked();
    let resume = [
        GET,
        r#"PUT clusters/{ci}/suspend/ {"suspended":false}"#,
        "GET clusters/{ci}/operations/?type=SUSPEND&limit=1",
    ];
    assert_eq!(asked[..3], resume);
    pinged(&asked[3..]);
    let cluster = cloud.cluster("ci");
    assert_eq!((&cluster["suspended"], &cluster["health"]["status"]), (&json!(false), &json!("GREEN")));
}

/// First user and place, then the statement, both after a look at the version.
const SHELL: [&str; 3] = ["SQL /", "SQL SELECT current_user, current_schema, name FROM sys.cluster", "SQL /"];

#[test]
fn shell_by_token() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let arguments =
        ["shell", "--cluster-id", cloud.id("ci"), "--format", "json", "--command", "SELECT current_user AS u, 1 AS n"];
    let ran = ctk(&home, &arguments).exits(0);
    assert_eq!(ran.json(), json!([{ "u": "admin", "n": 1 }]));
    let asked = cloud.asked();
    assert_eq!(asked[..5], [&[GET, JWT], &SHELL[..]].concat());
    assert_eq!(asked[5..], ["SQL SELECT current_user AS u, 1 AS n"]);
}

#[test]
fn shell_by_a_token_that_has_expired_ends_in_the_toolkits_eighth_bug() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci", "--token-lifetime", "1s"]) else { return };
    let arguments = ["shell", "--cluster-id", cloud.id("ci"), "--command", "SELECT 1"];
    // Whether that was in time doesn't matter: the test is about the token that is kept.
    ctk(&home, &arguments);
    let later = json!({ "advance": "10s" });
    assert!(cloud.api("POST", "/_simulator/clock/", Some(&later)).0 < 300);
    cloud.asked();
    // It goes on for five minutes after the token's end, without a request for another.
    ctk(&home, &arguments).exits(1).says("401");
    assert_eq!(cloud.asked(), [GET, "SQL / -> 401"]);
}

#[test]
fn shell_by_password() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let arguments = ["shell", "--cluster-id", cloud.id("ci"), "--username", USER, "--password", PASSWORD];
    let ran = ctk(&home, &[&arguments[..], &["--command", "SELECT current_user"]].concat()).exits(0);
    ran.prints("| admin");
    let asked = cloud.asked();
    assert!(!asked.contains(&JWT.to_owned()), "{asked:?}");
}

#[test]
fn a_statement_that_fails_in_the_shell() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let ran = ctk(&home, &["shell", "--cluster-id", cloud.id("ci"), "--command", "SELECT * FROM nobody"]).exits(1);
    assert!((ran.stdout.clone() + &ran.stderr).contains("Relation 'nobody' unknown"), "{ran}");
}
