//! Tests `run`, which starts a cluster before a body and suspends it afterwards, however the body ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, ClusterView, Fault, Options};
use cratedb_test::{Error, ManagedCluster, Result};

use crate::support::{Bench, says};

fn stopping(bench: &Bench) -> ManagedCluster {
    bench.builder().cluster_name("ci").stop_on_exit(true).build().unwrap()
}

#[tokio::test]
async fn the_value_comes_back_and_the_cluster_is_suspended() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let one = stopping(&bench).run(|cluster| async move { cluster.query("SELECT 1").scalar::<i64>().await });
    assert_eq!(one.await.unwrap(), 1);
    assert!(bench.cloud().cluster("ci").suspended);
    assert_eq!((bench.resumes(), bench.suspends()), (1, 1));
}

#[tokio::test]
async fn without_the_wish_to_stop_it_runs_on() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.ci().run(|_| async { Ok(()) }).await.unwrap();
    assert!(bench.cloud().cluster("ci").running);
}

#[tokio::test]
async fn an_error_comes_back_and_the_cluster_is_suspended() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let failed: Result<()> =
        stopping(&bench).run(|cluster| async move { cluster.execute("SELECT * FROM nothing").await.map(drop) }).await;
    assert_eq!(failed.unwrap_err().code(), Some(4041));
    assert!(bench.cloud().cluster("ci").suspended);
}

#[tokio::test]
async fn a_panic_goes_on_after_the_cluster_is_suspended() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let cluster = stopping(&bench);
    let ran = tokio::spawn(cluster.run(|_| async {
        tokio::task::yield_now().await;
        if true {
            panic!("of the body");
        }
        Ok(())
    }));
    let panic = ran.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref(), Some(&"of the body"));
    assert!(bench.cloud().cluster("ci").suspended);
}

#[test]
fn the_blocking_twin_stops_on_error_and_on_panic_too() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bench = runtime.block_on(Bench::with(ClusterOptions::suspended("ci")));
    let cluster = || cratedb_test::blocking::ManagedCluster::from(stopping(&bench));
    assert_eq!(cluster().run(|cluster| cluster.query("SELECT 1").scalar::<i64>()).unwrap(), 1);
    assert!(bench.cloud().cluster("ci").suspended);
    let panic = catch_unwind(AssertUnwindSafe(|| cluster().run(|_| -> Result<()> { panic!("of the body") })));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"of the body"));
    assert!(bench.cloud().cluster("ci").suspended);
    assert_eq!((bench.resumes(), bench.suspends()), (2, 2));
}

#[tokio::test]
async fn a_future_that_is_dropped_leaves_no_cluster_running() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let (begun, wait) = mpsc::channel();
    let ran = tokio::spawn(stopping(&bench).run(move |_| async move {
        begun.send(()).unwrap();
        std::future::pending::<Result<()>>().await
    }));
    tokio::task::spawn_blocking(move || wait.recv_timeout(Duration::from_secs(20)).unwrap()).await.unwrap();
    assert!(bench.cloud().cluster("ci").running);
    ran.abort();
    let gone = bench.cloud().wait_until(Duration::from_secs(20), |clusters| clusters[0].suspended).await;
    gone.unwrap();
}

#[tokio::test]
async fn a_future_that_is_dropped_while_it_starts_leaves_no_cluster_running() {
    let bench = Bench::new(Options::default().cluster(ClusterOptions::suspended("ci"))).await;
    bench.cloud().hold_next_operation("ci");
    let ran = tokio::spawn(stopping(&bench).run(|_| async { Ok(()) }));
    let asked = |clusters: &[ClusterView]| {
        let status = clusters[0].operation.as_ref().map(|(_, status)| *status);
        ["REGISTERED", "SENT", "IN_PROGRESS"].into_iter().any(|each| status == Some(each))
    };
    bench.cloud().wait_until(Duration::from_secs(20), asked).await.unwrap();
    ran.abort();
    bench.cloud().release("ci");
    bench.cloud().wait_until(Duration::from_secs(20), |clusters| clusters[0].running).await.unwrap();
    bench.cloud().wait_until(Duration::from_secs(20), |clusters| clusters[0].suspended).await.unwrap();
}

