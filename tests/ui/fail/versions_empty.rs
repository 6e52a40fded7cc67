//! A test in no version at all.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(versions())]
fn none() {}

#[cratedb_cluster(versions)]
fn not_even_a_list() {}

fn main() {}
