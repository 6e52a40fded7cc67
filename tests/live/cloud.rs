//! A real CrateDB behind the simulated Cloud, which checks the tokens itself or leaves that to the simulator: runs if
//! `CRATEDB_HOME` is set.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use cratedb_cloud_simulator::{CrateServer, EngineKind, Options};

use crate::support::cloud::{CLUSTER, TestCloud, suspendable};
use crate::support::consumer::Consumer;
use crate::support::run::{Plan, Runner, runners};
use crate::support::server::{Server, home};
use crate::support::wait_for;

const CLUSTER_ID: &str = "5f1d1c3e-0000-4000-8000-00000000c1a5";
/// Returns a real server behind a suspended cluster, or `None` with the reason on descriptor 2.
fn real_cloud(token_lifetime: Duration) -> Option<(Server, TestCloud)> {
    let home = home()?;
    // The server must know where the keys are before the simulator knows where the server is.
    let listen: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::with_tokens(&home, &format!("http://{listen}/api/v2/meta/jwk/"), CLUSTER_ID);
    let cluster = suspendable().with("id", CLUSTER_ID).unwrap();
    let engine = EngineKind::Real(server.address.clone());
    let cloud = TestCloud::with(Options { listen, engine, token_lifetime, ..Options::default() }.cluster(cluster));
    Some((server, cloud))
}

/// Runs tests of the harness and of drivers against a real server that knows no tokens.
fn rehearse(engine: EngineKind) {
    let cloud = TestCloud::with(Options { engine, ..Options::default() }.cluster(suspendable()));
    for (count, consumer) in (1..).zip(["basic", "drivers"]) {
        Plan::new(&Consumer::of(consumer, Runner::Cargo), Runner::Cargo).cloud(&cloud).run().passed();
        cloud.ends_with(count, count);
    }
}

#[test]
fn runs_share_a_real_server_without_authentication_whose_tokens_the_simulator_checks() {
    let Some(home) = home() else { return };
    let server = Server::open(&home);
    rehearse(EngineKind::Server(CrateServer::at(&server.address)));
    let users = server.ask("SELECT name FROM sys.users ORDER BY name");
    assert!(users.contains("[\"admin\"],[\"crate\"]]"), "{users}");
}

#[test]
fn runs_share_a_real_server_that_the_simulator_starts() {
    let Some(home) = home() else { return };
    rehearse(EngineKind::Home(home));
}

fn tokens(cloud: &TestCloud) -> usize {
    cloud.simulator.requests().iter().filter(|request| request.path.ends_with("/jwt/")).count()
}

#[test]
fn runs_share_a_real_server_whose_tokens_it_checks_itself() {
    let Some((server, cloud)) = real_cloud(Duration::from_secs(3_600)) else { return };
    for (count, runner) in (1..).zip(runners()) {
        let consumer = Consumer::of("basic", runner);
        Plan::new(&consumer, runner).cloud(&cloud).run().passed();
        cloud.ends_with(count, count);
    }
    let left =
        server.ask("SELECT table_schema FROM information_schema.tables WHERE table_schema LIKE 'cratedb_test_%'");
    assert!(left.contains("\"rowcount\":0"), "{left}");
    let refused = server.ask("SELECT name FROM sys.users WHERE name = 'admin'");
    assert!(refused.contains("admin"), "{refused}");
}

#[test]
fn drivers_get_a_user_who_goes_with_the_session() {
    let Some((server, cloud)) = real_cloud(Duration::from_secs(3_600)) else { return };
    for (count, runner) in (1..).zip(runners()) {
        Plan::new(&Consumer::of("drivers", runner), runner).cloud(&cloud).run().passed();
        cloud.ends_with(count, count);
        let left = server.ask("SELECT name FROM sys.users WHERE name LIKE 'cratedb_test_%'");
        assert!(left.contains("\"rowcount\":0"), "{left}");
    }
}

#[test]
fn many_tests_at_once_see_only_their_own_rows_on_a_real_server() {
    let Some((server, cloud)) = real_cloud(Duration::from_secs(3_600)) else { return };
    let consumer = Consumer::of("many", Runner::Cargo);
    Plan::new(&consumer, Runner::Cargo).args(&["--", "tests::t0", "--test-threads=16"]).cloud(&cloud).run().passed();
    cloud.ends_with(1, 1);
    let left =
        server.ask("SELECT table_schema FROM information_schema.tables WHERE table_schema LIKE 'cratedb_test_%'");
    assert!(left.contains("\"rowcount\":0"), "{left}");
}

#[test]
fn a_run_that_outlives_its_token_gets_new_ones_from_the_keeper() {
    let Some((_server, cloud)) = real_cloud(Duration::from_secs(4)) else { return };
    let (consumer, meet) = (Consumer::of("deaths", Runner::Cargo), tempfile::tempdir().unwrap());
    let plan = Plan::new(&consumer, Runner::Cargo).cloud(&cloud).env("DEATH", "middle:wait");
    let mut run = plan.env("DEATH_DIR", meet.path().display().to_string()).in_order().start();
    run.wait_for_file(&meet.path().join("here"));
    let first = tokens(&cloud);
    wait_for("three renewals, the first token long expired", || match tokens(&cloud) {
        count if count >= first + 3 => Ok(()),
        count => Err(count),
    });
    std::fs::write(meet.path().join("go"), "x").unwrap();
    run.finish().passed();
    cloud.ends_with(1, 1);
    assert!(!cloud.simulator.cloud().cluster(CLUSTER).running);
}
