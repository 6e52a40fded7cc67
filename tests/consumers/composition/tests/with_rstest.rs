//! rstest: cases, values, time-outs, fixtures of fixtures.

use std::time::Duration;

use composition::{sees_only_its_own_rows, sees_only_its_own_rows_blocking};
use cratedb_test::fixture::{blocking_cluster, cluster};
use cratedb_test::{blocking, cratedb_cluster, Cluster, Result};
use rstest::{fixture, rstest};

/// A cluster with the table that a test needs.
struct Prepared {
    cluster: Cluster,
    rows: usize,
}

#[fixture]
async fn prepared(cluster: Cluster, #[default(1)] rows: usize) -> Prepared {
    cluster.execute("CREATE TABLE prepared (id INT)").await.unwrap();
    for id in 0..rows {
        cluster.query("INSERT INTO prepared VALUES (?)").bind(id).execute().await.unwrap();
    }
    cluster.refresh().await.unwrap();
    Prepared { cluster, rows }
}

impl Prepared {
    async fn is_complete(&self) -> Result<()> {
        let count: i64 = self.cluster.query("SELECT count(*) FROM prepared").scalar().await?;
        assert_eq!(usize::try_from(count).unwrap(), self.rows);
        Ok(())
    }
}

#[rstest]
#[cratedb_test::test]
async fn one_fixture(cluster: Cluster) -> Result<()> {
    assert_eq!(cluster.schema(), Cluster::current().unwrap().schema());
    sees_only_its_own_rows(&cluster).await
}

#[rstest]
#[case(1, "a")]
#[case::named(2, "b")]
#[cratedb_test::test]
async fn cases(cluster: Cluster, #[case] number: i32, #[case] text: &str) -> Result<()> {
    assert_eq!(text, ["a", "b"][usize::try_from(number - 1).unwrap()]);
    sees_only_its_own_rows(&cluster).await
}

#[rstest]
#[cratedb_test::test]
async fn values(cluster: Cluster, #[values(1, 2)] a: i32, #[values(3, 4)] b: i32) -> Result<()> {
    assert!(a < b);
    sees_only_its_own_rows(&cluster).await
}

#[rstest]
#[case(1)]
#[case(2)]
#[cratedb_cluster]
fn cases_of_a_sync_test(blocking_cluster: blocking::Cluster, #[case] number: i32) -> Result<()> {
    assert!(number > 0);
    sees_only_its_own_rows_blocking(&blocking_cluster)
}

#[rstest]
#[timeout(Duration::from_mins(1))]
#[cratedb_test::test]
async fn timeout(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[rstest]
#[timeout(Duration::from_mins(1))]
#[cratedb_test::test]
fn timeout_of_a_sync_test(blocking_cluster: blocking::Cluster) -> Result<()> {
    assert_eq!(blocking_cluster.schema(), Cluster::current().unwrap().schema());
    sees_only_its_own_rows_blocking(&blocking_cluster)
}

#[rstest]
#[cratedb_test::test]
async fn a_fixture_of_a_fixture(cluster: Cluster, #[future(awt)] prepared: Prepared) -> Result<()> {
    assert_eq!(cluster.schema(), prepared.cluster.schema());
    sees_only_its_own_rows(&cluster).await?;
    prepared.is_complete().await
}

#[rstest]
#[cratedb_test::test]
async fn with_and_from(
    #[from(cluster)] db: Cluster,
    #[future(awt)]
    #[from(prepared)]
    #[with(db.clone(), 3)]
    three: Prepared,
) -> Result<()> {
    assert_eq!(db.schema(), three.cluster.schema());
    assert_eq!(three.rows, 3);
    three.is_complete().await
}

#[rstest]
#[cratedb_test::test]
async fn by_reference(#[by_ref] cluster: &Cluster) -> Result<()> {
    sees_only_its_own_rows(cluster).await
}

#[rstest]
#[case(1)]
#[test_attr(cratedb_cluster)]
async fn by_test_attr(cluster: Cluster, #[case] number: i32) -> Result<()> {
    assert!(number > 0);
    sees_only_its_own_rows(&cluster).await
}

#[rstest]
#[cratedb_cluster(exclusive)]
#[tokio::test(flavor = "multi_thread")]
async fn above_a_runtime(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[rstest]
#[tokio::test]
#[cratedb_cluster]
async fn below_a_runtime(cluster: Cluster) -> Result<()> {
    sees_only_its_own_rows(&cluster).await
}

#[rstest]
#[case(1)]
#[cratedb_test::test]
async fn a_parameter_left_to_the_attribute(#[case] number: i32, #[ignore] db: Cluster) -> Result<()> {
    assert_eq!(number, 1);
    sees_only_its_own_rows(&db).await
}

#[rstest]
#[case(1)]
#[case(2)]
#[tokio::test]
async fn without_the_attribute(cluster: Cluster, #[from(cluster)] same: Cluster, #[case] number: i32) -> Result<()> {
    assert!(number > 0);
    assert_eq!(cluster.schema(), same.schema());
    assert_eq!(cluster.schema(), Cluster::current().unwrap().schema());
    sees_only_its_own_rows(&same).await
}

#[rstest]
#[case(1)]
#[case(2)]
fn without_the_attribute_sync(
    blocking_cluster: blocking::Cluster,
    cluster: Cluster,
    #[case] number: i32,
) -> Result<()> {
    assert!(number > 0);
    assert_eq!(blocking_cluster.schema(), cluster.schema());
    sees_only_its_own_rows_blocking(&blocking_cluster)
}
