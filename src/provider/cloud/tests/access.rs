//! The access to the cloud and to a cluster: logins, tokens, SQL over HTTP, and users for PostgreSQL drivers.

use cratedb_cloud_simulator::Fault;

use super::super::CloudProvider;
use super::super::postgres::SessionUser;
use super::*;
use crate::cloud::ProfileFile;
use crate::sql::test_server::{Reaction, TestServer};
use crate::sql::{SqlClient, Wallet};
use crate::target::ProfileName;
use crate::user;
use crate::wait::{self, Look};

/// A bench whose provider has the login of a profile file.
async fn bench() -> (Bench, tempfile::TempDir) {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let token = bench.cloud().session();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("croud.yaml");
    let text = format!(
        "current-profile: p\ndefault-format: table\nprofiles:\n  p:\n    endpoint: {}\n    auth-token: {token}\n",
        bench.simulator.url()
    );
    std::fs::write(&file, text).unwrap();
    let profile = ProfileName { file, name: "p".to_owned(), organization_id: None };
    bench.target.login = Login::Session { token: Secret::new(token), profile: Some(profile) };
    (bench, dir)
}

fn token_in(dir: &tempfile::TempDir) -> String {
    let file = ProfileFile::load(dir.path().join("croud.yaml")).unwrap();
    file.current().token().unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_keeper_goes_on_with_each_new_cookie_and_keeps_it() {
    let (bench, dir) = bench().await;
    bench.cloud().rotate_sessions(Some(1));
    let first = token_in(&dir);
    let provider = bench.provider();
    let resource = bench.acquire_with(&provider).await.unwrap();
    answers(&resource).await;
    let second = token_in(&dir);
    assert_ne!(second, first);
    provider.credentials(&resource).await.unwrap();
    assert_ne!(token_in(&dir), second);
    let released = provider.release(&resource.held, OnExit::Auto, &bench.progress).await.unwrap();
    assert_eq!(released, Released::Suspended);
    assert!(!resource.held.to_string().contains(&first) && !bench.steps().contains(&first));
}

#[tokio::test]
async fn a_login_that_is_made_again_reaches_a_keeper_that_lives() {
    let (bench, dir) = bench().await;
    let provider = bench.provider();
    let resource = bench.acquire_with(&provider).await.unwrap();
    bench.cloud().expire_sessions();
    let error = provider.credentials(&resource).await.unwrap_err();
    says(&error, &["log in again: cargo cratedb login --idp"]);
    let mut file = ProfileFile::load(dir.path().join("croud.yaml")).unwrap();
    file.set_session(&bench.cloud().session(), None);
    file.save().unwrap();
    provider.credentials(&resource).await.unwrap();
    let released = provider.release(&resource.held, OnExit::Auto, &bench.progress).await.unwrap();
    assert_eq!(released, Released::Suspended);
}

/// Returns user and password of an address.
fn login(resource: &Resource) -> (String, String) {
    let url = url::Url::parse(resource.pg_url.as_ref().unwrap().expose()).unwrap();
    (url.username().to_owned(), url.password().unwrap().to_owned())
}

/// Returns the users that the harness has made in the cluster.
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
    // Each cluster of the simulator has a port of its own. Those of CrateDB Cloud have 5432.
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
    // The password was known to the killed keeper only.
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
    let server = TestServer::start(|request| match request.stmt() {
        stmt if stmt.starts_with("CREATE USER") => {
            Reaction::error(401, 4011, "MissingPrivilegeException[Missing 'AL' privilege for user 'admin']")
        }
        stmt if stmt.starts_with("SELECT port ") => Reaction::rows(&[("port", 12.into())], r#"[[{"psql": 5432}]]"#),
        _ => Reaction::count(1),
    });
    let provider = CloudProvider::new(bench.target.clone()).unwrap();
    let cluster = provider.lifecycle.client.cluster(&bench.cloud().cluster("ci").id).await.unwrap();
    let (wallet, deadline) = (Wallet::new(Credentials::None), Instant::now() + bench.deadline);
    let access = provider.postgres(&cluster, &server.url(), &wallet, None, deadline, &bench.progress).await;
    assert_eq!(heard(&server).last().unwrap(), "DROP USER IF EXISTS u");
    assert!(access.url.is_none() && access.user.is_some(), "the answer may have been lost, so it is dropped");
    assert!(!access.is_unanswered, "a refusal is not asked for twice");
    let parts = ["HTTP only", "Missing 'AL' privilege", "CRATEDB_USERNAME and CRATEDB_PASSWORD"];
    says(access.hint.unwrap(), &parts);
}

#[tokio::test]
async fn a_user_of_whom_nothing_was_heard_is_told_apart_from_one_that_was_refused() {
    let lost = TestServer::start(|request| match request.stmt() {
        stmt if stmt.starts_with("SELECT port ") => Reaction::rows(&[("port", 12.into())], r#"[[{"psql": 5432}]]"#),
        _ => Reaction::Reset,
    });
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let provider = CloudProvider::new(bench.target.clone()).unwrap();
    let cluster = provider.lifecycle.client.cluster(&bench.cloud().cluster("ci").id).await.unwrap();
    let (wallet, deadline) = (Wallet::new(Credentials::None), Instant::now() + bench.deadline);
    let access = provider.postgres(&cluster, &lost.url(), &wallet, None, deadline, &bench.progress).await;
    assert!(access.is_unanswered && access.user.is_some() && access.url.is_none());
}

const NAME: &str = "cratedb_test_user_hrfjq_abcdefgh";

/// Returns the statements that a server got, without the random part of the user's name.
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

#[tokio::test]
async fn a_cluster_that_does_not_answer_yet_is_waited_for_and_told() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().sql_not_ready_requests("ci", 5);
    let resource = bench.acquire().await.unwrap();
    answers(&resource).await;
    says(bench.steps(), &["waiting for SQL at http://127.0.0.1:", "503"]);
}

#[tokio::test]
async fn connections_that_break_mean_not_yet() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("POST", "/_sql").drop_connection().times(3));
    bench.acquire().await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_never_answers_is_given_up_at_the_deadline_with_the_last_status() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().sql_not_ready_requests("ci", u32::MAX);
    bench.deadline = Duration::from_secs(1);
    let (error, maybe_up) = bench.failure().await;
    assert!(error.is_timeout() && maybe_up);
    let url = bench.cloud().cluster("ci").url;
    says(
        error,
        &[
            &format!("gave up waiting for SQL at {url} after "),
            "last status: ",
            "503",
            "is running, says CrateDB Cloud",
            "CRATEDB_TEST_START_TIMEOUT",
        ],
    );
    let held = bench.last_intent().unwrap();
    assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
}

