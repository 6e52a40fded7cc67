//! A server by its URL, which the harness uses and neither starts nor stops.

use std::time::Instant;

use serde::Deserialize;

use super::{Acquired, Held, NotAcquired, Ours, Progress, Released, Resource};
use crate::error::Result;
use crate::probe::{self, Readiness};
use crate::secret::Secret;
use crate::sql::{Credentials, SqlClient, Wallet};
use crate::target::UrlTarget;

pub(crate) struct UrlProvider {
    target: UrlTarget,
}

impl UrlProvider {
    pub(super) fn new(target: UrlTarget) -> Self {
        Self { target }
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress) -> Acquired {
        self.probe(deadline, progress).await.map_err(|error| {
            NotAcquired::nothing(error.hint(format!("{} comes from CRATEDB_CLUSTER_URL", self.target.url)))
        })
    }

    async fn probe(&self, deadline: Instant, progress: &Progress) -> Result<Resource> {
        let url = &self.target.url;
        progress.step(format!("connecting to {url}"));
        let credentials = Credentials::of(self.target.username.as_ref(), self.target.password.as_ref());
        let wallet = Wallet::new(credentials.clone());
        let version =
            probe::answers_sql(url, &wallet, Readiness::Answering, deadline, |text| progress.step(text)).await?;
        let (pg_url, clock) = tokio::join!(self.pg_url(&wallet), probe::clock(url, &wallet));
        Ok(Resource {
            provider: "url".to_owned(),
            name: url.clone(),
            http_url: url.clone(),
            pg_hint: pg_url
                .is_none()
                .then(|| format!("the server at {url} does not say at which port it speaks PostgreSQL")),
            pg_url,
            user: None,
            credentials,
            authority: None,
            version,
            clock,
            ours: Ours::No,
            console: None,
            held: Held::Url { url: url.clone() },
            nodes: None,
        })
    }

    pub(super) fn release(&self) -> Released {
        Released::Left(format!("{} is left as it was found", self.target.url))
    }

    /// Returns the PostgreSQL address: the server tells the port, and the host is that of HTTP. It is optional.
    async fn pg_url(&self, wallet: &Wallet) -> Option<Secret> {
        let port = psql_port(&self.target.url, wallet).await?;
        pg_url(&self.target.url, port, self.target.username.as_deref(), self.target.password.as_ref())
    }
}

/// Returns the port of the PostgreSQL protocol that the server at `http_url` reports, or none if it does not speak it.
pub(super) async fn psql_port(http_url: &str, wallet: &Wallet) -> Option<u16> {
    #[derive(Default, Deserialize)]
    struct Ports {
        psql: Option<u16>,
    }
    let client = SqlClient::new(http_url, None, wallet.clone()).ok()?;
    let rows: Vec<(Ports,)> = client.rows("SELECT port FROM sys.nodes LIMIT 1").await.ok()?;
    let (Ports { psql: port },) = rows.into_iter().next()?;
    port.filter(|port| *port != 0)
}

