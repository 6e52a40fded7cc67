//! Clusters that are found suspended, running or busy, and failures while they start.

use cratedb_cloud_simulator::{Fault, Pace};

use super::*;

const ID: &str = "e1e38d92-0000-4000-8000-000000000001";

#[tokio::test]
async fn a_suspended_cluster_is_resumed_and_answers() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let resource = bench.acquire().await.unwrap();
    assert_eq!((resource.ours, bench.resumes(), bench.writes().len()), (Ours::Resumed, 1, 1));
    assert!(matches!(&resource.credentials, Credentials::Jwt { expires: Some(_), .. }));
    assert_eq!(resource.http_url, bench.cloud().cluster("ci").url);
    answers(&resource).await;
    says(bench.steps(), &["resuming cluster `ci` (", "connecting to cluster `ci` ("]);
}

#[tokio::test]
async fn a_running_cluster_is_not_ours() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let resource = bench.acquire().await.unwrap();
    assert_eq!((resource.ours, bench.writes().len(), bench.last_intent()), (Ours::No, 0, None));
    says(bench.steps(), &["cluster `ci` (", ") is running already"]);
}

#[tokio::test]
async fn a_cluster_is_found_by_its_id() {
    let mut bench = Bench::with(ClusterOptions::suspended("other").with("id", ID).unwrap()).await;
    bench.target.cluster = ClusterAddress::Id(ID.to_owned());
    let resource = bench.acquire().await.unwrap();
    assert_eq!(resource.name, format!("cluster `other` ({ID})"));
}

#[tokio::test]
async fn the_operation_is_followed_by_its_id_and_told() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().hold_next_operation("ci");
    let stepping = async {
        for status in ["REGISTERED", "SENT", "IN_PROGRESS"] {
            bench.told(&format!("): {status} (")).await;
            bench.cloud().step();
        }
    };
    let (acquired, ()) = tokio::join!(bench.acquire(), stepping);
    acquired.unwrap();
    assert_eq!(bench.resumes(), 1);
}

#[tokio::test]
async fn somebody_elses_operation_is_waited_for_and_the_goal_looked_at_again() {
    for (kind, resumes, ours) in [("resume", 0, Ours::No), ("SCALE", 1, Ours::Resumed)] {
        let bench = Bench::with(ClusterOptions::suspended("ci")).await;
        let pace = Pace::Auto(Duration::from_millis(400));
        match kind {
            "resume" => bench.cloud().foreign_resume("ci", pace),
            kind => bench.cloud().foreign_operation("ci", kind, pace),
        }
        let resource = bench.acquire().await.unwrap();
        assert_eq!((bench.resumes(), resource.ours), (resumes, ours), "{kind}");
        says(bench.steps(), &["waiting for operation", "which another client started"]);
    }
}

#[tokio::test]
async fn a_cluster_that_somebody_suspends_is_resumed_afterwards() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().foreign_suspend("ci", Pace::Auto(Duration::from_millis(400)));
    let resource = bench.acquire().await.unwrap();
    assert_eq!((bench.resumes(), resource.ours), (1, Ours::Resumed));
}

#[tokio::test]
async fn a_conflict_is_waited_out() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("PUT", "/suspend/").conflict().times(2));
    let resource = bench.acquire().await.unwrap();
    assert_eq!((bench.resumes(), resource.ours), (3, Ours::Resumed));
    says(bench.steps(), &["waiting for another operation on cluster `ci` ("]);
}

#[tokio::test]
async fn a_resumption_whose_answer_got_lost_is_found_by_looking() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("PUT", "/suspend/").delay(Duration::from_secs(2)));
    let resource = bench.acquire().await.unwrap();
    assert_eq!(resource.ours, Ours::Resumed);
}

#[tokio::test]
async fn a_resumption_that_never_arrived_is_sent_again_after_a_look_until_the_deadline() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("PUT", "/suspend/").drop_connection().times(4));
    assert_eq!((bench.acquire().await.unwrap().ours, bench.resumes()), (Ours::Resumed, 5));

    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.deadline = Duration::from_millis(700);
    bench.cloud().fault(Fault::on("PUT", "/suspend/").drop_connection().always());
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up, "nobody knows what became of the requests");
    says(error, &["did not answer PUT /api/v2/clusters/", "CRATEDB_CLOUD_ENDPOINT", "CRATEDB_TEST_START_TIMEOUT"]);
    assert!(bench.resumes() > 1);
}

