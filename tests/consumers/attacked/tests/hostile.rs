//! Tests that spoil what a keeper's start uses, before the first attach.

use cratedb_test::{Result, blocking::Session};

#[test]
fn spoils_the_process() -> Result<()> {
    match std::env::var("ATTACK").as_deref() {
        // SAFETY: a disposition, not a handler.
        Ok("sigchld") => unsafe {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        },
        // SAFETY: no other thread reads the environment now.
        Ok("directory") => unsafe { std::env::set_var("CRATEDB_TEST_DIR", "nowhere") },
        _ => {}
    }
    let cluster = Session::current()?.cluster("hostile")?;
    cluster.execute("CREATE TABLE t (id INT)").map(drop)
}

/// In a task of the test, which is polled outside of its body.
#[cratedb_test::cratedb_cluster(exclusive)]
#[tokio::test]
async fn wants_a_second_cluster_in_a_task() -> Result<()> {
    let second = tokio::spawn(async { cratedb_test::Session::current().await?.cluster("second").await });
    second.await.unwrap()?.execute("CREATE TABLE t (id INT)").await.map(drop)
}

#[cratedb_test::cratedb_cluster]
async fn fails_if_told(cluster: cratedb_test::Cluster) -> Result<()> {
    cluster.execute("CREATE TABLE t (id INT)").await?;
    assert!(std::env::var("ATTACK").as_deref() != Ok("fail"), "as planned");
    Ok(())
}
