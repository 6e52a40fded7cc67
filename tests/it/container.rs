//! Tests the container of a project without configuration: it starts once per session and is removed with its volumes.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::consumer::{Consumer, clean, target_dir};
use crate::support::engine::TestEngine;
use crate::support::run::{Plan, Run, Runner, runners};
use crate::support::standin::docker;
use crate::support::{processes, wait_for};

/// Runs of tests that stop and die as they are told, in files of `meet`.
struct Scene {
    engine: TestEngine,
    meet: tempfile::TempDir,
}

impl Scene {
    fn new() -> Option<Self> {
        Some(Self { engine: TestEngine::with_stand_in()?, meet: tempfile::tempdir().unwrap() })
    }

    fn start(&self, consumer: &Consumer, runner: Runner, death: &str) -> Run {
        self.start_with(consumer, runner, death, &[])
    }

    fn start_with(&self, consumer: &Consumer, runner: Runner, death: &str, arguments: &[&str]) -> Run {
        let plan = Plan::new(consumer, runner).args(arguments).engine(&self.engine).env("DEATH", death);
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
        let keepers = processes::keepers(self.engine.dir.path());
        let [keeper] = keepers[..] else { panic!("{keepers:?}") };
        keeper
    }
}

fn kill_the_keeper(scene: &Scene) -> u32 {
    let keeper = scene.keeper();
    kill_process(Pid::from_raw(i32::try_from(keeper).unwrap()).unwrap(), Signal::KILL).unwrap();
    keeper
}

#[test]
fn lib_tests_three_binaries_and_doctests_share_one_container_that_is_gone_afterwards() {
    for runner in runners() {
        let Some(engine) = TestEngine::with_stand_in() else { return };
        let report = engine.dir.path().join("report");
        let plan = Plan::new(&Consumer::of("basic", runner), runner).engine(&engine);
        plan.env("CRATEDB_TEST_REPORT", report.display().to_string()).run().passed();
        engine.ends_with(1);
        let made = engine.made();
        assert!(!made[0].volumes.is_empty(), "the image has a volume, so there was one to remove");
        let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
        assert_eq!((&report["provider"], &report["outcome"]), (&"container".into(), &"removed".into()));
        assert_eq!(report["resource"], format!("container {}", made[0].name));
    }
}

#[test]
fn two_hundred_and_fifty_six_processes_share_one_container() {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let Some(engine) = TestEngine::with_stand_in() else { return };
    let plan = Plan::new(&Consumer::of("many", Runner::Nextest), Runner::Nextest).args(&["-j32"]).engine(&engine);
    plan.run().passed().says("256 tests run: 256 passed").never_says("LEAK");
    engine.ends_with(1);
}

#[test]
fn one_checkout_that_is_run_twice_at_once_shares_one_container() {
    for runner in runners() {
        let Some(scene) = Scene::new() else { return };
        let consumer = Consumer::of("deaths", runner);
        let first = scene.halted(&consumer, runner);
        scene.start(&consumer, runner, "none").finish().passed();
        assert_eq!(scene.engine.containers().len(), 1, "the first run still uses it");
        scene.go_on();
        first.finish().passed();
        scene.engine.ends_with(1);
    }
}

#[test]
fn two_checkouts_get_a_container_each() {
    for runner in runners() {
        let Some(scene) = Scene::new() else { return };
        let own = Consumer::of("deaths", runner);
        let other = Consumer::checkout("deaths", "deaths-cloned", runner);
        let first = scene.halted(&own, runner);
        scene.start(&other, runner, "none").finish().passed();
        scene.go_on();
        first.finish().passed();
        scene.engine.ends_with(2);
        let projects: Vec<PathBuf> = scene.engine.made().into_iter().map(|made| made.project.into()).collect();
        assert_eq!(projects, [own.dir, other.dir]);
    }
}

/// A proxy for the engine's socket that holds back the first request to remove something.
struct Gate {
    path: PathBuf,
    removals: Arc<AtomicUsize>,
}

