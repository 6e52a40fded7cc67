//! `stop` under leases, `status --account` and `sweep --account`.

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options};
use cratedb_test::blocking::ManagedCluster;
use serde_json::Value;

use crate::support::{KEY, SECRET, World};

const TABLE: &str = "CREATE TABLE cratedb_test.lease (id INTEGER PRIMARY KEY, format INTEGER, state TEXT, \
    owner TEXT, since TIMESTAMP WITH TIME ZONE, ours BOOLEAN, written TIMESTAMP WITH TIME ZONE, \
    leases ARRAY(OBJECT(STRICT) AS (id TEXT, host TEXT, \"user\" TEXT, session TEXT, version TEXT, \
    joined TIMESTAMP WITH TIME ZONE, renewed TIMESTAMP WITH TIME ZONE, wish BIGINT, drained BOOLEAN))) \
    CLUSTERED INTO 1 SHARDS";

/// A row of leases.
#[derive(Clone, Copy)]
struct Row {
    ours: bool,
    /// Milliseconds since the last renewal of its only lease.
    age: i64,
    /// The row is older than the server's start.
    stale: bool,
}

const DEAD: Row = Row { ours: true, age: 95_000, stale: false };
const OVERDUE: Row = Row { ours: true, age: 45_000, stale: false };
const LIVE: Row = Row { ours: true, age: 0, stale: false };

impl World {
    fn write_row(&self, name: &str, row: Row) {
        let builder = ManagedCluster::builder().env(false).endpoint(self.simulator().url()).api_key(KEY, SECRET);
        let cluster = ManagedCluster::from(builder.cluster_name(name).build().unwrap());
        let number = |stmt: &str| cluster.query(stmt).scalar::<i64>().unwrap();
        cluster.execute("DROP TABLE IF EXISTS cratedb_test.lease").unwrap();
        cluster.execute(TABLE).unwrap();
        let now = number("SELECT CURRENT_TIMESTAMP");
        let written = if row.stale { number("SELECT pg_postmaster_start_time()") - 1 } else { now };
        let (ours, renewed) = (row.ours, now - row.age);
        let insert = format!(
            "INSERT INTO cratedb_test.lease (id, format, state, ours, written, leases) VALUES (0, 1, 'open', {ours}, \
             {written}, [{{id = 'a', host = 'build-7', \"user\" = 'ada', session = 'run 4711', version = '0.1.0', \
             joined = {renewed}, renewed = {renewed}, wish = NULL, drained = false}}])"
        );
        cluster.execute(insert).unwrap();
    }

    fn suspends(&self) -> usize {
        self.simulator().requests().iter().filter(|one| one.is_suspend()).count()
    }
}

/// Returns a world with a cluster for each name, which runs.
fn running(names: &[&str]) -> World {
    World::of(names.iter().fold(Options::default(), |options, name| options.cluster(ClusterOptions::running(*name))))
}

fn outcomes(document: &Value) -> Vec<(&str, &str)> {
    let all = document.as_array().unwrap().iter();
    all.map(|one| (one["name"].as_str().unwrap(), one["outcome"].as_str().unwrap())).collect()
}

#[test]
fn stop_and_delete_name_the_leases_of_others_and_force_goes_on() {
    let world = running(&["ci"]);
    world.write_row("ci", OVERDUE);
    for command in [&["stop", "--cluster-name", "ci"][..], &["delete", "--yes", "--cluster-name", "ci"]] {
        let done = world.cli(command).done().expect(1);
        let done = done.says(&["in use by build-7 (ada, run 4711)", "not renewed for 4", "use --force"]);
        assert!(!done.stderr.contains("builder"), "no command has one: {}", done.stderr);
    }
    let failed = world.cli(&["stop", "--cluster-name", "ci", "--output", "json"]).done().expect(1).json();
    assert_eq!(failed["error"]["exit_code"], 1);
    assert_eq!(world.suspends(), 0);
    world.cli(&["stop", "--cluster-name", "ci", "--force"]).done().expect(0).says(&["is suspended"]);
    assert_eq!(world.suspends(), 1);
    world.cli(&["delete", "--yes", "--cluster-name", "ci"]).done().expect(0);
}

