//! A value that is none of the three.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(keep_schema = "sometimes")]
async fn sometimes(_cluster: Cluster) {}

fn main() {}
