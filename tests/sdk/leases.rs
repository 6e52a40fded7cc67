//! Tests the leases of a cluster: who is named, and that programs don't stop a cluster under each other.

use std::sync::Arc;
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options, Pace};
use cratedb_test::cloud::LeasesState;
use cratedb_test::{ManagedCluster, Result};
use tokio::sync::Notify;

use crate::support::{Bench, says};

const TABLE: &str = "CREATE TABLE cratedb_test.lease (id INTEGER PRIMARY KEY, format INTEGER, state TEXT, \
    owner TEXT, since TIMESTAMP WITH TIME ZONE, ours BOOLEAN, written TIMESTAMP WITH TIME ZONE, \
    leases ARRAY(OBJECT(STRICT) AS (id TEXT, host TEXT, \"user\" TEXT, session TEXT, version TEXT, \
    joined TIMESTAMP WITH TIME ZONE, renewed TIMESTAMP WITH TIME ZONE, wish BIGINT, drained BOOLEAN))) \
    CLUSTERED INTO 1 SHARDS";

/// Writes a row with a lease of `build-7` that was renewed so many milliseconds ago.
async fn write_row(cluster: &ManagedCluster, ours: bool, age: i64) {
    cluster.execute("DROP TABLE IF EXISTS cratedb_test.lease").await.unwrap();
    cluster.execute(TABLE).await.unwrap();
    let now: i64 = cluster.query("SELECT CURRENT_TIMESTAMP").scalar().await.unwrap();
    let (joined, renewed) = (now - age - 1000, now - age);
    let row = format!(
        "INSERT INTO cratedb_test.lease (id, format, state, ours, written, leases) VALUES (0, 1, 'open', {ours}, {now}, \
         [{{id = 'a', host = 'build-7', \"user\" = 'ada', session = 'run 4711', version = '0.1.0', joined = {joined}, \
         renewed = {renewed}, wish = NULL, drained = false}}])"
    );
    cluster.execute(row).await.unwrap();
}

fn stopping(bench: &Bench) -> ManagedCluster {
    bench.builder().cluster_name("ci").stop_on_exit(true).build().unwrap()
}

#[tokio::test]
async fn a_cluster_that_no_tests_used_and_a_suspended_one_have_no_leases() {
    let bench =
        Bench::new(Options::default().cluster(ClusterOptions::running("ci")).cluster(ClusterOptions::suspended("off")))
            .await;
    let leases = bench.ci().leases().await.unwrap();
    assert_eq!((leases.state, leases.ours, leases.leases.len()), (LeasesState::Absent, false, 0));
    let leases = bench.builder().cluster_name("off").build().unwrap().leases().await.unwrap();
    assert_eq!((leases.state, leases.ours, leases.leases.len()), (LeasesState::Suspended, false, 0));
    assert!(bench.writes().iter().all(|write| write.path.ends_with("/jwt/")), "{:?}", bench.writes());
    let nobody = bench.builder().cluster_name("nobody").build().unwrap().leases().await;
    assert!(nobody.unwrap_err().is_not_found());
}

