//! `up`, `down`, `env` and `shell`: a server to develop against.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::contained::standin;
use crate::executable;
use crate::support::{Done, Run, World, eventually};

/// A world with an installation of CrateDB, whose server is the stand-in or this script.
struct Machine {
    world: World,
    home: PathBuf,
}

impl Machine {
    fn new() -> Self {
        Self::with(|program| executable::copy(&standin::binary(), program))
    }

    fn with(write: impl FnOnce(&PathBuf)) -> Self {
        let world = World::without_cloud();
        let home = world.home().join("crate");
        ["bin", "lib"].iter().for_each(|dir| fs::create_dir_all(home.join(dir)).unwrap());
        write(&home.join("bin/crate"));
        fs::write(home.join("lib/crate-app-6.4.3.jar"), "").unwrap();
        // These tests may run as root, and servers never do.
        for part in [world.home(), &home, &home.join("bin"), &home.join("lib")] {
            fs::set_permissions(part, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { world, home }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.world.stranger(arguments).env("CRATEDB_HOME", &self.home).env("CRATEDB_TEST_JVM_CACHE", "0")
    }

    fn done(&self, arguments: &[&str]) -> Done {
        self.run(arguments).done()
    }

    fn up(&self, arguments: &[&str]) -> Value {
        self.done(&[&["up", "--output", "json"], arguments].concat()).expect(0).json()
    }

    /// Returns the live keepers.
    fn keepers(&self) -> Vec<i32> {
        let keys = self.done(&["status", "--output", "json"]).expect(0).json();
        let pid = |key: &Value| i32::try_from(key["keeper"].as_i64()?).ok();
        keys.as_array().unwrap().iter().filter_map(pid).collect()
    }

    fn has_no_keeper_in_the_end(&self) {
        eventually("the end of the keepers", || self.keepers().is_empty().then_some(()));
    }

    fn count(&self, url: &str, table: &str) -> String {
        let count = format!("SELECT count(*) AS n FROM {table}");
        self.done(&["query", "--cluster-url", url, "--output", "csv", &count]).expect(0).stdout
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // World ends keepers as well, later.
        if !std::thread::panicking() {
            self.done(&["down"]);
        }
    }
}

#[test]
fn a_server_stands_until_it_is_taken_down() {
    let machine = Machine::new();
    fs::create_dir(machine.world.home().join("migrations")).unwrap();
    machine.world.write("migrations/2_more.sql", "ALTER TABLE a ADD COLUMN m INT;");
    machine.world.write("migrations/1_a.sql", "CREATE TABLE a (id INT PRIMARY KEY);");
    machine.world.write("rows.sql", "INSERT INTO a (id, m) VALUES (1, 2); -- one\nREFRESH TABLE a;");
    let first = machine.up(&["--migrations", "migrations", "--sql", "rows.sql", "--for", "2h"]);
    assert_eq!((&first["version"], &first["new"]), (&"6.4.3".into(), &true.into()));
    let url = first["http_url"].as_str().unwrap();
    assert_eq!(machine.count(url, "doc.a"), "n\n1\n");

    let again = machine.done(&["up", "--sql", "rows.sql", "--for", "3h", "--output", "json"]).expect(0);
    assert!(again.stderr.contains("up already; no file was executed"), "{}", again.stderr);
    let again = again.json();
    assert_eq!((&again["http_url"], &again["new"]), (&first["http_url"], &false.into()));
    let more = again["until"].as_i64().unwrap() - first["until"].as_i64().unwrap();
    assert!((3600..3700).contains(&more), "its time began anew: {more}");

    let lines = machine.done(&["env"]).expect(0).stdout;
    assert!(lines.contains(&format!("export CRATEDB_CLUSTER_URL='{url}'\n")), "{lines}");
    assert!(lines.contains("export DATABASE_URL='postgres://crate@"), "{lines}");
    let told = machine.done(&["shell", "--", "sh", "-c", "echo \"$CRATEDB_CLUSTER_URL\"; exit 3"]).expect(3);
    assert_eq!(told.stdout.trim(), url);

    assert!(machine.done(&["down"]).expect(0).stdout.contains("removed"));
    machine.done(&["env"]).expect(4).says(&["no server is up", "cargo cratedb up"]);
    machine.done(&["shell", "--", "true"]).expect(4);
    machine.done(&["down"]).expect(0).says(&["no server was up"]);
    machine.has_no_keeper_in_the_end();
}

#[test]
fn tests_have_a_server_of_their_own() {
    let machine = Machine::new();
    let up = machine.up(&[]);
    let tested = machine.done(&["test", "--", "sh", "-c", "echo \"$CRATEDB_TEST_SESSION_URL\""]).expect(0);
    let (own, standing) = (tested.stdout.trim(), up["http_url"].as_str().unwrap());
    assert!(own.starts_with("http://") && own != standing, "{own} {standing}");
    assert_eq!(machine.up(&[])["http_url"], standing, "it stands on");
}

#[test]
fn two_servers_of_a_project_are_told_apart() {
    let machine = Machine::new();
    let one = machine.up(&[]);
    let other = machine.up(&["--setting", "stats.jobs_log_size=7"]);
    assert_ne!(one["http_url"], other["http_url"]);
    let urls = [&one, &other].map(|server| server["http_url"].as_str().unwrap());
    machine.done(&["env"]).expect(2).says(&["2 servers are up", urls[0], urls[1], "cargo cratedb down"]);
    machine.done(&["down"]).expect(0);
    machine.has_no_keeper_in_the_end();
}

#[test]
fn a_statement_that_fails_leaves_no_server() {
    let machine = Machine::new();
    machine.world.write("wrong.sql", "CREATE TABLE a (id INT);\n\nINSERT INTO nowhere VALUES (1);");
    machine.done(&["up", "--sql", "wrong.sql"]).expect(1).says(&["wrong.sql, line 3", "nowhere", "removed"]);
    machine.has_no_keeper_in_the_end();
    // One that stood before is left alone, and nothing is executed on it.
    machine.up(&[]);
    machine.done(&["up", "--sql", "wrong.sql"]).expect(0);
    assert_eq!(machine.keepers().len(), 1);
}

#[test]
fn a_wrong_option_starts_nothing() {
    let machine = Machine::new();
    fs::create_dir(machine.world.home().join("empty")).unwrap();
    for (arguments, parts) in [
        (&["--sql", "missing.sql"] as &[&str], &["--sql", "missing.sql"] as &[&str]),
        (&["--migrations", "missing"], &["--migrations", "missing"]),
        (&["--migrations", "empty"], &["--migrations", "no migration"]),
        (&["--version", "6"], &["`6`", "accepted: 6.4.3"]),
        (&["--nodes", "10"], &["10", "accepted: 1 to 9"]),
        (&["--setting", "a"], &["--setting", "NAME=VALUE"]),
        (&["--setting", "http.port=4200"], &["http.port"]),
        (&["--for", "10s"], &["--for", "accepted: 1m to 365d"]),
    ] {
        machine.done(&[&["up"], arguments].concat()).expect(2).says(parts);
    }
    machine.has_no_keeper_in_the_end();
}

#[test]
fn an_interrupted_start_leaves_nothing() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        // It answers after two seconds.
        let slow = format!("sleep 2\nexec {} crate \"$@\"", standin::binary().display());
        let machine = Machine::with(|program| executable::script(program, &slow));
        let running = machine.run(&["up"]).start();
        let starts = || {
            let keys = machine.done(&["status", "--output", "json"]).expect(0).json();
            keys.to_string().contains("being made available").then_some(())
        };
        eventually("the server's start", starts);
        running.signal(signal);
        running.done().expect(code);
        machine.has_no_keeper_in_the_end();
    }
}

#[test]
fn a_server_whose_keeper_was_killed_is_started_anew() {
    let machine = Machine::new();
    let first = machine.up(&[]);
    let [keeper] = machine.keepers()[..] else { panic!("one keeper") };
    kill_process(Pid::from_raw(keeper).unwrap(), Signal::KILL).unwrap();
    machine.has_no_keeper_in_the_end();
    machine.done(&["env"]).expect(4);
    let second = machine.up(&[]);
    assert_eq!(second["new"], true, "{first} {second}");
    let [keeper] = machine.keepers()[..] else { panic!("one keeper") };
    kill_process(Pid::from_raw(keeper).unwrap(), Signal::KILL).unwrap();
    machine.has_no_keeper_in_the_end();
    machine.done(&["down"]).expect(0);
    machine.done(&["sweep"]).expect(0).says(&["no session left anything"]);
}
