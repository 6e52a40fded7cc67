//! Tests the local process of a project that names an installation: it starts once per session and ends with its data.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::consumer::{Consumer, clean, target_dir};
use crate::support::home::TestHome;
use crate::support::run::{Plan, Run, Runner, runners};
use crate::support::{executable, processes, wait_for, wait_within};

/// Runs of tests that stop and die as they are told, in files of `meet`.
pub struct Scene {
    pub home: TestHome,
    meet: tempfile::TempDir,
    /// 1, or 3 with a feature of the consumer.
    nodes: usize,
}

impl Scene {
    fn with(home: TestHome) -> Self {
        Self { home, meet: tempfile::tempdir().unwrap(), nodes: 1 }
    }

    pub fn of(nodes: usize, home: TestHome) -> Self {
        Self { nodes, ..Self::with(home) }
    }

    fn start(&self, consumer: &Consumer, runner: Runner, death: &str) -> Run {
        let features: &[&str] = if self.nodes == 1 { &[] } else { &["--features", "nodes"] };
        let plan = Plan::new(consumer, runner).args(features).home(&self.home).env("DEATH", death);
        plan.env("DEATH_DIR", self.meet.path().display().to_string()).in_order().start()
    }

    /// The same, standing still in the middle of a test.
    fn halted(&self, consumer: &Consumer, runner: Runner) -> Run {
        let mut run = self.start(consumer, runner, "middle:wait");
        run.wait_for_file(&self.path("here"));
        run
    }

    fn path(&self, name: &str) -> PathBuf {
        self.meet.path().join(name)
    }

    fn go_on(&self) {
        std::fs::write(self.path("now"), "x").unwrap();
        std::fs::write(self.path("go"), "x").unwrap();
    }

    fn keeper(&self) -> u32 {
        let keepers = processes::keepers(self.home.dir.path());
        let [keeper] = keepers[..] else { panic!("{keepers:?}") };
        keeper
    }

    /// The kernel kills all servers with their keeper. The directory they were in.
    fn kill_the_keeper(&self) -> PathBuf {
        let servers = self.servers();
        let keeper = Pid::from_raw(i32::try_from(self.keeper()).unwrap()).unwrap();
        kill_process(keeper, Signal::KILL).unwrap();
        self.wait_for_the_end_of(&servers);
        servers[0].1.clone()
    }

    /// As many as there are nodes, once they are there.
    fn servers(&self) -> Vec<(u32, PathBuf)> {
        let mut found = Vec::new();
        wait_for("all servers", || {
            found = self.home.servers();
            if found.len() == self.nodes { Ok(()) } else { Err((found.clone(), self.home.log())) }
        });
        found
    }

