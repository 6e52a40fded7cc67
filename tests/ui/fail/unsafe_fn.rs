//! An unsafe function.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
async unsafe fn dangerous(_cluster: Cluster) {}

fn main() {}
