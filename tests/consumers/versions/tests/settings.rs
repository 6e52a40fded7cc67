//! Tests on servers with settings of their own.

use cratedb_test::fixture::cluster;
use cratedb_test::{Cluster, Result, Session, cratedb_cluster};
use rstest::rstest;

async fn jobs_log_size(cluster: &Cluster) -> Result<i64> {
    cluster.query("SELECT settings['stats']['jobs_log_size'] FROM sys.cluster").scalar().await
}

#[cratedb_cluster(settings("stats.jobs_log_size" = 100, "http.cors.enabled" = true))]
async fn a_server_is_started_with_settings(cluster: Cluster) -> Result<()> {
    assert_eq!(jobs_log_size(&cluster).await?, 100);
    Ok(())
}

/// In another order, in another form, and in code: it would wait for itself if it were another server.
#[cratedb_cluster(settings("http.cors.enabled" = "true", "stats.jobs_log_size" = 1_00), exclusive)]
async fn the_same_settings_are_the_same_server(cluster: Cluster) -> Result<()> {
    let builder = Session::builder().setting("stats.jobs_log_size", 100).setting("http.cors.enabled", true);
    let other = builder.join().await?.cluster("other").await?;
    assert_eq!(other.http_url(), cluster.http_url());
    assert_eq!(jobs_log_size(&other).await?, 100);
    // After the test, the server's own value is back.
    cluster.execute(r#"SET GLOBAL "stats.jobs_log_size" = 7"#).await?;
    Ok(())
}

/// The harness's own value for it does not count.
#[cratedb_cluster(settings("cluster.max_shards_per_node" = 77))]
async fn a_setting_of_the_test_beats_that_of_the_harness(cluster: Cluster) -> Result<()> {
    let query = cluster.query("SELECT settings['cluster']['max_shards_per_node'] FROM sys.cluster");
    assert_eq!(query.scalar::<i64>().await?, 77);
    assert_eq!(jobs_log_size(&cluster).await?, default());
    Ok(())
}

/// `CRATEDB_TEST_SETTINGS` of the run.
fn default() -> i64 {
    std::env::var("JOBS_LOG_SIZE").map_or(10_000, |size| size.parse().unwrap())
}

#[rstest]
#[tokio::test]
async fn without_settings_a_test_gets_the_default(cluster: Cluster) -> Result<()> {
    assert_eq!(jobs_log_size(&cluster).await?, default());
    Ok(())
}

/// The shell that starts a real server must not read it.
#[cratedb_cluster(settings("stats.jobs_log_filter" = r#"stmt != 'a "b" $HOME `id` \\ \\$'"#))]
#[ignore = "a real server"]
async fn a_value_reaches_the_server_as_it_is(cluster: Cluster) -> Result<()> {
    let filter = cluster.query("SELECT settings['stats']['jobs_log_filter'] FROM sys.cluster");
    assert_eq!(filter.scalar::<String>().await?, r#"stmt != 'a "b" $HOME `id` \\ \\$'"#);
    Ok(())
}

#[cratedb_cluster(settings("stats.no_such_thing" = 1))]
#[ignore = "no such server"]
fn wants_a_setting_that_does_not_exist() {}

#[cratedb_cluster(settings("stats.jobs_log_size" = "many"))]
#[ignore = "no such server"]
fn wants_a_value_that_does_not_fit() {}
