//! Rows in an unknown format.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(data("readings.json" => "readings"))]
fn json() {}

fn main() {}