#[tokio::test]
async fn an_operation_that_nothing_names_has_succeeded_once_the_cluster_runs() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().hide_next_operation("ci");
    assert_eq!(bench.acquire().await.unwrap().ours, Ours::Resumed);
}

#[tokio::test]
async fn an_operation_that_never_ends_is_given_up_at_the_deadline() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().hold_next_operation("ci");
    bench.deadline = Duration::from_millis(600);
    let (error, maybe_up) = bench.failure().await;
    assert!(error.is_timeout() && maybe_up);
    says(
        error,
        &[
            "gave up waiting for the end of resuming cluster `ci` (",
            "last status: REGISTERED (",
            "CRATEDB_TEST_START_TIMEOUT",
        ],
    );
}

#[tokio::test]
async fn a_resumption_of_which_nothing_comes_is_asked_for_again_but_not_for_ever() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().lose_next_operation("ci");
    assert_eq!(bench.acquire().await.unwrap().ours, Ours::Resumed);
    assert_eq!(bench.resumes(), 2);

    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    (0..3).for_each(|_| bench.cloud().lose_next_operation("ci"));
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up);
    says(error, &["resuming cluster `ci` (", ") failed: CrateDB Cloud took the request, but there is no operation"]);
}

#[tokio::test]
async fn a_failed_operation_is_an_error_with_the_services_words() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fail_next_operation("ci", "No capacity left in the region.");
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up, "the cluster was looked at and is suspended");
    let id = bench.cloud().cluster("ci").id;
    says(
        error,
        &[
            &format!("resuming cluster `ci` ({id}) failed: No capacity left in the region."),
            "of type SUSPEND ended as FAILED",
            bench.simulator.url(),
        ],
    );
}

#[tokio::test]
async fn a_wrong_key_is_an_error_that_says_which_variable() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.target.login = Login::ApiKey { key: "ada".to_owned(), secret: Secret::new("wrong") };
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up);
    says(
        error,
        &[
            "refused GET /api/v2/clusters/: 401 Unauthorized",
            bench.simulator.url(),
            "CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET",
        ],
    );
}

#[tokio::test]
async fn an_unknown_id_is_an_error_that_lists_what_exists() {
    let mut bench = Bench::with(ClusterOptions::running("other").with("id", ID).unwrap()).await;
    let asked = "e1e38d92-0000-4000-8000-00000000ffff";
    bench.target.cluster = ClusterAddress::Id(asked.to_owned());
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up && bench.writes().is_empty());
    let other = format!("`other` ({ID})");
    says(
        error,
        &[&format!("cluster {asked} does not exist"), "404", "CRATEDB_CLUSTER_ID", &other, "CRATEDB_CLUSTER_NAME"],
    );
}

#[tokio::test]
async fn a_name_that_two_clusters_have_is_an_error_that_lists_their_ids() {
    let second = "e1e38d92-0000-4000-8000-000000000002";
    let one = ClusterOptions::suspended("ci").with("id", ID).unwrap();
    let two = ClusterOptions::suspended("ci").with("id", second).unwrap();
    let bench = Bench::new(Options::default().cluster(one).cluster(two)).await;
    let (error, maybe_up) = bench.failure().await;
    assert!(!maybe_up && bench.writes().is_empty());
    says(error, &["cannot tell which cluster `ci` is meant", ID, second, "CRATEDB_CLUSTER_ID"]);
}

#[tokio::test]
async fn trouble_while_an_operation_runs_does_not_end_the_wait() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("GET", "/operations/").status(502).times(4));
    assert_eq!(bench.acquire().await.unwrap().ours, Ours::Resumed);
}

#[tokio::test]
async fn the_deadline_holds_whatever_hangs() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("GET", "/clusters/").hang().always());
    bench.target.timeout = Duration::from_secs(30);
    bench.deadline = Duration::from_millis(400);
    let begun = Instant::now();
    let (error, _) = bench.failure().await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    says(error, &["gave up waiting for cluster `ci` of CrateDB Cloud to run", "CRATEDB_TEST_START_TIMEOUT"]);
}

#[tokio::test]
async fn without_an_intent_there_is_no_call() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let intents = Intents::new(Arc::new(|_| Err(Error::new(crate::error::Kind::Session, "the disk is full"))));
    let deadline = Instant::now() + bench.deadline;
    let failed = bench.provider().acquire(deadline, &bench.progress, &intents).await.err().unwrap();
    says(failed.error, &["the disk is full"]);
    assert!(!failed.maybe_up);
    assert!(bench.writes().is_empty());
}
