//! Tests with requests that can't be satisfied.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(version = "6.3")]
#[ignore = "no such server"]
fn wants_6_3() {}

#[cratedb_cluster(nodes = 3)]
#[ignore = "no such server"]
fn wants_three() {}
