//! The data plane of a cluster: readiness and authentication.

use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, ClusterView, Options, Simulator};
use serde_json::json;

use super::support::{Connection, Reply, api, eventually, path, start};

fn running() -> (Simulator, ClusterView) {
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci")));
    let cluster = simulator.cloud().cluster("ci");
    (simulator, cluster)
}

fn token(simulator: &Simulator, id: &str) -> String {
    api(simulator).get(&path(id, "jwt/")).expect(200)["token"].as_str().unwrap().to_owned()
}

fn suspend(simulator: &Simulator, id: &str, suspended: bool) {
    api(simulator).put(&path(id, "suspend/"), &json!({ "suspended": suspended })).expect(200);
}

#[track_caller]
fn refused(reply: &Reply, text: &str) {
    assert_eq!(reply.status, 401, "{reply:?}");
    assert!(reply.text.contains(text) && reply.text.ends_with('\n'), "{reply:?}");
    assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"CrateDB Authenticator\""));
    assert_eq!(
        (reply.header("connection"), reply.header("content-type")),
        (Some("close"), Some("text/plain; charset=utf-8"))
    );
}

#[test]
fn a_suspended_cluster_answers_503_and_closes() {
    let simulator = start(Options::default().cluster(ClusterOptions::suspended("ci")));
    let cluster = simulator.cloud().cluster("ci");
    let reply = Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).get("/");
    assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
    suspend(&simulator, &cluster.id, false);
    Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).get("/").expect(200);
}

#[test]
fn suspending_closes_open_connections() {
    let (simulator, cluster) = running();
    let mut sql = Connection::open(&cluster.url).basic(&cluster.username, &cluster.password);
    sql.sql("SELECT 1").expect(200);
    suspend(&simulator, &cluster.id, true);
    eventually("the connection is closed", || match sql.send("GET", "/", None) {
        Ok(reply) => (reply.status == 503 && reply.header("connection") == Some("close")).then_some(()),
        Err(_) => Some(()),
    });
}

#[test]
fn a_resumption_is_a_start_of_the_server() {
    let (simulator, cluster) = running();
    let started = || {
        let mut sql = Connection::open(&cluster.url).basic(&cluster.username, &cluster.password);
        sql.sql("SELECT pg_postmaster_start_time()").expect(200)["rows"][0][0].as_i64().unwrap()
    };
    let first = started();
    assert_eq!(started(), first);
    std::thread::sleep(Duration::from_millis(2));
    suspend(&simulator, &cluster.id, true);
    suspend(&simulator, &cluster.id, false);
    assert!(started() > first);
}

#[test]
fn tables_outlive_a_suspension() {
    let (simulator, cluster) = running();
    let open = || Connection::open(&cluster.url).basic(&cluster.username, &cluster.password);
    open().sql("CREATE TABLE doc.kept (id INT PRIMARY KEY)").expect(200);
    suspend(&simulator, &cluster.id, true);
    suspend(&simulator, &cluster.id, false);
    open().sql("SELECT id FROM doc.kept").expect(200);
}

#[test]
fn the_clusters_user_is_let_in_by_password_and_nobody_else() {
    let (_simulator, cluster) = running();
    let ask = |user: &str, password: &str| Connection::open(&cluster.url).basic(user, password).sql("SELECT 1");
    ask(&cluster.username, &cluster.password).expect(200);
    refused(&ask(&cluster.username, "wrong"), "password authentication failed for user \"admin\"");
    refused(&ask("crate", &cluster.password), "password authentication failed for user \"crate\"");
    refused(
        &ask(&cluster.username, ""),
        "No valid auth.host_based.config entry found for host \"127.0.0.1\", user \"admin\"",
    );
    refused(&Connection::open(&cluster.url).sql("SELECT 1"), "user \"crate\"");
}

#[test]
fn a_token_lets_its_clusters_user_in() {
    let (simulator, cluster) = running();
    let token = token(&simulator, &cluster.id);
    let user = Connection::open(&cluster.url).bearer(&token).sql("SELECT current_user").expect(200);
    assert_eq!(user["rows"], json!([["admin"]]));
}

#[test]
fn a_token_of_another_cluster_is_refused() {
    let options = Options::default().cluster(ClusterOptions::running("a")).cluster(ClusterOptions::running("b"));
    let simulator = start(options);
    let (a, b) = (simulator.cloud().cluster("a"), simulator.cloud().cluster("b"));
    let reply = Connection::open(&b.url).bearer(&token(&simulator, &a.id)).sql("SELECT 1");
    refused(&reply, "jwt authentication failed for user admin. Reason: wrong audience");
}

