//! A name without quotes, and one that is empty.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(sql(users))]
fn a_word() {}

#[cratedb_cluster(sql(""))]
fn nothing() {}

#[cratedb_cluster(sql())]
fn no_file() {}

fn main() {}
