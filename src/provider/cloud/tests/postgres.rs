//! The way in for PostgreSQL drivers: a password that is set, or a user who is made.

use cratedb_cloud_simulator::Fault;

use super::super::postgres::SessionUser;
use super::*;
use crate::sql::test_server::{Reaction, TestServer};
use crate::user;

/// User and password of an address.
fn login(resource: &Resource) -> (String, String) {
    let url = url::Url::parse(resource.pg_url.as_ref().unwrap().expose()).unwrap();
    (url.username().to_owned(), url.password().unwrap().to_owned())
}

/// The users of ours that the cluster has.
async fn made(resource: &Resource) -> Vec<String> {
    let client = SqlClient::new(&resource.http_url, None, Wallet::new(resource.credentials.clone())).unwrap();
    let rows: Vec<(String,)> = client.rows("SELECT name FROM sys.users").await.unwrap();
    rows.into_iter().map(|(name,)| name).filter(|name| user::is_ours(name)).collect()
}

#[tokio::test]
async fn a_password_that_is_set_is_used_and_no_user_is_made() {
    let mut bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.target.password = Some(Secret::new("p"));
    let resource = bench.acquire().await.unwrap();
    // The simulator's clusters have a port each; CrateDB Cloud's have 5432.
    let port = bench.cloud().cluster("ci").psql_port.unwrap();
    assert_eq!(resource.pg_url.as_ref().unwrap().expose(), format!("postgres://admin:p@127.0.0.1:{port}"));
    assert_eq!((resource.user.clone(), made(&resource).await), (None, vec![]));
}

#[tokio::test]
async fn without_one_each_acquisition_makes_a_user_who_may_do_everything() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let resource = bench.acquire().await.unwrap();
    let (username, password) = login(&resource);
    assert_eq!((resource.user.as_ref(), made(&resource).await), (Some(&username), vec![username.clone()]));
    let basic = Credentials::Basic { username: username.clone(), password: Secret::new(&password) };
    let client = SqlClient::new(&resource.http_url, None, Wallet::new(basic)).unwrap();
    for stmt in ["CREATE TABLE s.t (id INT)", "INSERT INTO s.t VALUES (1)", "SET GLOBAL \"stats.enabled\" = true"] {
        client.send(stmt, &[]).await.unwrap();
    }
    // After a killed keeper nobody knows the password any more.
    let again = bench.recover(&bench.last_intent().unwrap()).await.unwrap().unwrap();
    assert_ne!(again.user, resource.user);
    assert_eq!(made(&again).await.len(), 2, "the first one may be in use");

    let held = resource.held.to_string();
    let requests = format!("{:?}", bench.simulator.requests());
    for text in [held, requests, format!("{resource:?}"), bench.steps()] {
        assert!(!text.contains(&password), "{text}");
    }
}

#[tokio::test]
async fn a_user_that_can_not_be_made_is_told_to_who_wants_one_and_to_nobody_else() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.acquire().await.unwrap();
    let asked = bench.simulator.requests().into_iter().filter(|request| request.path == "/_sql");
    let before = asked.take_while(|request| !request.body["stmt"].as_str().unwrap().starts_with("CREATE USER")).count();

    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let answer =
        r#"{"error":{"message":"MissingPrivilegeException[Missing 'AL' privilege for user 'admin']","code":4011}}"#;
    bench.cloud().fault(Fault::on("POST", "/_sql").answer(401, answer).after(before as u32).times(1));
    let resource = bench.acquire().await.unwrap();
    assert_eq!(made(&resource).await, Vec::<String>::new());
    assert!(resource.pg_url.is_none() && resource.user.is_some(), "the answer may have been lost, so it is dropped");
    let parts = ["HTTP only", "Missing 'AL' privilege", "CRATEDB_USERNAME and CRATEDB_PASSWORD"];
    says(resource.pg_hint.unwrap(), &parts);
}

const NAME: &str = "cratedb_test_user_hrfjq_abcdefgh";

/// The statements that a server heard, without the random part of the name.
fn heard(server: &TestServer) -> Vec<String> {
    let plain = |stmt: &str| match stmt.find("cratedb_test_user_") {
        Some(at) => format!("{}u{}", &stmt[..at], stmt[at..].find(' ').map_or("", |end| &stmt[at + end..])),
        None => stmt.to_owned(),
    };
    server.requests().iter().map(|request| plain(request.stmt())).collect()
}

#[tokio::test]
async fn who_may_not_give_everything_gives_what_tests_of_data_need() {
    let server = TestServer::start(|request| match request.stmt().starts_with("GRANT ALL") {
        true => Reaction::error(401, 4011, "MissingPrivilegeException[Missing 'AL' privilege]"),
        false => Reaction::count(1),
    });
    SessionUser::make(NAME, &server.url(), &Wallet::new(Credentials::None)).await.unwrap();
    let expected = ["CREATE USER u WITH (password = ?)", "GRANT ALL PRIVILEGES TO u", "GRANT DQL, DML, DDL TO u"];
    assert_eq!(heard(&server), expected);
}

#[tokio::test]
async fn a_user_who_can_not_be_used_is_not_left_behind() {
    let server = TestServer::start(|request| match request.stmt().split(' ').next() {
        Some("GRANT") => Reaction::error(400, 4004, "UnsupportedFeatureException[no]"),
        _ => Reaction::count(1),
    });
    assert!(SessionUser::make(NAME, &server.url(), &Wallet::new(Credentials::None)).await.is_err());
    assert_eq!(heard(&server).last().unwrap(), "DROP USER IF EXISTS u");
    let lost = TestServer::start(|request| match request.stmt().starts_with("CREATE") {
        true => Reaction::Reset,
        false => Reaction::count(1),
    });
    assert!(SessionUser::make(NAME, &lost.url(), &Wallet::new(Credentials::None)).await.is_err());
    assert_eq!(heard(&lost).last().unwrap(), "DROP USER IF EXISTS u");
}
