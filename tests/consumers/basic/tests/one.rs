use cratedb_test::{Cluster, Result, cratedb_cluster};

#[cratedb_cluster]
async fn first(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    Ok(())
}

#[cratedb_cluster]
async fn second(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    Ok(())
}
