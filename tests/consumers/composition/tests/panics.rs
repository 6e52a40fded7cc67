//! `#[should_panic]` above, below and in `cfg_attr`.

use cratedb_test::fixture::cluster;
use cratedb_test::{blocking, cratedb_cluster, Cluster};

#[cratedb_cluster]
#[should_panic(expected = "as it should")]
async fn below(cluster: Cluster) {
    composition::sees_only_its_own_rows(&cluster).await.unwrap();
    panic!("as it should");
}

#[should_panic(expected = "as it should")]
#[cratedb_cluster]
fn above(cluster: blocking::Cluster) {
    composition::sees_only_its_own_rows_blocking(&cluster).unwrap();
    panic!("as it should");
}

#[cfg_attr(all(), should_panic(expected = "as it should"))]
#[cratedb_cluster]
async fn by_configuration(_cluster: Cluster) {
    panic!("as it should");
}

#[cratedb_cluster]
#[should_panic(expected = "as it should")]
#[tokio::test(flavor = "multi_thread")]
async fn with_a_runtime(_cluster: Cluster) {
    panic!("as it should");
}

#[cratedb_cluster]
#[should_panic(expected = "as it should")]
async fn never_returns(_cluster: Cluster) -> ! {
    panic!("as it should");
}

#[rstest::rstest]
#[case(1)]
#[should_panic(expected = "as it should")]
#[cratedb_test::test]
async fn below_rstest(cluster: Cluster, #[case] number: i32) {
    assert!(number > 0);
    composition::sees_only_its_own_rows(&cluster).await.unwrap();
    panic!("as it should");
}
