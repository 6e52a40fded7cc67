//! An argument that does not exist, and one of a later version.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(exklusive)]
async fn misspelt(_cluster: Cluster) {}

#[cratedb_cluster(nodes = 3, exclusive)]
async fn not_yet(_cluster: Cluster) {}

fn main() {}
