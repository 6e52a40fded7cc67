//! Tests that only read, and so share the tables and rows of the migrations; and one that does not keep to it.

use std::io::Write as _;

use cratedb_test::{Cluster, Result, blocking, cratedb_cluster};

/// Notes the schema. It is asked of the server: a test that is given the name could hand it to another client.
async fn reads(cluster: &Cluster) -> Result<()> {
    let schema: String = cluster.query("SELECT CURRENT_SCHEMA").scalar().await?;
    if let Some(path) = std::env::var_os("OUT") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(format!("{schema}\n").as_bytes()).unwrap();
    }
    let names: Vec<String> = cluster.query("SELECT name FROM customers ORDER BY name").fetch_all().await?;
    assert_eq!(names, ["Ada", "Grace"]);
    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_schema = CURRENT_SCHEMA AND table_name = 'customers'";
    assert_eq!(cluster.query(columns).scalar::<i64>().await?, 2);
    Ok(())
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[cratedb_cluster(migrations("migrations", readonly))]
        async fn $name(cluster: &Cluster) -> Result<()> {
            reads(cluster).await
        }
    )*};
}

tests!(a01 a02 a03 a04 a05 a06 a07 a08 a09 a10 a11 a12 a13 a14 a15 a16 z01 z02);

#[cratedb_cluster(migrations("migrations", readonly))]
fn b_sync(cluster: &blocking::Cluster) {
    let count: i64 = cluster.query("SELECT count(*) FROM customers").scalar().unwrap();
    assert_eq!(count, 2);
}

/// It may write where the harness does not see it, so it is looked at.
#[cratedb_cluster(migrations("migrations", readonly))]
async fn c_has_the_address(cluster: &Cluster) -> Result<()> {
    assert!(cluster.http_url().starts_with("http://"));
    reads(cluster).await
}

#[cratedb_cluster(migrations("migrations", readonly))]
#[tokio::test]
async fn d_rows_are_refused(cluster: Cluster) -> Result<()> {
    for stmt in ["INSERT INTO customers VALUES (3, 'Mallory')", "DELETE FROM customers", "UPDATE customers SET name = 'x'"] {
        let error = cluster.execute(stmt).await.unwrap_err();
        assert_eq!(error.code(), Some(4007), "{error}");
        assert!(error.to_string().contains("the attribute says `readonly`"), "{error}");
    }
    let error = cluster.bulk("INSERT INTO customers VALUES (?, ?)", [(4, "Trudy")]).await.unwrap_err();
    assert!(error.to_string().contains("the attribute says `readonly`"), "{error}");
    reads(&cluster).await
}

#[cratedb_cluster(migrations = "migrations")]
async fn f_writes_to_its_own(cluster: &Cluster) -> Result<()> {
    cluster.execute("INSERT INTO customers VALUES (3, 'Mallory')").await?;
    cluster.execute("ALTER TABLE items ADD COLUMN more TEXT").await?;
    Ok(())
}

#[cratedb_cluster(migrations("migrations", readonly))]
async fn m_changes_what_is_shared(cluster: &Cluster) -> Result<()> {
    if std::env::var_os("ROGUE").is_some() {
        cluster.execute("ALTER TABLE items ADD COLUMN more TEXT").await?;
    }
    Ok(())
}

#[cratedb_cluster(migrations("migrations", readonly), exclusive)]
async fn n_alone(cluster: &Cluster) -> Result<()> {
    reads(cluster).await
}
