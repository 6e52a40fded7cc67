//! Names that no setting has, and values that no setting takes.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(settings("stats jobs" = 1, stats.enabled = true))]
fn names() {}

#[cratedb_cluster(settings("a.b" = SIZE, "a.c", "a.d" = "", "a.e" = 1u8))]
fn values() {}

fn main() {}
