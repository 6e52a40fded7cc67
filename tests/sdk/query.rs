//! Sends SQL to managed clusters, with a token that is shared and renewed early.

use std::time::{Duration, Instant};

use cratedb_cloud_simulator::{ClusterOptions, Fault, Options};

use crate::support::{Bench, answers, says};

async fn with_lifetime(lifetime: Duration) -> Bench {
    let options = Options { token_lifetime: lifetime, ..Options::default() };
    Bench::new(options.cluster(ClusterOptions::running("ci"))).await
}

#[tokio::test]
async fn statements_share_one_token_over_all_handles_and_threads() {
    let bench = with_lifetime(Duration::from_secs(3600)).await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let cluster = bench.ci();
        tasks.push(tokio::spawn(async move { cluster.query("SELECT 1").scalar::<i64>().await.unwrap() }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert_eq!(bench.asked("/jwt/"), 1);
    assert_eq!(bench.ci().jwt().await.unwrap().token(), bench.ci().jwt().await.unwrap().token());
    assert_eq!(bench.asked("/jwt/"), 1);
}

#[tokio::test]
async fn a_token_is_renewed_five_minutes_before_it_ends() {
    let bench = with_lifetime(Duration::from_secs(5 * 60 + 30)).await;
    let cluster = bench.ci();
    answers(&cluster).await;
    answers(&cluster).await;
    assert_eq!(bench.asked("/jwt/"), 1);
}

#[tokio::test]
async fn a_token_that_does_not_live_so_long_is_used_for_a_tenth_of_its_life() {
    let bench = with_lifetime(Duration::from_secs(5 * 60 - 1)).await;
    let cluster = bench.ci();
    answers(&cluster).await;
    answers(&cluster).await;
    assert_eq!(bench.asked("/jwt/"), 1, "no request for each statement");
    let bench = with_lifetime(Duration::from_secs(20)).await;
    let cluster = bench.ci();
    let began = Instant::now();
    while bench.asked("/jwt/") < 2 {
        answers(&cluster).await;
        assert!(began.elapsed() < Duration::from_secs(18), "not renewed before it ends");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once_and_the_statement_sent_again() {
    let bench = with_lifetime(Duration::from_secs(3600)).await;
    let cluster = bench.ci();
    answers(&cluster).await;
    bench.cloud().revoke_tokens();
    answers(&cluster).await;
    assert_eq!(bench.asked("/jwt/"), 2);
}

#[tokio::test]
async fn trouble_of_the_service_does_not_take_a_token_away_that_is_still_good() {
    let bench = with_lifetime(Duration::from_secs(60)).await;
    let cluster = bench.ci();
    answers(&cluster).await;
    bench.cloud().fault(Fault::on("GET", "/jwt/").status(503).always());
    answers(&cluster).await;
}

#[tokio::test]
async fn no_token_is_told_with_the_reason() {
    let bench = with_lifetime(Duration::from_secs(60)).await;
    bench.cloud().fault(Fault::on("GET", "/jwt/").answer(403, r#"{"message": "Permission denied for user."}"#));
    let error = bench.ci().query("SELECT 1").scalar::<i64>().await.unwrap_err();
    assert!(error.is_not_allowed());
    says(error, &["/jwt/", "Permission denied for user."]);
}

#[tokio::test]
async fn arguments_and_rows_are_as_in_tests() {
    let bench = with_lifetime(Duration::from_secs(3600)).await;
    let cluster = bench.ci();
    cluster.execute("CREATE TABLE doc.readings (id INT PRIMARY KEY, value DOUBLE)").await.unwrap();
    let insert = cluster.query("INSERT INTO doc.readings VALUES (?, ?)").bind(1).bind(2.5);
    assert_eq!(insert.execute().await.unwrap(), 1);
    cluster.execute("REFRESH TABLE doc.readings").await.unwrap();
    let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await.unwrap();
    assert_eq!(rows, [(1, 2.5)]);

    let table = cluster.query("SELECT id, value FROM readings").fetch_table().await.unwrap();
    assert_eq!(table.columns[0].0, "id");
    assert_eq!((table.rows[0][1].get(), table.rowcount), ("2.5", Some(1)));
    let table = cluster.query("DROP TABLE readings").fetch_table().await.unwrap();
    assert!(table.columns.is_empty() && table.rows.is_empty());
    let error = cluster.query("SELECT nonsense").fetch_table().await.unwrap_err();
    assert!(error.code().is_some());
}

#[tokio::test]
async fn a_suspended_cluster_says_that_it_is() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let error = bench.ci().execute("SELECT 1").await.unwrap_err();
    says(error, &["cluster `ci` (", "is suspended: `start` resumes it"]);
}

#[tokio::test]
async fn a_cluster_that_was_deleted_and_made_again_is_found_again() {
    let bench = Bench::with(ClusterOptions::running("fresh")).await;
    let cluster = bench.builder().cluster_name("fresh").region("eks1.eu-west-1.aws").build().unwrap();
    answers(&cluster).await;
    bench.builder().cluster_name("fresh").build().unwrap().delete().await.unwrap();
    let error = cluster.execute("SELECT 1").await.unwrap_err();
    says(error, &["no cluster is named `fresh`"]);
    bench.builder().cluster_name("fresh").region("eks1.eu-west-1.aws").build().unwrap().start().await.unwrap();
    answers(&cluster).await;
}

#[tokio::test]
async fn health_has_both_sides_and_is_no_error_while_suspended() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let cluster = bench.ci();
    cluster.execute("CREATE TABLE doc.t (id INT)").await.unwrap();
    let health = cluster.health().await.unwrap();
    assert!(health.is_good(), "{health}");
    let sql = health.sql.as_ref().unwrap();
    assert!(sql.nodes >= 1 && sql.tables >= 1);
    assert_eq!(health.cloud.as_ref().unwrap().status, "GREEN");
    says(&health, &["cluster `ci` (", "CrateDB Cloud says GREEN", "SQL says "]);

    cluster.stop().await.unwrap();
    let health = cluster.health().await.unwrap();
    assert!(health.suspended && !health.is_good() && health.sql.is_none() && health.problem.is_none());
    says(&health, &["is suspended"]);
}

#[tokio::test]
async fn health_of_a_cluster_that_does_not_answer_says_why() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    bench.cloud().sql_not_ready_requests("ci", 1000);
    let health = bench.ci().health().await.unwrap();
    assert!(!health.is_good());
    says(health.problem.unwrap(), &["503"]);
}
