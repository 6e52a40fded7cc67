//! Releases, and the clusters that killed keepers left, in every state that they can have.

use cratedb_cloud_simulator::{Fault, Pace};

use super::*;

/// Returns the record of an acquired cluster.
async fn held_by(bench: &Bench) -> Held {
    bench.acquire().await.unwrap().held
}

async fn is_suspended(bench: &Bench) {
    let cluster = bench.cloud().cluster("ci");
    assert!(cluster.suspended && !cluster.running, "{cluster:?}");
}

#[tokio::test]
async fn what_was_resumed_is_suspended_and_the_first_request_is_the_suspension() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let provider = bench.provider();
    let held = bench.acquire_with(&provider).await.unwrap().held;
    let before = bench.simulator.requests();
    let api_connection = before.iter().find(|request| request.cluster.is_none()).unwrap().connection;
    let released = provider.release(&held, OnExit::Auto, &bench.progress).await.unwrap();
    assert_eq!(released, Released::Suspended);
    is_suspended(&bench).await;
    let after = bench.simulator.requests().split_off(before.len());
    let first = after.iter().find(|request| request.cluster.is_none()).unwrap();
    assert!(first.is_suspend() && first.connection == api_connection, "{after:?}");
    assert_eq!(bench.suspends(), 1);
    says(bench.steps(), &["suspending cluster `ci` ("]);
}

#[tokio::test]
async fn the_suspension_is_followed_to_its_end() {
    let bench = Bench::new(
        Options::default().cluster(ClusterOptions::suspended("ci")).operation_time(Duration::from_millis(400)),
    )
    .await;
    let held = held_by(&bench).await;
    assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
    is_suspended(&bench).await;
}

#[tokio::test]
async fn releasing_again_does_no_harm() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let held = held_by(&bench).await;
    for _ in 0..3 {
        assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
    }
    is_suspended(&bench).await;
}

#[tokio::test]
async fn an_intent_is_enough_to_release() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    held_by(&bench).await;
    let intent = bench.last_intent().unwrap();
    assert_eq!(bench.release(&intent, OnExit::Auto).await.unwrap(), Released::Suspended);
    is_suspended(&bench).await;
}

#[tokio::test]
async fn an_intent_whose_call_was_never_made_is_released_too() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let intent = intent_of_a_killed_keeper(&bench, "ci", Ours::Resumed).await;
    assert_eq!(bench.release(&intent, OnExit::Auto).await.unwrap(), Released::Suspended);
    is_suspended(&bench).await;
}

#[tokio::test]
async fn what_was_found_running_is_left_running_unless_it_must_be_suspended() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let first = held_by(&bench).await;
    bench.release(&first, OnExit::Auto).await.unwrap();
    // Not the first time: beside a table that is new, a lease counts that a lost one may have named.
    bench.cloud().foreign_resume("ci", Pace::Auto(Duration::ZERO));
    let (held, before) = (held_by(&bench).await, bench.writes().len());
    for on_exit in [OnExit::Auto, OnExit::Keep, OnExit::Delete] {
        let Released::Left(line) = bench.release(&held, on_exit).await.unwrap() else { panic!("{on_exit:?}") };
        says(line, &["cluster `ci` ("]);
    }
    assert!(bench.writes().len() == before && bench.cloud().cluster("ci").running);
    assert_eq!(bench.release(&held, OnExit::Suspend).await.unwrap(), Released::Suspended);
    is_suspended(&bench).await;
}

#[tokio::test]
async fn what_shall_be_kept_is_left_with_a_line_that_says_where_to_end_it() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let held = held_by(&bench).await;
    let Released::Left(line) = bench.release(&held, OnExit::Keep).await.unwrap() else { panic!() };
    let id = bench.cloud().cluster("ci").id;
    says(line, &["cluster `ci`", &id, "CRATEDB_TEST_ON_EXIT=keep", bench.simulator.url()]);
    assert_eq!(bench.suspends(), 0);
}

