//! Every test has its own schema on the cluster that all tests share.

use std::error::Error;

use cratedb_test::{Cluster, FromCluster, Result, Session, blocking, cratedb_cluster};

/// Any type that implements `FromCluster` can be a parameter of a test.
struct Stock(Cluster);

impl FromCluster for Stock {
    async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn Error + Send + Sync>> {
        cluster.execute("CREATE TABLE stock (item TEXT PRIMARY KEY, pieces INT)").await?;
        Ok(Self(cluster.clone()))
    }
}

impl Stock {
    async fn put(&self, item: &str, pieces: i32) -> Result<u64> {
        self.0.query("INSERT INTO stock (item, pieces) VALUES (?, ?)").bind(item).bind(pieces).execute().await
    }

    async fn pieces(&self) -> Result<Option<i64>> {
        self.0.refresh().await?;
        self.0.query("SELECT sum(pieces) FROM stock").scalar().await
    }
}

/// This test and the next one run at the same time, with a table of the same name.
#[cratedb_cluster]
async fn one_test_sees_its_own_rows(stock: Stock) -> Result<()> {
    stock.put("nail", 100).await?;
    assert_eq!(stock.pieces().await?, Some(100));
    Ok(())
}

#[cratedb_cluster]
async fn another_test_sees_none_of_them(stock: &Stock) -> Result<()> {
    assert_eq!(stock.pieces().await?, None);
    Ok(())
}

/// All parameters of one test see the same schema, and so does `Cluster::current` anywhere in it.
#[cratedb_cluster]
async fn parameters_of_one_test_share_its_schema(a: Cluster, b: blocking::Cluster) -> Result<()> {
    assert_eq!(a.schema(), b.schema());
    assert_eq!(Cluster::current().unwrap().schema(), a.schema());
    Ok(())
}

/// A second handle has its own schema, for tables that have to be kept apart within one test.
#[cratedb_cluster]
async fn a_test_can_have_two_schemas(ours: Cluster) -> Result<()> {
    let theirs = Session::current().await?.cluster("the other tenant").await?;
    for cluster in [&ours, &theirs] {
        cluster.execute("CREATE TABLE secrets (text TEXT)").await?;
    }
    ours.execute("INSERT INTO secrets VALUES ('nobody knows')").await?;
    ours.refresh().await?;
    theirs.refresh().await?;

    let count = "SELECT count(*) FROM secrets";
    assert_eq!(ours.query(count).scalar::<i64>().await?, 1);
    assert_eq!(theirs.query(count).scalar::<i64>().await?, 0);
    Ok(())
}

/// Some objects belong to the cluster and not to a schema. An exclusive test has the whole cluster to itself: no other
/// test of this run, or of any other run that shares the keeper, runs at the same time.
#[cratedb_cluster(exclusive)]
async fn an_exclusive_test_is_alone_on_the_cluster(cluster: Cluster) -> Result<()> {
    let nodes: i64 = cluster.query("SELECT count(*) FROM sys.nodes").scalar().await?;
    assert_eq!(nodes, 1);
    Ok(())
}
