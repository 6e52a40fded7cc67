//! Logging in and out, cookies that change, and API keys.

use cratedb_cloud_simulator::{Options, Simulator};
use serde_json::{Value, json};

use super::support::{Connection, Reply, api, start};

const ME: &str = "/api/v2/users/me/";

fn get(simulator: &Simulator, path: &str) -> Reply {
    Connection::open(simulator.url()).get(path)
}

/// Logs in as a command line does. Returns the token that its listener gets.
fn log_in(simulator: &Simulator) -> String {
    let reply = get(simulator, "/oauth2/cognito/login?cli=true");
    assert_eq!(reply.status, 302);
    let token = reply.header("location").unwrap().strip_prefix("http://localhost:8400/?token=").unwrap();
    token.to_owned()
}

fn session(simulator: &Simulator, token: &str) -> Connection {
    Connection::open(simulator.url()).with("cookie", &format!("session={token}"))
}

/// Returns the token that an answer sets.
fn new_token(reply: &Reply) -> Option<String> {
    let cookie = reply.header("set-cookie")?.strip_prefix("session=")?;
    cookie.split(';').next().map(str::to_owned)
}

#[test]
fn every_provider_logs_in_and_others_are_not_found() {
    let simulator = start(Options::default());
    for provider in ["cognito", "azuread", "github", "google"] {
        let reply = get(&simulator, &format!("/oauth2/{provider}/login?cli=true"));
        assert_eq!(reply.status, 302);
        assert!(reply.header("location").unwrap().starts_with("http://localhost:8400/?token="), "{reply:?}");
    }
    get(&simulator, "/oauth2/myspace/login?cli=true").expect(404);
    let doubled = get(&simulator, "//oauth2/google/login?cli=true");
    assert_eq!(doubled.status, 302, "an endpoint that ends with a slash");
    let browser = get(&simulator, "/oauth2/google/login");
    assert_eq!(browser.header("location"), Some("/"));
    session(&simulator, &new_token(&browser).unwrap()).get(ME).expect(200);
}

#[test]
fn a_session_lasts_until_it_is_logged_out_and_is_stale_then() {
    let simulator = start(Options::default());
    let token = log_in(&simulator);
    let mut client = session(&simulator, &token);
    let reply = client.get(ME);
    assert_eq!((reply.status, reply.header("set-cookie")), (200, None));
    assert_eq!(client.get("/oauth2/logout").status, 200);
    let stale = client.get("/api/v2/clusters/");
    assert_eq!((stale.status, stale.header("location")), (302, Some("/?rd=/api/v2/clusters/")));
    assert_eq!(session(&simulator, "never-issued").get(ME).status, 302);
    assert_eq!(get(&simulator, ME).status, 401, "no cookie at all");
}

#[test]
fn a_rotated_token_replaces_the_old_one_once_it_is_used() {
    let simulator = start(Options { rotate_sessions: Some(2), ..Options::default() });
    let first = log_in(&simulator);
    assert_eq!(new_token(&session(&simulator, &first).get(ME)), None);
    let second = new_token(&session(&simulator, &first).get(ME)).unwrap();
    assert_ne!(second, first);
    let again = session(&simulator, &first).get(ME);
    assert_eq!((again.status, new_token(&again)), (200, Some(second.clone())), "the answer may have been lost");
    session(&simulator, &second).get(ME).expect(200);
    assert_eq!(session(&simulator, &first).get(ME).status, 302);
}

#[test]
fn basic_answers_never_set_a_cookie() {
    let simulator = start(Options { rotate_sessions: Some(1), ..Options::default() });
    for _ in 0..3 {
        assert_eq!(api(&simulator).get(ME).header("set-cookie"), None);
    }
}

#[test]
fn a_created_key_opens_until_it_is_deactivated_or_deleted() {
    let guarded = Options { api_key: Some("k".into()), api_secret: Some("s-s-s-s".into()), ..Options::default() };
    for options in [Options::default(), guarded] {
        let simulator = start(options);
        let mut api = Connection::open(simulator.url()).basic("k", "s-s-s-s");
        let made = api.send("POST", "/api/v2/users/me/api-keys/", None).unwrap().expect(200);
        let (key, secret) = (made["key"].as_str().unwrap(), made["secret"].as_str().unwrap());
        assert_eq!((&made["active"], made["user_id"].as_str().unwrap().len()), (&json!(true), 36));
        let ask = |secret: &str| Connection::open(simulator.url()).basic(key, secret).get(ME).status;
        assert_eq!((ask(secret), ask("another-secret")), (200, 401));

        let path = format!("/api/v2/users/me/api-keys/{key}/");
        let listed = api.get("/api/v2/users/me/api-keys/").expect(200);
        assert_eq!((listed[0]["key"].as_str(), &listed[0]["secret"]), (Some(key), &Value::Null));
        assert!(listed[0]["last_used"].is_string());
        let mut activate = |active: bool| api.send("PATCH", &path, Some(&json!({ "active": active }).to_string()));
        assert_eq!(activate(false).unwrap().expect(200)["active"], false);
        assert_eq!(ask(secret), 401);
        activate(true).unwrap().expect(200);
        assert_eq!(ask(secret), 200);
        assert_eq!(api.send("DELETE", &path, None).unwrap().status, 204);
        assert_eq!((ask(secret), api.get(&path).status), (401, 404), "not even where any key will do");
    }
}

#[test]
fn no_token_or_secret_is_in_the_record() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("requests.ndjson");
    let simulator = start(Options { requests: Some(file.clone()), rotate_sessions: Some(1), ..Options::default() });
    let token = log_in(&simulator);
    let rotated = new_token(&session(&simulator, &token).get(ME)).unwrap();
    let mut api = api(&simulator);
    let made = api.send("POST", "/api/v2/users/me/api-keys/", None).unwrap().expect(200);
    let secret = made["secret"].as_str().unwrap().to_owned();
    for text in [&token, &rotated, &secret] {
        api.post("/api/v2/projects/", &json!({ "name": text, "note": format!("it is {text}") }));
        api.get(&format!("/api/v2/clusters/?token={text}"));
    }
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.lines().count() > 8);
    for hidden in [token, rotated, secret] {
        assert!(!text.contains(&hidden), "{hidden} in {text}");
    }
    assert_eq!(
        simulator.requests().iter().map(|one| one.auth).take(3).collect::<Vec<_>>(),
        ["none", "session", "basic"]
    );
}
