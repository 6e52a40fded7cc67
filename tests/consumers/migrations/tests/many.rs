//! Tests that each find the tables and the rows of the migrations, and nothing that another test wrote.

use std::io::Write as _;
use std::time::Duration;

use cratedb_test::{Cluster, Result, cratedb_cluster, eventually};

/// Prints one line for the observer: if the schema was made ahead, and its name.
fn note(schema: &str) {
    let Some(path) = std::env::var_os("OUT") else { return };
    let ahead = if schema.ends_with("_migrated") { "ahead" } else { "own" };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(format!("{ahead} {schema}\n").as_bytes()).unwrap();
}

/// Waits until there is a complete schema for the next test. The maker's own confirmation can't be seen from here.
async fn next_is_ready(cluster: &Cluster) -> Result<()> {
    let complete = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'placed' AND table_schema LIKE '%_migrated' AND table_schema <> ?";
    let made = || cluster.query(complete).bind(cluster.schema()).scalar::<i64>();
    eventually(made).within(Duration::from_secs(20)).meets(|count| *count >= 2).await?;
    Ok(())
}

async fn uses_its_tables(cluster: &Cluster, number: i32) -> Result<()> {
    note(cluster.schema());
    let placed = "SELECT name FROM placed ORDER BY name";
    assert!(cluster.query(placed).fetch_all::<String>().await?.is_empty(), "what another test wrote is here");
    let names: Vec<String> = cluster.query("SELECT name FROM customers ORDER BY name").fetch_all().await?;
    assert_eq!(names, ["Ada", "Grace"], "the rows of the migrations are visible");
    cluster.query("INSERT INTO orders (id, customer) VALUES (?, 1)").bind(number).execute().await?;
    cluster.refresh().await?;
    assert_eq!(cluster.query(placed).fetch_one::<String>().await?, "Ada");
    assert_eq!(cluster.query("SELECT count(*) FROM items").scalar::<i64>().await?, 0);
    next_is_ready(cluster).await
}

macro_rules! tests {
    ($($name:ident $number:literal)*) => {$(
        #[cratedb_cluster(migrations = "migrations")]
        async fn $name(cluster: &Cluster) -> Result<()> {
            uses_its_tables(cluster, $number).await
        }
    )*};
}

tests!(t01 1 t02 2 t03 3 t04 4 t05 5 t06 6 t07 7 t08 8 t09 9 t10 10);

#[cratedb_cluster(migrations = "./migrations")]
fn a_sync_test(cluster: &cratedb_test::blocking::Cluster) {
    let count: i64 = cluster.query("SELECT count(*) FROM customers").scalar().unwrap();
    assert_eq!(count, 2);
}

#[cratedb_cluster(migrations = "migrations")]
#[tokio::test]
async fn below_a_runtime(cluster: Cluster) {
    let count: i64 = cluster.query("SELECT count(*) FROM customers").scalar().await.unwrap();
    assert_eq!(count, 2);
}

#[cratedb_cluster(migrations = "migrations", exclusive)]
async fn alone(cluster: Cluster) {
    let count: i64 = cluster.query("SELECT count(*) FROM customers").scalar().await.unwrap();
    assert_eq!(count, 2);
}
