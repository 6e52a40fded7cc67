//! A directory with nothing to apply.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(migrations = "../../../../tests/ui/migrations/empty")]
fn test() {}

fn main() {}
