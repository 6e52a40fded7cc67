//! Tests migrations: schemas are made ahead, no test gets a used or unfinished one, and none is left.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Options, Pace};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Runner, runners};
use crate::support::server::{Server, ask, home};
use crate::support::{processes, wait_for};

/// The first column of all rows.
fn column(cloud: &TestCloud, stmt: &str) -> Vec<String> {
    let answer = ask(&cloud.simulator.cloud().cluster(CLUSTER).url, stmt);
    let rows = answer["rows"].as_array().unwrap_or_else(|| panic!("{stmt}: {answer}"));
    rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

/// Those of tests, and those for tests.
fn schemas(cloud: &TestCloud) -> Vec<String> {
    column(cloud, "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'cratedb_test_%'")
}

/// Returns the schemas that makers have finished, as far as can be seen from outside.
fn complete(cloud: &TestCloud) -> Vec<String> {
    column(
        cloud,
        "SELECT table_schema FROM information_schema.tables WHERE table_name = 'placed' AND table_schema LIKE '%_migrated'",
    )
}

fn lives_on() -> TestCloud {
    let cluster = ClusterOptions::running(CLUSTER).with("auth", "off").unwrap();
    TestCloud::with(Options::default().cluster(cluster))
}

fn plan(consumer: &Consumer, runner: Runner, file: &str) -> Plan {
    Plan::new(consumer, runner).args(&["--test", file])
}

/// Schemas that tests had, and how many of them were made ahead.
fn had(path: &Path) -> (BTreeSet<String>, usize) {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let names: BTreeSet<String> = lines.iter().map(|(_, schema)| (*schema).to_owned()).collect();
    assert_eq!(names.len(), lines.len(), "two tests had one schema:\n{text}");
    (names, lines.iter().filter(|(how, _)| *how == "ahead").count())
}

#[test]
fn tests_take_what_was_made_ahead_and_leave_nothing() {
    for runner in runners() {
        let (consumer, cloud, out) = (Consumer::of("migrations", runner), lives_on(), tempfile::tempdir().unwrap());
        let path = out.path().join("out");
        let plan = plan(&consumer, runner, "many").cloud(&cloud).env("OUT", path.display().to_string());
        plan.in_order().run().passed();
        cloud.ends_with(0, 0);
        let (names, ahead) = had(&path);
        assert_eq!(names.len(), 10);
        assert!(ahead >= 5, "{ahead} of 10 were made ahead; the keeper's log:\n{}", cloud.log());
        // However many processes there are.
        assert_eq!(cloud.log().matches("migrations were sent").count(), 1, "{}", cloud.log());
        assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
    }
}

#[test]
fn many_at_once_leave_nothing_on_a_cluster_that_is_suspended() {
    for runner in runners() {
        let consumer = Consumer::of("migrations", runner);
        let cloud = TestCloud::with(Options::default().cluster(suspendable().with("auth", "off").unwrap()));
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("out");
        let plan = plan(&consumer, runner, "many").cloud(&cloud).env("OUT", path.display().to_string());
        plan.args(if runner == Runner::Nextest { &["-j16"] } else { &["--", "--test-threads=16"] }).run().passed();
        cloud.ends_with(1, 1);
        had(&path);
        cloud.simulator.cloud().foreign_resume(CLUSTER, Pace::Auto(Duration::ZERO));
        wait_for("the cluster", || {
            // Operations advance when they are asked for.
            cloud.simulator.cloud().settle();
            if cloud.simulator.cloud().cluster(CLUSTER).running { Ok(()) } else { Err("suspended") }
        });
        assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
    }
}

#[test]
fn migrations_that_fail_are_the_error_of_every_test_and_not_tried_for_ever() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("migrations", runner), lives_on());
        let plan = plan(&consumer, runner, "failing").cloud(&cloud).env("CRATEDB_TEST_KEEP_SCHEMA", "never");
        let plan = if runner == Runner::Nextest { plan.args(&["--no-fail-fast"]) } else { plan };
        let finished = plan.in_order().run().failed().never_says("the body ran");
        cloud.ends_with(0, 0);
        let error =
            "cannot execute failing/2_bad.sql, line 4: cannot execute statement 2 of 2, `CREATE TABLE one (id INT)`";
        let told = finished.output.lines().filter(|line| line.contains(error)).count();
        let referred = finished.output.matches("it fails as in `failing::f1`, which tells why").count();
        match runner {
            Runner::Cargo => assert_eq!((told, referred), (1, 5), "{}", finished.output),
            // Each test has a process of its own.
            Runner::Nextest => assert!(told >= 6, "{told} of 6 tests have the error:\n{}", finished.output),
        }
        finished.says("already exists").says("`failing::f6` was not run");
        let tries = cloud.log().matches("migrations were not applied ahead").count();
        assert!((1..=2).contains(&tries), "{tries} tries:\n{}", cloud.log());
        assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
    }
}

