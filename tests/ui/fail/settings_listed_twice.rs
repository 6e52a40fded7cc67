//! One setting with two values.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(settings("stats.enabled" = true, "udc.enabled" = false, "stats.enabled" = false))]
fn twice() {}

fn main() {}
