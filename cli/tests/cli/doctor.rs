//! `doctor`: what it says of good and bad settings, and that it changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cratedb_cloud_simulator::ClusterOptions;
use serde_json::Value;

use crate::support::{Done, PASSWORD, PROGRAM, Run, SECRET, World, eventually};

/// A world with a package that depends on nothing.
fn world() -> World {
    with_package(World::without_cloud())
}

fn with_package(world: World) -> World {
    fs::create_dir(world.home().join("src")).unwrap();
    world.write("src/lib.rs", "");
    world.write("Cargo.toml", "[package]\nname = \"orders\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
    world
}

fn doctor(world: &World) -> Run {
    world.stranger(&["doctor", "--output", "json"])
}

/// Returns the problems that keep a run from starting (true), or the others.
fn problems(report: &Value, blocks: bool) -> Vec<String> {
    let all = report["problems"].as_array().unwrap().iter().filter(|one| one["blocks"] == blocks);
    all.map(|one| one["message"].as_str().unwrap().to_owned()).collect()
}

/// Asserts that a run can't start for one reason, which contains all of these.
#[track_caller]
fn is_blocked(done: Done, parts: &[&str]) {
    let report = done.expect(1).json();
    let why = problems(&report, true);
    assert!(why.len() == 1 && parts.iter().all(|part| why[0].contains(part)), "{why:#?}");
    assert_eq!(report["cluster"], Value::Null);
}

/// Returns the paths of all that is below a directory.
fn all_in(dir: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            all.extend(all_in(&path));
        }
        all.insert(path);
    }
    all
}

#[test]
fn with_nothing_configured_it_names_the_release_and_why_no_other_is_used_and_makes_nothing() {
    let world = world();
    let before = all_in(world.home());
    let report = doctor(&world).done().expect(0).json();
    assert_eq!(report["cluster"]["provider"], "process", "{report:#}");
    let because = report["cluster"]["because"].to_string();
    for part in ["url: CRATEDB_CLUSTER_URL is not set", "cloud: ", "no engine at unix:///nowhere/docker.sock"] {
        assert!(because.contains(part), "{part}: {because}");
    }
    assert_eq!(report["engines"][0]["named_by"], "DOCKER_HOST");
    assert!(report["runners"][0].as_str().unwrap().starts_with("cargo 1."), "{report:#}");
    assert!(report["notes"].to_string().contains("does not depend on cratedb-test"), "{report:#}");
    assert_eq!(all_in(world.home()), before);
}

#[test]
fn a_server_by_its_url_is_named_with_the_file_that_names_it_and_without_its_password() {
    let world = world();
    world.write(".env", &format!("CRATEDB_CLUSTER_URL=http://ada:{PASSWORD}@127.0.0.1:9/\nCRATEDB_CLUSTER_NAMES=x\n"));
    let report = doctor(&world).done().expect(0).json();
    assert_eq!(report["cluster"]["what"], "the server at http://127.0.0.1:9");
    let file = world.home().join(".env").display().to_string();
    assert_eq!(report["cluster"]["because"][0], format!("CRATEDB_CLUSTER_URL in {file} is set"));
    let setting = &report["settings"][0];
    assert_eq!((&setting["value"], &setting["from"]), (&"http://127.0.0.1:9".into(), &file.into()));
    assert!(report["notes"].to_string().contains("CRATEDB_CLUSTER_NAMES in "), "{report:#}");
    // Only with --online it notices that nothing listens there.
    let report = world.stranger(&["doctor", "--online", "--output", "json"]).done().expect(1).json();
    assert!(problems(&report, true)[0].contains("127.0.0.1:9"), "{report:#}");
}

#[test]
fn the_answer_is_the_same_in_a_directory_below_the_package() {
    let world = world();
    world.write(".env", "CRATEDB_CLUSTER_URL=http://127.0.0.1:9\n");
    world.write("src/.env", "CRATEDB_TEST_PROVIDER=nonsense\n");
    let report = doctor(&world).within("src").done().expect(0).json();
    assert_eq!(report["cluster"]["provider"], "url");
    assert_eq!(report["package"].as_str(), world.home().canonicalize().unwrap().to_str());
}

#[test]
fn a_cloud_cluster_without_credentials_is_a_problem_with_its_remedy() {
    let world = world();
    let id = "e1e38d92-0000-4000-8000-00000000000f";
    let run = || doctor(&world).env("CRATEDB_CLUSTER_ID", id);
    is_blocked(
        run().done(),
        &[id, "CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET are not set", "cargo cratedb login"],
    );
    let text = world.stranger(&["doctor", "--cluster-id", id]).done().expect(1).stdout;
    let (_, problems) = text.split_once("\nproblems ").unwrap();
    assert!(problems.contains("cargo cratedb login"), "{text}");
}

#[test]
fn half_a_login_is_a_problem_and_stops_a_run_that_needs_it() {
    let world = world();
    let run = || doctor(&world).env("CRATEDB_CLOUD_API_SECRET", SECRET);
    let report = run().done().expect(0).json();
    assert!(problems(&report, false)[0].contains("CRATEDB_CLOUD_API_KEY is not set"), "{report:#}");
    assert_eq!(report["settings"][0]["value"], Value::Null);
    is_blocked(run().env("CRATEDB_CLUSTER_NAME", "ci").done(), &["`ci`", "CRATEDB_CLOUD_API_KEY is not set"]);
}

