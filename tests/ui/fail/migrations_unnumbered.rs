//! A file that does not say when it is applied.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(migrations = "../../../../tests/ui/migrations/unnumbered")]
fn test() {}

fn main() {}
