//! The cluster as an rstest fixture: cases, and fixtures that build on it.
//!
//! `#[cratedb_test::test]` is the same attribute as `#[cratedb_cluster]`, under a name that rstest accepts for tests.

use cratedb_test::fixture::{blocking_cluster, cluster};
use cratedb_test::{Cluster, Result, blocking};
use rstest::{fixture, rstest};

/// Each case is a test with its own schema.
#[rstest]
#[case::a_number(7, "7")]
#[case::a_negative_number(-1, "-1")]
#[cratedb_test::test]
async fn numbers_become_text(cluster: Cluster, #[case] number: i32, #[case] text: &str) -> Result<()> {
    let cast: String = cluster.query("SELECT ?::TEXT").bind(number).scalar().await?;
    assert_eq!(cast, text);
    Ok(())
}

/// A fixture that needs the cluster: a table with rows.
#[fixture]
fn orders(#[default(3)] rows: i32, blocking_cluster: blocking::Cluster) -> blocking::Cluster {
    blocking_cluster.execute("CREATE TABLE orders (id INT PRIMARY KEY, open BOOLEAN)").unwrap();
    let orders = (0..rows).map(|id| (id, id % 2 == 0));
    blocking_cluster.bulk("INSERT INTO orders (id, open) VALUES (?, ?)", orders).unwrap();
    blocking_cluster.refresh().unwrap();
    blocking_cluster
}

#[rstest]
#[cratedb_test::test]
fn open_orders_are_counted(#[with(10)] orders: blocking::Cluster) -> Result<()> {
    let open: i64 = orders.query("SELECT count(*) FROM orders WHERE open").scalar()?;
    assert_eq!(open, 5);
    Ok(())
}

/// Without the attribute of this crate, the fixture alone gives the test its schema.
#[rstest]
fn a_plain_rstest_has_a_cluster_too(orders: blocking::Cluster) {
    let all: i64 = orders.query("SELECT count(*) FROM orders").scalar().unwrap();
    assert_eq!(all, 3);
}
