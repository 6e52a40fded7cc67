//! A body that is still being typed.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
async fn typing(cluster: Cluster) {
    cluster.
}

fn main() {}
