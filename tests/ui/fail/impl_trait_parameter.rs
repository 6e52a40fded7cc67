//! A parameter whose type has no name.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
async fn nameless(_cluster: &impl Clone, _pair: (Cluster, impl Copy)) {}

fn main() {}
