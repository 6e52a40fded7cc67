//! A test with conditions.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
async fn conditional(_cluster: Cluster)
where
    String: Clone,
{
}

fn main() {}
