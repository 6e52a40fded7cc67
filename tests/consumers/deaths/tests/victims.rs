use cratedb_test::{Cluster, Result, Session, cratedb_cluster};

async fn work(cluster: &Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    Ok(())
}

/// Acquires by hand, so that something can happen while it waits.
#[test]
fn t1_acquires() -> Result<()> {
    deaths::moment("before");
    deaths::while_acquiring();
    cratedb_test::blocking::wait(async {
        let session = if cfg!(feature = "nodes") {
            Session::builder().nodes(3).join().await?
        } else {
            Session::current().await?
        };
        let cluster = session.cluster("t1").await?;
        work(&cluster).await
    })
}

#[cfg_attr(feature = "nodes", cratedb_cluster(nodes = 3))]
#[cfg_attr(not(feature = "nodes"), cratedb_cluster)]
async fn t2(cluster: Cluster) -> Result<()> {
    work(&cluster).await
}

#[cfg_attr(feature = "nodes", cratedb_cluster(nodes = 3))]
#[cfg_attr(not(feature = "nodes"), cratedb_cluster)]
async fn t3_middle(cluster: Cluster) -> Result<()> {
    work(&cluster).await?;
    deaths::moment("middle");
    if std::env::var_os("WORK_AFTER").is_some() {
        cluster.execute("INSERT INTO t VALUES (1)").await?;
    }
    Ok(())
}

#[cfg_attr(feature = "nodes", cratedb_cluster(nodes = 3))]
#[cfg_attr(not(feature = "nodes"), cratedb_cluster)]
async fn t4(cluster: Cluster) -> Result<()> {
    work(&cluster).await
}

#[cfg_attr(feature = "nodes", cratedb_cluster(nodes = 3))]
#[cfg_attr(not(feature = "nodes"), cratedb_cluster)]
async fn t5_last(cluster: Cluster) -> Result<()> {
    work(&cluster).await?;
    deaths::moment("last");
    Ok(())
}