#[tokio::test]
async fn leases_are_alive_overdue_or_dead_by_the_time_of_the_server() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    for (age, alive, overdue) in [(0, true, false), (45_000, true, true), (95_000, false, false)] {
        write_row(&bench.ci(), true, age).await;
        let leases = bench.ci().leases().await.unwrap();
        assert_eq!((leases.state, leases.ours), (LeasesState::Open, true));
        let [lease] = &leases.leases[..] else { panic!("{leases:?}") };
        assert_eq!(lease.to_string(), "build-7 (ada, run 4711)");
        assert_eq!((lease.is_alive, lease.is_overdue), (alive, overdue), "{lease:?}");
        assert!(lease.age >= age.unsigned_abs() && lease.renewed - lease.joined == 1000, "{lease:?}");
        assert_eq!(leases.live().count(), usize::from(alive));
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_that_says_why() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    write_row(&bench.ci(), true, 0).await;
    bench.ci().execute("UPDATE cratedb_test.lease SET state = 'ajar' WHERE id = 0").await.unwrap();
    says(bench.ci().leases().await.unwrap_err(), &["cannot read the leases of cluster `ci`", "damaged"]);
    bench.ci().execute("UPDATE cratedb_test.lease SET format = 99 WHERE id = 0").await.unwrap();
    says(bench.ci().leases().await.unwrap_err(), &["a newer version", "update"]);
    says(bench.ci().stop().await.unwrap_err(), &["did not suspend cluster `ci`", "a newer version"]);
    bench.cloud().sql_not_ready_requests("ci", 1_000_000);
    says(bench.ci().leases().await.unwrap_err(), &["does not answer SQL"]);
}

#[tokio::test]
async fn a_cluster_in_use_is_neither_stopped_nor_deleted_unless_told() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    // One that missed a renewal still uses it.
    for age in [0, 45_000] {
        write_row(&bench.ci(), true, age).await;
        says(
            bench.ci().stop().await.unwrap_err(),
            &["did not suspend cluster `ci` (", "in use by build-7 (ada, run 4711)", "stop_although_in_use(true)"],
        );
        let named = &["did not delete cluster `ci` (", "in use by build-7 (ada, run 4711)", "stop_although_in_use"];
        says(bench.ci().delete().await.unwrap_err(), named);
    }
    assert_eq!(bench.suspends(), 0);
    assert_eq!(bench.ci().leases().await.unwrap().state, LeasesState::Open, "nothing was written");
    let told = bench.builder().cluster_name("ci").stop_although_in_use(true).build().unwrap();
    assert!(told.stop().await.unwrap().suspended);
    assert_eq!(bench.suspends(), 1);
    told.start().await.unwrap();
    write_row(&told, true, 0).await;
    told.delete().await.unwrap();
    assert!(bench.cloud().clusters().is_empty());
}

#[tokio::test]
async fn a_dead_lease_keeps_nothing_running() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    write_row(&bench.ci(), true, 95_000).await;
    assert!(bench.ci().stop().await.unwrap().suspended);
    assert_eq!(bench.suspends(), 1);
}

#[tokio::test]
async fn a_cluster_whose_leases_cannot_be_had_is_stopped_as_ever() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().sql_not_ready_requests("ci", 1_000_000);
    assert!(bench.ci().stop().await.unwrap().suspended);
    bench.cloud().sql_not_ready_requests("ci", 0);
    bench.ci().start().await.unwrap();
    bench.ci().execute("CREATE TABLE cratedb_test.lease (id INTEGER PRIMARY KEY)").await.unwrap();
    assert!(bench.ci().stop().await.unwrap().suspended);
    bench.ci().start().await.unwrap();
    bench.cloud().fault(Fault::on("GET", "/jwt/").status(500).times(1));
    bench.cloud().fault(Fault::on("POST", "/jwt/").status(500).times(1));
    assert!(bench.ci().stop().await.unwrap().suspended);
    assert_eq!(bench.suspends(), 3);
}

#[tokio::test]
async fn a_suspension_that_another_machine_is_about_to_ask_for_is_waited_for() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    write_row(&bench.ci(), true, 95_000).await;
    let closing = "UPDATE cratedb_test.lease SET state = 'closing', owner = 'b', since = CURRENT_TIMESTAMP, \
                   written = CURRENT_TIMESTAMP, leases = [] WHERE id = 0";
    bench.ci().execute(closing).await.unwrap();
    assert_eq!(bench.ci().leases().await.unwrap().state, LeasesState::Closing);
    let cluster = bench.ci();
    let stopped = tokio::spawn(async move { cluster.stop().await });
    bench.cloud().foreign_suspend("ci", Pace::Auto(Duration::from_millis(50)));
    assert!(stopped.await.unwrap().unwrap().suspended);
    assert_eq!(bench.suspends(), 0);
}

