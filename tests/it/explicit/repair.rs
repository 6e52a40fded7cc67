//! Tests that the debts of killed, failing and silent keepers are reported and repaired.

use super::*;

/// All processes are dead, and the cluster is still running.
pub(super) fn left_behind(consumer: &Consumer, cloud: &TestCloud) {
    in_session(consumer, Runner::Cargo, cloud).run().passed();
    processes::kill_and_wait(cloud.keeper());
    assert!(cloud.simulator.cloud().cluster(CLUSTER).running);
}

#[test]
fn sweep_repairs_what_a_killed_keeper_left() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    left_behind(&consumer, &cloud);
    let status = control(&consumer, &cloud, &["status"]).one();
    assert!(status["owes"] == true && status["phase"].as_str().unwrap().contains("was killed"), "{status}");
    let would = control(&consumer, &cloud, &["sweep", "--dry-run"]).one();
    assert_eq!(would["outcome"], "would repair");
    assert!(would["owed"].as_str().unwrap().contains(CLUSTER), "{would}");
    assert_eq!(cloud.counts(), (1, 0), "a dry run asks for nothing");
    let began = Instant::now();
    let swept = control(&consumer, &cloud, &["sweep"]).one();
    assert_eq!((&swept["outcome"], &swept["detail"]), (&"repaired".into(), &"suspended".into()));
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running && began.elapsed() < Duration::from_secs(20));
    cloud.ends_with(1, 1);
    assert_eq!(control(&consumer, &cloud, &["sweep"]).done(), Vec::<Value>::new());
}

#[test]
fn what_can_not_be_suspended_is_told_by_log_status_sweep_and_the_next_run() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    let why = "503 Service Unavailable";
    cloud.simulator.cloud().fault(Fault::on("*", "/api/v2/").status(503).always());
    control(&consumer, &cloud, &["finish", NAME]).one();
    let stuck = || match control(&consumer, &cloud, &["status"]) {
        said if said.text.contains(&format!("problem: suspending cluster `{CLUSTER}` (")) => Ok(said),
        said => Err(said.text),
    };
    wait_for("the trouble", || stuck().map(drop));
    let said = stuck().unwrap();
    assert!(said.text.contains(why) && said.text.contains(", since 20"), "{}", said.text);
    let status = said.one();
    assert!(status["problem"].as_str().unwrap().contains(why) && status["owed_since"].is_i64(), "{status}");
    assert!(cloud.log().contains("refused PUT /api/v2/clusters/") && cloud.log().contains(why), "{}", cloud.log());
    let owed = |swept: &Value| {
        assert!(swept["outcome"] == "failed" && swept["since"] == status["owed_since"], "{swept}");
        assert!(swept["detail"].as_str().unwrap().contains(why), "{swept}");
    };
    owed(&control(&consumer, &cloud, &["sweep"]).one());
    // The keeper is killed; its journal knows why.
    processes::kill_and_wait(cloud.keeper());
    let status = control(&consumer, &cloud, &["status"]).one();
    assert!(status["phase"].as_str().unwrap().starts_with("its keeper ended without letting go of it"), "{status}");
    assert!(status["problem"].as_str().unwrap().contains(why), "{status}");
    owed(&control(&consumer, &cloud, &["sweep"]).one());
    processes::kill_and_wait(cloud.keeper());
    cloud.simulator.cloud().clear_faults();
    let run = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).run().passed();
    let notice = format!("`{CLUSTER}` may be up still: it was to be let go of at 20");
    let first = |text: &str| run.output.find(text).unwrap_or_else(|| panic!("`{text}` is not in:\n{}", run.output));
    assert!(first(&notice) < first("using cluster"), "{}", run.output);
    wait_for("the keeper's end", || match processes::keepers(cloud.path()) {
        none if none.is_empty() => Ok(()),
        some => Err((some, cloud.log())),
    });
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running && cloud.counts().0 == 1);
    assert_eq!(control(&consumer, &cloud, &["sweep"]).done(), Vec::<Value>::new());
}

#[test]
fn sweep_of_what_was_suspended_by_hand_wakes_nothing() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    left_behind(&consumer, &cloud);
    cloud.simulator.cloud().foreign_suspend(CLUSTER, Pace::Auto(Duration::ZERO));
    assert_eq!(control(&consumer, &cloud, &["sweep"]).one()["outcome"], "repaired");
    cloud.ends_with(1, 0);
}

#[test]
fn sweep_says_whose_credentials_it_lacks_and_goes_on() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    left_behind(&consumer, &cloud);
    // Another format and a damaged one beside it.
    let own = cloud.file("journal").unwrap();
    std::fs::write(cloud.path().join("00000000000000aa.journal"), "neither one slot nor two").unwrap();
    let json = r#"{"version":2,"sequence":3,"word":"asleep","key":"cloud|elsewhere"}"#;
    let sum =
        json.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let record = format!("{:<31}\n{json}", format!("{:08x} {sum:016x}", json.len()));
    std::fs::write(cloud.path().join("00000000000000bb.journal"), record).unwrap();
    let mut other = program(&consumer, &cloud, "explicit_control");
    let swept = said(other.arg("sweep").env("CRATEDB_CLOUD_API_KEY", "another-key").output().unwrap()).done();
    let of = |hash: &str| swept.iter().find(|one| one["hash"] == hash).unwrap_or_else(|| panic!("{swept:?}"));
    let hash = own.file_stem().unwrap().to_str().unwrap();
    for (hash, why) in [(hash, "test-key"), ("00000000000000aa", "damaged"), ("00000000000000bb", "format 2")] {
        let one = of(hash);
        assert!(one["outcome"] == "skipped" && one["detail"].as_str().unwrap().contains(why), "{one}");
    }
    // With them it is repaired, whatever cluster the settings here name.
    let mut right = program(&consumer, &cloud, "explicit_control");
    let swept = said(right.arg("sweep").env("CRATEDB_CLUSTER_NAME", "another").output().unwrap()).done();
    let one = swept.iter().find(|one| one["hash"] == hash).unwrap();
    assert_eq!(one["outcome"], "repaired", "{one}");
    let would = control(&consumer, &cloud, &["forget", "00000000000000bb", "--dry-run"]).one();
    assert_eq!(would["outcome"], "would forget");
    for hash in ["00000000000000aa", "00000000000000bb"] {
        assert_eq!(control(&consumer, &cloud, &["forget", hash]).one()["outcome"], "forgotten");
    }
    assert_eq!(control(&consumer, &cloud, &["sweep"]).done(), Vec::<Value>::new());
    cloud.ends_with(1, 1);
}

#[test]
fn forget_drops_a_debt_and_says_what_it_was() {
    let (consumer, cloud) = (Consumer::of("explicit", Runner::Cargo), TestCloud::suspended());
    in_session(&consumer, Runner::Cargo, &cloud).run().passed();
    let hash = cloud.file("journal").unwrap().file_stem().unwrap().to_str().unwrap().to_owned();
    assert_eq!(control(&consumer, &cloud, &["forget", &hash]).one()["outcome"], "held", "its keeper lives");
    processes::kill_and_wait(cloud.keeper());
    let forgotten = control(&consumer, &cloud, &["forget", &hash]).one();
    assert!(forgotten["detail"].as_str().unwrap().contains(CLUSTER), "{forgotten}");
    assert_eq!(control(&consumer, &cloud, &["sweep"]).done(), Vec::<Value>::new());
    assert_eq!(cloud.counts(), (1, 0));
    assert_eq!(control(&consumer, &cloud, &["forget", "no-such-key"]).code, Some(4));
}
