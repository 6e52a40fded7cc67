use std::sync::mpsc;
use std::time::Duration;

use cratedb_test::{Cluster, Result, Session, blocking, cratedb_cluster};

async fn work(cluster: &Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    Ok(())
}

/// Acquires in another thread, so that this one can die meanwhile.
#[test]
fn a_acquires() -> Result<()> {
    let stops = reliability::stops_at("acquiring");
    if stops {
        reliability::say("here");
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let acquired = blocking::wait(async { work(&Session::current().await?.cluster("a").await?).await });
        let _ = sender.send(acquired);
    });
    loop {
        match receiver.recv_timeout(Duration::from_millis(5)) {
            Ok(acquired) => return acquired,
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the other thread died"),
            Err(mpsc::RecvTimeoutError::Timeout) if stops => drop(reliability::may_go_on()),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
}

#[cratedb_cluster]
async fn b_uses(cluster: Cluster) -> Result<()> {
    work(&cluster).await
}

#[cratedb_cluster]
async fn c_runs(cluster: Cluster) -> Result<()> {
    work(&cluster).await?;
    reliability::stop("running");
    Ok(())
}

/// Stands between two tests with a cluster.
#[test]
fn d_between() {
    reliability::stop("between");
}

#[cratedb_cluster]
async fn e_uses(cluster: Cluster) -> Result<()> {
    work(&cluster).await
}
