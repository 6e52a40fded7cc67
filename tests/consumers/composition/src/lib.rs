//! The bodies of the tests of this project.
//!
//! All of them use one table name, so that each of them also tests that it is alone in its schema.

use cratedb_test::{blocking, Cluster, FromCluster, Result};

/// Makes the table, stores one row and finds no other.
///
/// # Errors
///
/// The error of the server.
///
/// # Panics
///
/// If there are other rows.
pub async fn sees_only_its_own_rows(cluster: &Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE readings (id INT, value DOUBLE)").await?;
    cluster.query("INSERT INTO readings VALUES (?, ?)").bind(1).bind(2.5).execute().await?;
    cluster.refresh().await?;
    let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;
    assert_eq!(rows, [(1, 2.5)]);
    Ok(())
}

/// The same for sync tests.
///
/// # Errors
///
/// The error of the server.
///
/// # Panics
///
/// If there are other rows.
pub fn sees_only_its_own_rows_blocking(cluster: &blocking::Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE readings (id INT, value DOUBLE)")?;
    cluster.query("INSERT INTO readings VALUES (?, ?)").bind(1).bind(2.5).execute()?;
    cluster.refresh()?;
    let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all()?;
    assert_eq!(rows, [(1, 2.5)]);
    Ok(())
}

/// A parameter type of the user: a table that is there when the test begins.
pub struct Readings {
    /// The cluster with the table.
    pub cluster: Cluster,
    /// Its name.
    pub table: &'static str,
}

impl FromCluster for Readings {
    async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        cluster.execute("CREATE TABLE made_for_me (id INT)").await?;
        Ok(Self { cluster: cluster.clone(), table: "made_for_me" })
    }
}

/// A parameter type that can't be made.
#[derive(Debug)]
pub struct Impossible;

impl FromCluster for Impossible {
    async fn from_cluster(_cluster: &Cluster) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Err("there is no such thing".into())
    }
}
