//! Files that are not there, by their name, by a path, and of rows.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(sql("nobody"))]
fn by_name() {}

#[cratedb_cluster(sql("./no/such/file.sql"))]
fn by_path() {}

#[cratedb_cluster(data("nothing.csv" => "t"))]
fn rows() {}

fn main() {}
