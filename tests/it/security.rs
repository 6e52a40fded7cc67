//! Tests servers with a password and TLS: each kind of client, deaths in the middle, and that no secret gets out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::consumer::Consumer;
use crate::support::engine::TestEngine;
use crate::support::home::TestHome;
use crate::support::run::{Plan, Run, Runner, runners};
use crate::support::{processes, wait_within};

fn plan(consumer: &Consumer, runner: Runner) -> Plan {
    Plan::new(consumer, runner).args(&["--test", "secured"])
}

/// Runs tests that are usually ignored, one at a time.
fn only(plan: Plan, runner: Runner, test: &str) -> Plan {
    match runner {
        Runner::Cargo => plan.args(&["--", "--ignored", "--test-threads=1", test]),
        Runner::Nextest => plan.args(&["-j1", "--run-ignored", "only", test]),
    }
}

/// One for each combination.
const SERVERS: usize = 3;

fn every_kind_of_client_logs_in(home: impl Fn() -> Option<TestHome>) {
    for runner in runners() {
        let Some(home) = home() else { return };
        plan(&Consumer::of("secured", runner), runner).home(&home).run().passed();
        home.ends_with(SERVERS);
    }
}

#[test]
fn every_kind_of_client_logs_in_to_a_process() {
    every_kind_of_client_logs_in(|| Some(TestHome::with_stand_in()));
}

#[test]
fn every_kind_of_client_logs_in_to_a_real_process() {
    every_kind_of_client_logs_in(TestHome::real);
}

fn every_kind_of_client_logs_in_to_containers(engine: impl Fn() -> Option<TestEngine>) {
    for runner in runners() {
        let Some(engine) = engine() else { return };
        plan(&Consumer::of("secured", runner), runner).engine(&engine).run().passed();
        engine.ends_with(SERVERS);
        assert_eq!(certificates(engine.dir.path()), Vec::<String>::new(), "a file of an authority is left");
    }
}

#[test]
fn every_kind_of_client_logs_in_to_a_container() {
    every_kind_of_client_logs_in_to_containers(TestEngine::with_stand_in);
}

#[test]
fn every_kind_of_client_logs_in_to_a_real_container() {
    every_kind_of_client_logs_in_to_containers(TestEngine::with_real);
}

/// The names of files with certificates of authorities.
fn certificates(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".ca.pem")).collect()
}

#[test]
fn variables_want_it_for_all_tests() {
    for runner in runners() {
        let home = TestHome::with_stand_in();
        let variables = plan(&Consumer::of("secured", runner), runner).env("CRATEDB_TEST_AUTH", "password");
        variables.env("CRATEDB_TEST_TLS", "1").args(&both_only(runner)).home(&home).run().passed();
        home.ends_with(1);
    }
}

/// Arguments that leave out tests whose expectations are those of one of both.
fn both_only(runner: Runner) -> Vec<&'static str> {
    let left_out = ["a_password_is_asked_for", "both_protocols_are_encrypted", "log_in_with_a_password_alone"];
    match runner {
        Runner::Cargo => std::iter::once("--").chain(left_out.iter().flat_map(|test| ["--skip", *test])).collect(),
        Runner::Nextest => {
            vec!["-E", "not test(/a_password_is_asked_for|both_protocols_are_encrypted|log_in_with_a_password_alone/)"]
        }
    }
}

#[test]
fn several_nodes_have_one_key_and_one_user() {
    for home in [Some(TestHome::with_stand_in()), TestHome::real()].into_iter().flatten() {
        let consumer = Consumer::of("secured", Runner::Cargo);
        only(plan(&consumer, Runner::Cargo), Runner::Cargo, "on_three_nodes").home(&home).run().passed();
        home.ends_with(1);
    }
}

#[test]
fn a_configured_server_is_refused_with_the_reason() {
    let (home, consumer) = (TestHome::with_stand_in(), Consumer::of("secured", Runner::Cargo));
    let url = plan(&consumer, Runner::Cargo).env("CRATEDB_TEST_PROVIDER", "url");
    let run = url.env("CRATEDB_CLUSTER_URL", "http://127.0.0.1:9").home(&home).run().failed();
    run.says("cannot use the `auth = \"password\"` that the test wants with the provider `url`");
    let set = plan(&consumer, Runner::Cargo).env("CRATEDB_TEST_AUTH", "pasword").home(&home).run().failed();
    set.says("CRATEDB_TEST_AUTH").says("pasword").says("password");
    home.ends_with(0);
}

