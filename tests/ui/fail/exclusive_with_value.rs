//! A flag that got a value.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(exclusive = true)]
async fn value(_cluster: Cluster) {}

#[cratedb_cluster(exclusive(true))]
async fn list(_cluster: Cluster) {}

fn main() {}
