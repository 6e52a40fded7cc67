//! A mistake in a crate that forbids lints: no other error than its own.

#![forbid(unused, dead_code)]

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(exklusive)]
async fn mistaken(cluster: Cluster) {
    assert!(!cluster.schema().is_empty());
}

fn main() {}