#[tokio::test]
async fn a_product_that_cannot_be_suspended_is_left_with_a_line_that_says_so() {
    let cluster = ClusterOptions::suspended("ci").with("product", "crfree").unwrap();
    let bench = Bench::with(cluster).await;
    let held = held_by(&bench).await;
    for on_exit in [OnExit::Auto, OnExit::Suspend] {
        let Released::Left(line) = bench.release(&held, on_exit).await.unwrap() else { panic!("{on_exit:?}") };
        says(line, &["cluster `ci` (", "is left running", "allow_suspend"]);
    }
    assert_eq!(bench.suspends(), 0);
}

#[tokio::test]
async fn a_refusal_to_suspend_a_product_is_no_error() {
    let cluster = ClusterOptions::running("ci").with("product", "crfree").unwrap();
    let bench = Bench::with(cluster).await;
    // The intent of a deployment is written before it is known what the product allows.
    let intent = intent_of_a_killed_keeper(&bench, "ci", Ours::Deployed).await;
    let Released::Left(line) = bench.release(&intent, OnExit::Auto).await.unwrap() else { panic!() };
    says(line, &["is left running", "allow_suspend"]);
}

#[tokio::test]
async fn a_conflict_is_waited_out_and_the_goal_looked_at_again() {
    for (kind, suspends) in [("SCALE", 2), ("suspend", 1)] {
        let bench = Bench::with(ClusterOptions::suspended("ci")).await;
        let provider = bench.provider();
        let held = bench.acquire_with(&provider).await.unwrap().held;
        let pace = Pace::Auto(Duration::from_millis(400));
        match kind {
            "suspend" => bench.cloud().foreign_suspend("ci", pace),
            kind => bench.cloud().foreign_operation("ci", kind, pace),
        }
        let released = provider.release(&held, OnExit::Auto, &bench.progress).await;
        assert_eq!(released.unwrap(), Released::Suspended);
        is_suspended(&bench).await;
        assert_eq!(bench.suspends(), suspends, "{kind}");
    }
}

#[tokio::test]
async fn a_suspension_whose_answer_got_lost_is_found_by_looking() {
    for fault in [
        Fault::on("PUT", "/suspend/").delay(Duration::from_secs(2)),
        Fault::on("PUT", "/suspend/").drop_connection(),
        Fault::on("PUT", "/suspend/").status(502),
    ] {
        let bench = Bench::with(ClusterOptions::suspended("ci")).await;
        let held = held_by(&bench).await;
        bench.cloud().fault(fault);
        assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
        is_suspended(&bench).await;
    }
}

#[tokio::test]
async fn a_failed_suspension_is_an_error_with_the_services_words_and_the_next_try_is_good() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let held = held_by(&bench).await;
    bench.cloud().fail_next_operation("ci", "A snapshot is running.");
    let error = bench.release(&held, OnExit::Auto).await.unwrap_err();
    says(
        error,
        &["suspending cluster `ci` (", ") failed: A snapshot is running.", "suspend it at", bench.simulator.url()],
    );
    assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
    is_suspended(&bench).await;
}

#[tokio::test]
async fn a_suspension_that_is_refused_for_good_is_an_error_that_says_where_to_do_it() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let held = held_by(&bench).await;
    let body = r#"{"message": "Permission denied for user.", "success": false}"#;
    bench.cloud().fault(Fault::on("PUT", "/suspend/").answer(403, body).always());
    let error = bench.release(&held, OnExit::Auto).await.unwrap_err();
    says(
        error,
        &["403 Forbidden: Permission denied for user.", "the owner's role", "suspend or delete cluster `ci` ("],
    );
}

#[tokio::test]
async fn operations_without_a_name_and_operations_that_get_lost_do_not_deceive() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let held = held_by(&bench).await;
    bench.cloud().lose_next_operation("ci");
    bench.cloud().hide_next_operation("ci");
    assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
    is_suspended(&bench).await;
}

