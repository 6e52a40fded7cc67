//! `6.10` is another number than `6.1`, but not for Rust.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(version = 6.10)]
fn a_number() {}

fn main() {}
