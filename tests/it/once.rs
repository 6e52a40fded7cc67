//! Tests that a run acquires its cluster once, whatever it consists of, and not at all if no test needs one.

use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{ClusterOptions, Options};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Runner, runners};
use crate::support::{processes, wait_for};

#[test]
fn lib_tests_three_binaries_and_doctests_share_one_resume_and_one_suspend() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("basic", runner), TestCloud::suspended());
        let finished = Plan::new(&consumer, runner).cloud(&cloud).run().passed();
        if runner == Runner::Cargo {
            finished.says("Doc-tests basic");
        }
        cloud.ends_with(1, 1);
    }
}

#[test]
fn three_packages_of_a_workspace_share_one_resume_and_one_suspend() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("workspace", runner), TestCloud::suspended());
        Plan::new(&consumer, runner).args(&["--workspace"]).cloud(&cloud).run().passed();
        cloud.ends_with(1, 1);
    }
}

#[test]
fn a_hundred_nextest_processes_share_one_resume_and_one_suspend_and_none_leaks() {
    if !runners().contains(&Runner::Nextest) {
        return;
    }
    let (consumer, cloud) = (Consumer::of("many", Runner::Nextest), TestCloud::suspended());
    let plan = Plan::new(&consumer, Runner::Nextest).args(&["-j16", "-E", "test(/t0[0-9]{2}/)"]).cloud(&cloud);
    plan.run().passed().says("100 tests run: 100 passed").never_says("LEAK");
    cloud.ends_with(1, 1);
}

/// Reads the output to its end. A keeper that kept it open would block the reader.
#[test]
fn a_pipe_behind_the_run_ends_with_the_run() {
    let (consumer, cloud) = (Consumer::of("workspace", Runner::Cargo), TestCloud::suspended());
    let plan = Plan::new(&consumer, Runner::Cargo).args(&["-p", "b"]).cloud(&cloud).env("CRATEDB_TEST_KEEP_WARM", "1h");
    let mut run = plan.start();
    run.wait();
    let ended = Instant::now();
    run.finish().passed();
    assert!(ended.elapsed() < Duration::from_secs(2), "the output stayed open for {:?}", ended.elapsed());
    let keeper = cloud.keeper();
    assert_eq!(cloud.counts(), (1, 0));
    kill_process(Pid::from_raw(keeper as i32).unwrap(), Signal::TERM).unwrap();
    cloud.ends_with(1, 1);
}

