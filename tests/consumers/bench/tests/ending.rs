//! Tests after which, or in the middle of which, a run ends.

use cratedb_test::{Result, blocking, cratedb_cluster};

/// Leaves nothing to clean.
#[cratedb_cluster]
fn idle(_cluster: &blocking::Cluster) {}

/// Leaves a schema to drop.
#[cratedb_cluster]
fn used(cluster: &blocking::Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)")?;
    Ok(())
}

/// Stands still, to be killed.
#[cratedb_cluster]
fn halted(_cluster: &blocking::Cluster) {
    bench::halt("halted");
}
