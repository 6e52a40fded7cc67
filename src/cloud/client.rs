//! Requests to the Cloud API: authentication, time limits, what is tried again and what never is.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::refusal;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::sql::connections;

/// A server that doesn't take a connection in this time won't take it at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Pauses before the second and the third try of a read.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// Where the API is and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) endpoint: String,
    pub(crate) api_key: String,
    pub(crate) api_secret: Secret,
    /// How long one answer may take.
    pub(crate) timeout: Duration,
}

/// The API, as the owner of one key sees it. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    endpoint: Url,
    options: Options,
}

impl Client {
    /// Sends nothing yet. Fails if the endpoint is no http(s) URL.
    pub(crate) fn new(options: Options) -> Result<Self> {
        let endpoint = endpoint(&options.endpoint)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut builder = reqwest::Client::builder();
        if connections::is_loopback(&endpoint) {
            // A proxy on another machine would look for the simulator there.
            builder = builder.no_proxy();
        }
        let http = builder
            .default_headers(headers)
            .tls_backend_preconfigured(connections::tls_for(&endpoint)?)
            .user_agent(concat!("cratedb-test/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(options.timeout)
            // The suspension at the end of a run must not wait for a new connection, however long the run took.
            .pool_idle_timeout(None)
            .tcp_keepalive(Duration::from_secs(30))
            .build()
            .map_err(|error| {
                Error::new(Kind::Setting, format!("cannot set up a client for CrateDB Cloud at {endpoint}"))
                    .because_of(&error.without_url())
            })?;
        Ok(Self(Arc::new(Inner { http, endpoint, options })))
    }

    /// The address of the API, without a slash at the end.
    pub(crate) fn endpoint(&self) -> &str {
        self.0.endpoint.as_str().trim_end_matches('/')
    }

    /// A read: tried three times if the service is not to be reached or is in trouble.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        for pause in AGAIN {
            match self.once(Method::GET, url.clone(), None::<&()>).await {
                Err(error) if heals(&error) => tokio::time::sleep(pause).await,
                done => return self.decode(&Method::GET, path, done?),
            }
        }
        let last = self.once(Method::GET, url, None::<&()>).await;
        let body =
            last.map_err(|error| if heals(&error) { error.hint("tried 3 times; try again later") } else { error })?;
        self.decode(&Method::GET, path, body)
    }

    /// A write: sent once. Whether one whose answer got lost was carried out, only the state of the cluster tells.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T> {
        let answer = self.once(method.clone(), self.url(path), Some(body)).await?;
        self.decode(&method, path, answer)
    }

    /// A deletion: sent once, like every write.
    pub(super) async fn delete(&self, path: &str) -> Result<()> {
        self.once(Method::DELETE, self.url(path), None::<&()>).await.map(drop)
    }

    /// The API lives at the root of its host, but a prefix someone put before it does no harm.
    fn url(&self, path: &str) -> Url {
        let mut url = self.0.endpoint.clone();
        url.set_path(&format!("{}{path}", self.0.endpoint.path().trim_end_matches('/')));
        url
    }

    async fn once(&self, method: Method, url: Url, body: Option<&impl Serialize>) -> Result<Vec<u8>> {
        let request = format!("{method} {}", url.path());
        let Options { api_key, api_secret, .. } = &self.0.options;
        let mut builder = self.0.http.request(method, url).basic_auth(api_key, Some(api_secret.expose()));
        if let Some(body) = body {
            builder = builder.json(body);
        }
        let unanswered = |error| self.unanswered(&request, error);
        let answer = builder.send().await.map_err(unanswered)?;
        let status = answer.status();
        let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await.map_err(unanswered)?;
        if status.is_success() {
            return Ok(body.into());
        }
        Err(self.refused(&request, status, location.as_deref(), &body))
    }

    fn decode<T: DeserializeOwned>(&self, method: &Method, path: &str, body: Vec<u8>) -> Result<T> {
        serde_json::from_slice(&body).map_err(|error| {
            Error::new(Kind::Decode, format!("CrateDB Cloud at {} answered {method} {path} strangely", self.endpoint()))
                .because(error)
                .because(format!("it was `{}`", self.clean(&refusal::excerpt(&body))))
                .hint("something between may have answered instead of the API: a proxy, a login page")
        })
    }

    fn refused(&self, request: &str, status: StatusCode, location: Option<&str>, body: &[u8]) -> Error {
        let words = self.clean(&refusal::words(status, location, body));
        refusal::error(self.endpoint(), request, status, words)
    }

    fn unanswered(&self, request: &str, error: reqwest::Error) -> Error {
        let (kind, late) = match error.is_timeout() {
            true => (Kind::Timeout, format!(" within {}", humantime::format_duration(self.0.options.timeout))),
            false => (Kind::Transport, String::new()),
        };
        Error::new(kind, format!("CrateDB Cloud at {} did not answer {request}{late}", self.endpoint()))
            .because_of(&error.without_url())
            .hint("check the network and CRATEDB_CLOUD_ENDPOINT; CRATEDB_CLOUD_TIMEOUT is the time for one answer")
    }

    /// A service that repeats what it was sent must not bring the secret into an error.
    fn clean(&self, text: &str) -> String {
        let secret = self.0.options.api_secret.expose();
        if secret.is_empty() { text.to_owned() } else { text.replace(secret, "***") }
    }
}

/// Whether the same read may succeed a moment later.
fn heals(error: &Error) -> bool {
    match error.status() {
        Some(status) => status == 429 || status >= 500,
        None => error.is_transport() || error.is_timeout(),
    }
}

fn endpoint(text: &str) -> Result<Url> {
    let wrong = |cause: String| {
        Error::new(Kind::Setting, format!("cannot use CRATEDB_CLOUD_ENDPOINT=`{text}`"))
            .because(cause)
            .hint("it is an address such as https://console.cratedb.cloud")
    };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it is no http or https URL".to_owned()));
    }
    Ok(url)
}

#[cfg(test)]
mod tests;
