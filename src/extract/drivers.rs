//! Makes drivers of the PostgreSQL protocol, connected to the test's schema: clients, connections and pools.

#[cfg(any(feature = "tokio-postgres", feature = "postgres"))]
mod connector;
#[cfg(any(feature = "deadpool-postgres", feature = "bb8"))]
mod pools;
#[cfg(feature = "sqlx")]
mod sqlx_pool;
#[cfg(feature = "postgres")]
mod sync_client;
#[cfg(feature = "tokio-postgres")]
mod tokio_client;

use std::error::Error as StdError;

use super::FromCluster;
use crate::Cluster;
use crate::background;
use crate::error::{Error, Kind, Result};

/// The most connections of a pool. Many tests run at a time, and each has pools of its own.
#[cfg(any(feature = "deadpool-postgres", feature = "bb8", feature = "r2d2"))]
const POOL: u8 = 8;

/// Tells whether a URL of [`Cluster::pg_url`] demands TLS.
fn demands_tls(pg_url: &str) -> bool {
    url::Url::parse(pg_url)
        .is_ok_and(|url| url.query_pairs().any(|(name, value)| name == "sslmode" && value == "require"))
}

/// Tells whether the test has a runtime. A sync test has none but the background thread's, which outlives the test.
fn has_runtime() -> bool {
    tokio::runtime::Handle::try_current().is_ok_and(|runtime| !background::is_runtime(runtime.id()))
}

/// Checks that the test has a runtime: its tasks serve a driver's connection, which ends with it.
#[cfg(any(feature = "tokio-postgres", feature = "sqlx"))]
fn on_the_tests_runtime(made: &str) -> Result<()> {
    if has_runtime() {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("cannot make a `{made}`"))
        .because("it lives on a Tokio runtime, and this test has none")
        .hint("make the test async; a sync test connects with a sync driver and `cluster.pg_url()`"))
}

/// Checks that the test has no runtime, in which a sync driver panics.
#[cfg(feature = "postgres")]
fn without_a_runtime(made: &str) -> Result<()> {
    if !has_runtime() {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("cannot make a `{made}`"))
        .because("it blocks and has a Tokio runtime inside, so it panics within the one of an async test")
        .hint("make the test sync, or take a `tokio_postgres::Client`, a pool of it, or a `sqlx::PgPool`"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_on_this_machine_demands_tls() {
        assert!(demands_tls("postgres://a:b@db.example.org:5432/s?sslmode=require"));
        assert!(!demands_tls("postgres://crate@127.0.0.1:5432/s"));
    }

    #[cfg(any(feature = "tokio-postgres", feature = "sqlx"))]
    #[test]
    fn a_test_without_a_runtime_is_told_what_to_do() {
        let error = on_the_tests_runtime("Driver").unwrap_err().to_string();
        assert!(error.contains("Driver") && error.contains("make the test async"), "{error}");
        let handle = background::handle().unwrap();
        let _entered = handle.enter();
        assert!(on_the_tests_runtime("Driver").is_err());
    }

    #[cfg(any(feature = "tokio-postgres", feature = "sqlx"))]
    #[tokio::test]
    async fn a_test_with_a_runtime_may_have_a_driver() {
        on_the_tests_runtime("Driver").unwrap();
    }

    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn a_test_with_a_runtime_is_told_which_drivers_it_may_have() {
        let error = without_a_runtime("Driver").unwrap_err().to_string();
        assert!(error.contains("Driver") && error.contains("tokio_postgres::Client"), "{error}");
        std::thread::spawn(|| without_a_runtime("Driver").unwrap()).join().unwrap();
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_sync_test_may_have_a_sync_driver_although_the_background_thread_has_a_runtime() {
        let handle = background::handle().unwrap();
        let _entered = handle.enter();
        without_a_runtime("Driver").unwrap();
    }
}
