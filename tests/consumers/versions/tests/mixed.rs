//! Several clusters at once: which one a test gets, and which tests an exclusive one excludes.

use cratedb_test::fixture::cluster;
use cratedb_test::{Cluster, Result, Session, blocking, cratedb_cluster};
use rstest::rstest;

async fn version_of(cluster: &Cluster) -> Result<String> {
    cluster.query("SELECT version['number'] FROM sys.nodes LIMIT 1").scalar().await
}

#[rstest]
fn a_fixture_alone_gets_the_default(cluster: Cluster) {
    assert_eq!(cluster.server_version().major, 6);
}

/// It would wait for itself if it were not known to be a part of the test.
#[cratedb_cluster(version = "5.10", exclusive)]
async fn an_exclusive_test_gets_a_second_schema_on_its_own_cluster(cluster: Cluster) -> Result<()> {
    let session = Session::builder().version("5.10").join().await?;
    let second = session.cluster("second").await?;
    assert_ne!(second.schema(), cluster.schema());
    assert_eq!(version_of(&second).await?, version_of(&cluster).await?);
    Ok(())
}

/// The numbers of attempts on one cluster mean nothing on the other.
#[cratedb_cluster(version = "5.10", exclusive)]
async fn an_exclusive_test_gets_a_cluster_of_another_version(cluster: Cluster) -> Result<()> {
    let other = Session::builder().version("6.4").join().await?.cluster("other").await?;
    assert!(version_of(&cluster).await?.starts_with("5.10.") && version_of(&other).await?.starts_with("6.4."));
    other.execute("CREATE TABLE t (id INT)").await?;
    assert!(cluster.execute("INSERT INTO t (id) VALUES (1)").await.is_err());
    Ok(())
}

/// Called inside a test of another version, it has an attempt of its own there.
#[cratedb_cluster(version = "6.4")]
fn called_by_another(cluster: blocking::Cluster) {
    assert_eq!(cluster.server_version().major, 6);
    assert_eq!(Cluster::current().unwrap().server_version().major, 6);
}

#[cratedb_cluster(version = "5.10", exclusive)]
fn calls_another() {
    assert_eq!(Cluster::current().unwrap().server_version().major, 5);
    called_by_another();
    assert_eq!(Cluster::current().unwrap().server_version().major, 5);
}

#[test]
fn a_blocking_session_on_a_version() -> Result<()> {
    let session = blocking::Session::join(Session::builder().version("5.10").nodes(1))?;
    assert_eq!(session.cluster("blocking")?.server_version().minor, 10);
    Ok(())
}
