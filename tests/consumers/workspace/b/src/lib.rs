//! One of three packages.

#[cfg(test)]
mod tests {
    use cratedb_test::{Cluster, Result, cratedb_cluster};

    #[cratedb_cluster]
    async fn has_a_schema_of_its_own(cluster: Cluster) -> Result<()> {
        cluster.execute("CREATE TABLE t (id INT)").await?;
        Ok(())
    }
}
