//! Attempts for which no test waits any more.

use std::sync::mpsc;
use std::time::Duration;

use cratedb_test::{Cluster, Result, Session, blocking, cratedb_cluster};

/// While an exclusive test has the cluster, a task asks for a second one and gives up.
#[cratedb_cluster(exclusive)]
fn a_turn_that_is_given_up(cluster: &blocking::Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)")?;
    let (given_up, waits) = mpsc::channel();
    // A thread with a name may belong to another test.
    let other = std::thread::Builder::new().name("another_test".into());
    let spawned = other.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asked = async { Session::current().await?.cluster("given_up").await };
        let outcome = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(300), asked).await });
        given_up.send(outcome.is_err()).unwrap();
    });
    drop(spawned.unwrap());
    assert!(waits.recv().unwrap(), "the cluster was not taken");
    Ok(())
}

#[cratedb_cluster(exclusive)]
async fn b_next(cluster: Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await.map(drop)
}
