//! A cluster without a node.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(nodes = 0)]
fn none() {}

fn main() {}
