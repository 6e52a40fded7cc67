//! Arguments that write, beside a schema that tests share.

use cratedb_test::{Cluster, cratedb_cluster};

async fn rows(_: &Cluster) {}

#[cratedb_cluster(migrations("../../../../tests/ui/migrations/one", readonly), setup = rows, keep_schema = "always")]
fn written() {}

#[cratedb_cluster(migrations("../../../../tests/ui/migrations/one", readonly, fresh))]
fn both() {}

fn main() {}
