//! A way in that no server of the harness has.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(auth = "jwt")]
async fn another_method(_cluster: Cluster) {}

#[cratedb_cluster(auth)]
async fn no_value(_cluster: Cluster) {}

#[cratedb_cluster(auth = true)]
async fn no_string(_cluster: Cluster) {}

#[cratedb_cluster(auth("password"))]
async fn list(_cluster: Cluster) {}

#[cratedb_cluster(auth = "password", auth = "password")]
async fn twice(_cluster: Cluster) {}

fn main() {}
