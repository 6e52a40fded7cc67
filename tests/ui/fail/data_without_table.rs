//! Rows that go nowhere.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(data("readings.ndjson"))]
fn no_table() {}

#[cratedb_cluster(data("readings.ndjson" => readings))]
fn a_table_without_quotes() {}

fn main() {}
