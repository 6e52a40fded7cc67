//! An argument given a second time.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(exclusive, exclusive)]
async fn flag(_cluster: Cluster) {}

#[cratedb_cluster(keep_schema = "always", keep_schema = "never")]
async fn value(_cluster: Cluster) {}

fn main() {}
