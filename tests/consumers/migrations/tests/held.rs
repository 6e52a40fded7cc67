//! A test that stands still until it is told to go on, so that its keeper can be killed meanwhile.

use std::time::{Duration, Instant};

use cratedb_test::{Cluster, Result, cratedb_cluster};

#[cratedb_cluster(migrations = "migrations")]
async fn holds(cluster: &Cluster) -> Result<()> {
    let dir = std::path::PathBuf::from(std::env::var_os("MEET").unwrap());
    std::fs::write(dir.join("here"), cluster.schema()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.join("go").exists() {
        assert!(Instant::now() < deadline, "nobody said go");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let count: i64 = cluster.query("SELECT count(*) FROM customers").scalar().await?;
    assert_eq!(count, 2, "the tables are still there");
    Ok(())
}