    #[track_caller]
    fn wait_for_the_end_of(&self, servers: &[(u32, PathBuf)]) {
        wait_within(Duration::from_secs(10), "the servers' end", || {
            let left: Vec<_> = servers.iter().filter(|(server, _)| !processes::is_dead(*server)).collect();
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }
}

/// The project with tests that die, on clusters of so many nodes.
pub fn victims(nodes: usize, runner: Runner) -> Consumer {
    match nodes {
        1 => Consumer::of("deaths", runner),
        _ => Consumer::with_features("deaths", "nodes", runner),
    }
}

#[test]
fn lib_tests_three_binaries_and_doctests_share_one_process_that_is_gone_afterwards() {
    for runner in runners() {
        let home = TestHome::with_stand_in();
        let report = home.dir.path().join("report");
        let plan = Plan::new(&Consumer::of("basic", runner), runner).home(&home);
        plan.env("CRATEDB_TEST_REPORT", report.display().to_string()).run().passed();
        home.ends_with(1);
        let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
        assert_eq!((&report["provider"], &report["outcome"]), (&"process".into(), &"removed".into()));
    }
}

#[test]
fn two_hundred_and_fifty_six_processes_share_one_server() {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let home = TestHome::with_stand_in();
    let plan = Plan::new(&Consumer::of("many", Runner::Nextest), Runner::Nextest).args(&["-j32"]).home(&home);
    plan.run().passed().says("256 tests run: 256 passed").never_says("LEAK");
    home.ends_with(1);
}

#[test]
fn an_installation_that_is_named_is_used_where_a_container_engine_is_there_too() {
    let home = TestHome::with_stand_in();
    let plan = Plan::new(&Consumer::of("basic", Runner::Cargo), Runner::Cargo).args(&["--tests"]).home(&home);
    plan.env("CRATEDB_TEST_IMAGE", "cratedb-test-standin:no-such-tag")
        .run()
        .passed()
        .says("CRATEDB_TEST_IMAGE is ignored: CRATEDB_HOME is set");
    home.ends_with(1);
}

pub fn runner_dies_at(moment: &str, nodes: usize) {
    for runner in runners() {
        let consumer = victims(nodes, runner);
        for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
            let scene = Scene::of(nodes, TestHome::with_stand_in());
            let mut run = scene.start(&consumer, runner, &format!("{moment}:wait"));
            match moment {
                "acquiring" => drop(scene.servers()),
                _ => drop(run.wait_for_file(&scene.path("here"))),
            }
            match signal {
                // As a terminal does: all processes in the foreground get it.
                Signal::INT => run.signal_group(signal),
                _ => run.signal(signal),
            }
            run.wait();
            // An orphan that was waiting goes on with its tests; they must not start anything.
            scene.go_on();
            run.finish().failed();
            scene.home.ends_with(1);
        }
    }
}

#[test]
fn a_runner_that_dies_while_the_server_starts_leaves_nothing() {
    runner_dies_at("acquiring", 1);
}

#[test]
fn a_runner_that_dies_in_the_middle_leaves_nothing() {
    runner_dies_at("middle", 1);
}

#[test]
fn a_runner_that_dies_in_the_last_test_leaves_nothing() {
    runner_dies_at("last", 1);
}

#[test]
fn test_processes_that_die_leave_nothing() {
    test_processes_die(1);
}

pub fn test_processes_die(nodes: usize) {
    for runner in runners() {
        let consumer = victims(nodes, runner);
        for death in ["panic", "exit", "abort", "kill"] {
            let scene = Scene::of(nodes, TestHome::with_stand_in());
            scene.start(&consumer, runner, &format!("middle:{death}")).finish().failed();
            scene.home.ends_with(1);
        }
    }
}

/// Its data is lost with the tests that made it. A process, unlike a Cloud cluster, costs nothing to replace.
#[test]
fn after_the_death_of_the_keeper_the_tests_that_come_later_get_a_new_server() {
    keeper_dies(1);
}

pub fn keeper_dies(nodes: usize) {
    for runner in runners() {
        let scene = Scene::of(nodes, TestHome::with_stand_in());
        let run = scene.halted(&victims(nodes, runner), runner);
        scene.kill_the_keeper();
        scene.go_on();
        run.finish().passed();
        scene.home.ends_with(2);
    }
}

/// The tests that come later get a whole cluster, and the one that runs goes on.
#[test]
fn after_the_death_of_the_server_the_tests_that_come_later_get_another() {
    node_dies(1);
}

pub fn node_dies(nodes: usize) {
    let scene = Scene::of(nodes, TestHome::with_stand_in());
    let run = scene.halted(&victims(nodes, Runner::Cargo), Runner::Cargo);
    processes::kill_and_wait(scene.servers().pop().unwrap().0);
    wait_for("the keeper to notice", || match scene.home.log().contains("the cluster lost nodes") {
        true => Ok(()),
        false => Err(scene.home.log()),
    });
    scene.go_on();
    run.finish().passed().says("another cluster takes its place before the next test begins");
    scene.home.ends_with(2);
}

/// All processes are killed at once. The server dies with them, and its data is left.
fn everybody_dies(scene: &Scene, consumer: &Consumer) {
    let mut run = scene.halted(consumer, Runner::Nextest);
    let keeper = Pid::from_raw(i32::try_from(scene.keeper()).unwrap()).unwrap();
    let servers = scene.servers();
    // Stopped first: a test that lives a moment longer would start another keeper, and a keeper would release.
    kill_process(keeper, Signal::STOP).unwrap();
    run.signal_group(Signal::KILL);
    run.wait();
    // nextest puts each test into a process group of its own.
    processes::kill_and_wait(std::fs::read_to_string(scene.path("here")).unwrap().parse().unwrap());
    kill_process(keeper, Signal::KILL).unwrap();
    run.finish().failed();
    scene.wait_for_the_end_of(&servers);
    assert_eq!(scene.home.directories(), [servers[0].1.clone()], "nobody is left who could remove their data");
}

#[test]
fn after_the_death_of_everybody_the_server_is_dead_and_the_next_run_removes_its_data() {
    all_die_and_the_next_run_repairs(1);
}

pub fn all_die_and_the_next_run_repairs(nodes: usize) {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let (scene, consumer) = (Scene::of(nodes, TestHome::with_stand_in()), victims(nodes, Runner::Nextest));
    everybody_dies(&scene, &consumer);
    scene.start(&consumer, Runner::Nextest, "none").finish().passed();
    scene.home.ends_with(2);
}

#[test]
fn after_the_death_of_everybody_a_sweep_from_anywhere_removes_the_data() {
    all_die_and_a_sweep_repairs(1);
}

pub fn all_die_and_a_sweep_repairs(nodes: usize) {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let scene = Scene::of(nodes, TestHome::with_stand_in());
    everybody_dies(&scene, &victims(nodes, Runner::Nextest));
    let text = sweep(&scene.home);
    assert!(text.contains(r#""outcome":"repaired""#), "{text}");
    scene.home.ends_with(1);
}

/// From the directory of a project that has nothing to do with it; what it says.
#[track_caller]
pub fn sweep(home: &TestHome) -> String {
    let elsewhere = Consumer::of("explicit", Runner::Cargo);
    let mut environment = home.environment();
    environment.remove("CRATEDB_HOME");
    // What it finds at this machine's engine is of other tests.
    environment.insert("DOCKER_HOST".to_owned(), "unix:///nowhere/docker.sock".to_owned());
    control(&elsewhere.dir, environment, &["sweep"])
}

/// What the command line in small says in a directory.
#[track_caller]
fn control(dir: &Path, environment: HashMap<String, String>, arguments: &[&str]) -> String {
    Consumer::of("explicit", Runner::Cargo);
    let mut command = clean(Command::new(target_dir().join("debug/explicit_control")));
    let output = command.current_dir(dir).envs(environment).args(arguments).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn the_schema_of_a_failed_test_is_kept_on_a_server_that_stays_and_is_found_there() {
    let (home, meet) = (TestHome::with_stand_in(), tempfile::tempdir().unwrap());
    let consumer = Consumer::of("deaths", Runner::Cargo);
    let plan = Plan::new(&consumer, Runner::Cargo).home(&home).env("CRATEDB_TEST_KEEP_WARM", "10m");
    let plan = plan.env("DEATH", "middle:panic").env("DEATH_DIR", meet.path().display().to_string());
    let finished = plan.in_order().run().failed().says("is kept on process cratedb-test-");
    let words: Vec<&str> = finished.output.split_whitespace().collect();
    let after = |word: &str| words[words.iter().position(|one| *one == word).unwrap() + 1];
    let (url, schema) = (after("--cluster-url"), after("--drop"));
    for told in [&*format!("at {url}: started"), "the server is removed, 10m after the last run"] {
        assert!(finished.output.contains(told), "{told} is not in:\n{}", finished.output);
    }
    let run = |arguments: &[&str]| control(&consumer.dir, home.environment(), arguments);
    let status = run(&["status"]);
    assert!(status.contains(&format!(" at {url}\n")) && status.contains(&format!(r#""http_url":"{url}""#)), "{status}");
    let kept = run(&["kept"]);
    assert!(kept.contains(schema) && kept.contains(r#""tables":1"#) && kept.contains(url), "{kept}");
    run(&["finish", "--wait"]);
    home.ends_with(1);
}

/// All eight tests fail with these words.
#[track_caller]
pub fn all_say(plan: Plan, limit: Duration, words: &[&str]) {
    let began = Instant::now();
    let output = plan.args(&["--tests", "--no-fail-fast"]).run().failed().output;
    assert!(began.elapsed() < limit, "took {:?}", began.elapsed());
    for word in words {
        let count = output.matches(word).count();
        assert!(count >= 8, "`{word}` stands {count} times in:\n{output}");
    }
}

#[test]
fn a_server_that_ends_at_start_is_an_error_with_its_last_lines() {
    for runner in runners() {
        let home = TestHome::with_script("echo 'unknown setting [x]' >&2; exit 1");
        let plan = Plan::new(&Consumer::of("basic", runner), runner).home(&home);
        let words = ["cannot start CrateDB from ", "the server ended (exit status: 1)", "| unknown setting [x]"];
        all_say(plan, Duration::from_secs(30), &words);
        assert_eq!((home.servers(), home.directories()), (vec![], vec![]));
    }
}

#[test]
fn a_server_that_never_gets_ready_is_given_up_in_time() {
    let home = TestHome::with_script("echo thinking; sleep 1000 & wait");
    let plan = Plan::new(&Consumer::of("basic", Runner::Cargo), Runner::Cargo).home(&home);
    let plan = plan.env("CRATEDB_TEST_START_TIMEOUT", "1s");
    all_say(plan, Duration::from_secs(30), &["gave up waiting for ", "| thinking"]);
    wait_for("the keeper's end", || match processes::keepers(home.dir.path()) {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
    assert_eq!((home.servers(), home.directories()), (vec![], vec![]));
}

#[test]
fn an_installation_that_does_not_exist_is_an_error_and_no_container() {
    let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
    for provider in ["auto", "process"] {
        let plan = Plan::new(&Consumer::of("basic", Runner::Cargo), Runner::Cargo);
        let plan = plan.env("CRATEDB_TEST_DIR", dir.path().display().to_string()).env("CRATEDB_HOME", "/no/such/crate");
        let plan = plan.env("CRATEDB_TEST_PROVIDER", provider);
        all_say(plan, Duration::from_secs(20), &["cannot use CRATEDB_HOME=`/no/such/crate`", "bin/crate and lib/"]);
    }
}

/// The server leaves no files outside its directory.
fn leftovers() -> Vec<PathBuf> {
    let files = std::fs::read_dir("/tmp/hsperfdata_nobody").into_iter().flatten();
    files.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn runs_share_a_real_server_that_is_gone_afterwards() {
    let before = leftovers();
    for runner in runners() {
        let Some(home) = TestHome::real() else { return };
        Plan::new(&Consumer::of("basic", runner), runner).home(&home).run().passed();
        home.ends_with(1);
    }
    let new: Vec<PathBuf> = leftovers().into_iter().filter(|path| !before.contains(path)).collect();
    assert_eq!(new, Vec::<PathBuf>::new());
}

#[test]
fn two_hundred_and_fifty_six_tests_see_only_their_own_rows_on_a_real_server() {
    for runner in runners() {
        let Some(home) = TestHome::real() else { return };
        let parallel: &[&str] = if runner == Runner::Nextest { &["-j16"] } else { &["--", "--test-threads=128"] };
        Plan::new(&Consumer::of("many", runner), runner).args(parallel).home(&home).run().passed();
        home.ends_with(1);
    }
}

#[test]
fn a_real_server_dies_with_its_keeper_while_it_starts_and_while_it_runs() {
    real_servers_die(1);
}

pub fn real_servers_die(nodes: usize) {
    let Some(home) = TestHome::real() else { return };
    let scene = Scene::of(nodes, home);
    let mut run = scene.start(&victims(nodes, Runner::Cargo), Runner::Cargo, "middle:wait");
    // While it starts: the tests that wait start another keeper, which begins anew.
    let first = scene.kill_the_keeper();
    // Several real nodes on a busy machine take their time.
    wait_within(Duration::from_secs(180), "a test on the new cluster", || match scene.path("here").exists() {
        true => Ok(()),
        false => Err(scene.home.log()),
    });
    run.wait_for_file(&scene.path("here"));
    let second = scene.kill_the_keeper();
    scene.go_on();
    run.finish().passed();
    scene.home.ends_with(3);
    assert!(first != second && !Path::exists(&first) && !second.exists());
}

#[test]
fn a_real_server_without_its_java_is_told() {
    let Some(home) = TestHome::real() else { return };
    let real = PathBuf::from(&home.environment()["CRATEDB_HOME"]);
    let cut = TestHome::with_script("");
    let target = PathBuf::from(&cut.environment()["CRATEDB_HOME"]);
    executable::copy(&real.join("bin/crate"), &target.join("bin/crate"));
    std::fs::write(target.join("lib/crate.jar"), "").unwrap();
    let plan = Plan::new(&Consumer::of("basic", Runner::Cargo), Runner::Cargo).home(&cut);
    all_say(plan, Duration::from_secs(30), &["the server ended", "its own Java runtime in jdk/"]);
}
