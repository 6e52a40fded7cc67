//! Tests that ask for versions of CrateDB and numbers of nodes: each cluster starts once per session, under its name.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::consumer::Consumer;
use crate::support::engine::TestEngine;
use crate::support::run::{Plan, Runner, runners};
use crate::support::standin;

fn engine() -> Option<TestEngine> {
    TestEngine::with_versions(&[("5.10", "5.10.16"), ("6.4", "6.4.3"), ("6.3", "5.9.1")])
}

/// Of tests in the default version.
fn plan(consumer: &Consumer, runner: Runner, engine: &TestEngine) -> Plan {
    Plan::new(consumer, runner).engine(engine).env("CRATEDB_TEST_IMAGE", engine.image_of("6.4"))
}

#[test]
fn each_version_is_started_once_for_all_tests_that_want_it() {
    for runner in runners() {
        let Some(engine) = engine() else { return };
        let plan =
            plan(&Consumer::of("versions", runner), runner, &engine).args(&["--test", "several", "--test", "mixed"]);
        let finished = plan.run().passed().never_says("warning: unused");
        for name in ["an_async_test_gets_what_it_wants", "panics", "cases::case_1_one", "cases::case_2_two"] {
            for version in ["5_10", "6_4"] {
                assert!(finished.output.contains(&format!("{name}_on_{version}")), "{}", finished.output);
            }
        }
        // The default is a cluster of its own, of the image that is named.
        engine.ends_with(3);
        let mut started = BTreeMap::new();
        for made in engine.made() {
            *started.entry(made.image).or_insert(0) += 1;
        }
        let expected = [("5.10", 1), ("6.4", 2)].map(|(tag, count)| (engine.image_of(tag).to_owned(), count));
        assert_eq!(started, BTreeMap::from(expected));
    }
}

#[test]
fn exclusive_tests_on_two_clusters_run_at_the_same_time() {
    for runner in runners() {
        let Some(engine) = engine() else { return };
        let meet = tempfile::tempdir().unwrap();
        let plan = plan(&Consumer::of("versions", runner), runner, &engine).args(&["--test", "meet"]);
        let plan = match runner {
            Runner::Cargo => plan.args(&["--", "--test-threads=2"]),
            Runner::Nextest => plan.args(&["-j2"]),
        };
        plan.env("MEET", meet.path().display().to_string()).run().passed();
        engine.ends_with(2);
    }
}

/// The tests of the file `wrong` are ignored.
fn wrong(plan: Plan, runner: Runner, test: &str, words: &[&str]) {
    let plan = match runner {
        Runner::Cargo => plan.args(&["--test", "wrong", "--", "--ignored", test]),
        Runner::Nextest => plan.args(&["--test", "wrong", "--run-ignored", "only", test]),
    };
    let mut finished = plan.run().failed();
    for word in words {
        finished = finished.says(word);
    }
}

#[test]
fn a_server_of_another_version_than_its_image_says_is_refused() {
    for runner in runners() {
        let Some(engine) = engine() else { return };
        let words = ["wants CrateDB 6.3", "it is CrateDB 5.9.1", "CRATEDB_TEST_IMAGE"];
        let consumer = Consumer::of("versions", runner);
        wrong(plan(&consumer, runner, &engine), runner, "wants_6_3", &words);
        engine.ends_with(1);
    }
}

/// A stand-in that somebody else looks after.
struct Server {
    process: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(standin::binary());
        command.args(["crate", "-Cnetwork.host=127.0.0.1", "-Chttp.port=0", "-Cpsql.port=0"]).stdin(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut addresses = lines
            .filter(|line| line.contains("HttpServer"))
            .filter_map(|line| Some(line.split_once("publish_address {")?.1.split_once('}')?.0.to_owned()));
        let url = format!("http://{}", addresses.next().expect("it says where it is"));
        Self { process, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_that_is_named_has_to_be_what_tests_want() {
    let server = Server::start();
    for runner in runners() {
        let consumer = Consumer::of("versions", runner);
        let dir = tempfile::Builder::new().prefix("ct").tempdir_in("/tmp").unwrap();
        let plan = || {
            Plan::new(&consumer, runner)
                .env("CRATEDB_TEST_DIR", dir.path().display().to_string())
                .env("CRATEDB_CLUSTER_URL", &server.url)
                .env("CRATEDB_TEST_PROVIDER", "url")
        };
        let words = ["wants CrateDB 6.3", "it is CrateDB 6.4.3", &server.url, "CRATEDB_TEST_PROVIDER=url"];
        wrong(plan(), runner, "wants_6_3", &words);
        wrong(plan(), runner, "wants_three", &["wants 3 nodes", "it has 1", &server.url]);
        // What fits runs there, beside tests that want nothing.
        plan().args(&["--test", "named"]).run().passed();
    }
}
