//! Makes clients of the PostgreSQL protocol for tests: `tokio_postgres::Client`, `sqlx::PgPool`, `sqlx::PgConnection`.

use std::error::Error as StdError;

use super::FromCluster;
use crate::Cluster;
use crate::background;
use crate::error::{Error, Kind, Result};

/// Tells whether a URL of [`Cluster::pg_url`] demands TLS.
fn demands_tls(pg_url: &str) -> bool {
    url::Url::parse(pg_url)
        .is_ok_and(|url| url.query_pairs().any(|(name, value)| name == "sslmode" && value == "require"))
}

/// Checks that the test has a runtime: its tasks serve a driver's connection, which ends with it. A sync test has none
/// but the background thread's, which outlives the test.
fn on_the_tests_runtime(made: &str) -> Result<()> {
    let runtime = tokio::runtime::Handle::try_current();
    if runtime.is_ok_and(|runtime| !background::is_runtime(runtime.id())) {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("cannot make a `{made}`"))
        .because("it lives on a Tokio runtime, and this test has none")
        .hint("make the test async; a sync test connects with a sync driver and `cluster.pg_url()`"))
}

/// Makes the error of a driver that could not connect.
fn not_connected(
    cluster: &Cluster,
    made: &str,
    cause: impl StdError + Send + Sync + 'static,
) -> Box<dyn StdError + Send + Sync> {
    let attempted = format!("cannot connect a `{made}` to {} by the PostgreSQL protocol", address(cluster));
    Error::new(Kind::Transport, attempted).because_of(&cause).into()
}

/// Returns host and port, without user and password.
fn address(cluster: &Cluster) -> String {
    let url = cluster.pg_url().ok().and_then(|url| url::Url::parse(url).ok());
    let shown = |url: url::Url| Some(format!("{}:{}", url.host_str()?, url.port().unwrap_or(5432)));
    url.and_then(shown).unwrap_or_else(|| "the cluster".into())
}

#[cfg(feature = "tokio-postgres")]
mod tokio_client {
    use tokio_postgres::{Client, Config, NoTls};
    use tokio_postgres_rustls::MakeRustlsConnect;

    use super::*;
    use crate::sql::connections::platform_tls;

    const NAME: &str = "tokio_postgres::Client";

    /// The client is connected to the test's schema. A task of the test's runtime serves the connection and ends with
    /// it; a client that is kept for longer answers `connection closed`.
    ///
    /// ```no_run
    /// # use cratedb_test::cratedb_cluster;
    /// #[cratedb_cluster]
    /// async fn counts(client: tokio_postgres::Client) -> Result<(), tokio_postgres::Error> {
    ///     client.execute("CREATE TABLE readings (id INT PRIMARY KEY)", &[]).await?;
    ///     client.execute("INSERT INTO readings (id) VALUES ($1)", &[&1]).await?;
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    impl FromCluster for Client {
        async fn from_cluster(cluster: &Cluster) -> Result<Self, Box<dyn StdError + Send + Sync>> {
            let pg_url = cluster.pg_url()?;
            on_the_tests_runtime(NAME)?;
            let config: Config = pg_url.parse().map_err(|error| not_connected(cluster, NAME, error))?;
            if demands_tls(pg_url) {
                let tls = cluster.authority().map_or_else(platform_tls, |authority| authority.tls())?;
                let tls = MakeRustlsConnect::new(tls);
                let connected = config.connect(tls).await.map_err(|error| not_connected(cluster, NAME, error))?;
                return Ok(served(connected));
            }
            Ok(served(config.connect(NoTls).await.map_err(|error| not_connected(cluster, NAME, error))?))
        }
    }

    fn served<C>((client, connection): (Client, C)) -> Client
    where
        C: Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        // The client reports how the connection ends.
        tokio::spawn(async move { drop(connection.await) });
        client
    }
}

#[cfg(feature = "sqlx")]
mod sqlx_pool {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_on_this_machine_demands_tls() {
        assert!(demands_tls("postgres://a:b@db.example.org:5432/s?sslmode=require"));
        assert!(!demands_tls("postgres://crate@127.0.0.1:5432/s"));
    }

    #[test]
    fn a_test_without_a_runtime_is_told_what_to_do() {
        let error = on_the_tests_runtime("Driver").unwrap_err().to_string();
        assert!(error.contains("Driver") && error.contains("make the test async"), "{error}");
        let handle = background::handle().unwrap();
        let _entered = handle.enter();
        assert!(on_the_tests_runtime("Driver").is_err());
    }

    #[tokio::test]
    async fn a_test_with_a_runtime_may_have_a_driver() {
        on_the_tests_runtime("Driver").unwrap();
    }
}
