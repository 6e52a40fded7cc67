//! Makes the values that a test may take as parameters.

#[cfg(any(feature = "tokio-postgres", feature = "postgres", feature = "sqlx"))]
mod drivers;
mod environment;

use std::error::Error;
use std::future::Future;

use crate::{Cluster, blocking};

pub use environment::Environment;

/// A type that a test may take as a parameter: everything that can be made from its cluster.
///
/// Implement it for your own types, such as a repository or a client with the test's schema:
///
/// ```no_run
/// use std::error::Error;
/// use cratedb_test::{Cluster, FromCluster};
///
/// struct Readings(Cluster);
///
/// impl FromCluster for Readings {
///     async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn Error + Send + Sync>> {
///         cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)").await?;
///         Ok(Self(cluster.clone()))
///     }
/// }
/// ```
///
/// Drivers of the PostgreSQL protocol implement it with the features of their names, connected to the test's schema:
/// `tokio-postgres`, `deadpool-postgres`, `bb8` and `sqlx` for async tests, `postgres` and `r2d2` for others.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a `#[cratedb_cluster]` test",
    label = "does not implement `FromCluster`",
    note = "a parameter is a `cratedb_test::Cluster`, a `cratedb_test::blocking::Cluster`, or a type of yours that implements `cratedb_test::FromCluster`",
    note = "cratedb-test's features `tokio-postgres`, `deadpool-postgres`, `bb8`, `sqlx`, `postgres` and `r2d2` implement it for these drivers"
)]
pub trait FromCluster: Sized {
    /// Makes the value, before the test begins. An error fails the test and names the parameter.
    ///
    /// The future need not be `Send`: it is awaited where the test runs.
    fn from_cluster(cluster: &Cluster) -> impl Future<Output = Result<Self, Box<dyn Error + Send + Sync>>>;
}

impl FromCluster for Cluster {
    async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(cluster.clone())
    }
}

impl FromCluster for blocking::Cluster {
    async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(cluster.clone().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::{cluster, counting};
    use crate::sql::test_server::TestServer;

    #[tokio::test]
    async fn the_blocking_handle_works_inside_a_runtime() {
        let server = TestServer::start(counting);
        let cluster = blocking::Cluster::from_cluster(&cluster(&server)).await.unwrap();
        assert_eq!(cluster.query("SELECT 1").scalar::<i32>().unwrap(), 1);
        let elsewhere = cluster.clone();
        tokio::task::spawn_blocking(move || elsewhere.refresh()).await.unwrap().unwrap();
    }
}
