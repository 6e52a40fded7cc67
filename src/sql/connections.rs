//! The HTTP connections of one client: HTTP/1.1, kept alive, not shared with other clients.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::authority::Authority;
use crate::error::{Error, Kind, Result};

/// The limits for making a connection, for the silence of the server, and for what it sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HttpLimits {
    pub(crate) connect: Duration,
    pub(crate) silence: Duration,
    /// The most bytes of one answer, which is held in memory as a whole.
    pub(crate) answer: usize,
}

impl HttpLimits {
    /// A server that is up accepts a connection within milliseconds, or within seconds across the world and through a
    /// cold proxy. Silence is allowed for as long as the slowest statement that a test may reasonably wait for (a
    /// restore, a big COPY FROM). Without a limit, a lost connection would hang a test run forever.
    ///
    /// The harness's own statements list names: of schemas, tables, users.
    pub(crate) const SQL: Self =
        Self { connect: Duration::from_secs(5), silence: Duration::from_secs(5 * 60), answer: 64 << 20 };

    /// Statements of tests and programs may read much. `docs/limits.md` names this limit.
    pub(crate) const STATEMENTS: Self = Self { answer: 1 << 30, ..Self::SQL };
}

/// Shorter than proxies in front of a server commonly allow (a minute and more), so that the client closes an idle
/// connection first and a request doesn't meet one that the proxy is just closing.
const IDLE: Duration = Duration::from_secs(30);

const DEFAULT_SCHEMA: HeaderName = HeaderName::from_static("default-schema");

/// Opens a pool of connections to the server at `url`, each with `schema` as its default schema. A server with TLS is
/// known by its own authority, if it has one, and else by those that the platform trusts.
pub(crate) fn open(
    url: &Url,
    schema: Option<&str>,
    authority: Option<&Authority>,
    limits: HttpLimits,
) -> Result<reqwest::Client> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(schema) = schema {
        let value = HeaderValue::from_str(schema).map_err(|error| {
            Error::new(Kind::Usage, format!("cannot use `{schema}` as the default schema")).because_of(&error)
        })?;
        headers.insert(DEFAULT_SCHEMA, value);
    }
    let mut builder = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(concat!("cratedb-test/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.connect)
        .read_timeout(limits.silence)
        .pool_idle_timeout(IDLE)
        .tls_backend_preconfigured(authority.map_or_else(|| tls_for(url), Authority::tls)?);
    if is_loopback(url) {
        // A proxy on another machine would look for the server there.
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        Error::new(Kind::Transport, format!("cannot make an HTTP client for {url}")).because_of(&error.without_url())
    })
}

/// Returns the TLS settings for an address. They are made once per process, and the platform's certificates are read
/// only for `https`: that takes longer than everything else between a test's start and its first statement.
pub(crate) fn tls_for(url: &Url) -> Result<ClientConfig> {
    static WITHOUT_CERTIFICATES: LazyLock<Result<ClientConfig>> =
        LazyLock::new(|| Ok(tls()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth()));
    if url.scheme() == "https" { platform_tls() } else { WITHOUT_CERTIFICATES.clone() }
}

/// Returns TLS settings that trust the certificates that the platform trusts.
pub(crate) fn platform_tls() -> Result<ClientConfig> {
    static WITH_PLATFORM_CERTIFICATES: LazyLock<Result<ClientConfig>> = LazyLock::new(with_platform_certificates);
    WITH_PLATFORM_CERTIFICATES.clone()
}

fn with_platform_certificates() -> Result<ClientConfig> {
    Ok(tls()?.with_platform_verifier().map_err(|error| no_tls(&error))?.with_no_client_auth())
}

/// The provider is passed explicitly and not installed for the process, which belongs to the test's author.
pub(super) fn tls() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|error| no_tls(&error))
}

pub(super) fn no_tls(cause: &rustls::Error) -> Error {
    Error::new(Kind::Transport, "cannot set up TLS").because_of(cause)
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn avoid_proxies_only_for_this_machine() {
        for (url, loopback) in [
            ("http://localhost:4200", true),
            ("http://127.0.0.1:4200", true),
            ("http://[::1]:4200", true),
            ("http://crate.localhost", true),
            ("https://ci.aks1.eastus2.azure.cratedb.net:4200", false),
            ("http://10.0.0.1:4200", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), loopback, "{url}");
        }
    }

    #[test]
    fn refuse_a_schema_that_no_header_can_carry() {
        let url = Url::parse("http://localhost:4200").unwrap();
        let error = open(&url, Some("a\nb"), None, HttpLimits::SQL).unwrap_err();
        assert!(error.to_string().contains("default schema"), "{error}");
    }

    #[test]
    fn leave_the_default_provider_of_the_process_alone() {
        open(&Url::parse("https://localhost:4200").unwrap(), None, None, HttpLimits::SQL).unwrap();
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }
}
