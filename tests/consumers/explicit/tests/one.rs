use cratedb_test::{Cluster, Result, cratedb_cluster};

#[cratedb_cluster]
async fn a(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    meeting::meet("a");
    Ok(())
}

#[cratedb_cluster]
async fn b(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    Ok(())
}