#[tokio::test]
async fn a_future_that_is_dropped_while_it_suspends_leaves_no_cluster_running() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().fault(Fault::on("PUT", "/suspend/").hang());
    let (begun, wait) = mpsc::channel();
    let cluster = bench.builder().cluster_name("ci").stop_on_exit(true).timeout(Duration::from_millis(500));
    let cluster = cluster.on_progress(move |step| {
        if step.starts_with("suspending") {
            let _ = begun.send(());
        }
    });
    let ran = tokio::spawn(cluster.build().unwrap().run(|_| async { Ok(()) }));
    tokio::task::spawn_blocking(move || wait.recv_timeout(Duration::from_secs(20)).unwrap()).await.unwrap();
    ran.abort();
    bench.cloud().wait_until(Duration::from_secs(20), |clusters| clusters[0].suspended).await.unwrap();
}

#[tokio::test]
async fn a_start_that_fails_halfway_is_undone() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    // It resumes but never answers SQL.
    bench.cloud().sql_not_ready_requests("ci", 1_000_000);
    let cluster = bench.builder().cluster_name("ci").stop_on_exit(true).start_timeout(Duration::from_secs(2));
    let ran: Result<()> = cluster.build().unwrap().run(|_| async { unreachable!("it never started") }).await;
    assert!(ran.unwrap_err().is_timeout());
    assert!(bench.cloud().cluster("ci").suspended);
}

#[tokio::test]
async fn a_start_that_ran_out_of_time_leaves_the_stop_the_time_it_needs() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().hold_next_operation("ci");
    let time = Duration::from_millis(500);
    let cluster = bench.builder().cluster_name("ci").stop_on_exit(true).start_timeout(time).build().unwrap();
    let mut ran = tokio::spawn(cluster.run(|_| async { Ok(()) }));
    // The start has ended, and the stop has to wait for the operation that the start began.
    let early = tokio::time::timeout(4 * time, &mut ran).await;
    assert!(early.is_err(), "the resumption goes on, and {early:?} is all that comes of it");
    bench.cloud().release("ci");
    let error = ran.await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(bench.cloud().cluster("ci").suspended, "{error}");
}

#[tokio::test]
async fn a_start_that_did_nothing_stops_nothing() {
    let bench = Bench::with(ClusterOptions::running("other")).await;
    let cluster = bench.builder().cluster_name("ci").deploy(false).stop_on_exit(true).build().unwrap();
    let ran: Result<()> = cluster.run(|_| async { unreachable!("it never started") }).await;
    assert!(ran.unwrap_err().is_not_found());
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn a_suspension_that_fails_is_an_error_too() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().fail_next_operation("ci", "A snapshot runs.");
    let error = stopping(&bench).run(|_| async { Ok(()) }).await.unwrap_err();
    says(error, &["A snapshot runs.", "what was to be done with the cluster succeeded"]);

    bench.cloud().fault(Fault::on("PUT", "/suspend/").status(403));
    let body =
        |cluster: ManagedCluster| async move { Err::<(), Error>(cluster.execute("nonsense").await.unwrap_err()) };
    let error = stopping(&bench).run(body).await.unwrap_err();
    says(error, &["cannot execute `nonsense`", "could not be suspended", "403"]);
}

#[tokio::test]
async fn what_cannot_be_suspended_is_left_running_and_that_is_said() {
    let bench = Bench::with(ClusterOptions::running("ci").with("product", "crfree").unwrap()).await;
    stopping(&bench).run(|_| async { Ok(()) }).await.unwrap();
    assert!(bench.cloud().cluster("ci").running);
    says(bench.said(), &["cluster `ci` is left running"]);
}
