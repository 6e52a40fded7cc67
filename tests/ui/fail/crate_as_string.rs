//! A path in quotes.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(crate = "cratedb_test")]
async fn quoted(_cluster: Cluster) {}

fn main() {}
