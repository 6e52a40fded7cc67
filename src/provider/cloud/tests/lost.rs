//! Requests that CrateDB Cloud carries out, perhaps later, and whose answers get lost: what is owed all the same.

use cratedb_cloud_simulator::Fault;

use super::*;

const REFUSED: &str = r#"{"success": false, "message": "The organization already has a cluster of the free tier."}"#;

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
async fn a_refusal_of_another_deployment_does_not_undo_the_one_whose_answer_got_lost() {
    let mut bench = nothing_yet().await;
    bench.target.product = "crfree".to_owned();
    bench.cloud().fault(Fault::on("POST", "/clusters/").status(502));
    bench.cloud().fault(Fault::on("POST", "/clusters/").answer(400, REFUSED).always());
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up, "the first request may have been carried out: {error}");
    assert!(!error.to_string().contains("was not deployed"), "{error}");
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
