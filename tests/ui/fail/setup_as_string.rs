//! A function in quotes.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(setup = "tables")]
fn quoted() {}

fn main() {}
