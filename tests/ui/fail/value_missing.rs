//! An argument without the value that it needs.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(keep_schema)]
async fn nothing(_cluster: Cluster) {}

#[cratedb_cluster(crate =)]
async fn only_the_sign(_cluster: Cluster) {}

fn main() {}