/// Returns the PostgreSQL address of the server at `http_url`, or none if that is not a URL with a host.
pub(super) fn pg_url(http_url: &str, port: u16, username: Option<&str>, password: Option<&Secret>) -> Option<Secret> {
    let http = ::url::Url::parse(http_url).ok()?;
    let mut pg = ::url::Url::parse("postgres://host").expect("a constant");
    pg.set_host(Some(http.host_str()?)).ok()?;
    pg.set_port(Some(port)).ok()?;
    pg.set_username(username.unwrap_or("crate")).ok()?;
    pg.set_password(password.map(Secret::expose)).ok()?;
    if http.scheme() == "https" {
        pg.set_query(Some("sslmode=require"));
    }
    Some(Secret::new(pg))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use cratedb_cloud_simulator::{ClusterOptions, Fault, Options, Simulator};

    use super::*;
    use crate::provider::{Intents, Provider};
    use crate::target::{OnExit, Target};

    /// A simulated cluster is as good a server as any.
    async fn server(options: &[(&str, &str)]) -> (Simulator, String) {
        let cluster = options
            .iter()
            .fold(ClusterOptions::running("any"), |cluster, (option, value)| cluster.with(option, value).unwrap());
        let simulator = Simulator::start(Options::default().cluster(cluster)).await.unwrap();
        let url = simulator.cloud().cluster("any").url;
        (simulator, url)
    }

    async fn acquire(url: &str, user: Option<(&str, &str)>) -> Acquired {
        let target = UrlTarget {
            url: url.to_owned(),
            username: user.map(|(name, _)| name.to_owned()),
            password: user.map(|(_, password)| Secret::new(password)),
        };
        let provider = Provider::chain(&Target::Url(target)).unwrap();
        let progress = Progress::new(tokio::sync::mpsc::unbounded_channel().0);
        let intents = Intents::new(Arc::new(|_| panic!("nothing is made or woken")));
        let acquired = provider.acquire(Instant::now() + Duration::from_secs(10), &progress, &intents).await;
        if let Ok(resource) = &acquired {
            for on_exit in [OnExit::Auto, OnExit::Suspend, OnExit::Delete] {
                let released = provider.release(&resource.held, on_exit, &progress).await.unwrap();
                assert_eq!(released, Released::Left(format!("{url} is left as it was found")));
            }
            assert!(
                provider
                    .recover(&resource.held, OnExit::Auto, Instant::now(), &progress, &intents)
                    .await
                    .unwrap()
                    .is_none()
            );
            assert_eq!(provider.credentials(resource).await.unwrap(), resource.credentials);
        }
        acquired
    }

    async fn failure(url: &str, user: Option<(&str, &str)>) -> String {
        let failed = acquire(url, user).await.expect_err("this must fail");
        assert!(!failed.maybe_up);
        let text = failed.error.to_string();
        assert!(text.contains(url) && text.contains("CRATEDB_CLUSTER_URL"), "{text}");
        assert!(!user.is_some_and(|(_, password)| text.contains(password)), "{text}");
        text
    }

    #[tokio::test]
    async fn a_server_that_answers_is_used_and_left_alone() {
        let (_simulator, url) = server(&[("auth", "off"), ("version", "5.10.16")]).await;
        let resource = acquire(&url, None).await.unwrap();
        assert_eq!((resource.http_url, resource.version.to_string()), (url, "5.10.16".to_owned()));
        assert_eq!((resource.ours, resource.credentials), (Ours::No, Credentials::None));
    }

    #[tokio::test]
    async fn a_user_of_the_settings_is_used() {
        let (_simulator, url) = server(&[("username", "ada"), ("password", "hunter2")]).await;
        let resource = acquire(&url, Some(("ada", "hunter2"))).await.unwrap();
        assert_eq!(
            resource.credentials,
            Credentials::Basic { username: "ada".into(), password: Secret::new("hunter2") }
        );
    }

    #[tokio::test]
    async fn a_wrong_password_is_told() {
        let (_simulator, url) = server(&[("username", "ada")]).await;
        let text = failure(&url, Some(("ada", "hunter2"))).await;
        assert!(text.contains("CRATEDB_PASSWORD"), "{text}");
    }

    #[tokio::test]
    async fn nobody_listening_is_told_at_once() {
        let url = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}", listener.local_addr().unwrap())
        };
        let begun = Instant::now();
        let text = failure(&url, None).await;
        assert!(text.contains("no connection to") && text.contains("refused"), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(2), "it is not waited for");
    }

    #[tokio::test]
    async fn a_server_that_says_that_it_starts_is_waited_for() {
        let (simulator, url) = server(&[("auth", "off")]).await;
        simulator.cloud().sql_not_ready_requests("any", 4);
        acquire(&url, None).await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_breaks_a_few_connections_or_is_busy_is_asked_again() {
        let (simulator, url) = server(&[("auth", "off")]).await;
        for (method, path) in [("GET", "/"), ("POST", "/_sql")] {
            for fault in [Fault::on(method, path).drop_connection(), Fault::on(method, path).status(429)] {
                simulator.cloud().fault(fault.times(4));
                acquire(&url, None).await.unwrap();
                simulator.cloud().clear_faults();
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_cratedb_is_told() {
        let (simulator, _) = server(&[]).await;
        let text = failure(simulator.url(), None).await;
        assert!(text.contains("GET /"), "{text}");
    }

    #[test]
    fn a_postgresql_address_has_the_servers_host_and_quoted_credentials() {
        let pg = pg_url("https://db.example.org:4200", 5432, Some("ada"), Some(&Secret::new("a/b@c"))).unwrap();
        assert_eq!(pg.expose(), "postgres://ada:a%2Fb%40c@db.example.org:5432?sslmode=require");
        let pg = pg_url("http://[::1]:4200", 5433, None, None).unwrap();
        assert_eq!(pg.expose(), "postgres://crate@[::1]:5433");
    }
}
