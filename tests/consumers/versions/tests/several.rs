//! One test per version, with everything that may stand beside the attribute.

use cratedb_test::fixture::cluster;
use cratedb_test::{Cluster, Result, Version, blocking, cratedb_cluster};
use rstest::rstest;

/// The name of the running test says which version it wants.
fn wanted() -> (u32, u32) {
    let name = std::thread::current().name().unwrap().to_owned();
    match name.rsplit_once("_on_").unwrap().1 {
        "5_10" => (5, 10),
        "6_4" => (6, 4),
        other => panic!("{other}"),
    }
}

fn numbers(version: Version) -> (u32, u32) {
    (version.major, version.minor)
}

#[cratedb_cluster(versions("5.10", "6.4"))]
async fn an_async_test_gets_what_it_wants(cluster: Cluster) -> Result<()> {
    assert_eq!(numbers(cluster.server_version()), wanted());
    let said: String = cluster.query("SELECT version['number'] FROM sys.nodes LIMIT 1").scalar().await?;
    assert_eq!(numbers(said.parse()?), wanted());
    Ok(())
}

#[cratedb_cluster(versions("5.10", "6.4"))]
fn a_sync_test_gets_what_it_wants(cluster: &blocking::Cluster) {
    assert_eq!(numbers(cluster.server_version()), wanted());
}

#[cratedb_cluster(versions("5.10", "6.4"))]
#[should_panic(expected = "as it should")]
fn panics(_cluster: &blocking::Cluster) {
    panic!("as it should");
}

#[cratedb_cluster(versions("5.10", "6.4"))]
#[ignore = "fails"]
fn ignored() {
    panic!("was not to be run");
}

#[cratedb_cluster(versions("5.10", "6.4"))]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_runtime_of_another(cluster: Cluster) {
    assert_eq!(numbers(cluster.server_version()), wanted());
}

#[rstest]
#[case::one(1)]
#[case::two(2)]
#[cratedb_test::test(versions("5.10", "6.4"))]
async fn cases(cluster: Cluster, #[case] number: i64) -> Result<()> {
    assert_eq!(numbers(cluster.server_version()), wanted());
    assert_eq!(cluster.query("SELECT ?").bind(number).scalar::<i64>().await?, number);
    Ok(())
}

macro_rules! inside {
    ($version:literal, $name:ident) => {
        #[cratedb_cluster(version = $version)]
        async fn $name(cluster: Cluster) {
            assert_eq!(cluster.server_version().to_string().rsplit_once('.').unwrap().0, $version);
        }
    };
}

inside!("5.10", a_version_that_a_macro_names);

#[cratedb_cluster(version = "5.10", nodes = 1)]
async fn nodes_are_counted(cluster: Cluster) -> Result<()> {
    assert_eq!(cluster.query("SELECT count(*) FROM sys.nodes").scalar::<i64>().await?, 1);
    Ok(())
}
