//! A test that fails keeps its schema, also one that was made ahead.

use std::time::{Duration, Instant};

use cratedb_test::{Cluster, Result, cratedb_cluster};

#[cratedb_cluster(migrations = "migrations")]
async fn a_first(cluster: &Cluster) -> Result<()> {
    let ready = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'placed' AND table_schema LIKE '%_migrated'";
    let deadline = Instant::now() + Duration::from_secs(20);
    while cluster.query(ready).scalar::<i64>().await? < 3 {
        assert!(Instant::now() < deadline, "nothing was made ahead");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

#[cratedb_cluster(migrations = "migrations")]
async fn b_fails(cluster: &Cluster) {
    cluster.execute("INSERT INTO orders (id) VALUES (77)").await.unwrap();
    panic!("in {}", cluster.schema());
}
