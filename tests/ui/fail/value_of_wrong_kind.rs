//! A value that is no string.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(keep_schema = 3)]
async fn number(_cluster: Cluster) {}

#[cratedb_cluster(keep_schema = always)]
async fn word(_cluster: Cluster) {}

fn main() {}