#[tokio::test]
async fn a_connection_that_the_service_closed_meanwhile_is_no_error() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let (url, close) = closing_proxy(bench.simulator.url()).await;
    bench.target.endpoint = url;
    let provider = bench.provider();
    let held = bench.acquire_with(&provider).await.unwrap().held;
    close.send(()).unwrap();
    assert_eq!(provider.release(&held, OnExit::Auto, &bench.progress).await.unwrap(), Released::Suspended);
    is_suspended(&bench).await;
    assert_eq!(bench.suspends(), 1);
}

/// Passes on all bytes, and closes all connections when told.
async fn closing_proxy(to: &str) -> (String, tokio::sync::broadcast::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (close, _) = tokio::sync::broadcast::channel::<()>(1);
    let (to, closing) = (to.trim_start_matches("http://").to_owned(), close.clone());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (to, mut closed) = (to.clone(), closing.subscribe());
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = closed.recv() => {}
                }
            });
        }
    });
    (url, close)
}

#[tokio::test]
async fn a_cluster_that_somebody_deleted_is_gone() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let held = held_by(&bench).await;
    bench.client().delete_cluster(&bench.cloud().cluster("ci").id).await.unwrap();
    assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Deleted);
    assert!(bench.recover(&held).await.unwrap().is_none());
}

#[tokio::test]
async fn a_cluster_that_runs_is_taken_over_with_what_is_owed_for_it() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.acquire().await.unwrap();
    let intent = bench.last_intent().unwrap();
    let resource = bench.recover(&intent).await.unwrap().unwrap();
    assert_eq!((resource.ours, bench.resumes()), (Ours::Resumed, 1));
    answers(&resource).await;
    says(bench.steps(), &["taking over cluster `ci` (", "which an earlier session left running"]);
    assert_eq!(bench.release(&resource.held, OnExit::Auto).await.unwrap(), Released::Suspended);
}

#[tokio::test]
async fn a_cluster_that_is_suspended_is_nothing_to_repair() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let intent = intent_of_a_killed_keeper(&bench, "ci", Ours::Resumed).await;
    assert!(bench.recover(&intent).await.unwrap().is_none());
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn a_resumption_that_goes_on_is_waited_for_and_its_cluster_taken_over() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let intent = intent_of_a_killed_keeper(&bench, "ci", Ours::Resumed).await;
    bench.cloud().foreign_resume("ci", Pace::Auto(Duration::from_millis(400)));
    let resource = bench.recover(&intent).await.unwrap().unwrap();
    assert_eq!((resource.ours, bench.writes().len()), (Ours::Resumed, 0));
    answers(&resource).await;
}

#[tokio::test]
async fn a_suspension_that_goes_on_is_waited_for() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let intent = intent_of_a_killed_keeper(&bench, "ci", Ours::Resumed).await;
    bench.cloud().foreign_suspend("ci", Pace::Auto(Duration::from_millis(400)));
    assert!(bench.recover(&intent).await.unwrap().is_none());
}

#[tokio::test]
async fn a_deployment_is_found_by_its_name() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let intent = Held::Cloud(HeldCluster::planned("ci"));
    let resource = bench.recover(&intent).await.unwrap().unwrap();
    assert_eq!(resource.ours, Ours::Deployed);
    let intent = Held::Cloud(HeldCluster::planned("never-made"));
    assert!(bench.recover(&intent).await.unwrap().is_none());
}

#[tokio::test]
async fn a_deployment_that_failed_is_told_and_not_taken_over() {
    let mut bench = Bench::new(Options::default()).await;
    bench.cloud().fail_next_operation("fresh", "No capacity left.");
    bench.target.cluster = ClusterAddress::Name("fresh".to_owned());
    bench.target.region = Some("eks1.eu-west-1.aws".to_owned());
    bench.failure().await;
    let intent = bench.last_intent().unwrap();
    assert!(bench.recover(&intent).await.unwrap().is_none());
    says(bench.steps(), &["cluster `fresh` (", "its deployment failed", bench.simulator.url()]);
}

#[tokio::test]
async fn an_intent_that_cannot_be_read_is_an_error() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let error = bench.recover(&serde_json::json!({ "provider": "cloud" })).await.unwrap_err();
    says(error, &["cannot read what the journal says of a Cloud cluster"]);
}
