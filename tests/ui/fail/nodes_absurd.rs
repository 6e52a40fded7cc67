//! More nodes than any machine for tests can run.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(nodes = 300)]
fn too_many() {}

#[cratedb_cluster(nodes = 99999999999999999999)]
fn beyond_any_number() {}

#[cratedb_cluster(nodes = -1)]
fn less_than_none() {}

fn main() {}
