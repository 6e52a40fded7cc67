//! Tests networks that fail between a test and its cluster: what clients see, what a failed test tells, and that
//! nothing is left.

use crate::support::consumer::Consumer;
use crate::support::home::TestHome;
use crate::support::run::{Finished, Plan, Runner, runners};

fn plan(runner: Runner, home: &TestHome) -> Plan {
    Plan::new(&Consumer::of("drivers", runner), runner).args(&["--test", "faults"]).home(home)
}

#[test]
fn every_kind_of_client_sees_the_faults_and_their_end() {
    for runner in runners() {
        let home = TestHome::with_stand_in();
        plan(runner, &home).run().passed();
        home.ends_with(1);
    }
}

#[test]
fn every_kind_of_client_sees_the_faults_before_a_real_server() {
    let Some(home) = TestHome::real() else { return };
    plan(Runner::Cargo, &home).run().passed();
    home.ends_with(1);
}

/// Runs a test that is usually ignored.
fn only(runner: Runner, test: &str) -> Finished {
    let home = TestHome::with_stand_in();
    let arguments = match runner {
        Runner::Cargo => ["--", "--ignored", test],
        Runner::Nextest => ["--run-ignored", "only", test],
    };
    let finished = plan(runner, &home).args(&arguments).run();
    home.ends_with(1);
    finished
}

#[test]
fn a_failed_test_tells_what_the_faults_did() {
    for runner in runners() {
        let finished = only(runner, "fails_behind_faults").failed();
        finished
            .says("network: latency of 300 ms, HTTP only")
            .says("network: held 1 chunk to the server (")
            .says("SELECT 1 -> 1 row")
            .says("network: reset after 1024 bytes from the server, PostgreSQL only")
            .says("network: reset a PostgreSQL connection after 1024 bytes from the server");
    }
}

#[test]
fn a_setting_that_makes_no_sense_fails_the_test_and_names_what_is_accepted() {
    let text = "cannot set a bandwidth of 0 bytes per second: accepted: 1 and more";
    only(Runner::Cargo, "refuses_what_makes_no_sense").failed().says(text);
}
