//! `croud login` and `logout`, and sessions: cookies, their rotation and their end.

use std::fs::File;
use std::path::Path;

use super::support::cloud::Cloud;
use super::support::program::{Home, Ran};
use super::support::python::{self, Environment};

/// Plays the browser: follows the redirects from the login page to `croud`'s own listener.
const BROWSER: &str = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=30).read()";

/// `croud` listens for the browser on port 8400, which can't be changed: one login on this machine at a time.
fn one_login_at_a_time() -> File {
    let path = std::env::temp_dir().join("cratedb-test-port-8400.lock");
    let lock = File::options().create(true).append(true).open(path).unwrap();
    lock.lock().unwrap();
    lock
}

/// Makes a home with an endpoint, without credentials, and with a browser.
fn home(environment: &'static Environment, cloud: &Cloud) -> Home {
    let home = Home::empty(environment);
    home.write_profile(&cloud.url, &[]);
    let script = home.path().join("browser.py");
    std::fs::write(&script, BROWSER).unwrap();
    with_browser(home, &script)
}

fn with_browser(home: Home, script: &Path) -> Home {
    home.with("DISPLAY", ":0").with("BROWSER", &format!("python {} %s", script.display()))
}

fn login(home: &Home, idp: &str) -> Ran {
    let _alone = one_login_at_a_time();
    home.run("croud", &["login", "--idp", idp])
}

/// Returns an entry of the only profile.
fn entry(home: &Home, name: &str) -> String {
    let text = home.profile();
    let found = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in\n{text}")).to_owned()
}

#[test]
fn from_login_to_logout() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&[]);
    let home = home(environment, &cloud);
    let said = login(&home, "cognito").exits(0).said();
    assert!(said.iter().any(|line| line == "Info: Login successful."), "{said:?}");
    assert!(said.contains(&format!("Info: Organization ID: {}", cloud.organization)), "{said:?}");
    let asked = cloud.asked();
    assert_eq!(asked.first().map(String::as_str), Some("GET /oauth2/cognito/login?cli=true"), "{asked:?}");
    assert_eq!(asked.last().map(String::as_str), Some("GET users/me/"), "{asked:?}");
    assert_eq!(entry(&home, "organization-id"), cloud.organization);
    let token = entry(&home, "auth-token");
    assert!(token.len() > 20, "`{token}` can be guessed");
    assert!(!cloud.log().contains(&token), "the log has the session's token");

    // The cookie is enough.
    assert_eq!(home.run("croud", &["me"]).exits(0).json()["organization_id"], cloud.organization.as_str());
    assert_eq!(cloud.heard().last().map(String::as_str), Some("session _any_"));
    assert_eq!(cloud.asked(), ["GET users/me/"]);

    let token = entry(&home, "auth-token");
    assert_eq!(home.run("croud", &["logout"]).exits(0).said(), ["Info: You have been logged out."]);
    assert_eq!(cloud.asked()[0], "GET /oauth2/logout");
    assert_eq!((entry(&home, "auth-token"), entry(&home, "organization-id")), ("null".into(), "null".into()));

    // The session is over for its old token, too.
    home.write_profile(&cloud.url, &[("auth-token", &token)]);
    let stale = home.run("croud", &["me"]).exits(1);
    assert_eq!(stale.said(), ["Error: Unauthorized.", "Info: Use `croud login` to login to CrateDB Cloud."]);
}

#[test]
fn a_session_beats_key_and_secret() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&[]);
    let home = home(environment, &cloud);
    login(&home, "github").exits(0);
    let token = entry(&home, "auth-token");
    home.write_profile(&cloud.url, &[("auth-token", &token), ("key", "wrong"), ("secret", "wrong")]);
    let ran = home.run("croud", &["me"]).exits(0);
    assert!(ran.said()[0].starts_with("Warning: You have both a token and a key/secret"), "{ran}");
    assert!(ran.json()["email"].is_string());
}

#[test]
fn a_stale_session_leads_to_the_login() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&["--cluster", "name=ci"]);
    let home = Home::empty(environment);
    home.write_profile(&cloud.url, &[("auth-token", &cloud.session())]);
    home.run("croud", &["me"]).exits(0).json();
    assert_eq!(cloud.api("POST", "/_simulator/sessions/expire/", None).0, 200);
    cloud.asked();
    let ran = home.run("croud", &["clusters", "list"]).exits(1);
    assert_eq!(ran.said(), ["Error: Unauthorized.", "Info: Use `croud login` to login to CrateDB Cloud."]);
    // The same inside the toolkit, which ends by the library's `sys.exit`.
    home.run("ctk", &["cluster", "info", "--cluster-name", "ci"]).exits(1);
    assert_eq!(cloud.asked(), ["GET clusters/", "GET clusters/"]);
}

#[test]
fn a_session_that_is_renewed_is_kept() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&["--rotate-sessions", "1"]);
    let token = cloud.session();
    let home = Home::empty(environment);
    home.write_profile(&cloud.url, &[("auth-token", &token)]);
    home.run("croud", &["me"]).exits(0).json();
    let renewed = entry(&home, "auth-token");
    assert_ne!(renewed, token);
    home.run("croud", &["me"]).exits(0).json();
    assert_ne!(entry(&home, "auth-token"), renewed);
    assert!(!cloud.log().contains(&renewed), "the log has the session's token");
}

#[test]
fn key_and_secret_get_no_session() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&[]);
    let home = Home::new(environment, &cloud);
    let before = home.profile();
    home.run("croud", &["me"]).exits(0);
    // A session cookie would be written into the profile and used instead of the key from then on.
    assert_eq!(home.profile(), before);
}

#[test]
fn without_a_browser_there_is_no_login() {
    let Some(environment) = python::clients() else { return };
    let cloud = Cloud::serve(&[]);
    let home = Home::new(environment, &cloud);
    let ran = home.run("croud", &["login", "--idp", "cognito"]).exits(1);
    assert_eq!(ran.said(), ["Error: Login only works with a valid browser installed."]);
    assert_eq!(cloud.asked(), Vec::<String>::new());
}
