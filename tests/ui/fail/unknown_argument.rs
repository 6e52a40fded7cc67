//! An argument that does not exist, and one of another crate.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(exklusive)]
async fn misspelt(_cluster: Cluster) {}

#[cratedb_cluster(fixtures("users"), exclusive)]
async fn of_sqlx(_cluster: Cluster) {}

fn main() {}
