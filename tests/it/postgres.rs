//! Drivers of the PostgreSQL protocol as parameters of tests: on the stand-in, on a real server, on the simulated Cloud.

use cratedb_cloud_simulator::{ClusterOptions, Options};

use crate::support::cloud::{CLUSTER, TestCloud};
use crate::support::consumer::Consumer;
use crate::support::home::TestHome;
use crate::support::run::{Plan, Runner, runners};

#[test]
fn unmodified_drivers_meet_the_stand_in() {
    for runner in runners() {
        let home = TestHome::with_stand_in();
        Plan::new(&Consumer::of("postgres", runner), runner).home(&home).run().passed();
        home.ends_with(1);
    }
}

/// The same tests, so that the stand-in answers them as a server does.
#[test]
fn unmodified_drivers_meet_a_real_server() {
    let Some(home) = TestHome::real() else { return };
    Plan::new(&Consumer::of("postgres", Runner::Cargo), Runner::Cargo).home(&home).run().passed();
    home.ends_with(1);
}

#[test]
fn unmodified_drivers_meet_the_simulated_cloud_with_the_users_password() {
    let cluster =
        ClusterOptions::suspended(CLUSTER).with("username", "ada").unwrap().with("password", "p/w@+%").unwrap();
    let cloud = TestCloud::with(Options::default().cluster(cluster));
    let plan = Plan::new(&Consumer::of("postgres", Runner::Cargo), Runner::Cargo).cloud(&cloud);
    let finished = plan.env("CRATEDB_USERNAME", "ada").env("CRATEDB_PASSWORD", "p/w@+%").run();
    finished.passed();
    cloud.ends_with(1, 1);
}

#[test]
fn without_a_password_the_cloud_says_what_a_driver_lacks() {
    let cloud = TestCloud::suspended();
    let plan = Plan::new(&Consumer::of("postgres", Runner::Cargo), Runner::Cargo).cloud(&cloud);
    let finished = plan.args(&["--test", "tokio_postgres", "simple_queries"]).run();
    assert!(!finished.status.success(), "{}", finished.output);
    for part in [
        "cannot make the parameter `client`, a `tokio_postgres::client::Client`",
        "set CRATEDB_USERNAME and CRATEDB_PASSWORD",
    ] {
        assert!(finished.output.contains(part), "{part} in {}", finished.output);
    }
    cloud.ends_with(1, 1);
}
