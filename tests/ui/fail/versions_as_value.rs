//! A list after an equals sign.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(versions = ["5.10", "6.4"])]
fn an_array() {}

fn main() {}
