//! Requests to the Cloud API: authentication, time limits, what is tried again and what never is.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::auth::Auth;
use super::builder::ClientBuilder;
use super::path::Path;
use super::refusal;
use crate::background;
use crate::environment::Access;
use crate::error::{Error, Kind, Result};
use crate::sql::connections;
use crate::target::Login;

/// A server that doesn't take a connection in this time won't take it at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Pauses before the second and the third try of a read.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// The HTTP API of CrateDB Cloud, as the owner of an API key or of a login sees it.
///
/// Cheap to clone; clones share their connections. There is one method for each call of the API; they send what they are
/// given, return what came, and decide nothing: for clusters that are to be there, see
/// [`ManagedCluster`](crate::ManagedCluster).
///
/// - The futures can be awaited on any executor.
/// - Reads are tried three times if the service is not to be reached or answers 429 or 5xx; writes are sent once.
/// - Nothing waits longer than the time for one answer (30 s unless said otherwise).
/// - A refusal keeps [status](Error::status), [method and path](Error::request), the service's own
///   [message](Error::message) and, field by field, its [errors](Error::errors).
///
/// ```no_run
/// use cratedb_test::cloud::Client;
///
/// # async fn example() -> cratedb_test::Result<()> {
/// let client = Client::from_env()?;
/// for cluster in client.clusters().await? {
///     println!("{} {} {}", cluster.id, cluster.name, if cluster.suspended { "suspended" } else { "running" });
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    endpoint: Url,
    auth: Auth,
    /// Who the first credentials were: the cookie of a session changes, its user doesn't.
    principal: String,
    timeout: Duration,
    region: Option<HeaderValue>,
    organization_id: Option<String>,
    origin: String,
    home: Home,
}

/// Where requests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// On the background thread of this process: for callers of whom nothing is known.
    Background,
    /// On the runtime of the caller, which lives as long as the client: the keeper's.
    Here,
}

impl Client {
    /// A client with the credentials of the environment: `CRATEDB_CLOUD_API_KEY` and `CRATEDB_CLOUD_API_SECRET`, from the
    /// environment or from the `.env` file of the working directory; else the login in
    /// [`croud`'s profile file](crate::cloud::ProfileFile). `CRATEDB_CLOUD_ENDPOINT` and `CRATEDB_CLOUD_TIMEOUT` are read too.
    ///
    /// # Errors
    ///
    /// When there are no credentials, and when a variable or the profile file can't be read.
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// A client that code sets up; what code doesn't say, the environment does.
    ///
    /// ```
    /// use cratedb_test::cloud::Client;
    ///
    /// let client = Client::builder().endpoint("http://127.0.0.1:9000").api_key("key", "secret").build()?;
    /// assert_eq!(client.endpoint(), "http://127.0.0.1:9000");
    /// # Ok::<(), cratedb_test::Error>(())
    /// ```
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Sends nothing yet. Fails if the endpoint is no http(s) URL.
    pub(crate) fn new(access: Access, home: Home) -> Result<Self> {
        let auth = Auth::new(access.login.clone());
        Self::with_auth(access, auth, home)
    }

    /// A client whose every request fails with `why`.
    pub(crate) fn without_credentials(access: Access, why: Error) -> Result<Self> {
        Self::with_auth(access, Auth::Missing(why), Home::Background)
    }

    fn with_auth(access: Access, auth: Auth, home: Home) -> Result<Self> {
        let endpoint = endpoint(&access.endpoint)?;
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
            .timeout(access.timeout)
            // The suspension at the end of a run must not wait for a new connection, however long the run took.
            .pool_idle_timeout(None)
            .tcp_keepalive(Duration::from_secs(30))
            .build()
            .map_err(|error| {
                Error::new(Kind::Setting, format!("cannot set up a client for CrateDB Cloud at {endpoint}"))
                    .because_of(&error.without_url())
            })?;
        let region = access.region.as_deref().and_then(|region| HeaderValue::from_str(region).ok());
        Ok(Self(Arc::new(Inner {
            http,
            endpoint,
            principal: auth.principal(),
            auth,
            timeout: access.timeout,
            region,
            organization_id: access.organization_id,
            origin: access.origin,
            home,
        })))
    }

