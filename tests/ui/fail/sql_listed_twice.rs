//! The same file by its name and by its path.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(sql("users", "fixtures/users.sql"))]
fn twice() {}

fn main() {}
