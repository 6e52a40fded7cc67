//! A server that somebody else looks after: probed, used, left alone.

use std::time::Instant;

use serde::Deserialize;

use super::{Acquired, NotAcquired, Ours, Progress, Released, Resource, UrlTarget};
use crate::error::Result;
use crate::probe::{self, Readiness};
use crate::secret::Secret;
use crate::sql::{Credentials, SqlClient, Wallet};

pub(crate) struct Url {
    target: UrlTarget,
}

impl Url {
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
        let wallet = Wallet::new(self.credentials());
        let version =
            probe::answers_sql(url, &wallet, Readiness::Answering, deadline, |text| progress.step(text)).await?;
        let pg_url = self.pg_url(&wallet).await;
        Ok(Resource {
            provider: "url".to_owned(),
            name: url.clone(),
            http_url: url.clone(),
            pg_hint: pg_url
                .is_none()
                .then(|| format!("the server at {url} does not say at which port it speaks PostgreSQL")),
            pg_url,
            user: None,
            credentials: self.credentials(),
            version,
            ours: Ours::No,
            console: None,
            held: serde_json::json!({ "provider": "url", "url": url }),
        })
    }

    pub(super) fn release(&self) -> Released {
        Released::Left(format!("{} is left as it was found", self.target.url))
    }

    fn credentials(&self) -> Credentials {
        match &self.target.username {
            Some(username) => Credentials::Basic {
                username: username.clone(),
                password: self.target.password.clone().unwrap_or_default(),
            },
            None => Credentials::None,
        }
    }

    /// The server knows its PostgreSQL port; the host is the one that HTTP found it at. Nothing else fails without it.
    async fn pg_url(&self, wallet: &Wallet) -> Option<Secret> {
        let port = psql_port(&self.target.url, wallet).await?;
        pg_url(&self.target.url, port, self.target.username.as_deref(), self.target.password.as_ref())
    }
}

/// The port of the PostgreSQL protocol, as the server at `http_url` says; none if it does not speak it.
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

/// The PostgreSQL address of the server at `http_url`; none if that is no URL with a host.
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
mod tests;
