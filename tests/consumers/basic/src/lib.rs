//! Lib tests, integration binaries and doctests: everything that one `cargo test` starts.
//!
//! ```
//! let rows = basic::in_a_runtime(async {
//!     let cluster = cratedb_test::Session::current().await?.cluster("doctest").await?;
//!     cluster.execute("CREATE TABLE t (id INT)").await?;
//!     cluster.query("SELECT count(*) FROM t").scalar::<i64>().await
//! });
//! assert_eq!(rows.unwrap(), 0);
//! ```

/// The smallest of executors: a future may be awaited anywhere.
pub fn in_a_runtime<T>(future: impl Future<Output = T>) -> T {
    struct Wake(std::thread::Thread);
    impl std::task::Wake for Wake {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Wake(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use cratedb_test::{Cluster, Result, cratedb_cluster};

    #[cratedb_cluster]
    async fn sees_its_rows(cluster: Cluster) -> Result<()> {
        cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)").await?;
        cluster.query("INSERT INTO readings VALUES (?, ?)").bind(1).bind(2.5).execute().await?;
        cluster.refresh().await?;
        let rows: Vec<(i32, f64)> = cluster.query("SELECT id, value FROM readings").fetch_all().await?;
        assert_eq!(rows, [(1, 2.5)]);
        Ok(())
    }

    #[cratedb_cluster]
    fn sync_tests_too(cluster: cratedb_test::blocking::Cluster) -> Result<()> {
        cluster.execute("CREATE TABLE readings (id INT)")?;
        assert_eq!(cluster.query("SELECT count(*) FROM readings").scalar::<i64>()?, 0);
        Ok(())
    }
}
