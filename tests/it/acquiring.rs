//! Tests the errors that users see when no cluster can be acquired: each says what failed, where, why and what helps.

use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options, Pace};

use crate::support::cloud::{CLUSTER, SECRET, TestCloud, suspendable};
use crate::support::consumer::Consumer;
use crate::support::run::{Finished, Plan, Runner};
use crate::support::wait_for;

fn plan(cloud: &TestCloud) -> Plan {
    // All tests of the run, so that each can be seen to give the same cause.
    Plan::new(&Consumer::of("basic", Runner::Cargo), Runner::Cargo).args(&["--tests", "--no-fail-fast"]).cloud(cloud)
}

/// All eight tests fail, each with all of these words, within `limit`; and no secret is shown.
#[track_caller]
fn all_say(plan: Plan, limit: Duration, words: &[&str]) -> Finished {
    let began = Instant::now();
    let finished = plan.run().failed();
    let took = began.elapsed();
    for word in words {
        let count = finished.output.matches(word).count();
        assert!(count >= 8, "`{word}` stands {count} times in:\n{}", finished.output);
    }
    // A loaded machine takes three times as long.
    assert!(took < 3 * limit, "took {took:?} instead of {limit:?}:\n{}", finished.output);
    assert!(!finished.output.contains(SECRET), "the secret is printed:\n{}", finished.output);
    finished
}

#[test]
fn a_wrong_key_is_an_error_and_not_a_container() {
    let cloud = TestCloud::suspended();
    let plan = plan(&cloud).env("CRATEDB_CLOUD_API_SECRET", "not-the-secret");
    let endpoint = cloud.simulator.url().to_owned();
    all_say(plan, Duration::from_secs(10), &["401", &endpoint, "CRATEDB_CLOUD_API_KEY"]);
    cloud.ends_with(0, 0);
}

#[test]
fn an_unknown_cluster_id_is_an_error_and_nothing_is_deployed() {
    let cloud = TestCloud::suspended();
    let id = "e1e38d92-0000-4000-8000-0000000000ff";
    let plan = plan(&cloud).env("CRATEDB_CLUSTER_ID", id);
    all_say(plan, Duration::from_secs(10), &[id, "does not exist"]);
    assert!(cloud.simulator.requests().iter().all(|request| !request.is_deploy()));
    cloud.ends_with(0, 0);
}

#[test]
fn a_failed_operation_is_told_in_the_services_own_words() {
    let cloud = TestCloud::suspended();
    cloud.simulator.cloud().fail_next_operation(CLUSTER, "no capacity left in the region");
    all_say(plan(&cloud), Duration::from_secs(10), &["no capacity left in the region", CLUSTER]);
    assert_eq!(cloud.counts().0, 1, "one try for all tests of the run");
}

