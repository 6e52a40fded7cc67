//! A mistake in a crate that forbids lints: no other error than its own.
//! There is no `main`: with `--test` rustc puts `#[allow(dead_code)]` before it.

#![forbid(unused, dead_code)]

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(exklusive)]
async fn mistaken(cluster: Cluster) {
    assert!(!cluster.schema().is_empty());
}
