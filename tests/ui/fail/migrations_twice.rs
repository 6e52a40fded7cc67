//! Two files with the same number.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(migrations = "../../../../tests/ui/migrations/twice")]
fn test() {}

fn main() {}
