//! A file that is another one at the second run.

#[cfg(test)]
mod tests {
    use cratedb_test::{Result, blocking, cratedb_cluster};

    #[cratedb_cluster(sql("changing"))]
    fn changes(cluster: &blocking::Cluster) -> Result<()> {
        let expected = std::env::var("CHANGED_TO").map_or(1, |number| number.parse().unwrap());
        assert_eq!(cluster.query("SELECT x FROM changing").scalar::<i32>()?, expected);
        Ok(())
    }
}
