//! A constant function.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster]
const fn constant() {}

fn main() {}
