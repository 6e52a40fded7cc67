//! An attempt that ends while there is no keeper.

use cratedb_test::{Cluster, Result, cratedb_cluster};

#[cratedb_cluster]
async fn a_ends(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    meeting::meet("a");
    Ok(())
}

#[cratedb_cluster(exclusive)]
async fn b_next(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await.map(drop)
}