impl Gate {
    fn at(path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).unwrap();
        let removals = Arc::<AtomicUsize>::default();
        let seen = removals.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                std::thread::spawn(move || forward(client, &seen));
            }
        });
        Self { path, removals }
    }

    fn address(&self) -> String {
        format!("unix://{}", self.path.display())
    }
}

fn forward(mut client: UnixStream, removals: &AtomicUsize) -> io::Result<()> {
    let engine = std::env::var("DOCKER_HOST").ok().and_then(|host| Some(host.strip_prefix("unix://")?.to_owned()));
    let mut engine = UnixStream::connect(engine.as_deref().unwrap_or("/var/run/docker.sock"))?;
    let (mut answers, mut back) = (engine.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 65_536];
    loop {
        let count = client.read(&mut buffer)?;
        if buffer[..count].starts_with(b"DELETE ") && removals.fetch_add(1, Ordering::Relaxed) == 0 {
            // It is never answered: the process that sent it is killed.
            io::copy(&mut client, &mut io::sink())?;
            return engine.shutdown(Shutdown::Both);
        }
        match count {
            0 => return engine.shutdown(Shutdown::Both),
            _ => engine.write_all(&buffer[..count])?,
        }
    }
}

#[test]
fn a_keeper_killed_while_it_removes_its_container_leaves_that_to_the_next_run() {
    for runner in runners() {
        let Some(scene) = Scene::new() else { return };
        let (consumer, gate) = (Consumer::of("deaths", runner), Gate::at(scene.path("engine.sock")));
        let plan = Plan::new(&consumer, runner).engine(&scene.engine).env("DEATH", "none").in_order();
        let plan = plan.env("DEATH_DIR", scene.meet.path().display().to_string());
        plan.env("DOCKER_HOST", gate.address()).run().passed();
        wait_for("the request to remove it", || match gate.removals.load(Ordering::Relaxed) {
            0 => Err(scene.engine.log()),
            _ => Ok(()),
        });
        processes::kill_and_wait(scene.keeper());
        assert_eq!(scene.engine.containers().len(), 1);
        scene.start(&consumer, runner, "none").finish().passed();
        scene.engine.ends_with(2);
    }
}

fn runner_dies_at(moment: &str) {
    for runner in runners() {
        let consumer = Consumer::of("deaths", runner);
        for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
            let Some(scene) = Scene::new() else { return };
            let mut run = scene.start(&consumer, runner, &format!("{moment}:wait"));
            match moment {
                "acquiring" => scene.engine.wait_for_made(1),
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
            scene.engine.ends_with(1);
        }
    }
}

#[test]
fn a_runner_that_dies_while_the_container_starts_leaves_nothing() {
    runner_dies_at("acquiring");
}

#[test]
fn a_runner_that_dies_in_the_middle_leaves_nothing() {
    runner_dies_at("middle");
}

#[test]
fn a_runner_that_dies_in_the_last_test_leaves_nothing() {
    runner_dies_at("last");
}

#[test]
fn test_processes_that_die_leave_nothing() {
    for runner in runners() {
        let consumer = Consumer::of("deaths", runner);
        for death in ["panic", "exit", "abort", "kill"] {
            let Some(scene) = Scene::new() else { return };
            scene.start(&consumer, runner, &format!("middle:{death}")).finish().failed();
            scene.engine.ends_with(1);
        }
    }
}

/// Its data is lost with the tests that made it. A container, unlike a Cloud cluster, costs nothing to replace.
#[test]
fn after_the_death_of_the_keeper_the_tests_that_come_later_get_a_new_container() {
    for runner in runners() {
        let Some(scene) = Scene::new() else { return };
        let run = scene.halted(&Consumer::of("deaths", runner), runner);
        kill_the_keeper(&scene);
        scene.go_on();
        run.finish().passed();
        scene.engine.ends_with(2);
    }
}

