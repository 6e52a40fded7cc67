//! `#[rstest]` and `#[test_case]` must stand above.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
#[rstest::rstest]
#[case(1)]
async fn cases(_cluster: Cluster, #[case] _number: i32) {}

#[cratedb_cluster]
#[test_case(1)]
async fn parameters(_cluster: Cluster, _number: i32) {}

fn main() {}
