use std::io::Write as _;
use std::time::Duration;

use cratedb_test::{Result, blocking, cratedb_cluster};

fn work(cluster: &blocking::Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT PRIMARY KEY)")?;
    cluster.execute("INSERT INTO t VALUES (1)")?;
    cluster.refresh()?;
    let count: i64 = cluster.query("SELECT count(*) FROM t").scalar()?;
    assert_eq!(count, 1);
    Ok(())
}

/// One session, if the process is started with this test only.
#[cratedb_cluster]
fn session(cluster: &blocking::Cluster) -> Result<()> {
    work(cluster)?;
    reliability::stop("running");
    Ok(())
}

/// Stays until the observer has seen all others.
#[cratedb_cluster]
fn served(cluster: &blocking::Cluster) -> Result<()> {
    work(cluster)?;
    reliability::say(&format!("served.{}", std::process::id()));
    // A thousand processes that look often leave the others no processor.
    reliability::wait(Duration::from_secs(1));
    Ok(())
}

/// Writes down the schemas and users that the cluster has now.
#[cratedb_cluster]
fn looks(cluster: &blocking::Cluster) -> Result<()> {
    let count = |what: &str| cluster.query(what).scalar::<i64>();
    let ours = "SELECT count(*) FROM information_schema.schemata WHERE schema_name LIKE 'cratedb_test_%'";
    let (schemas, users) = (count(ours)?, count("SELECT count(*) FROM sys.users")?);
    let path = std::path::PathBuf::from(std::env::var_os("RELIABILITY_DIR").expect("RELIABILITY_DIR")).join("looks");
    writeln!(std::fs::File::create(path).unwrap(), "{schemas} {users}").unwrap();
    Ok(())
}
