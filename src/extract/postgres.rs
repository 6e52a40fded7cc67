//! What the drivers of the PostgreSQL protocol have in common: the runtime they live on, and their errors.

use std::error::Error as StdError;

use crate::Cluster;
use crate::background;
use crate::error::{Error, Kind, Result};

/// Whether a URL of [`Cluster::pg_url`] demands TLS.
pub(super) fn demands_tls(pg_url: &str) -> bool {
    url::Url::parse(pg_url)
        .is_ok_and(|url| url.query_pairs().any(|(name, value)| name == "sslmode" && value == "require"))
}

/// A driver's connection is served by tasks of the test's runtime, and ends with it. Without one there is nobody to do so: a sync
/// test is served by the background thread, which outlives it.
pub(super) fn on_the_tests_runtime(made: &str) -> Result<()> {
    let runtime = tokio::runtime::Handle::try_current();
    if runtime.is_ok_and(|runtime| runtime.id() != background::handle().id()) {
        return Ok(());
    }
    Err(Error::new(Kind::Usage, format!("cannot make a `{made}`"))
        .because("it lives on a Tokio runtime, and this test has none")
        .hint("make the test async; a sync test connects with a sync driver and `cluster.pg_url()`"))
}

/// What a driver says, with what was attempted.
pub(super) fn not_connected(
    cluster: &Cluster,
    made: &str,
    cause: impl StdError + Send + Sync + 'static,
) -> Box<dyn StdError + Send + Sync> {
    let attempted = format!("cannot connect a `{made}` to {} by the PostgreSQL protocol", address(cluster));
    Error::new(Kind::Transport, attempted).because_of(&cause).into()
}

/// Host and port, without user and password.
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

    #[test]
    fn a_test_without_a_runtime_is_told_what_to_do() {
        let error = on_the_tests_runtime("Driver").unwrap_err().to_string();
        assert!(error.contains("Driver") && error.contains("make the test async"), "{error}");
        let _entered = background::handle().enter();
        assert!(on_the_tests_runtime("Driver").is_err());
    }

    #[tokio::test]
    async fn a_test_with_a_runtime_may_have_a_driver() {
        on_the_tests_runtime("Driver").unwrap();
    }
}
