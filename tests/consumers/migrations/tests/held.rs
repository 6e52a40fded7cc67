//! A test that stands still until it is told to go on, so that its keeper can be killed meanwhile.

use std::time::Duration;

use cratedb_test::{Cluster, Result, cratedb_cluster, eventually};

#[cratedb_cluster(migrations = "migrations")]
async fn holds(cluster: &Cluster) -> Result<()> {
    let dir = std::path::PathBuf::from(std::env::var_os("MEET").unwrap());
    std::fs::write(dir.join("here"), cluster.schema()).unwrap();
    let told = async || std::fs::metadata(dir.join("go"));
    eventually(told).within(Duration::from_secs(60)).ok().await?;
    let count: i64 = cluster.query("SELECT count(*) FROM customers").scalar().await?;
    assert_eq!(count, 2, "the tables are still there");
    Ok(())
}
