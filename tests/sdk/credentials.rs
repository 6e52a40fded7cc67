//! Chooses credentials, sends them to the right endpoint, and keeps the cookie of a login up to date.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options};
use cratedb_test::ManagedCluster;
use cratedb_test::cloud::{Client, ProfileFile};
use serde_json::json;

use crate::child::Child;
use crate::script::{Say, Server};
use crate::support::{Bench, KEY, SECRET, answers, says};

/// Writes a profile file below `dir`, which is `XDG_CONFIG_HOME` of a child.
fn profile(dir: &Path, endpoint: &str, more: &str) -> PathBuf {
    let path = dir.join("config").join("Crate").join("croud.yaml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = format!(
        "current-profile: test\ndefault-format: table\nprofiles:\n  test:\n    endpoint: {endpoint}\n    {more}\n  \
         other:\n    endpoint: http://127.0.0.1:1\n    auth-token: of-another-profile\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn with_file(path: &Path) -> Client {
    Client::builder().env(false).profile_file(path).timeout(Duration::from_secs(5)).build().unwrap()
}

fn token_in(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.contains("auth-token")).unwrap();
    line.split(": ").nth(1).unwrap().to_owned()
}

/// Answers requests that have the right cookie, and replaces it each time.
fn rotating(first: &'static str) -> (Server, Arc<Mutex<String>>) {
    let current = Arc::new(Mutex::new(first.to_owned()));
    let token = current.clone();
    let mut count = 0;
    let server = Server::new(move |asked| {
        let mut token = token.lock().unwrap();
        if asked.header("cookie") != Some(&format!("session={token}")) {
            return Say::text("302 Found", "").with("location", "/?rd=/api/v2/users/me/");
        }
        count += 1;
        *token = format!("rotated-token-{count}");
        Say::ok(json!({ "email": "ada@example.org" })).with("set-cookie", format!("session={token}; Path=/; HttpOnly"))
    });
    (server, current)
}

#[tokio::test]
async fn a_login_is_sent_as_a_cookie_and_its_replacements_are_kept_in_the_file() {
    let (server, current) = rotating("first-token-of-all");
    let dir = tempfile::tempdir().unwrap();
    let path = profile(dir.path(), &server.url, "auth-token: first-token-of-all\n    key: k\n    secret: s");
    let client = with_file(&path);
    for number in 1..=3 {
        assert_eq!(client.me().await.unwrap().email, "ada@example.org");
        assert_eq!(token_in(&path), format!("rotated-token-{number}"));
    }
    assert!(server.asked().iter().all(|asked| asked.header("authorization").is_none()), "a token beats a key");
    // Everything else is unchanged, and another process continues with the newest token.
    let file = ProfileFile::load(&path).unwrap();
    assert!(file.profile("other").unwrap().has_session() && file.current().api_key() == Some("k"));
    assert_eq!(with_file(&path).me().await.unwrap().email, "ada@example.org");
    assert_eq!(token_in(&path), *current.lock().unwrap());
}

#[tokio::test]
async fn a_token_that_another_process_replaced_is_taken_from_the_file() {
    let (server, _) = rotating("first-token-of-all");
    let dir = tempfile::tempdir().unwrap();
    let path = profile(dir.path(), &server.url, "auth-token: first-token-of-all");
    let (one, other) = (with_file(&path), with_file(&path));
    one.me().await.unwrap();
    other.me().await.unwrap();
    one.me().await.unwrap();
    assert_eq!(token_in(&path), "rotated-token-3");
}

#[tokio::test]
async fn a_stale_cookie_says_log_in_again_and_shows_no_token() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let dir = tempfile::tempdir().unwrap();
    let token = bench.cloud().session();
    let path = profile(dir.path(), bench.simulator.url(), &format!("auth-token: {token}"));
    let client = with_file(&path);
    client.me().await.unwrap();
    bench.cloud().expire_sessions();
    let error = client.me().await.unwrap_err();
    assert!(error.is_not_allowed() && error.status().is_some_and(|status| (300..400).contains(&status)), "{error}");
    says(&error, &["log in again: cargo cratedb login --idp"]);
    assert!(!error.to_string().contains(&token));
}

