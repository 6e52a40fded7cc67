//! Makes `sqlx::PgPool` and `sqlx::PgConnection`, for async tests.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, PgConnection, PgPool};

use super::*;

/// Returns options with TLS as strict as everywhere in this crate: sqlx's own reading of `require` doesn't look at
/// certificates.
fn options(cluster: &Cluster, made: &str) -> Result<PgConnectOptions, Box<dyn StdError + Send + Sync>> {
    let pg_url = cluster.pg_url()?;
    on_the_tests_runtime(made)?;
    let options: PgConnectOptions = pg_url.parse().map_err(|error| not_connected(cluster, made, error))?;
    let options = options.ssl_mode(if demands_tls(pg_url) { PgSslMode::VerifyFull } else { PgSslMode::Disable });
    Ok(match cluster.ca_pem() {
        Some(pem) => options.ssl_root_cert_from_pem(pem.into_bytes()),
        None => options,
    })
}

/// Each test gets a pool of its own, whose connections are in the test's schema. It ends with the test's runtime.
///
/// ```no_run
/// # use cratedb_test::cratedb_cluster;
/// #[cratedb_cluster]
/// async fn counts(pool: sqlx::PgPool) -> Result<(), sqlx::Error> {
///     sqlx::query("CREATE TABLE readings (id INT PRIMARY KEY)").execute(&pool).await?;
///     sqlx::query("INSERT INTO readings (id) VALUES ($1)").bind(1).execute(&pool).await?;
///     Ok(())
/// }
/// # fn main() {}
/// ```
impl FromCluster for PgPool {
    async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        const NAME: &str = "sqlx::PgPool";
        let connected = PgPoolOptions::new().connect_with(options(cluster, NAME)?).await;
        connected.map_err(|error| not_connected(cluster, NAME, error))
    }
}

/// The connection is in the test's schema.
///
/// ```no_run
/// # use cratedb_test::cratedb_cluster;
/// #[cratedb_cluster]
/// async fn asks(mut connection: sqlx::PgConnection) -> Result<(), sqlx::Error> {
///     let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut connection).await?;
///     assert_eq!(one, 1);
///     Ok(())
/// }
/// # fn main() {}
/// ```
impl FromCluster for PgConnection {
    async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        const NAME: &str = "sqlx::PgConnection";
        options(cluster, NAME)?.connect().await.map_err(|error| not_connected(cluster, NAME, error))
    }
}
