//! A directory that is not there.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(migrations = "nowhere")]
fn test() {}

fn main() {}
