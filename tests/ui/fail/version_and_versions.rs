//! One version and several.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(version = "5.10", versions("6.4"))]
fn both() {}

fn main() {}
