//! Tests PostgreSQL drivers as parameters, on the stand-in, on a real server and on the simulated Cloud.

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options};

use crate::support::cloud::{CLUSTER, TestCloud};
use crate::support::consumer::Consumer;
use crate::support::home::TestHome;
use crate::support::run::{Plan, Runner, runners};
use crate::support::server::ask;
use crate::support::{processes, wait_for};

#[test]
fn unmodified_drivers_meet_the_stand_in() {
    for runner in runners() {
        let home = TestHome::with_stand_in();
        Plan::new(&Consumer::of("drivers", runner), runner).home(&home).run().passed();
        home.ends_with(1);
    }
}

/// The same tests, so that the stand-in answers them as a server does.
#[test]
fn unmodified_drivers_meet_a_real_server() {
    let Some(home) = TestHome::real() else { return };
    Plan::new(&Consumer::of("drivers", Runner::Cargo), Runner::Cargo).home(&home).run().passed();
    home.ends_with(1);
}

#[test]
fn unmodified_drivers_meet_the_simulated_cloud_with_the_users_password() {
    let cluster =
        ClusterOptions::suspended(CLUSTER).with("username", "ada").unwrap().with("password", "p/w@+%").unwrap();
    let cloud = TestCloud::with(Options::default().cluster(cluster));
    let plan = Plan::new(&Consumer::of("drivers", Runner::Cargo), Runner::Cargo).cloud(&cloud);
    let finished = plan.env("CRATEDB_USERNAME", "ada").env("CRATEDB_PASSWORD", "p/w@+%").run();
    finished.passed();
    cloud.ends_with(1, 1);
}

/// Lists the users that the harness made on a cluster without authentication.
fn users(cloud: &TestCloud) -> Vec<String> {
    let answer = ask(&cloud.simulator.cloud().cluster(CLUSTER).url, "SELECT name FROM sys.users");
    let names = answer["rows"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap().to_owned());
    names.filter(|name| name.starts_with("cratedb_test_user_")).collect()
}

/// The directory of its data, which can be read after its end.
fn running() -> TestCloud {
    TestCloud::with(Options::default().cluster(ClusterOptions::running(CLUSTER).with("auth", "off").unwrap()))
}

#[test]
fn without_a_password_the_cloud_gets_a_user_who_goes_with_the_session() {
    for runner in runners() {
        let cloud = running();
        Plan::new(&Consumer::of("drivers", runner), runner).cloud(&cloud).run().passed();
        cloud.ends_with(0, 0);
        assert_eq!(users(&cloud), Vec::<String>::new());
    }
    let cloud = TestCloud::suspended();
    Plan::new(&Consumer::of("drivers", Runner::Cargo), Runner::Cargo).cloud(&cloud).run().passed();
    cloud.ends_with(1, 1);
}

#[test]
fn what_a_killed_keeper_had_made_stays_while_its_tests_go_on() {
    let (cloud, meet) = (running(), tempfile::tempdir().unwrap());
    let plan =
        Plan::new(&Consumer::of("deaths", Runner::Cargo), Runner::Cargo).cloud(&cloud).env("DEATH", "middle:wait");
    let mut run = plan.env("DEATH_DIR", meet.path().display().to_string()).in_order().start();
    run.wait_for_file(&meet.path().join("here"));
    let first = users(&cloud);
    assert_eq!(first.len(), 1);
    processes::kill_and_wait(cloud.keeper());
    wait_for("the next keeper's user", || match users(&cloud) {
        both if both.len() == 2 && both.contains(&first[0]) => Ok(()),
        others => Err(others),
    });
    std::fs::write(meet.path().join("go"), "x").unwrap();
    run.finish().passed();
    cloud.ends_with(0, 0);
    assert_eq!(users(&cloud), Vec::<String>::new(), "the keeper's log:\n{}", cloud.log());
}

/// Reads the journal that was written last.
fn journal(cloud: &TestCloud) -> serde_json::Value {
    let bytes = std::fs::read(cloud.file("journal").unwrap()).unwrap();
    let slots = bytes.chunks(bytes.len() / 2).filter_map(|slot| {
        let text = String::from_utf8_lossy(&slot[slot.iter().position(|byte| *byte == b'{')?..]).into_owned();
        serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>().next()?.ok()
    });
    slots.max_by_key(|record| record["sequence"].as_u64()).unwrap()
}

#[test]
fn what_could_not_be_dropped_before_the_suspension_is_noted_for_the_next_session() {
    let (cloud, meet) = (TestCloud::suspended(), tempfile::tempdir().unwrap());
    let consumer = Consumer::of("deaths", Runner::Cargo);
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("DEATH", "last:wait");
    let mut run = plan.env("DEATH_DIR", meet.path().display().to_string()).in_order().start();
    run.wait_for_file(&meet.path().join("here"));
    cloud.simulator.cloud().fault(Fault::on("POST", "/_sql").hang().always());
    std::fs::write(meet.path().join("go"), "x").unwrap();
    run.finish().passed();
    cloud.ends_with(1, 1);
    let noted = journal(&cloud)["undropped"].clone();
    let of = |part: &str| noted.as_array().unwrap().iter().filter(|name| name.as_str().unwrap().contains(part)).count();
    assert_eq!((of("cratedb_test_user_"), of("_t5_last")), (1, 1), "{noted}; the keeper's log:\n{}", cloud.log());

    cloud.simulator.cloud().clear_faults();
    Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("DEATH", "none").in_order().run().passed();
    cloud.ends_with(2, 2);
    assert_eq!(journal(&cloud)["undropped"], serde_json::json!([]), "{}", cloud.log());
}
