//! Puts a proxy between a test and its cluster.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use url::Url;

use super::{Cluster, Parts, Route};
use crate::error::{Error, Kind, Result};
use crate::faults::{Faults, Protocol, Proxy, Target};
use crate::sql::connections::platform_tls;
use crate::sql::{Authority, SqlClient};

impl Cluster {
    /// Returns the same cluster behind a proxy of this test's own, and the handle that gives the network between them
    /// faults: [`Faults`].
    ///
    /// Statements of the returned cluster, its [`http_url`](Self::http_url), its [`pg_url`](Self::pg_url) and its
    /// [`env`](Self::env) go through the proxy. It has the same schema. This cluster itself and those of other tests
    /// stay as they are, so a test can look at the server past its own faults.
    ///
    /// The proxy listens on this machine and ends with the test, however the test ends: nothing listens there any more,
    /// and its connections are reset or closed. What the faults did is in the list of statements below a failed test.
    ///
    /// To a server with TLS, the proxy encrypts and verifies its certificate, by the server's own authority if it has
    /// one, while clients connect to the proxy in the clear: the returned addresses begin with `http://` and have
    /// `sslmode=disable`. So no client needs to be told a name that the certificate has. Nothing leaves this machine
    /// unencrypted.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use cratedb_test::{Cluster, Result, cratedb_cluster};
    ///
    /// #[cratedb_cluster]
    /// async fn a_statement_that_is_cut_off_is_repeated(cluster: Cluster) -> Result<()> {
    ///     cluster.execute("CREATE TABLE readings (id INT PRIMARY KEY)").await?;
    ///     let (faulty, faults) = cluster.with_faults()?;
    ///     faults.from_server().reset_after(10)?;
    ///     faulty.execute("INSERT INTO readings VALUES (1)").await.unwrap_err();
    ///     faults.clear()?;
    ///     // The answer was lost, not the statement.
    ///     faulty.execute("INSERT INTO readings VALUES (1)").await.unwrap_err();
    ///     Ok(())
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// When the test is over, or the process may have no further thread or socket.
    pub fn with_faults(&self) -> Result<(Self, Faults)> {
        self.grant().note_use()?;
        let ((http_url, pg_url), authority) = (self.route(), self.authority());
        let http = Url::parse(http_url).map_err(|_| unreadable("HTTP"))?;
        let postgres = match pg_url {
            Ok(url) => Some(Url::parse(url).map_err(|_| unreadable("PostgreSQL"))?),
            Err(_) => None,
        };
        let targets = [
            Some(target(Protocol::Http, &http, authority.as_ref())?),
            postgres.as_ref().map(|url| target(Protocol::Postgres, url, authority.as_ref())).transpose()?,
        ];
        let grant = Arc::downgrade(&self.0.grant);
        let hear = move |event| {
            if let Some(grant) = grant.upgrade() {
                grant.trace.hear(event);
            }
        };
        let proxy = Arc::new(Proxy::start(targets, Box::new(hear)).map_err(|error| no_proxy(&error))?);
        self.grant().proxies.add(proxy.clone());
        // The test may have ended meanwhile, and with it the proxies that it had.
        self.grant().note_use().inspect_err(|_| proxy.close())?;
        let address = |protocol| proxy.address(protocol).ok_or_else(|| unreadable("proxy's"));
        let route = Route {
            http_url: behind(http, address(Protocol::Http)?).trim_end_matches('/').to_owned(),
            pg_url: match (postgres, pg_url) {
                (Some(url), _) => Ok(behind(url, address(Protocol::Postgres)?)),
                (None, lacking) => lacking.clone(),
            },
        };
        let grant = self.0.grant.clone();
        let client = SqlClient::for_statements(&route.http_url, Some(&grant.schema), grant.wallet.clone())?;
        let faulty = Self(Arc::new(Parts { client, grant, route: Some(route), ending: OnceLock::new() }));
        // An attempt that ends with its last handle ends with this one, too.
        faulty.end_with_last_handle(self.clone());
        Ok((faulty, Faults::of(proxy)))
    }
}

/// Returns the server of an address, which is known by its own authority if it has one.
fn target(protocol: Protocol, url: &Url, authority: Option<&Authority>) -> Result<Target> {
    let host = url.host_str().ok_or_else(|| unreadable("server's"))?.trim_matches(['[', ']']).to_owned();
    let (port, encrypted) = match protocol {
        Protocol::Http => (url.port_or_known_default(), url.scheme() == "https"),
        Protocol::Postgres => (url.port().or(Some(5432)), url.query_pairs().any(demands_tls)),
    };
    let port = port.ok_or_else(|| unreadable("server's"))?;
    let tls = || authority.map_or_else(platform_tls, Authority::tls);
    let tls = if encrypted { Some(Arc::new(tls()?)) } else { None };
    Ok(Target { host, port, tls, asks_first: protocol == Protocol::Postgres })
}

fn demands_tls((name, value): (Cow<'_, str>, Cow<'_, str>)) -> bool {
    name == "sslmode" && value == "require"
}

/// Returns the address of a proxy in place of the server's, for clients that don't encrypt.
fn behind(mut url: Url, proxy: SocketAddr) -> String {
    // None of these fails: both kinds of addresses have hosts and ports, and `https` may become `http`.
    let _ = url.set_ip_host(proxy.ip());
    let _ = url.set_port(Some(proxy.port()));
    if url.scheme() == "https" {
        let _ = url.set_scheme("http");
    }
    if url.query_pairs().any(demands_tls) {
        let others: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| name != "sslmode")
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("sslmode", "disable");
    }
    url.into()
}

fn unreadable(whose: &str) -> Error {
    Error::new(Kind::Provider, format!("cannot put a proxy before the cluster: the {whose} address can't be read"))
}

fn no_proxy(error: &std::io::Error) -> Error {
    Error::new(Kind::Session, "cannot start a proxy before the cluster")
        .because(error)
        .hint("it takes a thread and a few descriptors; `ulimit -u` and `ulimit -n` show how many a process may have")
}

#[cfg(test)]
mod tests;
