//! Outages of the API: waited out until the deadline, with the pauses that it asks for, and told.

use cratedb_cloud_simulator::Fault;

use super::*;

#[tokio::test]
async fn an_outage_at_the_start_is_waited_out() {
    for fault in [
        Fault::on("GET", "/clusters/").status(503).times(8),
        Fault::on("GET", "/clusters/").status(429).times(4),
        Fault::on("GET", "/clusters/").drop_connection().times(4),
        Fault::on("GET", "/clusters/").hang().times(4),
        Fault::on("GET", "/jwt/").status(502).times(4),
        Fault::on("PUT", "/suspend/").status(429).times(4),
    ] {
        let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
        bench.target.timeout = Duration::from_millis(100);
        bench.cloud().fault(fault.clone());
        let acquired = bench.acquire().await;
        assert_eq!(acquired.unwrap_or_else(|failed| panic!("{fault:?}: {}", failed.error)).ours, Ours::Resumed);
        says(bench.steps(), &["waiting: CrateDB Cloud at http://127.0.0.1:"]);
    }
}

#[tokio::test]
async fn an_outage_before_a_deployment_is_waited_out() {
    let mut bench = Bench::new(Options::default()).await;
    bench.target.cluster = ClusterAddress::Name("fresh".to_owned());
    bench.target.region = Some("eks1.eu-west-1.aws".to_owned());
    bench.cloud().fault(Fault::on("GET", "/organizations/").status(503).times(4));
    assert_eq!(bench.acquire().await.unwrap().ours, Ours::Deployed);
}

#[tokio::test]
async fn an_outage_does_not_hide_what_a_killed_keeper_left() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let held = bench.acquire().await.unwrap().held;
    bench.cloud().fault(Fault::on("GET", "/clusters/").status(503).times(7));
    assert_eq!(bench.recover(&held).await.unwrap().unwrap().ours, Ours::Resumed);
    says(bench.steps(), &["looking at cluster `ci` (", "503 Service Unavailable"]);
}

#[tokio::test]
async fn an_outage_that_lasts_is_an_error_that_says_what_was_wrong() {
    for (fault, words) in [
        (Fault::on("GET", "/clusters/").status(503).always(), "refused GET /api/v2/clusters/: 503 Service Unavailable"),
        (Fault::on("GET", "/clusters/").hang().always(), "did not answer GET /api/v2/clusters/ within 50ms"),
    ] {
        let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
        (bench.deadline, bench.target.timeout) = (Duration::from_secs(2), Duration::from_millis(50));
        bench.cloud().fault(fault);
        let begun = Instant::now();
        let (error, maybe_up) = bench.failure().await;
        assert!(begun.elapsed() >= bench.deadline && begun.elapsed() < bench.deadline * 3 && !maybe_up);
        says(error, &[words, "tried 3 times", "CRATEDB_TEST_START_TIMEOUT"]);
    }
}

#[tokio::test]
async fn a_refusal_at_the_start_is_not_waited_out() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("GET", "/clusters/").status(403));
    says(bench.failure().await.0, &["403 Forbidden"]);
    assert_eq!(bench.simulator.requests().len(), 1);
}

#[tokio::test]
async fn a_pause_that_the_service_asks_for_is_kept() {
    for path in ["/clusters/", "/suspend/", "/jwt/"] {
        let bench = Bench::with(ClusterOptions::suspended("ci")).await;
        bench.cloud().fault(Fault::on("*", path).status(429).retry_after(1));
        bench.acquire().await.unwrap();
        let all: Vec<Request> = bench.simulator.requests().into_iter().filter(|one| one.cluster.is_none()).collect();
        let busy = all.iter().position(|one| one.status == 429).unwrap();
        let pause = all[busy + 1].at_ms - all[busy].at_ms;
        assert!((990.0..5_000.0).contains(&pause), "{path}: {pause} ms");
    }
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_told() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.deadline = Duration::from_millis(600);
    bench.cloud().fault(Fault::on("GET", "/clusters/").status(429).retry_after(50).always());
    let (error, _) = bench.failure().await;
    says(error, &["429 Too Many Requests", "it asks for a pause of 50 s"]);
    assert_eq!(bench.simulator.requests().len(), 1);
}

#[tokio::test]
async fn each_reason_that_keeps_a_suspension_from_being_sent_is_told() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let provider = bench.provider();
    let held = bench.acquire_with(&provider).await.unwrap().held;
    let trouble = tokio::sync::watch::Sender::new(None);
    let progress = bench.progress.clone().with_trouble(trouble.clone());
    bench.cloud().fault(Fault::on("PUT", "/suspend/").drop_connection());
    bench.cloud().fault(Fault::on("GET", "/clusters/").status(503).always());
    let held = as_journalled(&held);
    let releasing = provider.release(&held, OnExit::Auto, &progress);
    let watching = async {
        bench.told("did not answer PUT /api/v2/clusters/").await;
        bench.told("refused GET /api/v2/clusters/").await;
        assert!(trouble.borrow().as_ref().is_some_and(|why: &String| why.contains("503 Service Unavailable")));
        bench.cloud().clear_faults();
    };
    assert_eq!(tokio::join!(releasing, watching).0.unwrap(), Released::Suspended);
    assert!(bench.cloud().cluster("ci").suspended);
}