/// The test goes on the moment the engine has killed the container, before it has told anyone of the end.
#[test]
fn after_the_death_of_a_container_the_tests_that_come_later_get_as_many_nodes_as_they_ask_for() {
    const FEATURES: [&str; 2] = ["--features", "nodes"];
    for runner in runners() {
        let Some(scene) = Scene::new() else { return };
        let consumer = Consumer::with_features("deaths", "nodes", runner);
        let mut run = scene.start_with(&consumer, runner, "middle:wait", &FEATURES);
        run.wait_for_file(&scene.path("here"));
        let third = scene.engine.containers().into_iter().max().unwrap();
        docker(&["kill", &third]).unwrap();
        scene.go_on();
        run.finish().passed();
        scene.engine.ends_with(6);
        let log = scene.engine.log();
        // The process tells it or the engine, as one of the two is first.
        assert!(log.contains("the cluster lost nodes") && log.contains(&format!("container {third} ended")), "{log}");
    }
}

#[test]
fn after_the_death_of_the_keeper_while_the_container_starts_nothing_is_left() {
    for runner in runners() {
        let Some(scene) = Scene::new() else { return };
        let run = scene.start(&Consumer::of("deaths", runner), runner, "middle:wait");
        scene.engine.wait_for_made(1);
        kill_the_keeper(&scene);
        scene.go_on();
        run.finish().passed();
        scene.engine.ends_with(2);
    }
}

/// Kills keeper, runner and tests in the middle of a test; gives the containers that are left.
fn everybody_dies(scene: &Scene, consumer: &Consumer, runner: Runner) -> Vec<String> {
    let mut run = scene.halted(consumer, runner);
    let keeper = scene.keeper();
    // Stopped first: a test that lives a moment longer would start another keeper, and a keeper would release.
    kill_process(Pid::from_raw(i32::try_from(keeper).unwrap()).unwrap(), Signal::STOP).unwrap();
    run.signal_group(Signal::KILL);
    run.wait();
    // nextest puts each test into a process group of its own.
    processes::kill_and_wait(std::fs::read_to_string(scene.path("here")).unwrap().parse().unwrap());
    processes::kill_and_wait(keeper);
    run.finish().failed();
    let left = scene.engine.containers();
    assert_eq!(left.len(), scene.engine.made().len(), "nobody is left who could remove it");
    left
}

