//! Texts that are no version of CrateDB.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(version = "latest")]
fn a_word() {}

#[cratedb_cluster(version = "6")]
fn one_number() {}

#[cratedb_cluster(versions("5.10", "6.4.x"))]
fn one_of_several() {}

fn main() {}
