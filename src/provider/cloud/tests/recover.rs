//! After a killed keeper: what its last intent names, in every state that it can be in.

use cratedb_cloud_simulator::Pace;

use super::*;

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
    let intent = super::super::held::Held::planned("ci").to_json();
    let resource = bench.recover(&intent).await.unwrap().unwrap();
    assert_eq!(resource.ours, Ours::Deployed);
    let intent = super::super::held::Held::planned("never-made").to_json();
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
