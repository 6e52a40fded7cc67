//! Not a function.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
pub struct Readings {
    pub cluster: Cluster,
}

fn main() {}