#[test]
fn somebody_elses_operation_is_waited_out_and_then_the_goal_is_looked_at_again() {
    let cloud = TestCloud::with(Options::default().cluster(ClusterOptions::running(CLUSTER)));
    cloud.simulator.cloud().foreign_suspend(CLUSTER, Pace::Explicit);
    let run = plan(&cloud).start();
    wait_for("somebody who looks at the operation", || {
        let asked = cloud.simulator.requests().iter().any(|request| request.path.ends_with("/operations/"));
        if asked { Ok(()) } else { Err("nobody") }
    });
    assert_eq!(cloud.counts(), (0, 0), "nothing may be asked for while an operation runs");
    cloud.simulator.cloud().release(CLUSTER);
    run.finish().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn a_read_that_fails_for_a_while_is_repeated() {
    let cloud = TestCloud::suspended();
    cloud.simulator.cloud().fault(Fault::on("GET", "/clusters/").status(500).times(5));
    plan(&cloud).run().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn a_read_that_fails_for_good_is_an_error() {
    let cloud = TestCloud::suspended();
    cloud.simulator.cloud().fault(Fault::on("GET", "/clusters/").status(500).always());
    let plan = plan(&cloud).env("CRATEDB_TEST_START_TIMEOUT", "2s");
    all_say(plan, Duration::from_secs(15), &["500", "GET /api/v2/clusters/", "CRATEDB_TEST_START_TIMEOUT"]);
    cloud.ends_with(0, 0);
}

#[test]
fn a_connection_that_hangs_is_given_up_after_its_time_out() {
    let cloud = TestCloud::suspended();
    cloud.simulator.cloud().fault(Fault::on("GET", "/clusters/").hang().always());
    let plan = plan(&cloud).env("CRATEDB_CLOUD_TIMEOUT", "300ms").env("CRATEDB_TEST_START_TIMEOUT", "3s");
    all_say(plan, Duration::from_secs(15), &["GET /api/v2/clusters/", "CRATEDB_CLOUD_TIMEOUT"]);
    cloud.ends_with(0, 0);
}

#[test]
fn a_cluster_that_does_not_answer_sql_yet_is_waited_for() {
    let cloud = TestCloud::suspended();
    cloud.simulator.cloud().sql_not_ready_for(CLUSTER, Duration::from_secs(2));
    plan(&cloud).run().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn a_cluster_that_never_answers_sql_is_an_error_that_says_what_was_awaited_and_it_is_suspended() {
    let cloud = TestCloud::suspended();
    cloud.simulator.cloud().sql_not_ready_for(CLUSTER, Duration::from_secs(600));
    let plan = plan(&cloud).env("CRATEDB_TEST_START_TIMEOUT", "2s");
    all_say(plan, Duration::from_secs(20), &["503", CLUSTER]);
    cloud.ends_with(1, 1);
}

#[test]
fn a_proxy_that_mixes_sessions_is_found_before_any_test_runs() {
    let cloud = TestCloud::with(Options::default().cluster(suspendable()));
    cloud.simulator.cloud().mix_connections(CLUSTER, true);
    all_say(
        plan(&cloud),
        Duration::from_secs(15),
        &["a proxy before the server mixes sessions", "connect to CrateDB without that proxy"],
    );
    cloud.ends_with(1, 1);
}

#[test]
fn a_token_that_expires_in_the_middle_is_renewed() {
    let consumer = Consumer::of("deaths", Runner::Cargo);
    let (cloud, meet) = (TestCloud::suspended(), tempfile::tempdir().unwrap());
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("DEATH", "middle:wait");
    let mut run = plan.env("DEATH_DIR", meet.path().display().to_string()).in_order().start();
    run.wait_for_file(&meet.path().join("here"));
    cloud.simulator.cloud().revoke_tokens();
    std::fs::write(meet.path().join("go"), "x").unwrap();
    run.finish().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn nothing_configured_and_no_engine_is_one_error_with_four_entries() {
    let cloud = TestCloud::suspended();
    let mut plan = plan(&cloud);
    for name in ["CRATEDB_CLUSTER_NAME", "CRATEDB_CLOUD_API_KEY", "CRATEDB_CLOUD_API_SECRET"] {
        plan = plan.env(name, "");
    }
    let plan = plan.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let words = ["url: CRATEDB_CLUSTER_URL is not set", "cloud: ", "container: ", "process: cannot download "];
    all_say(plan, Duration::from_secs(20), &words);
    assert!(cloud.simulator.requests().is_empty());
}

#[test]
fn a_setting_that_cannot_be_read_names_the_variable_the_value_and_what_is_accepted() {
    let cloud = TestCloud::suspended();
    let plan = plan(&cloud).env("CRATEDB_TEST_KEEP_WARM", "10");
    all_say(plan, Duration::from_secs(10), &["CRATEDB_TEST_KEEP_WARM=`10`", "accepted: 250ms, 10s, 10m, 2h or 0"]);
    cloud.ends_with(0, 0);
}
