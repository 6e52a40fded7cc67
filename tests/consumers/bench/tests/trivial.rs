//! Two hundred tests as people write them: a table, a row, and what is in it.

use cratedb_test::{Cluster, Result, cratedb_cluster};

async fn sees_its_row(cluster: &Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)").await?;
    cluster.query("INSERT INTO readings VALUES (?, ?)").bind(1).bind(2.5).execute().await?;
    cluster.execute("REFRESH TABLE readings").await?;
    let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;
    assert_eq!(rows, [(1, 2.5)]);
    Ok(())
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[cratedb_cluster]
        async fn $name(cluster: Cluster) -> Result<()> {
            sees_its_row(&cluster).await
        }
    )*};
}

bench::two_hundred!(tests);
