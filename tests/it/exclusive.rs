//! Tests that changes of an exclusive test outside its schema are undone before another test begins, however it ends.

use std::path::PathBuf;

use cratedb_cloud_simulator::{ClusterOptions, Options};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::consumer::Consumer;
use crate::support::home::TestHome;
use crate::support::run::{Plan, Runner, runners};
use crate::support::server::{Server, ask, home};
use crate::support::{processes, wait_for};

const CHANGES: &str =
    r##"SET GLOBAL "stats.enabled" = false;SET GLOBAL "stats.jobs_log_size" = 7;CREATE USER "made ""here""""##;

/// nextest keeps to itself what a passed test says, unless it is asked.
fn shown(plan: Plan, runner: Runner) -> Plan {
    match runner {
        Runner::Cargo => plan,
        Runner::Nextest => plan.args(&["--success-output=immediate"]),
    }
}

/// A cluster that lives on, and what its tests see of it.
struct Scene {
    cloud: TestCloud,
    files: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let cluster = ClusterOptions::running(CLUSTER).with("auth", "off").unwrap();
        Self::with(TestCloud::with(Options::default().cluster(cluster)))
    }

    fn with(cloud: TestCloud) -> Self {
        Self { cloud, files: tempfile::tempdir().unwrap() }
    }

    fn plan(&self, consumer: &Consumer, runner: Runner) -> Plan {
        let first = self.files.path().join("first").display().to_string();
        shown(Plan::new(consumer, runner), runner).cloud(&self.cloud).env("CHANGES", CHANGES).env("FIRST", first)
    }

    fn sql(&self, stmt: &str) -> serde_json::Value {
        ask(&self.cloud.simulator.cloud().cluster(CLUSTER).url, stmt)
    }

    fn here(&self) -> PathBuf {
        self.files.path().join("here")
    }

    #[track_caller]
    fn is_as_before(&self) {
        let settings = self.sql("SELECT settings['stats'] FROM sys.cluster")["rows"][0][0].clone();
        assert_eq!((&settings["enabled"], &settings["jobs_log_size"]), (&true.into(), &10_000.into()), "{settings}");
        let users = self.sql("SELECT name FROM sys.users WHERE name LIKE 'made%'");
        assert_eq!(users["rowcount"], 0, "{users}; the keeper's log:\n{}", self.cloud.log());
    }
}

const SAYS: [&str; 4] = [
    "`exclusive::tests::b_changes` changed the cluster outside its schema",
    "stats.enabled",
    "stats.jobs_log_size",
    r##"user "made ""here""""##,
];

#[test]
fn it_is_put_back_before_the_next_test_and_named() {
    for runner in runners() {
        let (consumer, scene) = (Consumer::of("exclusive", runner), Scene::new());
        let mut run = scene.plan(&consumer, runner).in_order().run().passed();
        for text in SAYS {
            run = run.says(text);
        }
        run.never_says("NOT put back").never_says("d_alone` changed");
        scene.cloud.ends_with(0, 0);
        scene.is_as_before();
    }
}

#[test]
fn tests_that_wait_at_the_same_time_see_none_of_it() {
    for runner in runners() {
        let (consumer, scene) = (Consumer::of("exclusive", runner), Scene::new());
        for _ in 0..3 {
            scene.plan(&consumer, runner).run().passed().says(SAYS[0]);
        }
        scene.cloud.ends_with(0, 0);
        scene.is_as_before();
    }
}

#[test]
fn it_is_put_back_after_a_test_that_fails_or_dies() {
    for runner in runners() {
        let consumer = Consumer::of("exclusive", runner);
        for death in ["panic", "kill"] {
            let scene = Scene::new();
            let finished = scene.plan(&consumer, runner).env("DEATH", death).in_order().run().failed();
            scene.cloud.ends_with(0, 0);
            scene.is_as_before();
            assert!(scene.cloud.log().contains(SAYS[0]), "{}", scene.cloud.log());
            if death == "panic" {
                finished.says(SAYS[0]).says(SAYS[3]);
            }
        }
    }
}

