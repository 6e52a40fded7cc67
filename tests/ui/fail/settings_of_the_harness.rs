//! Settings that the harness chooses itself.

use cratedb_test::cratedb_cluster;

#[cratedb_cluster(settings("http.port" = 4200, "path.data" = "/tmp/data"))]
fn port() {}

#[cratedb_cluster(settings("discovery.seed_hosts" = "a:4300", "ssl.http.enabled" = true))]
fn others() {}

fn main() {}