/// A run that stands still in a test that has written its secrets to files.
struct Halted {
    run: Run,
    meet: tempfile::TempDir,
}

impl Halted {
    fn at(home: &TestHome, runner: Runner) -> Self {
        let meet = tempfile::tempdir().unwrap();
        let waits = only(plan(&Consumer::of("secured", runner), runner), runner, "looked_at");
        let mut run = waits.home(home).env("MEET", meet.path().display().to_string()).start();
        run.wait_for_file(&meet.path().join("here"));
        Self { run, meet }
    }

    fn password(&self) -> String {
        fs::read_to_string(self.meet.path().join("password")).unwrap()
    }
}

/// Returns the files in which a process shows a secret to its user.
fn shown_by_processes(secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        for file in ["cmdline", "environ"] {
            let path = process.path().join(file);
            if fs::read(&path).is_ok_and(|shown| contains(&shown, secret)) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// Files below a directory that contain a text.
fn files_with(text: &str, dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files_with(text, &path)),
            path if fs::read(&path).is_ok_and(|content| contains(&content, text)) => found.push(path),
            _ => {}
        }
    }
    found
}

fn no_secret_gets_out(home: &TestHome, runner: Runner) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let halted = Halted::at(home, runner);
    let password = halted.password();
    assert_eq!(password.len(), 32);
    assert_eq!(shown_by_processes(&password), Vec::<String>::new());
    let servers = home.servers();
    let [(server, dir)] = &servers[..] else { panic!("{servers:?}") };
    for place in [dir.as_path(), home.dir.path()] {
        assert_eq!(files_with(&password, place), Vec::<PathBuf>::new());
    }
    let keystore = fs::metadata(dir.join("conf/keystore")).unwrap();
    assert_eq!(keystore.permissions().mode() & 0o777, 0o600);
    assert_eq!(keystore.uid(), fs::metadata(format!("/proc/{server}")).unwrap().uid());
    fs::write(halted.meet.path().join("go"), "").unwrap();
    halted.run.finish().passed().never_says(&password);
    home.ends_with(1);
    assert_eq!(files_with(&password, home.dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn no_secret_is_in_a_log_a_command_an_environment_or_a_file() {
    for runner in runners() {
        no_secret_gets_out(&TestHome::with_stand_in(), runner);
    }
}

#[test]
fn a_real_server_does_not_tell_a_secret_either() {
    let Some(home) = TestHome::real() else { return };
    no_secret_gets_out(&home, Runner::Cargo);
}

/// The run goes on: a new keeper removes what is left and starts another server, with other secrets.
fn nothing_is_left_of_a_killed_keeper(home: &TestHome, runner: Runner) {
    let halted = Halted::at(home, runner);
    let servers = home.servers();
    let [keeper] = processes::keepers(home.dir.path())[..] else { panic!("not one keeper") };
    kill_process(Pid::from_raw(i32::try_from(keeper).unwrap()).unwrap(), Signal::KILL).unwrap();
    wait_within(Duration::from_secs(10), "the server's end", || {
        let left: Vec<_> = servers.iter().filter(|(server, _)| !processes::is_dead(*server)).collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
    fs::write(halted.meet.path().join("go"), "").unwrap();
    halted.run.finish().passed();
    home.ends_with(2);
    assert!(servers.iter().all(|(_, dir)| !dir.exists()));
}

#[test]
fn a_killed_keeper_leaves_no_server_and_no_key() {
    for runner in runners() {
        nothing_is_left_of_a_killed_keeper(&TestHome::with_stand_in(), runner);
    }
}

#[test]
fn a_killed_keeper_leaves_no_real_server_and_no_key() {
    let Some(home) = TestHome::real() else { return };
    nothing_is_left_of_a_killed_keeper(&home, Runner::Cargo);
}

#[test]
fn an_interrupted_run_leaves_no_server_and_no_key() {
    for runner in runners() {
        let home = TestHome::with_stand_in();
        let mut halted = Halted::at(&home, runner);
        // As a terminal does: all processes in the foreground get it.
        halted.run.signal_group(Signal::INT);
        halted.run.wait();
        halted.run.finish().failed();
        home.ends_with(1);
    }
}
