//! Makes pools of `tokio_postgres::Client`, for async tests: those of deadpool and of bb8.

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connector::Connector;
use super::*;

fn prepared<T: Connector>(cluster: &Cluster, made: &str) -> Result<(Config, T), Box<dyn StdError + Send + Sync>> {
    let pg_url = cluster.pg_url()?;
    on_the_tests_runtime(made)?;
    let mut config: Config = pg_url.parse().map_err(|error| not_connected(cluster, made, error))?;
    if !demands_tls(pg_url) {
        // By default it would encrypt where a server can, and trust none that has an authority of its own.
        config.ssl_mode(SslMode::Disable);
    }
    Ok((config, T::to(cluster, made)?))
}

#[cfg(feature = "deadpool-postgres")]
mod deadpool {
    use std::time::Duration;

    use deadpool_postgres::{Manager, Pool, Runtime};

    use super::*;

    const NAME: &str = "deadpool_postgres::Pool";
    /// The limit of other pools. By default deadpool waits for ever.
    const LIMIT: Option<Duration> = Some(Duration::from_secs(30));

    /// Each test gets a pool of its own, of up to eight connections to the test's schema. It ends with the test's
    /// runtime.
    ///
    /// ```no_run
    /// # use cratedb_test::cratedb_cluster;
    /// #[cratedb_cluster]
    /// async fn counts(pool: deadpool_postgres::Pool) -> Result<(), Box<dyn std::error::Error>> {
    ///     let row = pool.get().await?.query_one("SELECT 1", &[]).await?;
    ///     assert_eq!(row.get::<_, i32>(0), 1);
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    impl FromCluster for Pool {
        async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
            let (config, tls) = prepared::<MakeRustlsConnect>(cluster, NAME)?;
            let builder = Self::builder(Manager::new(config, tls)).max_size(POOL.into()).runtime(Runtime::Tokio1);
            let builder = builder.wait_timeout(LIMIT).create_timeout(LIMIT);
            let pool = builder.build().map_err(|error| not_connected(cluster, NAME, error))?;
            // It connects with its first use. Then a server that can't be reached would be the test's trouble.
            drop(pool.get().await.map_err(|error| not_connected(cluster, NAME, error))?);
            Ok(pool)
        }
    }
}

#[cfg(feature = "bb8")]
mod bb8_pool {
    use bb8::{ManageConnection, Pool};
    use bb8_postgres::PostgresConnectionManager;
    use tokio_postgres::NoTls;

    use super::*;

    const NAME: &str = "bb8::Pool";

    /// Each test gets a pool of its own, of up to eight connections to the test's schema. It ends with the test's
    /// runtime.
    ///
    /// ```no_run
    /// # use cratedb_test::cratedb_cluster;
    /// use bb8_postgres::PostgresConnectionManager;
    /// use tokio_postgres_rustls::MakeRustlsConnect;
    ///
    /// #[cratedb_cluster]
    /// async fn counts(
    ///     pool: bb8::Pool<PostgresConnectionManager<MakeRustlsConnect>>,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let row = pool.get().await?.query_one("SELECT 1", &[]).await?;
    ///     assert_eq!(row.get::<_, i32>(0), 1);
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    impl FromCluster for Pool<PostgresConnectionManager<MakeRustlsConnect>> {
        async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
            let (config, tls) = prepared(cluster, NAME)?;
            connected(cluster, PostgresConnectionManager::new(config, tls)).await
        }
    }

    /// The same without TLS. On a server that demands it, such as CrateDB Cloud, that is an error.
    impl FromCluster for Pool<PostgresConnectionManager<NoTls>> {
        async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
            let (config, tls) = prepared(cluster, NAME)?;
            connected(cluster, PostgresConnectionManager::new(config, tls)).await
        }
    }

    async fn connected<M>(cluster: &Cluster, manager: M) -> Result<Pool<M>, Box<dyn StdError + Send + Sync>>
    where
        M: ManageConnection,
        M::Error: StdError + Sync,
    {
        let builder = Pool::builder().max_size(POOL.into()).min_idle(1).retry_connection(false);
        builder.build(manager).await.map_err(|error| not_connected(cluster, NAME, error))
    }
}
