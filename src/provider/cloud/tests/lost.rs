//! Requests that CrateDB Cloud carries out, perhaps later, and whose answers get lost: what is owed all the same.

use cratedb_cloud_simulator::Fault;

use super::*;

/// Nothing exists; what a deployment needs is set.
async fn nothing_yet() -> Bench {
    let mut bench = Bench::new(Options::default()).await;
    bench.target.region = Some("eks1.eu-west-1.aws".to_owned());
    bench
}

#[tokio::test]
async fn a_refusal_of_the_second_try_does_not_undo_the_resumption_whose_answer_got_lost() {
    for refusal in
        [Fault::on("PUT", "/suspend/").conflict().always(), Fault::on("PUT", "/suspend/").status(403).always()]
    {
        let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
        bench.cloud().fault(Fault::on("PUT", "/suspend/").status(502));
        bench.cloud().fault(refusal);
        bench.deadline = Duration::from_millis(900);
        let (error, maybe_up) = bench.failure().await;
        assert!(maybe_up, "the first request may have been carried out: {error}");
        assert!(!error.to_string().contains("stays suspended"), "{error}");
        assert!(bench.resumes() > 1, "it was refused after it got lost");
    }
}

#[tokio::test]
async fn a_deployment_whose_answer_got_lost_is_never_asked_for_again() {
    let bench = nothing_yet().await;
    bench.cloud().fault(Fault::on("POST", "/clusters/").status(502));
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up && bench.writes().len() == 1, "it may have been carried out: {error}");
    says(error, &["may be deployed all the same"]);
}

#[tokio::test]
async fn a_planned_deployment_is_looked_for_until_it_had_the_time_to_be_listed() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    // The first listing lacks what was deployed a moment ago.
    bench.cloud().fault(Fault::on("GET", "/clusters/").answer(200, "[]"));
    let planned = super::super::held::Held::planned("ci").to_json();
    assert_eq!(bench.release(&planned, OnExit::Auto).await.unwrap(), Released::Suspended);
    assert!(bench.cloud().cluster("ci").suspended);
}

#[tokio::test]
async fn a_deployment_that_nobody_ever_lists_is_nothing_to_release() {
    let bench = nothing_yet().await;
    let planned = super::super::held::Held::planned("ci").to_json();
    assert_eq!(bench.release(&planned, OnExit::Auto).await.unwrap(), Released::Deleted);
    assert!(bench.writes().is_empty());
}
