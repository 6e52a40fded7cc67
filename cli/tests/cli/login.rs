//! `login` and `logout`, with a stand-in for the browser.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use crate::executable;
use crate::support::{Run, Running, World, assert_no_secret, eventually};

/// CrateDB Cloud sends sessions to one port only. Tests that listen there, also those of other crates, hold this lock.
fn port_8400() -> File {
    let lock = File::create(std::env::temp_dir().join("cratedb-test-port-8400.lock")).unwrap();
    lock.lock().unwrap();
    // Other programs of this machine may be logging in too.
    eventually("port 8400 to be free", || TcpListener::bind("127.0.0.1:8400").ok());
    lock
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Sends one request to the program's listener and returns the answer.
fn ask(port: u16, request: &str) -> String {
    let mut stream = eventually("the listener", || TcpStream::connect(("127.0.0.1", port)).ok());
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_no_secret(&answer);
    answer
}

fn bring(port: u16, token: &str) -> String {
    ask(port, &format!("GET /?token={token} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"))
}

fn login(world: &World, port: u16, more: &[&str]) -> Running {
    let port = port.to_string();
    world.stranger(&[&["login", "--idp", "github", "--no-browser", "--port", &port], more].concat()).start()
}

/// A program that behaves like a browser in which the user is logged in already.
fn browser(world: &World) -> String {
    let path = world.home().join("browser");
    executable::script(&path, "exec curl --silent --location --output /dev/null \"$1\"");
    path.display().to_string()
}

fn saved(world: &World) -> String {
    std::fs::read_to_string(world.profile_file()).unwrap_or_default()
}

#[test]
fn a_browser_brings_the_session_and_later_commands_use_it() {
    let world = World::with([]);
    let _port = port_8400();
    let run = world.stranger(&["login", "--idp", "github", "--output", "json"]).env("BROWSER", browser(&world));
    let done = run.done().expect(0).says(&["/oauth2/github/login?cli=true"]);
    let document = done.json();
    assert_eq!(
        (document["user"]["email"].as_str(), document["endpoint"].as_str()),
        (Some("ada@example.org"), Some(world.simulator().url()))
    );
    let mode = std::fs::metadata(world.profile_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let who = world.stranger(&["whoami"]).done().expect(0);
    assert!(who.stdout.contains("the login of profile"), "{who:?}");
    world.stranger(&["logout"]).done().expect(0).says(&["logged out of"]);
    world.stranger(&["whoami"]).done().expect(3);
    assert!(world.simulator().requests().iter().any(|one| one.path == "/oauth2/logout"));
}

#[test]
fn only_the_end_of_a_login_counts() {
    let world = World::with([]);
    let port = free_port();
    let token = world.session();
    let running = login(&world, port, &[]);
    let host = format!("Host: localhost:{port}\r\n");
    // An idle connection must not keep the others waiting.
    let _idle = eventually("the listener", || TcpStream::connect(("127.0.0.1", port)).ok());
    for (request, status) in [
        (format!("GET /favicon.ico HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET /?token= HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET /?token={token}&token=b HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("POST /?token={token} HTTP/1.1\r\n{host}\r\n"), "405"),
        (format!("GET /?token={token} HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "421"),
        (format!("GET /?token={token} HTTP/1.1\r\n{host}Sec-Fetch-Dest: image\r\n\r\n"), "403"),
    ] {
        let answer = ask(port, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    assert!(bring(port, &token).starts_with("HTTP/1.1 200 OK"));
    running.done().expect(0);
    assert!(saved(&world).contains(&token));
}

#[test]
fn the_session_comes_into_a_profile_of_its_own_endpoint() {
    let world = World::with([]);
    let port = free_port();
    std::fs::create_dir_all(world.profile_file().parent().unwrap()).unwrap();
    let before = "current-profile: mine\ndefault-format: table\nprofiles:\n  mine:\n    endpoint: https://elsewhere.example\n    \
                  auth-token: token-of-the-tests-2\n    region: _any_\n";
    std::fs::write(world.profile_file(), before).unwrap();
    let token = world.session();
    let running = login(&world, port, &[]);
    bring(port, &token);
    running.done().expect(0).says(&["is used from now on, instead of mine"]);
    let file = saved(&world);
    assert!(file.contains("token-of-the-tests-2") && file.contains(&token), "{file}");
    // Once more: the profile is known now, so there is nothing to note.
    let running = login(&world, port, &["--quiet"]);
    bring(port, &world.session());
    running.done().expect(0);
    assert_eq!(saved(&world).matches("endpoint:").count(), 2);
}

#[test]
fn a_token_that_is_not_accepted_is_not_kept() {
    let world = World::with([]);
    let port = free_port();
    let running = login(&world, port, &["--output", "json"]);
    bring(port, "token-of-the-tests-3");
    let done = running.done().expect(3);
    assert_eq!(done.json()["error"]["exit_code"], 3);
    assert!(!saved(&world).contains("token-of-the-tests-3"), "{}", saved(&world));
}

#[test]
fn a_login_without_a_browser_times_out() {
    let world = World::with([]);
    let done = login(&world, free_port(), &["--timeout", "200ms", "--output", "json"]).done().expect(5);
    assert_eq!(done.json()["error"]["exit_code"], 5);
    done.says(&["open this address", "no login within 200ms", "CRATEDB_CLOUD_API_KEY"]);
    assert_eq!(saved(&world), "");
}

#[test]
fn a_port_in_use_is_told_before_any_browser_opens() {
    let world = World::with([]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let done = login(&world, port, &[]).done().expect(1);
    assert!(!done.stderr.contains("oauth2"), "{done:?}");
    done.says(&[&format!("localhost:{port}"), "croud login"]);
}

#[test]
fn a_browser_that_can_not_be_started_leaves_the_address() {
    let world = World::with([]);
    let port = free_port().to_string();
    let run = world.stranger(&["login", "--idp", "google", "--port", &port, "--timeout", "200ms"]);
    run.env("BROWSER", "/nonexistent/browser")
        .done()
        .expect(5)
        .says(&["no browser could be started", "/oauth2/google/login"]);
}

#[test]
fn a_key_in_the_environment_is_said_to_win() {
    let world = World::with([]);
    let port = free_port();
    let arguments = ["login", "--idp", "github", "--no-browser", "--port", &port.to_string()];
    let running = world.cli(&arguments).start();
    bring(port, &world.session());
    running.done().expect(0).says(&["CRATEDB_CLOUD_API_KEY is set, and is used instead"]);
}

#[test]
fn an_interruption_ends_the_wait() {
    let world = World::with([]);
    let port = free_port();
    let running = login(&world, port, &[]);
    eventually("the listener", || TcpStream::connect(("127.0.0.1", port)).ok());
    running.signal(rustix::process::Signal::INT);
    running.done().expect(130).says(&["interrupted"]);
}

#[test]
fn a_login_that_is_interrupted_leaves_the_one_before() {
    let world = World::with([]);
    let port = free_port();
    let running = login(&world, port, &[]);
    bring(port, &world.session());
    running.done().expect(0);
    let before = saved(&world);
    world.cloud().fault(cratedb_cloud_simulator::Fault::on("GET", "/users/me/").hang());
    let port = free_port();
    let running = login(&world, port, &[]);
    bring(port, "a-token-of-no-user");
    eventually("the question who it is", || {
        let asked = world.simulator().requests().iter().filter(|one| one.path.ends_with("/users/me/")).count();
        (asked > 1).then_some(())
    });
    running.signal(rustix::process::Signal::INT);
    running.done().expect(130);
    assert_eq!(saved(&world), before);
}

#[test]
fn a_login_without_identity_provider_is_a_mistake_that_names_the_option() {
    let done = Run::of(&World::without_cloud(), crate::support::PROGRAM, &["login"]).done().expect(2);
    done.says(&["--idp"]);
}

#[test]
fn a_session_that_is_replaced_while_it_is_made_is_kept_as_its_successor() {
    let world = World::with([]);
    let port = free_port();
    world.cloud().rotate_sessions(Some(1));
    let token = world.session();
    let running = login(&world, port, &[]);
    bring(port, &token);
    running.done().expect(0);
    assert!(!saved(&world).contains(&token), "the old one was kept");
    assert!(saved(&world).contains("organization-id: "), "{}", saved(&world));
    // Each of these has to use what the one before it was given.
    for _ in 0..3 {
        world.stranger(&["whoami"]).done().expect(0);
    }
}

#[test]
fn a_session_that_is_over_says_how_to_log_in() {
    let world = World::with([]);
    let port = free_port();
    let running = login(&world, port, &[]);
    bring(port, &world.session());
    running.done().expect(0);
    world.cloud().expire_sessions();
    let done = world.stranger(&["list", "--output", "json"]).done().expect(3).says(&["cargo cratedb login --idp"]);
    assert_eq!(done.json()["error"]["exit_code"], 3);
}

#[test]
fn a_login_that_fails_leaves_the_one_before() {
    let world = World::with([]);
    let port = free_port();
    let token = world.session();
    let running = login(&world, port, &[]);
    bring(port, &token);
    running.done().expect(0);
    let before = saved(&world);
    let running = login(&world, port, &[]);
    bring(port, "token-of-the-tests-4");
    running.done().expect(3);
    assert_eq!(saved(&world), before);
}