#[test]
fn what_was_there_before_is_left_or_missed() {
    let (consumer, scene) = (Consumer::of("exclusive", Runner::Cargo), Scene::new());
    for stmt in ["CREATE USER lost", "CREATE USER stays", r#"SET GLOBAL "stats.jobs_log_size" = 99"#] {
        scene.sql(stmt);
    }
    let changes = r#"DROP USER lost;SET GLOBAL "stats.jobs_log_size" = 7;CREATE USER made"#;
    let only = ["--", "tests::b_changes", "--test-threads=1"];
    let run = scene.plan(&consumer, Runner::Cargo).env("CHANGES", changes).args(&only).run().passed();
    run.says(r#"NOT put back: user "lost" (it was dropped, which can't be undone)"#).says(r#"dropped user "made""#);
    scene.cloud.ends_with(0, 0);
    let left = scene.sql("SELECT name FROM sys.users WHERE name IN ('lost', 'stays', 'made')");
    assert_eq!(left["rows"], serde_json::json!([["stays"]]));
    let setting = scene.sql("SELECT settings['stats']['jobs_log_size'] FROM sys.cluster");
    assert_eq!(setting["rows"], serde_json::json!([[99]]), "the value of before, not the default");
}

#[test]
fn a_suspended_cluster_is_clean_when_it_sleeps_again() {
    let consumer = Consumer::of("exclusive", Runner::Cargo);
    let scene = Scene::with(TestCloud::with(Options::default().cluster(suspendable().with("auth", "off").unwrap())));
    let only = ["--", "tests::b_changes", "--test-threads=1"];
    scene.plan(&consumer, Runner::Cargo).env("DEATH", "kill").args(&only).run().failed();
    scene.cloud.ends_with(1, 1);
    // Another session resumes it and takes a record of its own, which it would restore.
    let again = scene.plan(&consumer, Runner::Cargo).env("CHANGES", "SELECT 1").args(&only).run().passed();
    again.never_says("changed the cluster");
    scene.cloud.ends_with(2, 2);
    let log = scene.cloud.log();
    assert!(log.contains(r##"DROP USER IF EXISTS "made ""here""""##.replace('"', "\\\"").as_str()), "{log}");
}

#[test]
fn a_killed_keeper_s_successor_puts_it_back() {
    for then in ["go on", "die"] {
        let (consumer, scene) = (Consumer::of("exclusive", Runner::Cargo), Scene::new());
        let plan = scene.plan(&consumer, Runner::Cargo).env("DEATH", "wait");
        let mut run = plan.env("HERE", scene.here().display().to_string()).in_order().start();
        run.wait_for_file(&scene.here());
        let first = scene.cloud.keeper();
        kill_process(Pid::from_raw(i32::try_from(first).unwrap()).unwrap(), Signal::KILL).unwrap();
        if then == "die" {
            // All processes are killed at once. The next run finds the record.
            run.signal_group(Signal::KILL);
            run.wait();
            scene.plan(&consumer, Runner::Cargo).env("CHANGES", "SELECT 1").in_order().run().passed();
        } else {
            wait_for("another keeper", || match processes::keepers(scene.cloud.path()) {
                some if some.iter().any(|keeper| *keeper != first) => Ok(()),
                some => Err(some),
            });
            std::fs::remove_file(scene.here()).unwrap();
            run.finish().passed();
        }
        scene.cloud.ends_with(0, 0);
        scene.is_as_before();
    }
}

/// A local server, which goes with its run: the stand-in, and a real one where there is one.
#[test]
fn on_a_local_server_too_the_next_test_sees_none_of_it() {
    for home in [Some(TestHome::with_stand_in()), TestHome::real()].into_iter().flatten() {
        let (consumer, files) = (Consumer::of("exclusive", Runner::Cargo), tempfile::tempdir().unwrap());
        let plan = Plan::new(&consumer, Runner::Cargo).home(&home).env("CHANGES", CHANGES).in_order();
        let run = plan.env("FIRST", files.path().join("first").display().to_string()).run().passed();
        run.says(SAYS[0]).says(SAYS[1]).says(SAYS[3]);
        home.ends_with(1);
    }
}

#[test]
fn a_real_server_is_put_back_whole() {
    let Some(home) = home() else { return };
    let server = Server::open(&home);
    let changes = [
        CHANGES,
        r#"SET GLOBAL "cluster.routing.allocation.disk.watermark.low" = '10%', "cluster.routing.allocation.disk.watermark.high" = '20%', "cluster.routing.allocation.disk.watermark.flood_stage" = '30%'"#,
        r#"SET GLOBAL "logger.action" = 'DEBUG'"#,
        "CREATE ROLE made_role",
        "GRANT made_role TO stays",
        r##"GRANT made_role TO "made ""here""""##,
        "CREATE REPOSITORY made_repository TYPE fs WITH (location = 'made')",
        "CREATE BLOB TABLE made_blobs",
        "CREATE ANALYZER made_analyzer (TOKENIZER whitespace)",
        "CREATE TABLE published (id INT)",
        "CREATE PUBLICATION made_publication FOR TABLE published",
        "CREATE SERVER made_server FOREIGN DATA WRAPPER jdbc OPTIONS (url 'jdbc:postgresql://localhost:5432/')",
        "CREATE FOREIGN TABLE far (id INT) SERVER made_server",
        "CREATE USER MAPPING FOR stays SERVER made_server OPTIONS (password 'geheim')",
    ];
    assert!(server.ask("CREATE USER stays").contains("rowcount"));
    for runner in runners() {
        let (consumer, dir) =
            (Consumer::of("exclusive", runner), tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap());
        let before = server.ask("SELECT settings FROM sys.cluster");
        let plan = shown(Plan::new(&consumer, runner), runner)
            .env("CRATEDB_CLUSTER_URL", format!("http://{}", server.address))
            .env("CRATEDB_TEST_DIR", dir.path().display().to_string())
            .env("FIRST", dir.path().join("first").display().to_string())
            .env("CHANGES", changes.join(";"));
        let looks = "SELECT settings FROM sys.cluster";
        let run = plan.env("LOOK", looks).in_order().run().passed();
        let mut run = run.never_says("NOT put back");
        for name in [
            "watermark.low",
            "logger.action",
            "made_role",
            "made_repository",
            "made_blobs",
            "made_analyzer",
            "made_publication",
            "made_server",
        ] {
            run = run.says(name);
        }
        wait_for("the keeper's end", || match processes::keepers(dir.path()) {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        });
        let body = |answer: &str| {
            answer
                .split_once("\r\n\r\n")
                .unwrap()
                .1
                .split_once("\"rows\"")
                .unwrap()
                .1
                .rsplit_once("\"duration\"")
                .unwrap()
                .0
                .to_owned()
        };
        assert_eq!(body(&before), body(&server.ask("SELECT settings FROM sys.cluster")));
        for list in [
            "SELECT name FROM sys.users WHERE name LIKE 'made%' UNION ALL SELECT name FROM sys.roles WHERE name LIKE 'made%'",
            "SELECT name FROM sys.repositories",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'blob' OR table_schema LIKE 'cratedb_test_%'",
            "SELECT pubname FROM pg_catalog.pg_publication",
            "SELECT foreign_server_name FROM information_schema.foreign_servers",
            "SELECT routine_name FROM information_schema.routines WHERE routine_name = 'made_analyzer'",
        ] {
            let left = server.ask(list);
            assert!(left.contains("\"rowcount\":0"), "{list}: {left}");
        }
    }
}
