//! tokio, `serial_test`, test-log, ntest and test-case, in every order that works.

use composition::{sees_only_its_own_rows, sees_only_its_own_rows_blocking};
use cratedb_test::fixture::cluster;
use cratedb_test::{blocking, cratedb_cluster, Cluster, Result};
use ntest::timeout;
use rstest::rstest;
use serial_test::serial;
use test_case::test_case;

#[cratedb_cluster]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_a_runtime_with_threads(cluster: Cluster) -> Result<()> {
    let task = tokio::spawn(async move { sees_only_its_own_rows(&cluster).await });
    task.await.unwrap()
}

#[cratedb_cluster]
#[tokio::test]
async fn above_a_runtime(cluster: &Cluster) -> Result<()> {
    assert_eq!(cluster.schema(), Cluster::current().unwrap().schema());
    sees_only_its_own_rows(cluster).await
}

#[tokio::test]
#[cratedb_cluster]
async fn below_a_runtime(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
async fn on_our_own_runtime(cluster: Cluster) -> Result<()> {
    // The runtime has timers: this one expires, since no message is sent.
    let (_sender, mut receiver) = tokio::sync::mpsc::channel::<()>(1);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(1), receiver.recv()).await.is_err());
    tokio::spawn(async move { sees_only_its_own_rows(&cluster).await }).await.unwrap()
}

#[cratedb_cluster]
#[serial]
async fn above_serial(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
#[serial]
fn above_serial_sync(cluster: blocking::Cluster) -> Result<()> {
    sees_only_its_own_rows_blocking(&cluster)
}

#[cratedb_cluster]
#[serial]
#[tokio::test]
async fn above_serial_and_a_runtime(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[rstest]
#[case(1)]
#[serial]
#[cratedb_test::test]
async fn below_rstest_and_serial(cluster: Cluster, #[case] number: i32) -> Result<()> {
    assert!(number > 0);
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
#[test_log::test]
async fn above_test_log(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[test_log::test]
#[cratedb_cluster]
async fn below_test_log(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
#[test_log::test]
fn above_test_log_sync(cluster: blocking::Cluster) -> Result<()> {
    sees_only_its_own_rows_blocking(&cluster)
}

#[cratedb_cluster]
#[test_log::test(tokio::test)]
async fn above_test_log_around_a_runtime(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[test_log::test(cratedb_test::test)]
async fn inside_test_log(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
#[test]
async fn above_a_plain_test(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
#[timeout(600_000)]
async fn above_timeout(cluster: Cluster) -> Result<()> {
    assert_eq!(cluster.schema(), Cluster::current().unwrap().schema());
    sees_only_its_own_rows(&cluster).await
}

#[cratedb_cluster]
#[timeout(600_000)]
fn above_timeout_sync(cluster: blocking::Cluster) -> Result<()> {
    sees_only_its_own_rows_blocking(&cluster)
}

#[test_case(1)]
#[test_case(2)]
#[cratedb_cluster]
async fn below_test_case(number: i32) -> Result<()> {
    assert!(number > 0);
    sees_only_its_own_rows(&Cluster::current().unwrap()).await
}
