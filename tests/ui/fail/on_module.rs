//! Not a function, but something with functions inside.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(exclusive)]
mod readings {
    pub fn inserts() {}
}

fn main() {}
