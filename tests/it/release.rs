//! Tests a release that is not on this machine: it is downloaded once for all runs, from a mirror that serves the
//! stand-in.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::consumer::Consumer;
use crate::support::mirror::{self, Mirror};
use crate::support::run::{Plan, Runner, runners};
use crate::support::{processes, wait_for};

/// A machine without a release and without an engine.
struct Scene {
    mirror: Mirror,
    /// `CRATEDB_TEST_DIR`, short, for the socket's path.
    dir: tempfile::TempDir,
    /// `XDG_CACHE_HOME`, which the server's user can enter.
    cache: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let cache = tempfile::tempdir().unwrap();
        std::fs::set_permissions(cache.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
        Self { mirror: Mirror::with_stand_in(), dir, cache }
    }

    /// Plans a run of all tests.
    fn plan(&self, consumer: &Consumer, runner: Runner) -> Plan {
        self.plan_of_some(consumer, runner).args(&["--tests"])
    }

    fn plan_of_some(&self, consumer: &Consumer, runner: Runner) -> Plan {
        Plan::new(consumer, runner)
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .env("CRATEDB_TEST_DIR", self.dir.path().display().to_string())
            .env("CRATEDB_TEST_MIRROR", &*self.mirror.url)
            .env("XDG_CACHE_HOME", self.cache.path().display().to_string())
    }

    fn releases(&self) -> Vec<String> {
        let dir = self.cache.path().join("cratedb-test/releases");
        let names = std::fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn part(&self) -> u64 {
        let part = self.releases().into_iter().find(|name| name.ends_with(".part"));
        let path = part.map(|name| self.cache.path().join("cratedb-test/releases").join(name));
        path.and_then(|path| Some(std::fs::metadata(path).ok()?.len())).unwrap_or(0)
    }

    fn log(&self) -> String {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        logs.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
    }

    /// Waits until every keeper is gone; no server of theirs may be left.
    #[track_caller]
    fn ends(&self) {
        wait_for("the keeper's end", || match processes::keepers(self.dir.path()) {
            none if none.is_empty() => Ok(()),
            some => Err((some, self.log())),
        });
        let log = self.log();
        let ours = |dir: &PathBuf| log.contains(&*dir.file_name().unwrap().to_string_lossy());
        let left: Vec<_> = processes::marked("CRATEDB_TEST_SERVER").into_iter().filter(|(_, dir)| ours(dir)).collect();
        assert_eq!(left, [], "servers are left");
    }
}

#[test]
fn a_release_is_downloaded_once_for_all_runs() {
    for runner in runners() {
        let scene = Scene::new();
        for _ in 0..2 {
            scene.plan(&Consumer::of("basic", runner), runner).run().passed();
            scene.ends();
            assert_eq!(scene.mirror.asked(), [0]);
        }
        let kinds: Vec<String> = scene.releases().iter().map(|name| name.replacen("6.4.3-", "", 1)).collect();
        assert!(
            matches!(&kinds[..], [dir, json, lock] if *json == format!("{dir}.json") && *lock == format!("{dir}.lock"))
        );
    }
}

#[test]
fn two_runs_at_once_download_once() {
    let scene = Scene::new();
    let one = Consumer::of("basic", Runner::Cargo);
    let two = Consumer::checkout("basic", "basic-too", Runner::Cargo);
    let runs = [&one, &two].map(|consumer| scene.plan(consumer, Runner::Cargo).start());
    for run in runs {
        run.finish().passed();
    }
    scene.ends();
    assert_eq!(scene.mirror.asked(), [0]);
}

#[test]
fn a_download_ends_with_its_run_and_goes_on_with_the_next() {
    let scene = Scene::new();
    let consumer = Consumer::of("basic", Runner::Cargo);
    scene.mirror.stall_once();
    let half = scene.mirror.half();
    let run = scene.plan(&consumer, Runner::Cargo).start();
    wait_for("half of the archive", || match scene.part() {
        part if part == half as u64 => Ok(()),
        part => Err((part, scene.log())),
    });
    run.signal_group(Signal::INT);
    run.finish().failed();
    scene.ends();
    assert_eq!(scene.part(), half as u64, "what has come is kept");
    scene.plan(&consumer, Runner::Cargo).run().passed();
    scene.ends();
    assert_eq!(scene.mirror.asked(), [0, half]);
}

#[test]
fn without_a_mirror_each_test_is_told_the_address_and_the_place() {
    let scene = Scene::new();
    let plan = scene.plan(&Consumer::of("basic", Runner::Cargo), Runner::Cargo).args(&["--no-fail-fast"]);
    let began = std::time::Instant::now();
    let output = plan.env("CRATEDB_TEST_MIRROR", "http://127.0.0.1:1/").run().failed().output;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    for word in ["container: no engine", "process: cannot download http://127.0.0.1:1/", "put there by hand, as "] {
        assert!(output.matches(word).count() >= 8, "`{word}` is missing in:\n{output}");
    }
    scene.ends();
}

#[test]
fn the_version_of_an_installation_that_is_named_decides_whether_it_is_used() {
    use crate::support::home::TestHome;
    let home = TestHome::with_stand_in();
    let plan = |version: &str| {
        let plan = Plan::new(&Consumer::of("basic", Runner::Cargo), Runner::Cargo).args(&["--tests"]).home(&home);
        plan.env("CRATEDB_VERSION", version)
    };
    // A setting is not a request of a test: the named installation is used.
    plan("5.10").run().passed().says("CRATEDB_VERSION is ignored");
    home.ends_with(1);
}

#[test]
fn each_version_is_brought_and_started_once_for_all_tests_that_want_it() {
    for runner in runners() {
        let (scene, releases) = (Scene::new(), mirror::directory(&["5.10.15", "5.10.16", "6.4.3"]));
        let plan = scene.plan_of_some(&Consumer::of("versions", runner), runner);
        let plan = plan.env("CRATEDB_TEST_MIRROR", releases.path().display().to_string());
        plan.args(&["--test", "several", "--test", "mixed"]).run().passed();
        scene.ends();
        let here: Vec<String> = scene.releases().into_iter().filter(|name| name.ends_with(".json")).collect();
        assert!(
            matches!(&here[..], [old, new] if old.starts_with("5.10.16-") && new.starts_with("6.4.3-")),
            "{here:?}"
        );
        // Tests that want nothing have a 6.4.3 of their own.
        let log = scene.log();
        let started = ["5.10.16-", "6.4.3-"].map(|version| {
            let ours =
                |line: &&str| line.contains("starting CrateDB from ") && line.contains(&format!("releases/{version}"));
            log.lines().filter(ours).count()
        });
        assert_eq!(started, [1, 2], "{log}");
    }
}
