//! Something that is prepared once per session, by tests of two binaries.

use std::io::Write;
use std::path::PathBuf;

use cratedb_test::{Cluster, Result, Session, blocking};

/// Notes in a file of the run what happened.
pub fn note(what: &str) {
    let Some(dir) = std::env::var_os("ONCE_DIR").map(PathBuf::from) else { return };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("notes")).unwrap();
    writeln!(file, "{what}").unwrap();
}

fn dies() -> bool {
    // Only the first one.
    let Some(dir) = std::env::var_os("ONCE_DIES").map(PathBuf::from) else { return false };
    std::fs::OpenOptions::new().create_new(true).write(true).open(dir.join("died")).is_ok()
}

async fn work(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    note("prepared");
    cluster.execute("CREATE TABLE stations (id INT PRIMARY KEY)").await?;
    if dies() {
        std::process::abort();
    }
    if std::env::var_os("ONCE_FAILS").is_some() {
        return Err("the reference data is not there".into());
    }
    cluster.execute("INSERT INTO stations VALUES (1), (2), (3)").await?;
    Ok(())
}

/// The shared tables.
pub async fn stations() -> Result<Cluster> {
    Session::current().await?.once("stations", work).await
}

/// Uses them.
pub async fn uses(cluster: &Cluster) -> Result<()> {
    let shared = stations().await?;
    note(shared.schema());
    cluster.execute("CREATE TABLE own (id INT)").await?;
    let count: i64 = shared.query("SELECT count(*) FROM stations").scalar().await?;
    assert_eq!(count, 3);
    let stmt = format!("SELECT count(*) FROM own RIGHT JOIN {}.stations s ON own.id = s.id", shared.schema());
    assert_eq!(cluster.query(stmt).scalar::<i64>().await?, 3);
    Ok(())
}

/// The same for code that blocks, under a name of its own.
pub fn uses_blocking() -> Result<()> {
    let shared = blocking::Session::current()?.once("blocking", |cluster| {
        note("prepared for blocking");
        cluster.execute("CREATE TABLE t (x INT)")
    })?;
    assert_eq!(shared.query("SELECT count(*) FROM t").scalar::<i64>()?, 0);
    Ok(())
}

/// Tests that all need it.
#[macro_export]
macro_rules! tests {
    ($($name:ident)*) => {
        $(
            #[cratedb_test::cratedb_cluster]
            async fn $name(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
                once::uses(&cluster).await
            }
        )*

        #[cratedb_test::cratedb_cluster]
        fn blocks() -> cratedb_test::Result<()> {
            once::uses_blocking()
        }

        #[cratedb_test::cratedb_cluster(exclusive)]
        async fn alone(cluster: cratedb_test::Cluster) -> cratedb_test::Result<()> {
            once::uses(&cluster).await
        }
    };
}
