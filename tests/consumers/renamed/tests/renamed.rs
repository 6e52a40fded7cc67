//! The attribute finds its crate under the name that `crate = …` says.

use db::{Cluster, Result, blocking, cratedb_cluster};
use renamed::facade;

#[cratedb_cluster(crate = db)]
async fn by_another_name(cluster: &Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE readings (id INT)").await?;
    Ok(())
}

#[db::test(crate = ::db, exclusive)]
fn by_another_absolute_name(cluster: &blocking::Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE readings (id INT)")?;
    Ok(())
}

#[cratedb_cluster(crate = facade::deep::cratedb_test)]
async fn by_the_path_of_a_facade(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE readings (id INT)").await?;
    Ok(())
}
