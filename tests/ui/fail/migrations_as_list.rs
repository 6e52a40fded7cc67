//! Values that name no directory of the package.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(migrations("migrations", stale))]
fn list() {}

#[cratedb_cluster(migrations)]
fn nothing() {}

#[cratedb_cluster(migrations = migrations)]
fn path() {}

#[cratedb_cluster(migrations = "/migrations")]
fn absolute() {}

fn main() {}
