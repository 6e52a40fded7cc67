//! Two tests of one name.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(versions("5.10", "6.4", "5.10"))]
fn twice() {}

fn main() {}
