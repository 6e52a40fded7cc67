//! A crate that forbids what others only deny, checked by clippy: the one error is that of the function without a test.
//! There is no `main`: with `--test` rustc puts `#[allow(dead_code)]` before it.

#![forbid(unsafe_code, unused, missing_docs, unreachable_pub, dead_code, let_underscore_drop)]
#![forbid(clippy::all, clippy::pedantic, clippy::nursery, clippy::needless_pass_by_value, clippy::unused_async)]

use cratedb_test::{Cluster, Result, blocking, cratedb_cluster};

async fn without_a_test() {}

async fn tables(cluster: &Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await.map(drop)
}

#[cratedb_cluster]
async fn awaits_nothing(_cluster: &Cluster) {}

#[cratedb_cluster(setup = tables)]
async fn takes_by_value(cluster: Cluster) -> Result<()> {
    cluster.refresh().await
}

#[cratedb_cluster]
fn sync_by_value(cluster: blocking::Cluster) -> Result<()> {
    cluster.refresh()
}

#[cratedb_cluster]
#[should_panic(expected = "on purpose")]
fn panics(cluster: blocking::Cluster) {
    assert!(cluster.schema().is_empty(), "on purpose");
}

#[cratedb_cluster(versions("5.10", "6.4"), exclusive)]
async fn of_versions(_cluster: Cluster) {}

#[cratedb_cluster(versions("6.4"))]
fn sync_of_a_version(cluster: blocking::Cluster) {
    assert!(cluster.schema().len() > 1);
}

#[cratedb_cluster]
async fn takes_nothing() {
    without_a_test().await;
}
