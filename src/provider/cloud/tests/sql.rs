//! From a cluster that runs, says the service, to one that answers; and credentials.

use cratedb_cloud_simulator::Fault;

use super::*;
use crate::wait::{self, Look};

#[tokio::test]
async fn a_cluster_that_does_not_answer_yet_is_waited_for_and_told() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().sql_not_ready_requests("ci", 5);
    let resource = bench.acquire().await.unwrap();
    answers(&resource).await;
    says(bench.steps(), &["waiting for SQL at http://127.0.0.1:", "503"]);
}

#[tokio::test]
async fn connections_that_break_mean_not_yet() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("POST", "/_sql").drop_connection().times(3));
    bench.acquire().await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_never_answers_is_given_up_at_the_deadline_with_the_last_status() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().sql_not_ready_requests("ci", u32::MAX);
    bench.deadline = Duration::from_secs(1);
    let (error, maybe_up) = bench.failure().await;
    assert!(error.is_timeout() && maybe_up);
    let url = bench.cloud().cluster("ci").url;
    says(
        error,
        &[
            &format!("gave up waiting for SQL at {url} after "),
            "last status: ",
            "503",
            "is running, says CrateDB Cloud",
            "CRATEDB_TEST_START_TIMEOUT",
        ],
    );
    let held = bench.last_intent().unwrap();
    assert_eq!(bench.release(&held, OnExit::Auto).await.unwrap(), Released::Suspended);
}

#[tokio::test]
async fn a_proxy_that_mixes_sessions_fails_the_acquisition_and_says_why() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().mix_connections("ci", true);
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up, "it runs and must be suspended");
    says(
        error,
        &[
            "cannot give each test a schema of its own at http://127.0.0.1:",
            "a proxy before the server mixes sessions",
            "without that proxy",
        ],
    );
}

#[tokio::test]
async fn a_token_that_expired_meanwhile_is_renewed() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let provider = bench.provider();
    let resource = bench.acquire_with(&provider).await.unwrap();
    bench.cloud().revoke_tokens();
    let client = SqlClient::new(&resource.http_url, None, Wallet::new(resource.credentials.clone())).unwrap();
    says(client.send("SELECT 1", &[]).await.unwrap_err(), &["the token was refused"]);
    // The simulator's tokens of one second are equal.
    let fresh = wait::until(
        "another token",
        wait::SERVER,
        Instant::now() + bench.deadline,
        |_| (),
        || async {
            let fresh = provider.credentials(&resource).await?;
            Ok(if fresh == resource.credentials { Look::NotYet("the same".to_owned()) } else { Look::Ready(fresh) })
        },
    );
    let fresh = fresh.await.unwrap();
    answers(&Resource { credentials: fresh, ..resource }).await;
}

#[tokio::test]
async fn credentials_say_when_they_end() {
    let options = Options { token_lifetime: Duration::from_secs(600), ..Options::default() };
    let bench = Bench::new(options.cluster(ClusterOptions::running("ci"))).await;
    let Credentials::Jwt { expires: Some(expires), .. } = bench.acquire().await.unwrap().credentials else { panic!() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert!((now + 590..=now + 610).contains(&expires), "{expires} {now}");
}

#[tokio::test]
async fn without_a_token_there_is_no_resource() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.cloud().fault(Fault::on("GET", "/jwt/").status(403).always());
    let (error, maybe_up) = bench.failure().await;
    assert!(maybe_up, "it was resumed");
    says(error, &["refused GET /api/v2/clusters/", "/jwt/: 403 Forbidden"]);
}

#[tokio::test]
async fn nothing_that_crosses_to_the_journal_holds_a_secret() {
    let mut bench = Bench::with(ClusterOptions::suspended("ci")).await;
    bench.target.password = Some(Secret::new("database-hunter2"));
    let resource = bench.acquire().await.unwrap();
    let Credentials::Jwt { token, .. } = &resource.credentials else { panic!() };
    let intents = serde_json::to_string(&*bench.intents.lock().unwrap()).unwrap();
    for text in [resource.held.to_string(), intents, format!("{resource:?}"), format!("{:?}", bench.target)] {
        for secret in [SECRET, token.expose(), "database-hunter2"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