#[tokio::test]
async fn a_suspension_that_is_refused_leaves_the_leases_as_they_were() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    write_row(&bench.ci(), true, 0).await;
    let told = || bench.builder().cluster_name("ci").stop_although_in_use(true).build().unwrap();
    bench.cloud().fault(Fault::on("PUT", "/suspend/").status(403));
    says(told().stop().await.unwrap_err(), &["403"]);
    bench.cloud().fail_next_operation("ci", "A snapshot runs.");
    says(told().stop().await.unwrap_err(), &["A snapshot runs."]);
    let leases = bench.ci().leases().await.unwrap();
    assert_eq!((leases.state, leases.live().count()), (LeasesState::Open, 1));
}

#[tokio::test]
async fn a_program_has_a_lease_of_its_own_while_it_runs() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let other = bench.ci();
    let body = |cluster: ManagedCluster| async move {
        let leases = cluster.leases().await?;
        assert!(leases.ours, "the program resumed it");
        let [lease] = &leases.leases[..] else { panic!("{leases:?}") };
        assert!(lease.is_alive && !lease.host.is_empty() && lease.session.starts_with("sdk"), "{lease:?}");
        says(other.stop().await.unwrap_err(), &["in use by", &lease.to_string()]);
        // Its own lease does not keep it from stopping what it runs on.
        assert!(cluster.stop().await?.suspended);
        Ok(())
    };
    stopping(&bench).run(body).await.unwrap();
    assert_eq!((bench.resumes(), bench.suspends()), (1, 1));
}

#[tokio::test]
async fn two_programs_do_not_stop_under_each_other() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let (begun, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, wait) = (begun.clone(), end.clone());
    let first = tokio::spawn(stopping(&bench).run(move |cluster| async move {
        told.notify_one();
        wait.notified().await;
        cluster.query("SELECT 1").scalar::<i64>().await
    }));
    begun.notified().await;
    stopping(&bench).run(|cluster| async move { cluster.execute("SELECT 1").await }).await.unwrap();
    assert_eq!((bench.resumes(), bench.suspends()), (1, 0));
    says(bench.said(), &["cluster `ci` is left running: it is in use by "]);
    end.notify_one();
    let done = tokio::time::timeout(Duration::from_secs(20), first).await.unwrap().unwrap();
    assert_eq!(done.unwrap(), 1);
    assert_eq!((bench.resumes(), bench.suspends()), (1, 1));
    assert!(bench.cloud().cluster("ci").suspended);
}

#[tokio::test]
async fn a_program_leaves_a_cluster_running_that_tests_use() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    // The time of a renewal after the program leaves, as by a keeper that lives: without one it would wait for a sign.
    write_row(&bench.ci(), false, -20_000).await;
    stopping(&bench).run(|_| async { Ok(()) }).await.unwrap();
    says(bench.said(), &["is left running: it is in use by build-7"]);
    let leases = bench.ci().leases().await.unwrap();
    assert_eq!((leases.leases.len(), leases.ours), (1, false), "its own one is gone: {leases:?}");
    let told = bench.builder().cluster_name("ci").stop_on_exit(true).stop_although_in_use(true).build().unwrap();
    told.run(|_| async { Ok(()) }).await.unwrap();
    assert!(bench.cloud().cluster("ci").suspended);
}

#[test]
fn the_blocking_twin_has_leases_too() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::with(ClusterOptions::suspended("ci")));
    let cluster = cratedb_test::blocking::ManagedCluster::from(stopping(&bench));
    let live: Result<usize> = cluster.clone().run(|cluster| Ok(cluster.leases()?.live().count()));
    assert_eq!(live.unwrap(), 1);
    assert_eq!(cluster.leases().unwrap().state, LeasesState::Suspended);
}
