//! Makes `tokio_postgres::Client`, for async tests.

use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connector::Connector as _;
use super::*;

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
            let tls = MakeRustlsConnect::to(cluster, NAME)?;
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