#[test]
fn an_installation_is_looked_at() {
    let world = world();
    let run = |home: &Path| doctor(&world).env("CRATEDB_HOME", home);
    is_blocked(
        run(Path::new("/no/crate")).done(),
        &["CRATEDB_HOME=`/no/crate`", "accepted: the directory of an extracted"],
    );
    // The server of root's tests runs as another user, who has to get there.
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    is_blocked(run(home.path()).done(), &["bin/crate"]);
    for (name, mode) in [("bin", 0o755), ("lib", 0o755)] {
        fs::create_dir(home.path().join(name)).unwrap();
        fs::set_permissions(home.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::write(home.path().join("bin/crate"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(home.path().join("bin/crate"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.path().join("lib/crate-app-6.4.3.jar"), "").unwrap();
    let report = run(home.path()).done().expect(0).json();
    let what = report["cluster"]["what"].as_str().unwrap();
    assert!(what.starts_with("a process of CrateDB 6.4.3 in ") && report["cluster"]["provider"] == "process", "{what}");
    assert_eq!(report["cluster"]["because"][0], "CRATEDB_HOME in the environment is set");
}

#[test]
fn an_engine_that_does_not_answer_is_told_and_a_release_that_is_nowhere_too() {
    let world = world();
    let socket = world.home().join("docker.sock");
    let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let run = || doctor(&world).without("DOCKER_HOST").env("DOCKER_HOST", format!("unix://{}", socket.display()));
    is_blocked(run().env("CRATEDB_TEST_PROVIDER", "container").done(), &["did not answer within", "docker.sock"]);
    let nowhere = run().env("CRATEDB_VERSION", "6.4.99").env("CRATEDB_TEST_MIRROR", "/no/mirror");
    is_blocked(
        nowhere.done(),
        &["container: no engine", "process: cannot get CrateDB 6.4.99", "there is no /no/mirror/"],
    );
}

#[test]
fn a_setting_that_cannot_be_read_is_a_problem_and_the_rest_is_shown() {
    let done = doctor(&world()).env("CRATEDB_TEST_PROVIDER", "docker").done();
    is_blocked(done, &["CRATEDB_TEST_PROVIDER=`docker`", "accepted: auto, url, cloud, container, process"]);
}

#[test]
fn the_cloud_is_asked_only_online_and_then_nothing_is_resumed() {
    let world = with_package(World::with([ClusterOptions::suspended("ci")]));
    let report = world.cli(&["doctor", "--cluster-name", "ci", "--output", "json"]).done().expect(0).json();
    assert_eq!(report["cluster"]["provider"], "cloud");
    assert_eq!(report["credentials"]["from"], "the environment");
    assert_eq!(world.simulator().requests().len(), 0);
    let online = ["doctor", "--cluster-name", "ci", "--online"];
    let text = world.cli(&online).done().expect(0).stdout;
    assert!(text.contains("suspended") && text.ends_with("problems      none\n"), "{text}");
    let requests = world.simulator().requests();
    assert!(!requests.is_empty() && requests.iter().all(|one| one.method == "GET"), "{requests:?}");
    assert!(world.cloud().cluster("ci").suspended);
}

#[test]
fn what_a_killed_keeper_left_is_a_problem_until_it_is_released() {
    let world = with_package(World::with([ClusterOptions::suspended("ci")]));
    let run = || world.cli(&["doctor", "--cluster-name", "ci", "--output", "json"]);
    crate::sessions::abandon(&world);
    let report = run().done().expect(0).json();
    assert_eq!(report["owed"].as_array().unwrap().len(), 1, "{report:#}");
    let why = problems(&report, false);
    assert!(
        why[0].contains("may be up although no run uses it") && why[0].contains("`cargo cratedb sweep`"),
        "{why:?}"
    );
    assert_eq!(crate::sessions::changes(&world), [false], "doctor released it");
    world.cli(&["sweep"]).done().expect(0);
    assert_eq!(problems(&run().done().expect(0).json(), false), [""; 0]);
}

#[test]
fn killed_runs_let_go_of_the_cluster_of_a_drill_and_touch_no_other() {
    let world = with_package(World::with([ClusterOptions::suspended("ci")]));
    let before = world.simulator().requests().len();
    // Settings of the user count for the report, and for no run of the drill.
    let run = world.cli(&["doctor", "--drill", "--output", "json"]).env("CRATEDB_CLUSTER_NAME", "ci");
    let report = run.env("CRATEDB_TEST_ON_EXIT", "keep").done().expect(0).json();
    let drill = report["drill"].as_array().unwrap();
    let deaths: Vec<&Value> = drill.iter().map(|one| &one["death"]).collect();
    assert_eq!(deaths, ["interrupted", "killed", "killed_with_its_keeper"]);
    for one in drill {
        let millis = one["suspended_after_ms"].as_f64().unwrap_or(f64::MAX);
        assert!((0.0..30_000.0).contains(&millis) && one["problem"].is_null(), "{report:#}");
    }
    assert_eq!(world.simulator().requests().len(), before, "it asks no other Cloud");
    // As a shell starts a program in the background.
    let script = format!("trap '' INT; exec {PROGRAM} doctor --drill");
    let text = Run::of(&world, "sh", &["-c", &script]).done().expect(0).stdout;
    for part in
        ["a run that Ctrl-C ends: its cluster was suspended", "(SIGKILL)", "together with its keeper", "a sweep's"]
    {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_interrupted_drill_leaves_no_process() {
    let world = world();
    let mark = format!("drill-of-{}", std::process::id());
    let run = world.stranger(&["doctor", "--drill"]).env("DRILL_MARK", &mark).start();
    // Keepers and runs have the variables of the program that started them.
    let processes = || {
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.path().join("environ").into());
        all.filter(|path: &PathBuf| fs::read(path).is_ok_and(|text| has(&text, &mark))).count()
    };
    eventually("the processes of the drill", || (processes() > 2).then_some(()));
    run.signal(rustix::process::Signal::INT);
    run.done().expect(130);
    eventually("their end", || (processes() == 0).then_some(()));
}

/// Returns whether bytes contain a text.
fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