#[tokio::test]
async fn an_api_key_never_takes_a_cookie() {
    let server = Server::new(|_| Say::ok(json!({})).with("set-cookie", "session=a-token-for-a-key"));
    let dir = tempfile::tempdir().unwrap();
    let path = profile(dir.path(), &server.url, "auth-token: null\n    key: k\n    secret: s");
    let before = std::fs::read(&path).unwrap();
    let client = with_file(&path);
    client.me().await.unwrap();
    client.me().await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(server.asked().iter().all(|asked| asked.header("cookie").is_none()));
    assert_eq!(server.asked()[1].header("authorization"), Some("Basic azpz"));
}

#[tokio::test]
async fn a_refusal_brings_no_login() {
    let visitor = "session=of-a-visitor; Path=/";
    let server =
        Server::new(move |_| Say::json("403 Forbidden", json!({ "message": "no" })).with("set-cookie", visitor));
    let dir = tempfile::tempdir().unwrap();
    let path = profile(dir.path(), &server.url, "auth-token: my-own-token");
    let client = with_file(&path);
    for _ in 0..2 {
        assert_eq!(client.me().await.unwrap_err().status(), Some(403));
    }
    assert_eq!(token_in(&path), "my-own-token");
    assert_eq!(server.asked()[1].header("cookie"), Some("session=my-own-token"));
}

#[test]
fn a_key_of_the_environment_is_not_sent_where_only_a_file_says() {
    let server = Server::new(|_| Say::ok(json!({ "email": "ada@example.org" })));
    let dir = tempfile::tempdir().unwrap();
    let env = dir.path().join(".env");
    std::fs::write(&env, format!("CRATEDB_CLOUD_ENDPOINT={}\n", server.url)).unwrap();
    let with_key = || {
        let child = Child::new("me", dir.path());
        child.env("CRATEDB_CLOUD_API_KEY", KEY).env("CRATEDB_CLOUD_API_SECRET", SECRET)
    };
    says(&with_key().said()["error"], &[&server.url, ".env", "CRATEDB_CLOUD_API_SECRET comes from elsewhere"]);
    assert!(server.asked().is_empty());
    // Setting both in one place is deliberate.
    assert_eq!(with_key().env("CRATEDB_CLOUD_ENDPOINT", &server.url).said()["me"], "ada@example.org");
    let all = format!(
        "CRATEDB_CLOUD_ENDPOINT={}\nCRATEDB_CLOUD_API_KEY={KEY}\nCRATEDB_CLOUD_API_SECRET={SECRET}\n",
        server.url
    );
    std::fs::write(&env, all).unwrap();
    assert_eq!(Child::new("me", dir.path()).said()["me"], "ada@example.org");
}

#[tokio::test]
async fn a_password_of_the_environment_is_not_sent_where_only_a_file_says() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let (there, dir) = (bench.cloud().cluster("ci"), tempfile::tempdir().unwrap());
    let env = dir.path().join(".env");
    std::fs::write(&env, format!("CRATEDB_CLUSTER_URL={}\n", there.url)).unwrap();
    let (user, password) = (("CRATEDB_USERNAME", &there.username), ("CRATEDB_PASSWORD", &there.password));
    let child = || Child::new("select", dir.path()).env(user.0, user.1).env(password.0, password.1);
    let asked = bench.simulator.requests().len();
    says(&child().said()["error"], &[&there.url, ".env", "CRATEDB_PASSWORD comes from elsewhere"]);
    assert_eq!(bench.simulator.requests().len(), asked);
    // A nearer address is a choice, and so is one file that has both.
    assert_eq!(child().env("CRATEDB_CLUSTER_URL", &there.url).said()["user"], there.username);
    let both = format!("CRATEDB_CLUSTER_URL={}\n{}='{}'\n", there.url, password.0, password.1);
    std::fs::write(&env, both).unwrap();
    assert_eq!(Child::new("select", dir.path()).env(user.0, user.1).said()["user"], there.username);
}

