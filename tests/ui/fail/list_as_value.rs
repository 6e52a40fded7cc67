//! A value in parentheses.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(keep_schema("always"))]
async fn list(_cluster: Cluster) {}

fn main() {}
