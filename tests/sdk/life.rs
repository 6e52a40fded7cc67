//! Starts, deploys, stops, deletes and changes clusters, with every way in which that fails.

use std::time::Duration;

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options, Pace};

use crate::support::{Bench, answers, says};

#[tokio::test]
async fn a_suspended_cluster_is_resumed_once_and_answers() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let cluster = bench.ci();
    assert!(!cluster.start().await.unwrap().suspended);
    answers(&cluster).await;
    assert_eq!((bench.resumes(), bench.writes().len()), (1, 1));
    says(bench.said(), &["resuming cluster `ci` (", "connecting to cluster `ci` ("]);
    cluster.start().await.unwrap();
    assert_eq!(bench.writes().len(), 1, "there was nothing to do");
}

/// It was resumed, and the token that it needs to be asked is refused.
#[tokio::test]
async fn a_start_that_fails_after_the_resumption_says_what_may_run() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    for method in ["GET", "POST"] {
        bench.cloud().fault(Fault::on(method, "/jwt/").status(403).always());
    }
    let error = bench.ci().start().await.unwrap_err();
    says(error, &["403", "may be running now and cost money", "`stop` suspends it"]);
    assert!(bench.cloud().cluster("ci").running);
    // Nothing was sent that could leave anything.
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().fault(Fault::on("GET", "/jwt/").status(403).always());
    bench.cloud().fault(Fault::on("POST", "/jwt/").status(403).always());
    let error = bench.ci().start().await.unwrap_err().to_string();
    assert!(!error.contains("may be running"), "{error}");
}

#[tokio::test]
async fn a_name_that_nobody_has_is_deployed_with_the_only_choices_there_are() {
    let bench = Bench::new(Options::default()).await;
    let cluster = bench.builder().cluster_name("fresh").region("eks1.eu-west-1.aws").build().unwrap();
    let made = cluster.start().await.unwrap();
    assert_eq!((made.name.as_str(), made.product_name.as_str()), ("fresh", "cr1"));
    answers(&cluster).await;
    assert!(bench.writes()[0].is_deploy());
    says(bench.said(), &["no cluster is named `fresh`", "deploying"]);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_an_error_where_nothing_may_be_deployed() {
    let bench = Bench::with(ClusterOptions::running("other")).await;
    for error in [
        bench.builder().cluster_name("ci").deploy(false).build().unwrap().start().await.unwrap_err(),
        bench.ci().resume().await.unwrap_err(),
        bench.ci().stop().await.unwrap_err(),
        bench.ci().info().await.unwrap_err(),
        bench.ci().delete().await.unwrap_err(),
        bench.ci().scale(2).await.unwrap_err(),
        bench.ci().execute("SELECT 1").await.unwrap_err(),
    ] {
        assert!(error.is_not_found(), "{error}");
        says(error, &["no cluster is named `ci`", "`other` ("]);
    }
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn an_id_that_nobody_has_is_an_error_and_never_deployed() {
    let bench = Bench::with(ClusterOptions::running("other")).await;
    let cluster = bench.builder().cluster_id("e1e38d92-0000-4000-8000-00000000dead").build().unwrap();
    let error = cluster.start().await.unwrap_err();
    assert!(error.is_not_found());
    says(error, &["cluster e1e38d92-0000-4000-8000-00000000dead does not exist", "`other` ("]);
    let error = cluster.deploy().await.unwrap_err();
    assert!(error.is_usage());
    says(error, &["cannot deploy", "cluster_name"]);
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn what_somebody_else_does_is_waited_for() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().foreign_resume("ci", Pace::Auto(Duration::from_millis(300)));
    bench.ci().start().await.unwrap();
    assert!(bench.writes().is_empty());
    says(bench.said(), &["waiting for operation SUSPEND on cluster `ci` ("]);
}

#[tokio::test]
async fn a_conflict_is_waited_out() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("PUT", "/suspend/").conflict());
    bench.ci().start().await.unwrap();
    assert_eq!(bench.resumes(), 2);
}

#[tokio::test]
async fn an_operation_that_fails_is_an_error_with_the_words_of_the_service() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fail_next_operation("ci", "No capacity left.");
    let error = bench.ci().start().await.unwrap_err();
    says(&error, &["resuming cluster `ci` (", "failed: No capacity left.", "ended as FAILED", "suspended still"]);

    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().fail_next_operation("ci", "A snapshot runs.");
    says(bench.ci().stop().await.unwrap_err(), &["suspending cluster `ci` (", "failed: A snapshot runs."]);

    bench.cloud().fail_next_operation("ci", "Too many shards.");
    let error = bench.ci().scale(3).await.unwrap_err();
    says(&error, &["scaling cluster `ci` (", "to 3 nodes failed: Too many shards."]);
}

