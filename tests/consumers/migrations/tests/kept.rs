//! A test that fails keeps its schema, also one that was made ahead.

use std::time::Duration;

use cratedb_test::{Cluster, Result, cratedb_cluster, eventually};

#[cratedb_cluster(migrations = "migrations")]
async fn a_first(cluster: &Cluster) -> Result<()> {
    let ready =
        "SELECT count(*) FROM information_schema.tables WHERE table_name = 'placed' AND table_schema LIKE '%_migrated'";
    let made = || cluster.query(ready).scalar::<i64>();
    eventually(made).within(Duration::from_secs(20)).meets(|count| *count >= 3).await?;
    Ok(())
}

#[cratedb_cluster(migrations = "migrations")]
async fn b_fails(cluster: &Cluster) {
    cluster.execute("INSERT INTO orders (id) VALUES (77)").await.unwrap();
    panic!("in {}", cluster.schema());
}
