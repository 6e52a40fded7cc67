//! Makes the part of a driver's type that says how it encrypts: `NoTls`, or rustls, as strict as in all of this crate.

use std::error::Error as StdError;

#[cfg(not(feature = "tokio-postgres"))]
use postgres::NoTls;
#[cfg(feature = "tokio-postgres")]
use tokio_postgres::NoTls;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::demands_tls;
use crate::Cluster;
use crate::error::{Error, Kind, Result};
use crate::sql::connections::platform_tls;

/// Makes a connector for a cluster. One of a kind that the server would refuse is an error.
pub(super) trait Connector: Sized {
    fn to(cluster: &Cluster, made: &str) -> Result<Self, Box<dyn StdError + Send + Sync>>;
}

impl Connector for MakeRustlsConnect {
    fn to(cluster: &Cluster, _: &str) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let tls = cluster.authority().map_or_else(platform_tls, |authority| authority.tls())?;
        Ok(Self::new(tls))
    }
}

impl Connector for NoTls {
    fn to(cluster: &Cluster, made: &str) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        if !demands_tls(cluster.pg_url()?) {
            return Ok(Self);
        }
        Err(Error::new(Kind::Usage, format!("cannot make a `{made}`"))
            .because("its type has `NoTls`, and the server demands TLS")
            .hint("put `tokio_postgres_rustls::MakeRustlsConnect` into its place, which connects without TLS, too")
            .into())
    }
}
