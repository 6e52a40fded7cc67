//! A value whose argument is not named.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster("always")]
async fn string(_cluster: Cluster) {}

fn main() {}
