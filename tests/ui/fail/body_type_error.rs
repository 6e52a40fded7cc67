//! A mistake in the body is rustc's business, and is reported once.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
async fn compares(cluster: Cluster) {
    let schema: i32 = cluster.schema();
    assert_eq!(schema, 1);
}

fn main() {}
