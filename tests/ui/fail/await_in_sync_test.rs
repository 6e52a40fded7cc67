//! `await` where `async` is missing.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster]
fn waits(_cluster: Cluster) {
    std::future::ready(()).await;
}

fn main() {}
