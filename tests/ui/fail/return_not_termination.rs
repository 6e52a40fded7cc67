//! A return type that is no result of a test.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
async fn counts(_cluster: Cluster) -> u64 {
    1
}

fn main() {}
