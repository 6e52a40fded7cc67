//! Tests that fail, run by name: two read what they wrote without a refresh, and one fails for another reason.

use cratedb_test::{Cluster, Result, blocking, cratedb_cluster};

const TABLE: &str = "CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)";
const ROW: &str = "INSERT INTO readings (id, value) VALUES (1, 2.5)";

#[cratedb_cluster]
#[ignore = "fails"]
async fn reads_at_once(cluster: Cluster) -> Result<()> {
    cluster.execute(TABLE).await?;
    cluster.execute(ROW).await?;
    let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;
    assert_eq!(rows, [(1, 2.5)]);
    Ok(())
}

#[cratedb_cluster]
#[ignore = "fails"]
fn reads_at_once_blocking(cluster: &blocking::Cluster) -> Result<()> {
    cluster.execute(TABLE)?;
    cluster.bulk("INSERT INTO readings (id) VALUES (?)", [(1,), (2,)])?;
    let count: i64 = cluster.query("SELECT count(*) FROM readings").fetch_one::<(i64,)>()?.0;
    assert_eq!(count, 2);
    Ok(())
}

#[cratedb_cluster]
#[ignore = "fails"]
async fn expects_another_value(cluster: Cluster) -> Result<()> {
    cluster.execute(TABLE).await?;
    cluster.execute(ROW).await?;
    cluster.refresh().await?;
    let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;
    assert_eq!(rows, [(1, 3.5)]);
    Ok(())
}
