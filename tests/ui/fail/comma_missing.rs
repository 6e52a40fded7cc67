//! Two arguments without a comma between.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(exclusive keep_schema = "always")]
async fn forgotten(_cluster: Cluster) {}

#[cratedb_cluster(exclusive,, keep_schema = "always")]
async fn one_too_many(_cluster: Cluster) {}

fn main() {}