#[test]
fn a_secret_in_code_goes_where_code_says() {
    let dir = tempfile::tempdir().unwrap();
    let said = Child::new("key in code", dir.path()).env("CRATEDB_CLOUD_ENDPOINT", "http://127.0.0.1:1").said();
    says(&said["error"], &["http://127.0.0.1:1", "`api_key` comes from elsewhere (code)", "in code too"]);
    assert_eq!(Child::new("key in code", dir.path()).said()["endpoint"], "https://console.cratedb.cloud");
}

#[test]
fn a_key_over_plain_http_stays_on_this_machine_unless_that_is_allowed() {
    let client = || Client::builder().env(false).endpoint("http://10.255.255.1:8080").api_key(KEY, SECRET);
    says(client().build().unwrap_err(), &["http://10.255.255.1:8080", "plain HTTP", "CRATEDB_ALLOW_PLAIN_HTTP=1"]);
    client().allow_plain_http(true).build().unwrap();
    let session = Client::builder().env(false).endpoint("http://cloud.example").session("my-own-token");
    says(session.build().unwrap_err(), &["http://cloud.example"]);
    let dir = tempfile::tempdir().unwrap();
    let path = profile(dir.path(), "http://cloud.example", "auth-token: my-own-token");
    says(Client::builder().env(false).profile_file(&path).build().unwrap_err(), &["http://cloud.example"]);
    let cluster = || ManagedCluster::builder().env(false).cluster_url("http://ada:pw@db.example:4200");
    says(cluster().build().unwrap_err(), &["http://db.example:4200", "the password"]);
    assert_eq!(cluster().allow_plain_http(true).build().unwrap().address(), "cluster at http://db.example:4200");
    ManagedCluster::builder().env(false).cluster_url("http://ada@db.example:4200").build().unwrap();
}

#[cfg(unix)]
#[test]
fn a_profile_file_that_is_there_and_unusable_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = profile(dir.path(), "http://127.0.0.1:1", "auth-token: my-own-token");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    says(&Child::new("me", dir.path()).said()["error"], &["croud.yaml", "it is a directory"]);
    std::fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/nowhere/croud.yaml", &path).unwrap();
    says(&Child::new("me", dir.path()).said()["error"], &["croud.yaml", "/nowhere/croud.yaml, which does not exist"]);
    // It is not asked where a key is given.
    let with_key =
        Child::new("me", dir.path()).env("CRATEDB_CLOUD_API_KEY", KEY).env("CRATEDB_CLOUD_API_SECRET", SECRET);
    assert_eq!(with_key.env("CRATEDB_CLOUD_ENDPOINT", "http://127.0.0.1:1").said()["endpoint"], "http://127.0.0.1:1");
}

#[test]
fn half_a_key_in_code_is_an_error_and_nobody_elses_login() {
    for (key, secret, missing) in [(KEY, "", "the secret is empty"), ("", SECRET, "the key is empty")] {
        let error = Client::builder().env(false).api_key(key, secret).build().unwrap_err();
        assert!(error.is_setting());
        says(error, &["API key that code gives", missing]);
    }
}

#[tokio::test]
async fn a_cluster_is_managed_with_a_login() {
    let bench =
        Bench::new(Options { rotate_sessions: Some(1), ..Options::default() }.cluster(ClusterOptions::suspended("ci")))
            .await;
    let dir = tempfile::tempdir().unwrap();
    let path = profile(dir.path(), bench.simulator.url(), &format!("auth-token: {}", bench.cloud().session()));
    let cluster = ManagedCluster::builder().env(false).client(with_file(&path)).cluster_name("ci").build().unwrap();
    cluster.start().await.unwrap();
    answers(&cluster).await;
    cluster.stop().await.unwrap();
    // However often the cookie was replaced meanwhile, the file has the valid one.
    with_file(&path).me().await.unwrap();
}