    /// The address of the API, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        self.0.endpoint.as_str().trim_end_matches('/')
    }

    /// The organization that code or the profile file says the caller means; the account may have others.
    pub fn organization_id(&self) -> Option<&str> {
        self.0.organization_id.as_deref()
    }

    /// Whose credentials are used and where they come from, without what is secret: "API key `abc` of the environment",
    /// "the login of profile `p` in /home/ada/.config/Crate/croud.yaml".
    pub fn credentials(&self) -> String {
        match &self.0.auth {
            Auth::Key { key, .. } => format!("API key `{key}` of {}", self.0.origin),
            Auth::Session(_) => format!("the login of {}", self.0.origin),
            Auth::Missing(_) => "no credentials".to_owned(),
        }
    }

    /// Whether there is anything to ask with.
    pub(crate) fn missing(&self) -> Option<&Error> {
        match &self.0.auth {
            Auth::Missing(error) => Some(error),
            _ => None,
        }
    }

    /// Whose tokens for clusters may be shared.
    pub(crate) fn principal(&self) -> &str {
        &self.0.principal
    }

    /// How long one answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Ends the login: the service forgets the session. Whatever it answers counts as done, since all that is left to do is
    /// to forget the token, which is the business of [`ProfileFile::clear_session`](crate::cloud::ProfileFile::clear_session).
    ///
    /// # Errors
    ///
    /// When the service is not to be reached.
    pub async fn logout(&self) -> Result<()> {
        let this = self.clone();
        self.at_home(async move {
            let path = Path::root("oauth2/logout");
            this.exchange(&Method::GET, &path, &[], None, "GET /oauth2/logout").await.map(drop)
        })
        .await
    }

    /// A read: tried three times if the service is not to be reached or is in trouble.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T> {
        let body = self.read(Path::of(path), query).await;
        let (path, body) = body?;
        self.decode(&Method::GET, &path, &body)
    }

    /// A read whose answer may be empty, which status 204 says.
    pub(super) async fn get_optional<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Option<T>> {
        let (path, body) = self.read(Path::of(path), query).await?;
        if body.is_empty() { Ok(None) } else { self.decode(&Method::GET, &path, &body).map(Some) }
    }

    /// A write: sent once. Whether one whose answer got lost was carried out, only the state of the cluster tells.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T> {
        let json = serde_json::to_vec(body).map_err(|error| {
            Error::new(Kind::Usage, format!("cannot send {method} {}", path.join("/"))).because_of(&error)
        });
        let (path, answer) = self.write(method.clone(), Path::of(path), Some(json?)).await?;
        self.decode(&method, &path, &answer)
    }

    /// A deletion: sent once, like every write. What is answered beside the status is not looked at.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<()> {
        self.delete_at(Path::of(path)).await
    }

    pub(super) async fn delete_at(&self, path: Result<Path>) -> Result<()> {
        self.write(Method::DELETE, path, None).await.map(drop)
    }

    async fn read(&self, path: Result<Path>, query: &[(&str, String)]) -> Result<(Path, Vec<u8>)> {
        let path = path?;
        let query: Vec<(String, String)> =
            query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let this = self.clone();
        self.at_home(async move {
            for pause in AGAIN {
                match this.once(Method::GET, &path, &query, None).await {
                    Err(error) if heals(&error) => tokio::time::sleep(pause).await,
                    done => return Ok((path, done?)),
                }
            }
            match this.once(Method::GET, &path, &query, None).await {
                Err(error) if heals(&error) => Err(error.hint("tried 3 times; try again later")),
                done => Ok((path, done?)),
            }
        })
        .await
    }

    async fn write(&self, method: Method, path: Result<Path>, body: Option<Vec<u8>>) -> Result<(Path, Vec<u8>)> {
        let path = path?;
        let this = self.clone();
        self.at_home(async move {
            let answer = this.once(method, &path, &[], body).await?;
            Ok((path, answer))
        })
        .await
    }

    async fn at_home<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        match self.0.home {
            Home::Background => background::run(work).await,
            Home::Here => work.await,
        }
    }

    /// One request and, if the cookie of a login is stale and another process has a newer one, one more: the first was
    /// refused before anybody looked at it.
    async fn once(
        &self,
        method: Method,
        path: &Path,
        query: &[(String, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let request = format!("{method} {}", path.as_str());
        let (answer, used) = self.exchange(&method, path, query, body.clone(), &request).await?;
        let stale = answer.status == StatusCode::UNAUTHORIZED || answer.status.is_redirection();
        let answer = match stale && self.0.auth.reload(used.as_ref()) {
            true => self.exchange(&method, path, query, body, &request).await?.0,
            false => answer,
        };
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let said = refusal::Said::read(answer.status, answer.location.as_deref(), &answer.body);
        let said = said.without_secrets(|text| self.0.auth.clean(text));
        Err(refusal::error(self.endpoint(), &request, answer.status, said, self.0.auth.is_session()))
    }

    pub(super) fn session_token(&self) -> Option<crate::secret::Secret> {
        self.0.auth.token()
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &Path,
        query: &[(String, String)],
        body: Option<Vec<u8>>,
        request: &str,
    ) -> Result<(Answer, Option<crate::secret::Secret>)> {
        let mut url = path.on(&self.0.endpoint);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut builder = self.0.http.request(method.clone(), url);
        if let Some(region) = &self.0.region {
            builder = builder.header("x-region", region);
        }
        if let Some(body) = body {
            builder = builder.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body);
        }
        let (builder, used) = self.0.auth.apply(builder)?;
        let unanswered = |error| self.unanswered(request, error);
        let answer = builder.send().await.map_err(unanswered)?;
        let status = answer.status();
        // A refusal may set the cookie of a visitor whom nobody knows.
        if status.is_success() {
            self.0.auth.hear(used.as_ref(), answer.headers());
        }
        let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        let body = answer.bytes().await.map_err(unanswered)?.into();
        Ok((Answer { status, location, body }, used))
    }

    fn decode<T: DeserializeOwned>(&self, method: &Method, path: &Path, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            let strange = self.strange(method, path.as_str());
            let strange = match path.brings_secrets() {
                true => strange.because(format!("its {} bytes are not shown: they may hold a secret", body.len())),
                false => {
                    strange.because(error).because(format!("it was `{}`", self.0.auth.clean(&refusal::excerpt(body))))
                }
            };
            strange.hint("something between may have answered instead of the API: a proxy, a login page")
        })
    }

    /// An answer that is not what was promised.
    pub(super) fn strange(&self, method: &Method, path: &str) -> Error {
        Error::new(Kind::Decode, format!("CrateDB Cloud at {} answered {method} {path} strangely", self.endpoint()))
    }

    fn unanswered(&self, request: &str, error: reqwest::Error) -> Error {
        let (kind, late) = match error.is_timeout() {
            true => (Kind::Timeout, format!(" within {}", humantime::format_duration(self.0.timeout))),
            false => (Kind::Transport, String::new()),
        };
        // A connection that was never made took nothing along.
        let never_sent = error.is_connect();
        let error = Error::new(kind, format!("CrateDB Cloud at {} did not answer {request}{late}", self.endpoint()))
            .because_of(&error.without_url())
            .hint("check the network and CRATEDB_CLOUD_ENDPOINT; CRATEDB_CLOUD_TIMEOUT is the time for one answer");
        if never_sent { error.never_sent() } else { error }
    }
}

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Vec<u8>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint())
            .field("credentials", &self.credentials())
            .finish_non_exhaustive()
    }
}

impl Login {
    /// A client for a provider, which runs on the keeper's own runtime.
    pub(crate) fn client(&self, endpoint: &str, timeout: Duration) -> Result<Client> {
        let access = Access {
            endpoint: endpoint.to_owned(),
            login: self.clone(),
            organization_id: None,
            region: None,
            timeout,
            origin: "the session".to_owned(),
        };
        Client::new(access, Home::Here)
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