#[test]
fn forged_and_opaque_tokens_are_refused() {
    let (simulator, cluster) = running();
    let mut forged = token(&simulator, &cluster.id);
    let signature = forged.rfind('.').unwrap() + 1;
    let other = if forged[signature..].starts_with('A') { "B" } else { "A" };
    forged.replace_range(signature..=signature, other);
    refused(&Connection::open(&cluster.url).bearer(&forged).sql("SELECT 1"), "the signature is wrong");
    refused(&Connection::open(&cluster.url).bearer("opaque").sql("SELECT 1"), "Reason: ");
}

#[test]
fn tokens_expire_by_time_and_by_command() {
    let options = Options { token_lifetime: Duration::ZERO, ..Options::default() };
    let short = start(options.cluster(ClusterOptions::running("ci")));
    let cluster = short.cloud().cluster("ci");
    let reply = Connection::open(&cluster.url).bearer(&token(&short, &cluster.id)).sql("SELECT 1");
    refused(&reply, "the token has expired");

    let (simulator, cluster) = running();
    let old = token(&simulator, &cluster.id);
    let mut sql = Connection::open(&cluster.url).bearer(&old);
    sql.sql("SELECT 1").expect(200);
    simulator.cloud().revoke_tokens();
    refused(&sql.sql("SELECT 1"), "the token has expired");
    let new = token(&simulator, &cluster.id);
    Connection::open(&cluster.url).bearer(&new).sql("SELECT 1").expect(200);
}

#[test]
fn without_authentication_only_bad_tokens_are_refused() {
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci").with("auth", "off").unwrap()));
    let cluster = simulator.cloud().cluster("ci");
    let who = |connection: Connection| {
        let mut connection = connection;
        connection.sql("SELECT current_user").expect(200)["rows"][0][0].as_str().unwrap().to_owned()
    };
    assert_eq!(who(Connection::open(&cluster.url)), "crate");
    assert_eq!(who(Connection::open(&cluster.url).bearer(&token(&simulator, &cluster.id))), "admin");
    refused(&Connection::open(&cluster.url).bearer("a.b.c").sql("SELECT 1"), "jwt authentication failed");
}

#[test]
fn a_resumed_cluster_may_need_a_while_until_it_answers() {
    let simulator = start(Options::default().cluster(ClusterOptions::suspended("ci")));
    let cluster = simulator.cloud().cluster("ci");
    simulator.cloud().sql_not_ready_requests("ci", 2);
    let ask = || Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).get("/").status;
    assert_eq!(ask(), 503, "suspended: does not count");
    suspend(&simulator, &cluster.id, false);
    assert!(simulator.cloud().cluster("ci").running);
    assert_eq!([ask(), ask(), ask()], [503, 503, 200]);

    suspend(&simulator, &cluster.id, true);
    simulator.cloud().sql_not_ready_for("ci", Duration::from_millis(150));
    suspend(&simulator, &cluster.id, false);
    assert_eq!(ask(), 503);
    eventually("SQL answers", || (ask() == 200).then_some(()));
}

#[test]
fn the_default_schema_belongs_to_the_connection() {
    let (_simulator, cluster) = running();
    let schema = |connection: &mut Connection| {
        connection.sql("SELECT current_schema").expect(200)["rows"][0][0].as_str().unwrap().to_owned()
    };
    let open = |schema: &str| {
        Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).with("default-schema", schema)
    };
    let (mut one, mut two) = (open("one"), open("two"));
    assert_eq!([schema(&mut one), schema(&mut two), schema(&mut one)], ["one", "two", "one"]);
}

#[test]
fn a_proxy_that_mixes_connections_can_be_played() {
    let (simulator, cluster) = running();
    simulator.cloud().mix_connections("ci", true);
    let schema = |schema: &str| {
        let connection = Connection::open(&cluster.url).basic(&cluster.username, &cluster.password);
        connection.with("default-schema", schema).sql("SELECT current_schema").expect(200)["rows"][0][0].clone()
    };
    assert_eq!((schema("one"), schema("two")), (json!("one"), json!("one")), "the second got the first one's session");
}

#[test]
fn a_compressed_body_is_read() {
    let (_simulator, cluster) = running();
    // `{"stmt":"SELECT current_user"}`, gzipped.
    let body = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x2e\xc9\x2d\x51\xb2\x52\x0a\x76\xf5\x71\x75\
        \x0e\x51\x48\x2e\x2d\x2a\x4a\xcd\x2b\x89\x2f\x2d\x4e\x2d\x52\xaa\x05\x00\x59\x27\x63\x71\x1e\x00\
        \x00\x00";
    let mut sql =
        Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).with("content-encoding", "gzip");
    let reply = sql.send_bytes("POST", "/_sql", Some(body)).unwrap().expect(200);
    assert_eq!(reply["rows"], json!([["admin"]]));
    assert_eq!(sql.sql("SELECT 1").expect(400)["error"]["code"], 4000, "not gzip at all");
}