/// Sweeps from the directory of another project, which has its own state directory.
fn sweep(elsewhere: &Consumer, words: &[&str]) -> String {
    let state = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
    let mut sweep = clean(Command::new(target_dir().join("debug/explicit_control")));
    let output = sweep.current_dir(&elsewhere.dir).env("CRATEDB_TEST_DIR", state.path()).args(words).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn a_sweep_removes_what_is_left_when_the_journal_is_gone_too_and_nothing_that_is_used_or_owed() {
    // Built before anything waits: tests that stand still do so for a while only.
    let (consumer, elsewhere) = (Consumer::of("deaths", Runner::Cargo), Consumer::of("explicit", Runner::Cargo));
    let (Some(dead), Some(owed), Some(live)) = (Scene::new(), Scene::new(), Scene::new()) else { return };
    let left = everybody_dies(&dead, &consumer, Runner::Cargo);
    let repairable = everybody_dies(&owed, &consumer, Runner::Cargo);
    let run = live.halted(&consumer, Runner::Cargo);
    std::fs::remove_dir_all(dead.engine.dir.path()).unwrap();
    std::fs::create_dir(dead.engine.dir.path()).unwrap();
    let text = sweep(&elsewhere, &["sweep"]);
    for name in &left {
        assert!(text.contains(name.as_str()) && text.contains("its keeper is dead"), "{name} is missing in:\n{text}");
    }
    assert_eq!(dead.engine.containers(), Vec::<String>::new());
    assert_eq!(owed.engine.containers(), repairable, "the next run there is responsible");
    assert_eq!(live.engine.containers().len(), 1, "it is used; the keepers' logs:\n{}", live.engine.log());
    live.go_on();
    run.finish().passed();
    live.engine.ends_with(1);
    owed.start(&consumer, Runner::Cargo, "none").finish().passed();
    owed.engine.ends_with(repairable.len() + 1);
}

/// A registry that takes a request and never answers it.
#[test]
fn a_runner_that_dies_while_the_image_is_pulled_leaves_nothing() {
    for runner in runners() {
        let Some(scene) = Scene::new() else { return };
        let registry = TcpListener::bind("127.0.0.1:0").unwrap();
        let image = format!("{}/crate:6.4.3", registry.local_addr().unwrap());
        let plan = Plan::new(&Consumer::of("deaths", runner), runner).engine(&scene.engine).env("DEATH", "none");
        let plan = plan.env("DEATH_DIR", scene.meet.path().display().to_string()).env("CRATEDB_TEST_IMAGE", image);
        let mut run = plan.in_order().start();
        let _asked = registry.accept().unwrap();
        run.signal_group(Signal::KILL);
        run.wait();
        run.finish().failed();
        scene.engine.ends_with(0);
    }
}

#[test]
fn after_the_death_of_everybody_the_next_run_removes_what_is_left() {
    for runner in runners() {
        let Some(scene) = Scene::new() else { return };
        let consumer = Consumer::of("deaths", runner);
        let left = everybody_dies(&scene, &consumer, runner);
        scene.start(&consumer, runner, "none").finish().passed();
        scene.engine.ends_with(left.len() + 1);
    }
}

#[test]
fn a_container_that_is_kept_warm_is_used_by_the_next_run() {
    let Some(engine) = TestEngine::with_stand_in() else { return };
    let consumer = Consumer::of("workspace", Runner::Cargo);
    for _ in 0..2 {
        let plan = Plan::new(&consumer, Runner::Cargo).args(&["-p", "b"]).engine(&engine);
        plan.env("CRATEDB_TEST_KEEP_WARM", "5s").run().passed();
    }
    assert_eq!(engine.containers().len(), 1);
    engine.ends_with(1);
}

/// All eight tests fail with these words.
#[track_caller]
fn all_say(plan: Plan, limit: Duration, words: &[&str]) {
    let began = Instant::now();
    let output = plan.args(&["--tests", "--no-fail-fast"]).run().failed().output;
    assert!(began.elapsed() < limit, "took {:?}", began.elapsed());
    for word in words {
        let count = output.matches(word).count();
        assert!(count >= 8, "`{word}` stands {count} times in:\n{output}");
    }
}

#[test]
fn an_image_that_does_not_exist_is_an_error_that_names_it() {
    for runner in runners() {
        let Some(engine) = TestEngine::with_stand_in() else { return };
        let image = "cratedb-test-standin:no-such-tag";
        let plan = Plan::new(&Consumer::of("basic", runner), runner).engine(&engine).env("CRATEDB_TEST_IMAGE", image);
        let pull = format!("docker pull {image}");
        all_say(plan, Duration::from_secs(30), &[image, "can't be pulled", &pull, "CRATEDB_TEST_IMAGE"]);
        engine.ends_with(0);
    }
}

#[test]
fn an_engine_that_does_not_answer_counts_as_none() {
    let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
    let socket = dir.path().join("engine.sock");
    let _deaf = UnixListener::bind(&socket).unwrap();
    let consumer = Consumer::of("basic", Runner::Cargo);
    let plan = Plan::new(&consumer, Runner::Cargo).env("CRATEDB_TEST_DIR", dir.path().display().to_string());
    let plan = plan.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let words = [
        "no CrateDB for the tests",
        "url: ",
        "cloud: ",
        "process: ",
        "container: no engine at unix://",
        "within 900ms",
    ];
    all_say(plan, Duration::from_secs(20), &words);
}