#[test]
fn two_runs_at_the_same_time_share_it_and_the_later_end_suspends() {
    let (consumer, cloud) = (Consumer::of("deaths", Runner::Cargo), TestCloud::suspended());
    let meet = tempfile::tempdir().unwrap();
    let plan = || Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("DEATH_DIR", meet.path().display().to_string());
    let mut first = plan().env("DEATH", "middle:wait").start();
    first.wait_for_file(&meet.path().join("here"));
    plan().run().passed();
    assert_eq!(cloud.counts(), (1, 0), "the first run still uses it");
    std::fs::write(meet.path().join("go"), "").unwrap();
    first.finish().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn three_runs_with_keep_warm_share_one_resume_and_one_suspend() {
    for runner in runners() {
        let (consumer, cloud) = (Consumer::of("workspace", runner), TestCloud::suspended());
        for _ in 0..3 {
            let plan = Plan::new(&consumer, runner).cloud(&cloud).env("CRATEDB_TEST_KEEP_WARM", "10s");
            plan.run().passed();
        }
        assert_eq!(cloud.counts(), (1, 0));
        cloud.ends_with(1, 1);
    }
}

#[test]
fn nothing_is_asked_where_no_test_wants_a_cluster() {
    let cloud = TestCloud::suspended();
    for runner in runners() {
        let consumer = Consumer::of("basic", runner);
        match runner {
            Runner::Cargo => {
                Plan::new(&consumer, runner).args(&["--", "--list"]).cloud(&cloud).run().passed().says("first: test");
                let none = Plan::new(&consumer, runner).args(&["--tests", "--", "no_such_test"]).cloud(&cloud);
                none.run().passed().says("filtered out");
            }
            Runner::Nextest => {
                let list = Plan::new(&consumer, runner).cloud(&cloud).listing().output().unwrap();
                let listed = String::from_utf8_lossy(&list.stdout);
                assert!(listed.contains("sees_its_rows"), "{list:?}");
            }
        }
    }
    assert!(cloud.simulator.requests().is_empty(), "{:?}", cloud.simulator.requests());
    assert!(processes::keepers(cloud.path()).is_empty() && cloud.files().is_empty(), "{:?}", cloud.files());
}

#[test]
fn a_cluster_that_was_found_running_is_left_running() {
    let consumer = Consumer::of("workspace", Runner::Cargo);
    let cloud = TestCloud::with(Options::default().cluster(ClusterOptions::running(CLUSTER)));
    Plan::new(&consumer, Runner::Cargo).cloud(&cloud).run().passed();
    cloud.ends_with(0, 0);
    assert!(cloud.simulator.cloud().cluster(CLUSTER).running);
}

#[test]
fn a_running_cluster_is_suspended_where_that_is_asked_for() {
    let consumer = Consumer::of("workspace", Runner::Cargo);
    let cloud = TestCloud::with(Options::default().cluster(ClusterOptions::running(CLUSTER)));
    Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("CRATEDB_TEST_ON_EXIT", "suspend").run().passed();
    cloud.ends_with(0, 1);
}

#[test]
fn what_was_resumed_is_kept_where_that_is_asked_for() {
    let (consumer, cloud) = (Consumer::of("workspace", Runner::Cargo), TestCloud::suspended());
    Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("CRATEDB_TEST_ON_EXIT", "keep").run().passed();
    cloud.ends_with(1, 0);
    assert!(cloud.simulator.cloud().cluster(CLUSTER).running);
}

#[test]
fn a_cluster_that_does_not_exist_is_deployed_and_then_suspended() {
    let consumer = Consumer::of("workspace", Runner::Cargo);
    let cloud = TestCloud::with(Options::default().operation_time(Duration::from_millis(20)));
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("CRATEDB_CLOUD_PRODUCT", "cr1");
    plan.env("CRATEDB_CLOUD_SUBSCRIPTION_ID", cloud.simulator.cloud().add_subscription())
        .env("CRATEDB_CLOUD_REGION", "eks1.eu-west-1.aws")
        .run()
        .passed();
    let deploys = cloud.simulator.requests().iter().filter(|request| request.is_deploy()).count();
    assert_eq!(deploys, 1);
    cloud.ends_with(0, 1);
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
}

#[test]
fn a_free_cluster_is_deployed_and_left_running_with_a_line_that_says_so() {
    let consumer = Consumer::of("workspace", Runner::Cargo);
    let cloud = TestCloud::with(Options::default().operation_time(Duration::from_millis(20)));
    let report = cloud.path().join("report");
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("CRATEDB_CLOUD_REGION", "eks1.eu-west-1.aws");
    plan.env("CRATEDB_TEST_REPORT", report.display().to_string()).run().passed();
    cloud.ends_with(0, 0);
    assert!(cloud.simulator.cloud().cluster(CLUSTER).running);
    let report = std::fs::read_to_string(&report).unwrap();
    assert!(report.contains("\"outcome\":\"left\"") && report.contains("can't be suspended"), "{report}");
}

#[test]
fn the_report_counts_tests_processes_and_binaries() {
    for runner in runners() {
        let (consumer, cloud) =
            (Consumer::of("basic", runner), TestCloud::with(Options::default().cluster(suspendable())));
        let report = cloud.path().join("report");
        let plan = Plan::new(&consumer, runner).args(&["--tests"]).cloud(&cloud);
        plan.env("CRATEDB_TEST_REPORT", report.display().to_string()).run().passed();
        cloud.ends_with(1, 1);
        let lines: Vec<serde_json::Value> =
            std::fs::read_to_string(&report).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [session] = &lines[..] else { panic!("{lines:?}") };
        let processes = if runner == Runner::Cargo { 4 } else { 8 };
        assert_eq!(
            (&session["tests"], &session["processes"], &session["binaries"]),
            (&8.into(), &processes.into(), &4.into())
        );
        assert_eq!(session["outcome"], "suspended");
    }
}

#[test]
fn settings_in_a_file_beside_the_manifest_are_enough() {
    let (consumer, cloud) = (Consumer::of("workspace", Runner::Cargo), TestCloud::suspended());
    let lines: String = cloud
        .environment()
        .iter()
        .filter(|(name, _)| *name != "CRATEDB_TEST_DIR")
        .map(|(name, value)| format!("{name}={value}\n"))
        .collect();
    let own = consumer.dir.join("c/.env");
    std::fs::write(&own, lines).unwrap();
    let plan = Plan::new(&consumer, Runner::Cargo).args(&["-p", "c"]);
    let finished = plan.env("CRATEDB_TEST_DIR", cloud.path().display().to_string()).run();
    std::fs::remove_file(own).unwrap();
    finished.passed();
    wait_for("one resume and one suspend", || match cloud.counts() {
        (1, 1) => Ok(()),
        counts => Err(counts),
    });
    cloud.ends_with(1, 1);
}