#[test]
fn migrations_that_name_a_schema_are_applied_in_each_test_which_is_said_once() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("migrations", runner), lives_on());
        let finished = plan(&consumer, runner, "reaching").cloud(&cloud).in_order().run();
        let told = "the migrations in `reaching` are applied in each test: reaching/1_doc.sql, line 2: `doc.shared_by_all` may name a schema";
        cloud.ends_with(0, 0);
        assert_eq!(schemas(&cloud), [""; 0]);
        let finished = if runner == Runner::Cargo { finished.passed() } else { finished };
        // nextest keeps to itself what a passed test says; the keeper says it to one process only, which its log shows.
        if runner == Runner::Cargo {
            assert_eq!(finished.output.matches(told).count(), 1, "{}", finished.output);
        }
        assert_eq!(cloud.log().matches(told).count(), 1, "{}", cloud.log());
        assert!(!cloud.log().contains("_migrated"), "{}", cloud.log());
    }
}

#[test]
fn a_schema_that_was_made_ahead_is_kept_like_others_if_its_test_fails() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("migrations", runner), lives_on());
        let finished = plan(&consumer, runner, "kept").cloud(&cloud).in_order().run().failed();
        cloud.ends_with(0, 0);
        let kept = schemas(&cloud);
        let [kept] = &kept[..] else { panic!("{kept:?}; {}", cloud.log()) };
        assert!(kept.ends_with("_migrated"), "{kept}");
        let text = format!("schema {kept} of `kept::b_fails` is kept");
        finished.says(&text).says(&format!("in {kept}")).says(&format!("SHOW TABLES FROM {kept}"));
        assert_eq!(
            column(&cloud, &format!("SELECT id::text FROM {kept}.orders")),
            [""; 0],
            "rows that nobody refreshed"
        );
        ask(&cloud.simulator.cloud().cluster(CLUSTER).url, &format!("REFRESH TABLE {kept}.orders"));
        assert_eq!(column(&cloud, &format!("SELECT id::text FROM {kept}.orders")), ["77"]);
    }
}

/// A run whose one test holds still; some schemas are ready.
struct Held {
    cloud: TestCloud,
    meet: tempfile::TempDir,
    run: crate::support::run::Run,
    schema: String,
}

impl Held {
    fn new(consumer: &Consumer, runner: Runner) -> Self {
        let (cloud, meet) = (lives_on(), tempfile::tempdir().unwrap());
        let plan = plan(consumer, runner, "held").cloud(&cloud).env("MEET", meet.path().display().to_string());
        let mut run = plan.start();
        let schema = run.wait_for_file(&meet.path().join("here"));
        wait_for("schemas that are ready", || match complete(&cloud) {
            ready if ready.len() >= 4 => Ok(()),
            few => Err((few, cloud.log())),
        });
        Self { cloud, meet, run, schema }
    }

    fn kill_the_keeper(&self) {
        kill_process(Pid::from_raw(self.cloud.keeper() as i32).unwrap(), Signal::KILL).unwrap();
    }
}

