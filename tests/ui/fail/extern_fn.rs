//! A function for other languages.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster]
extern "C" fn foreign() {}

fn main() {}
