//! Several requests that one server satisfies.

use cratedb_test::{Cluster, Result, Session, cratedb_cluster};

#[cratedb_cluster(version = "6.4", nodes = 1)]
fn fits() {}

#[cratedb_cluster]
fn wants_nothing() {}

/// However it is wanted, it is the same cluster: this one would wait for itself if it were not known to be.
#[cratedb_cluster(exclusive)]
async fn is_the_same(cluster: Cluster) -> Result<()> {
    let other = Session::builder().version("6.4.3").join().await?.cluster("other").await?;
    assert_eq!(other.http_url(), cluster.http_url());
    Ok(())
}