#[test]
fn what_a_killed_keeper_made_is_dropped_by_the_next_and_not_what_a_test_has() {
    for runner in runners() {
        let Held { cloud, meet, run, schema } = {
            let held = Held::new(&Consumer::of("migrations", runner), runner);
            held.kill_the_keeper();
            held
        };
        // The test is still there, so the next keeper starts at once.
        wait_for("the next keeper's work", || match schemas(&cloud) {
            one if one == [schema.clone()] => Ok(()),
            more => Err((more, cloud.log())),
        });
        std::fs::write(meet.path().join("go"), "").unwrap();
        run.finish().passed();
        cloud.ends_with(0, 0);
        assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
    }
}

#[test]
fn what_a_killed_run_with_its_keeper_made_is_dropped_by_the_next_run() {
    let consumer = Consumer::of("migrations", Runner::Cargo);
    let mut held = Held::new(&consumer, Runner::Cargo);
    // Stopped first: it would drop what it has made once the run is dead.
    let keeper = Pid::from_raw(held.cloud.keeper() as i32).unwrap();
    kill_process(keeper, Signal::STOP).unwrap();
    held.run.signal_group(Signal::KILL);
    held.run.wait();
    kill_process(keeper, Signal::KILL).unwrap();
    let cloud = held.cloud;
    wait_for("the keeper's end", || match processes::keepers(cloud.path()) {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
    assert!(complete(&cloud).len() >= 4, "{:?}", schemas(&cloud));
    plan(&consumer, Runner::Cargo, "reaching").cloud(&cloud).run().passed();
    cloud.ends_with(0, 0);
    // The killed test's own is kept, as that of a failed one.
    assert_eq!(schemas(&cloud), [held.schema], "{}", cloud.log());
}

#[test]
fn a_changed_migration_is_another_one() {
    let runner = Runner::Cargo;
    let (consumer, cloud) = (Consumer::checkout("migrations", "migrations-changed", runner), lives_on());
    let file = consumer.dir.join("migrations/0010_rows.sql");
    let text = std::fs::read_to_string(&file).unwrap();
    let checksums = || {
        let log = cloud.log();
        let of = |line: &str| Some(line.split_once("checksum=\"")?.1.split_once('"')?.0.to_owned());
        log.lines().filter(|line| line.contains("migrations were sent")).filter_map(of).collect::<BTreeSet<_>>()
    };
    plan(&consumer, runner, "kept").args(&["a_first"]).cloud(&cloud).run().passed();
    cloud.ends_with(0, 0);
    assert_eq!(checksums().len(), 1, "{}", cloud.log());
    std::fs::write(&file, text.replace("Ada", "Linus")).unwrap();
    let finished = plan(&consumer, runner, "many").cloud(&cloud).env("CRATEDB_TEST_KEEP_SCHEMA", "never").run();
    std::fs::write(&file, text).unwrap();
    // Without a change of any other file it was built again: the tests find other rows.
    finished.failed().says("Linus");
    cloud.ends_with(0, 0);
    assert_eq!(checksums().len(), 2, "{}", cloud.log());
    assert_eq!(schemas(&cloud), [""; 0], "{}", cloud.log());
}

#[test]
fn a_real_server_makes_ahead_and_keeps_nothing() {
    let Some(home) = home() else { return };
    let server = Server::open(&home);
    for runner in runners() {
        let (consumer, files) =
            (Consumer::of("migrations", runner), tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap());
        let path = files.path().join("out");
        let plan = plan(&consumer, runner, "many").env("CRATEDB_CLUSTER_URL", format!("http://{}", server.address));
        let plan = plan.env("CRATEDB_TEST_DIR", files.path().display().to_string());
        plan.env("OUT", path.display().to_string()).in_order().run().passed();
        wait_for("the keeper's end", || match processes::keepers(files.path()) {
            none if none.is_empty() => Ok(()),
            some => Err(some),
        });
        let (names, ahead) = had(&path);
        assert!(names.len() == 10 && ahead >= 5, "{ahead} of {names:?}");
        let left =
            server.ask("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'cratedb_test_%'");
        assert!(left.contains("\"rowcount\":0"), "{left}");
    }
}
