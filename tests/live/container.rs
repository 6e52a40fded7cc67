//! Tests a real server in a container, if the engine has its image: it starts once per session and leaves nothing.

use crate::support::consumer::Consumer;
use crate::support::engine::TestEngine;
use crate::support::run::{Plan, Runner, runners};

#[test]
fn runs_share_a_real_container_that_is_gone_afterwards() {
    for runner in runners() {
        let Some(engine) = TestEngine::with_real() else { return };
        Plan::new(&Consumer::of("basic", runner), runner)
            .engine(&engine)
            .env("CRATEDB_TEST_JVM_CACHE", "0")
            .run()
            .passed();
        engine.ends_with(1);
    }
}

#[test]
fn two_hundred_and_fifty_six_tests_see_only_their_own_rows_in_a_real_container() {
    for runner in runners() {
        let Some(engine) = TestEngine::with_real() else { return };
        let parallel: &[&str] = if runner == Runner::Nextest { &["-j16"] } else { &["--", "--test-threads=200"] };
        Plan::new(&Consumer::of("many", runner), runner)
            .args(parallel)
            .engine(&engine)
            .env("CRATEDB_TEST_JVM_CACHE", "0")
            .run()
            .passed();
        engine.ends_with(1);
    }
}

#[test]
fn three_real_nodes_share_a_network_and_are_gone_together() {
    let Some(engine) = TestEngine::with_real() else { return };
    let plan = Plan::new(&Consumer::of("deaths", Runner::Cargo), Runner::Cargo).args(&["--features", "nodes"]);
    plan.engine(&engine).env("CRATEDB_TEST_JVM_CACHE", "0").run().passed();
    engine.ends_with(3);
}

#[test]
fn every_kind_of_client_sees_a_network_that_fails_before_a_real_container() {
    let Some(engine) = TestEngine::with_real() else { return };
    let plan = Plan::new(&Consumer::of("drivers", Runner::Cargo), Runner::Cargo).args(&["--test", "faults"]);
    plan.engine(&engine).env("CRATEDB_TEST_JVM_CACHE", "0").run().passed();
    engine.ends_with(1);
}