#[tokio::test]
async fn an_older_operation_of_the_same_type_is_never_taken_for_the_new_one() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let cluster = bench.ci();
    // Two operations of type SUSPEND succeeded.
    cluster.start().await.unwrap();
    cluster.stop().await.unwrap();
    bench.cloud().hold_next_operation("ci");
    let quick = bench.builder().cluster_name("ci").start_timeout(Duration::from_millis(700)).build().unwrap();
    let error = quick.start().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(bench.cloud().cluster("ci").suspended);
}

#[tokio::test]
async fn an_operation_that_nobody_lists_is_told_by_the_cluster() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().hide_next_operation("ci");
    bench.ci().start().await.unwrap();
    assert_eq!(bench.resumes(), 1);
}

#[tokio::test]
async fn nothing_is_waited_for_longer_than_was_said() {
    let bench = Bench::new(Options::default().explicit().cluster(ClusterOptions::suspended("ci"))).await;
    let cluster = bench.builder().cluster_name("ci").start_timeout(Duration::from_millis(500)).build().unwrap();
    let begun = std::time::Instant::now();
    let error = cluster.start().await.unwrap_err();
    assert!(error.is_timeout() && begun.elapsed() < Duration::from_secs(5));
    says(error, &["gave up waiting for the end of resuming cluster `ci` (", "last status: ", "start_timeout"]);
}

#[tokio::test]
async fn one_answer_has_its_own_time() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().fault(Fault::on("GET", "/clusters/").hang().times(3));
    let cluster = bench.builder().cluster_name("ci").timeout(Duration::from_millis(200)).build().unwrap();
    let error = cluster.info().await.unwrap_err();
    assert!(error.is_timeout());
    says(error, &["did not answer GET /api/v2/clusters/ within 200ms", "tried 3 times"]);
}

#[tokio::test]
async fn a_stopped_cluster_is_suspended_and_stopped_only_once() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    assert!(bench.ci().stop().await.unwrap().suspended);
    assert!(bench.ci().suspend().await.unwrap().suspended);
    assert_eq!((bench.suspends(), bench.writes().len()), (1, 1));
}

#[tokio::test]
async fn a_product_that_cannot_be_suspended_says_so() {
    let bench = Bench::with(ClusterOptions::running("ci").with("product", "crfree").unwrap()).await;
    let error = bench.ci().stop().await.unwrap_err();
    assert_eq!(error.status(), Some(400));
    says(&error, &["can't be suspended"]);
    assert!(bench.cloud().cluster("ci").running);
}