#[tokio::test]
async fn a_proxy_that_mixes_sessions_fails_the_acquisition_and_says_why() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().mix_connections("ci", true);
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up, "it runs and must be suspended");
    says(
        error,
        &[
            "cannot give each test a schema of its own at http://127.0.0.1:",
            "a proxy before the server mixes sessions",
            "without that proxy",
        ],
    );
}

#[tokio::test]
async fn a_token_that_expired_meanwhile_is_renewed() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let provider = bench.provider();
    let resource = bench.acquire_with(&provider).await.unwrap();
    bench.cloud().revoke_tokens();
    let client = SqlClient::new(&resource.http_url, None, Wallet::new(resource.credentials.clone())).unwrap();
    says(client.send("SELECT 1", &[]).await.unwrap_err(), &["the token was refused"]);
    // The simulator's tokens of one second are equal.
    let fresh = wait::until(
        "another token",
        wait::SERVER,
        Instant::now() + bench.deadline,
        |_| (),
        || async {
            let fresh = provider.credentials(&resource).await?;
            Ok(if fresh == resource.credentials { Look::NotYet("the same".to_owned()) } else { Look::Ready(fresh) })
        },
    );
    let fresh = fresh.await.unwrap();
    answers(&Resource { credentials: fresh, ..resource }).await;
}

#[tokio::test]
async fn credentials_say_when_they_end() {
    let options = Options { token_lifetime: Duration::from_secs(600), ..Options::default() };
    let bench = Bench::new(options.cluster(ClusterOptions::running("ci"))).await;
    let Credentials::Jwt { expires: Some(expires), .. } = bench.acquire().await.unwrap().credentials else { panic!() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert!((now + 590..=now + 610).contains(&expires), "{expires} {now}");
}

#[tokio::test]
async fn without_a_token_there_is_no_resource() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("GET", "/jwt/").status(403).always());
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up, "it was resumed");
    says(error, &["refused GET /api/v2/clusters/", "/jwt/: 403 Forbidden"]);
}

#[tokio::test]
async fn nothing_that_crosses_to_the_journal_holds_a_secret() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.target.password = Some(Secret::new("database-hunter2"));
    let resource = bench.acquire().await.unwrap();
    let Credentials::Jwt { token, .. } = &resource.credentials else { panic!() };
    let intents = serde_json::to_string(&*bench.intents.lock().unwrap()).unwrap();
    for text in [resource.held.to_string(), intents, format!("{resource:?}"), format!("{:?}", bench.target)] {
        for secret in [SECRET, token.expose(), "database-hunter2"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