#[test]
fn the_status_of_the_account_has_every_lease() {
    let world = World::with([
        ClusterOptions::running("dead"),
        ClusterOptions::running("live"),
        ClusterOptions::running("none"),
        ClusterOptions::suspended("off"),
    ]);
    world.write_row("dead", DEAD);
    world.write_row("live", LIVE);
    let all = world.cli(&["status", "--account", "--output", "json"]).done().expect(0).json();
    let states: Vec<_> = all.as_array().unwrap().iter().map(|one| one["leases"]["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["open", "open", "absent", "suspended"]);
    let lease = &all[1]["leases"]["leases"][0];
    assert_eq!((&lease["host"], &lease["is_alive"]), (&"build-7".into(), &true.into()));
    assert_eq!(all[0]["leases"]["leases"][0]["is_alive"], false);
    let shown = world.cli(&["status", "--account"]).done().expect(0).stdout;
    for part in ["build-7", "run 4711", "dead", "alive", "started by tests", "never used by tests", "suspended"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let csv = world.cli(&["status", "--account", "--output", "csv"]).done().expect(0).stdout;
    assert_eq!(csv.lines().count(), 5, "{csv}");
    world.cloud().sql_not_ready_requests("live", 1_000_000);
    let all = world.cli(&["status", "--account", "--output", "json"]).done().expect(0).json();
    assert!(all[1]["problem"].as_str().unwrap().contains("does not answer SQL"), "{all}");
}

#[test]
fn a_sweep_of_the_account_suspends_only_what_dead_runs_left() {
    let names = ["bare", "dead", "found", "live", "off", "overdue", "stale"];
    let options = names
        .iter()
        .filter(|name| **name != "off")
        .fold(Options::default(), |options, name| options.cluster(ClusterOptions::running(*name)));
    let world = World::of(options.cluster(ClusterOptions::suspended("off")));
    world.write_row("dead", DEAD);
    world.write_row("found", Row { ours: false, ..DEAD });
    world.write_row("live", LIVE);
    world.write_row("overdue", OVERDUE);
    world.write_row("stale", Row { stale: true, ..DEAD });
    let dry = world.cli(&["sweep", "--account", "--dry-run", "--output", "json"]).done().expect(0).json();
    let kept = |dead| {
        [
            ("bare", "kept"),
            ("dead", dead),
            ("found", "kept"),
            ("live", "in use"),
            ("off", "kept"),
            ("overdue", "in use"),
            ("stale", "kept"),
        ]
    };
    assert_eq!(outcomes(&dry), kept("would suspend"));
    let young = world.cli(&["sweep", "--account", "--older-than", "2h", "--output", "json"]).done().expect(0).json();
    assert_eq!(outcomes(&young), kept("kept"));
    assert!(young[1]["detail"].as_str().unwrap().contains("in use"), "{young}");
    assert_eq!(world.suspends(), 0);
    let old = world.cli(&["sweep", "--account", "--older-than", "1ms", "--output", "json"]).done().expect(0).json();
    assert_eq!(outcomes(&old), kept("suspended"));
    assert!(world.cloud().cluster("dead").suspended);
    assert_eq!(world.suspends(), 1);
    let shown = world.cli(&["sweep", "--account"]).done().expect(0).stdout;
    assert!(shown.contains("in use") && shown.contains("build-7 (ada, run 4711)"), "{shown}");
    assert_eq!(world.suspends(), 1);
}

#[test]
fn a_sweep_fails_if_what_is_owed_cannot_be_suspended() {
    let world = running(&["one", "two"]);
    world.write_row("one", DEAD);
    world.write_row("two", DEAD);
    world.cloud().fault(Fault::on("PUT", "/suspend/").status(403));
    let swept = world.cli(&["sweep", "--account", "--output", "json"]).done().expect(1).json();
    let mut all: Vec<_> = outcomes(&swept).into_iter().map(|(_, outcome)| outcome).collect();
    all.sort_unstable();
    assert_eq!(all, ["failed", "suspended"], "one cluster does not keep the other from being swept");
    let again = world.cli(&["sweep", "--account", "--output", "json"]).done().expect(0).json();
    assert_eq!(world.suspends(), 3, "{again}");
}

#[test]
fn wrong_usage_and_missing_rights_are_clear_errors_that_change_nothing() {
    let world = running(&["ci"]);
    world.write_row("ci", DEAD);
    for (line, says) in [
        (&["sweep", "--account", "--older-than", "2"][..], &["--older-than", "a number with its unit"][..]),
        (&["sweep", "--account", "--older-than", "soon"], &["--older-than", "a number with its unit"]),
        (&["sweep", "--older-than", "2h"], &["--account"]),
        (&["sweep", "--account", "--cluster-name", "ci"], &["leave out --cluster-name"]),
        (&["sweep", "--account", "--forget", "x"], &["--forget"]),
        (&["status", "--account", "--all"], &["--all"]),
    ] {
        world.cli(line).done().expect(2).says(says);
    }
    world.stranger(&["sweep", "--account"]).done().expect(3).says(&["CRATEDB_CLOUD_API_KEY"]);
    world.cloud().fault(Fault::on("GET", "/clusters/").status(403).times(2));
    for command in ["sweep", "status"] {
        let done = world.cli(&[command, "--account", "--output", "json"]).done().expect(3);
        assert_eq!(done.json()["error"]["status"], 403);
    }
    assert_eq!(world.suspends(), 0);
    World::with([]).cli(&["sweep", "--account"]).done().expect(0).says(&["the account has no cluster"]);
}