#[tokio::test]
async fn a_deleted_cluster_is_gone_and_a_protected_one_is_not() {
    let bench = Bench::with(ClusterOptions::running("ci").with("protected", "true").unwrap()).await;
    let error = bench.ci().delete().await.unwrap_err();
    assert!(error.status().is_some_and(|status| (400..500).contains(&status)), "{error}");
    assert!(error.message().is_some());
    assert_eq!(bench.cloud().clusters().len(), 1);

    let client = bench.client();
    let id = bench.ci().info().await.unwrap().id;
    client.set_deletion_protection(&id, false).await.unwrap();
    bench.ci().delete().await.unwrap();
    assert!(bench.cloud().clusters().is_empty());
    assert!(bench.ci().delete().await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_name_that_is_taken_is_not_deployed_again() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let error = bench.ci().deploy().await.unwrap_err();
    assert!(error.is_usage());
    says(error, &["there is one of that name", &bench.cloud().cluster("ci").id]);
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn two_calls_of_one_process_deploy_one_cluster() {
    let bench = Bench::new(Options::default()).await;
    // Both look before either has an answer, and one of the answers is lost.
    bench.cloud().fault(Fault::on("POST", "/clusters/").delay(Duration::from_secs(1)));
    let cluster = || {
        let builder = bench.builder().cluster_name("fresh").region("eks1.eu-west-1.aws");
        builder.timeout(Duration::from_millis(500)).build().unwrap()
    };
    let (one, other) = (cluster(), cluster());
    let (first, second) = tokio::join!(one.start(), other.start());
    assert_eq!(first.unwrap().id, second.unwrap().id);
    answers(&other).await;
    assert_eq!(bench.writes().len(), 1, "{:?}", bench.writes());
    says(bench.said(), &["waiting for another call of this process, which deploys cluster `fresh`"]);
}

#[tokio::test]
async fn a_second_deployment_of_one_process_finds_the_name_taken() {
    let bench = Bench::new(Options::default()).await;
    bench.cloud().fault(Fault::on("POST", "/clusters/").delay(Duration::from_millis(200)));
    let cluster = bench.builder().cluster_name("fresh").region("eks1.eu-west-1.aws").build().unwrap();
    let (first, second) = tokio::join!(cluster.deploy(), cluster.deploy());
    let ((Ok(_), Err(error)) | (Err(error), Ok(_))) = (first, second) else { panic!("one of both deploys it") };
    says(error, &["cannot deploy cluster `fresh`", "there is one of that name"]);
    assert_eq!(bench.writes().len(), 1);
}

#[tokio::test]
async fn a_refused_deployment_keeps_what_the_service_said() {
    let bench = Bench::new(Options::default()).await;
    let body = r#"{"success": false, "message": "Bad request", "errors": {"cluster": {"name": ["Taken."]}}}"#;
    bench.cloud().fault(Fault::on("POST", "/clusters/").answer(400, body));
    let cluster = bench.builder().cluster_name("fresh").region("eks1.eu-west-1.aws").build().unwrap();
    let error = cluster.deploy().await.unwrap_err();
    assert_eq!((error.status(), error.message()), (Some(400), Some("Bad request")));
    assert_eq!(error.errors().unwrap()["cluster"]["name"][0], "Taken.");
    assert!(error.request().unwrap().starts_with("POST /api/v2/organizations/"));
    says(error, &["cluster.name: Taken.", "cluster `fresh` was not deployed"]);
}

#[tokio::test]
async fn a_deployment_that_fails_is_told_with_what_is_left() {
    let bench = Bench::new(Options::default()).await;
    bench.cloud().fail_next_operation("fresh", "No capacity left.");
    let cluster = bench.builder().cluster_name("fresh").region("eks1.eu-west-1.aws").build().unwrap();
    says(
        cluster.start().await.unwrap_err(),
        &["deploying cluster `fresh` (", "failed: No capacity left.", "delete it"],
    );
    says(cluster.start().await.unwrap_err(), &["can't be used", "its deployment failed"]);
    cluster.delete().await.unwrap();
    assert!(!cluster.start().await.unwrap().suspended);
}

#[tokio::test]
async fn a_choice_that_is_not_clear_lists_the_choices() {
    let bench = Bench::new(Options::default()).await;
    let other = bench.cloud().add_organization("Team B");
    let error = bench.builder().cluster_name("fresh").build().unwrap().start().await.unwrap_err();
    says(error, &["there are 2 organizations to choose from", &other, "CRATEDB_CLOUD_ORGANIZATION_ID"]);
    assert!(bench.writes().is_empty());
}

#[tokio::test]
async fn a_cluster_is_scaled_and_upgraded_and_a_change_that_is_there_is_not_made_again() {
    let bench = Bench::with(ClusterOptions::running("ci").with("version", "6.3.0").unwrap()).await;
    let cluster = bench.ci();
    assert_eq!(cluster.scale(3).await.unwrap().num_nodes, 3);
    assert_eq!(cluster.scale(3).await.unwrap().product_unit, 2);
    let newest = bench.client().versions().await.unwrap().crate_versions.stable.version;
    assert_eq!(cluster.upgrade(&newest).await.unwrap().crate_version, newest);
    assert_eq!(bench.writes().len(), 2);
    assert!(cluster.scale(0).await.unwrap_err().is_usage());
    let error = cluster.upgrade("0.1.2").await.unwrap_err();
    assert_eq!(error.status(), Some(400), "{error}");
}

#[tokio::test]
async fn one_operation_is_followed_by_its_id() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let (cluster, client) = (bench.ci(), bench.client());
    let id = cluster.info().await.unwrap().id;
    bench.cloud().fail_next_operation("ci", "No such disk.");
    let answer = client.expand_storage(&id, 1 << 40).await.unwrap();
    let failed = answer.last_async_operation.unwrap().id;
    says(cluster.follow(&failed).await.unwrap_err(), &["failed: No such disk.", &failed]);

    let answer = client.expand_storage(&id, 1 << 40).await.unwrap();
    let done = cluster.follow(&answer.last_async_operation.unwrap().id).await.unwrap();
    assert_eq!((done.kind.as_str(), done.entity_id.as_str()), ("EXPAND_STORAGE", id.as_str()));
}

#[tokio::test]
async fn the_blocking_twin_does_the_same() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let cluster = cratedb_test::blocking::ManagedCluster::from(bench.ci());
    assert!(!cluster.start().unwrap().suspended);
    assert_eq!(cluster.query("SELECT 1").scalar::<i64>().unwrap(), 1);
    assert_eq!(cratedb_test::blocking::wait(cluster.client().clusters()).unwrap().len(), 1);
    assert!(cluster.stop().unwrap().suspended);
}

#[tokio::test]
async fn trouble_of_the_service_does_not_end_a_stop() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().fault(Fault::on("GET", "/clusters/").status(503).times(4));
    let cluster = bench.ci().stop().await.unwrap();
    assert!(cluster.suspended && bench.suspends() == 1, "{}", bench.said());
}

#[tokio::test]
async fn a_progress_callback_that_panics_does_not_keep_the_cluster_running() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let builder = bench.builder().cluster_name("ci").stop_on_exit(true).on_progress(|_| panic!("a closed pipe"));
    builder.build().unwrap().run(|_| async { Ok(()) }).await.unwrap();
    assert_eq!((bench.resumes(), bench.suspends()), (1, 1));
    assert!(bench.cloud().cluster("ci").suspended);
}

#[tokio::test]
async fn no_time_is_too_long() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let cluster = bench.builder().cluster_name("ci").start_timeout(Duration::MAX).build().unwrap();
    cluster.start().await.unwrap();
    cluster.stop().await.unwrap();
}
