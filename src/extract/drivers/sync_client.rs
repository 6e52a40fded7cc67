//! Makes `postgres::Client` and a pool of it, for tests that are not async.

use postgres::config::SslMode;
use postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connector::Connector;
use super::*;

/// The client is connected to the test's schema. It blocks, so an async test can't have one: that is an error.
///
/// ```no_run
/// # use cratedb_test::cratedb_cluster;
/// #[cratedb_cluster]
/// fn counts(client: postgres::Client) -> Result<(), postgres::Error> {
///     let mut client = client;
///     client.execute("CREATE TABLE readings (id INT PRIMARY KEY)", &[])?;
///     client.execute("INSERT INTO readings (id) VALUES ($1)", &[&1])?;
///     Ok(())
/// }
/// # fn main() {}
/// ```
impl FromCluster for Client {
    async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        const NAME: &str = "postgres::Client";
        let (config, tls) = prepared::<MakeRustlsConnect>(cluster, NAME)?;
        config.connect(tls).map_err(|error| not_connected(cluster, NAME, error))
    }
}

fn prepared<T: Connector>(cluster: &Cluster, made: &str) -> Result<(Config, T), Box<dyn StdError + Send + Sync>> {
    without_a_runtime(made)?;
    let pg_url = cluster.pg_url()?;
    let mut config: Config = pg_url.parse().map_err(|error| not_connected(cluster, made, error))?;
    if !demands_tls(pg_url) {
        // By default it would encrypt where a server can, and trust none that has an authority of its own.
        config.ssl_mode(SslMode::Disable);
    }
    Ok((config, T::to(cluster, made)?))
}

#[cfg(feature = "r2d2")]
mod pool {
    use postgres::NoTls;
    use r2d2::Pool;
    use r2d2_postgres::PostgresConnectionManager;

    use super::*;

    const NAME: &str = "r2d2::Pool";

    /// Each test gets a pool of its own, of up to eight connections to the test's schema.
    ///
    /// ```no_run
    /// # use cratedb_test::cratedb_cluster;
    /// use r2d2_postgres::PostgresConnectionManager;
    /// use tokio_postgres_rustls::MakeRustlsConnect;
    ///
    /// #[cratedb_cluster]
    /// fn counts(
    ///     pool: r2d2::Pool<PostgresConnectionManager<MakeRustlsConnect>>,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let row = pool.get()?.query_one("SELECT 1", &[])?;
    ///     assert_eq!(row.get::<_, i32>(0), 1);
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    impl FromCluster for Pool<PostgresConnectionManager<MakeRustlsConnect>> {
        async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
            let (config, tls) = prepared(cluster, NAME)?;
            connected(cluster, PostgresConnectionManager::new(config, tls))
        }
    }

    /// The same without TLS. On a server that demands it, such as CrateDB Cloud, that is an error.
    impl FromCluster for Pool<PostgresConnectionManager<NoTls>> {
        async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
            let (config, tls) = prepared(cluster, NAME)?;
            connected(cluster, PostgresConnectionManager::new(config, tls))
        }
    }

    fn connected<M: r2d2::ManageConnection>(
        cluster: &Cluster,
        manager: M,
    ) -> Result<Pool<M>, Box<dyn StdError + Send + Sync>> {
        // By default a pool opens all its connections at once.
        let pool = Pool::builder().max_size(POOL.into()).min_idle(Some(1)).build(manager);
        pool.map_err(|error| not_connected(cluster, NAME, error))
    }
}
