//! A crate that hands `cratedb-test` on under a path of its own.

/// The re-exports for tests.
pub mod facade {
    /// Further down.
    pub mod deep {
        pub use db as cratedb_test;
    }
}

#[cfg(test)]
mod tests {
    use crate::facade::deep::cratedb_test::{Cluster, Result, cratedb_cluster};

    #[cratedb_cluster(crate = crate::facade::deep::cratedb_test)]
    async fn by_a_path_of_this_crate(cluster: Cluster) -> Result<()> {
        cluster.execute("CREATE TABLE readings (id INT)").await?;
        Ok(())
    }
}