#[test]
fn the_environment_beats_the_file_and_the_file_is_found() {
    let server = Server::new(|_| Say::ok(json!({ "email": "ada@example.org" })));
    let dir = tempfile::tempdir().unwrap();
    let path = profile(dir.path(), &server.url, "auth-token: my-own-token");
    let said = Child::new("me", dir.path()).said();
    assert_eq!((said["me"].as_str(), said["endpoint"].as_str()), ("ada@example.org", server.url.as_str()));
    says(&said["credentials"], &["the login of profile `test` in", &path.display().to_string()]);

    let with_key = |child: Child| child.env("CRATEDB_CLOUD_API_KEY", KEY).env("CRATEDB_CLOUD_API_SECRET", SECRET);
    let said = with_key(Child::new("me", dir.path())).env("CRATEDB_CLOUD_ENDPOINT", &server.url).said();
    assert_eq!(said["credentials"], "API key `ada` of the environment");
    assert_eq!(server.asked().len(), 2);
    assert!(server.asked()[0].header("cookie").is_some() && server.asked()[1].header("cookie").is_none());
}

#[test]
fn a_profiles_credentials_go_to_its_own_endpoint_only() {
    let server = Server::new(|_| Say::ok(json!({})));
    let dir = tempfile::tempdir().unwrap();
    profile(dir.path(), "https://console.cratedb.cloud", "auth-token: my-own-token");
    let said = Child::new("me", dir.path()).env("CRATEDB_CLOUD_ENDPOINT", &server.url).said();
    assert_eq!(said["not allowed"], "true");
    says(&said["error"], &[&server.url, "profile `test`", "is for https://console.cratedb.cloud", "sent nowhere else"]);
    assert!(server.asked().is_empty());
}

#[test]
fn half_a_key_is_an_error_that_names_the_other_half() {
    let dir = tempfile::tempdir().unwrap();
    profile(dir.path(), "http://127.0.0.1:1", "auth-token: my-own-token");
    let said = Child::new("me", dir.path()).env("CRATEDB_CLOUD_API_KEY", KEY).said();
    says(&said["error"], &["CRATEDB_CLOUD_API_SECRET is not set"]);
}

#[test]
fn no_credentials_name_the_variables_and_the_login() {
    let dir = tempfile::tempdir().unwrap();
    let said = Child::new("me", dir.path()).said();
    assert_eq!(said["not allowed"], "true");
    let parts = ["CRATEDB_CLOUD_API_KEY", "CRATEDB_CLOUD_API_SECRET", "cargo cratedb login --idp"];
    says(&said["error"], &parts);
    // A file without a login has the same effect.
    profile(dir.path(), "http://127.0.0.1:1", "auth-token: null");
    says(&Child::new("me", dir.path()).said()["error"], &parts);
}

#[tokio::test]
async fn a_wrong_key_is_told_with_what_to_check() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let client = Client::builder().env(false).endpoint(bench.simulator.url()).api_key(KEY, "wrong-secret").build();
    let error = client.unwrap().clusters().await.unwrap_err();
    assert!(error.is_not_allowed() && error.status() == Some(401));
    says(&error, &["CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET", "GET /api/v2/clusters/"]);
    assert!(!error.to_string().contains("wrong-secret"));
}

#[tokio::test]
async fn a_logout_is_done_whatever_is_answered() {
    let server = Server::new(|_| Say::text("302 Found", "").with("location", "/"));
    let client = Client::builder().env(false).endpoint(&server.url).session("my-own-token").build().unwrap();
    client.logout().await.unwrap();
    assert_eq!((server.asked()[0].path.as_str(), server.asked().len()), ("/oauth2/logout", 1));
    assert_eq!(server.asked()[0].header("cookie"), Some("session=my-own-token"));
}

#[tokio::test]
async fn the_organization_of_a_client_beats_the_one_of_the_environment() {
    let bench = Bench::new(Options::default()).await;
    let first = bench.client().organizations().await.unwrap().remove(0).id;
    let second = bench.cloud().add_organization("Team B");
    let dir = tempfile::tempdir().unwrap();
    let child = Child::new("the organization of a client", dir.path())
        .env("SDK_TEST_ENDPOINT", bench.simulator.url())
        .env("SDK_TEST_ORGANIZATION", &second)
        .env("CRATEDB_CLOUD_ORGANIZATION_ID", &first)
        .env("CRATEDB_CLOUD_REGION", "eks1.eu-west-1.aws");
    assert_eq!(child.said()["made"], "fresh");
    let writes = bench.writes();
    let deployed = writes.iter().find(|write| write.is_deploy()).unwrap();
    assert_eq!(deployed.path, format!("/api/v2/organizations/{second}/clusters/"));
}
