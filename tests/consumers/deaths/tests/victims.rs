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
        let cluster = Session::current().await?.cluster("t1").await?;
        work(&cluster).await
    })
}

#[cratedb_cluster]
async fn t2(cluster: Cluster) -> Result<()> {
    work(&cluster).await
}

#[cratedb_cluster]
async fn t3_middle(cluster: Cluster) -> Result<()> {
    work(&cluster).await?;
    deaths::moment("middle");
    Ok(())
}

#[cratedb_cluster]
async fn t4(cluster: Cluster) -> Result<()> {
    work(&cluster).await
}

#[cratedb_cluster]
async fn t5_last(cluster: Cluster) -> Result<()> {
    work(&cluster).await?;
    deaths::moment("last");
    Ok(())
}
