//! Exclusive tests that ask for a second cluster from threads that are not their own.

use cratedb_test::{Result, Session, blocking, cratedb_cluster};

#[cratedb_cluster(exclusive)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_worker() -> Result<()> {
    let task = tokio::spawn(async {
        assert_ne!(std::thread::current().name(), Some("from_a_worker"), "this was to be a worker");
        Session::current().await?.cluster("second").await
    });
    task.await.unwrap()?.execute("CREATE TABLE t (id INT)").await.map(drop)
}

#[cratedb_cluster(exclusive)]
async fn from_a_blocking_thread() -> Result<()> {
    let task = tokio::task::spawn_blocking(|| {
        let cluster = blocking::Session::current()?.cluster("second")?;
        cluster.execute("CREATE TABLE t (id INT)").map(drop)
    });
    task.await.unwrap()
}

/// The test of such a thread is unknown, unless the process has only one test.
#[cratedb_cluster(exclusive)]
fn from_a_thread() -> Result<()> {
    let thread = std::thread::spawn(|| blocking::Session::current()?.cluster("second"));
    match (thread.join().unwrap(), std::env::var_os("NEXTEST")) {
        (Ok(second), Some(_)) => second.execute("CREATE TABLE t (id INT)").map(drop),
        (Err(error), None) => {
            let text = error.to_string();
            assert!(text.contains("exclusive test `workers::from_a_thread`") && text.contains("hand it"), "{text}");
            Ok(())
        }
        (outcome, _) => panic!("{:?}", outcome.map(drop)),
    }
}
