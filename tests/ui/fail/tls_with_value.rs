//! A flag that got a value.

use cratedb_test::{Cluster, cratedb_cluster};

#[cratedb_cluster(tls = true)]
async fn value(_cluster: Cluster) {}

#[cratedb_cluster(tls("1.3"), auth = "password")]
async fn list(_cluster: Cluster) {}

#[cratedb_cluster(settings("ssl.http.enabled" = true, "auth.host_based.enabled" = true))]
async fn by_settings(_cluster: Cluster) {}

fn main() {}
