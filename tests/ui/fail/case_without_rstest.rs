//! Attributes of `#[rstest]` without it.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
#[case(1)]
#[case::named(2)]
async fn cases(_cluster: Cluster, #[case] _number: i32) {}

#[cratedb_test::test]
async fn values(_cluster: Cluster, #[values(1, 2)] _number: i32) {}

fn main() {}
