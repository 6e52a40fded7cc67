//! A version given twice.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(version = "5.10", version = "6.4")]
fn two_versions() {}

fn main() {}
