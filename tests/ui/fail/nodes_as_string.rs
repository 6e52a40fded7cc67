//! A number in quotes.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(nodes = "3")]
fn quoted() {}

fn main() {}
