//! The client of the Cloud API: its settings, authentication, time limits, and which requests are sent again.

mod pause;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;

use self::pause::Pause;
use super::auth::Auth;
use super::operation::passing;
use super::refusal::{self, RefusalText};
use crate::background;
use crate::environment::{Access, Given, Remarks, Sources, filled, named_endpoint};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::sql::{Body, connections};
use crate::target::Login;

/// A server that doesn't accept a connection in this time won't accept it at all.
const CONNECT: Duration = Duration::from_secs(5);

/// The most bytes of one answer. The longest are lists of clusters and of measurements, which have some MiB.
const LONGEST: usize = 32 << 20;

/// Pauses before the second and the third attempt of a read.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

/// If the service asks for such a pause, the caller is told instead of kept waiting. The next request waits.
const LONG_PAUSE: Duration = Duration::from_secs(5);

/// The HTTP API of CrateDB Cloud, as the owner of an API key or of a login sees it.
///
/// Cheap to clone; clones share their connections. There is one method for each call of the API. A method sends what it
/// is given and returns the answer. To keep a cluster available, use [`ManagedCluster`](crate::ManagedCluster).
///
/// - The futures can be awaited on any executor.
/// - Reads are attempted three times if the service can't be reached or answers 429 or 5xx. Writes are sent once.
/// - If the service says when to ask again (`Retry-After`), no request is sent before that, for a minute at most.
/// - No request waits longer than the timeout for one answer, 30 s by default.
/// - A refusal keeps the [status](Error::status), the [method and path](Error::request), the service's own
///   [message](Error::message) and its [errors](Error::errors) by field.
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
pub struct Client(Arc<ClientInner>);

struct ClientInner {
    http: reqwest::Client,
    endpoint: Url,
    auth: Auth,
    /// Identifies the user by the first credentials: the cookie of a login changes, its user doesn't.
    principal: String,
    timeout: Duration,
    region: Option<HeaderValue>,
    organization_id: Option<String>,
    origin: String,
    home: Home,
    /// The pause that the service asked for last.
    pause: Pause,
    /// Seconds by which the service's clock is ahead of this machine's, by the date of its last answer.
    ahead: AtomicI64,
}

/// The runtime on which requests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// The background thread of this process, since nothing is known about the caller.
    Background,
    /// The caller's runtime, which lives as long as the client. The keeper uses its own.
    Here,
}

impl Client {
    /// Makes a client with the credentials of the environment: `CRATEDB_CLOUD_API_KEY` and `CRATEDB_CLOUD_API_SECRET`,
    /// from the environment or from [`.env` files](crate::cloud#which-cluster), else the login in [`croud`'s profile
    /// file](crate::cloud::ProfileFile). Also reads `CRATEDB_CLOUD_ENDPOINT` and `CRATEDB_CLOUD_TIMEOUT`.
    ///
    /// # Errors
    ///
    /// When there are no credentials, and when a variable or the profile file can't be read.
    pub fn from_env() -> Result<Self> {
        Self::builder().build()
    }

    /// Sets up a client in code. Settings that the code leaves out come from the environment.
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

    /// Sends nothing yet. Fails if the endpoint is not an http or https URL.
    pub(crate) fn new(access: Access, home: Home) -> Result<Self> {
        let auth = Auth::new(access.login.clone());
        Self::with_auth(access, auth, home)
    }

    /// Makes a client whose every request fails with `why`.
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
        let region = access.region.as_deref().map(header_of_region).transpose()?;
        Ok(Self(Arc::new(ClientInner {
            http,
            endpoint,
            principal: auth.principal(),
            auth,
            timeout: access.timeout,
            region,
            organization_id: access.organization_id,
            origin: access.origin,
            home,
            pause: Pause::default(),
            ahead: AtomicI64::new(0),
        })))
    }

    /// Returns the address of the API, without a slash at the end.
    pub fn endpoint(&self) -> &str {
        self.0.endpoint.as_str().trim_end_matches('/')
    }

    /// Returns the organization that code or the profile file selects. The account may have others.
    pub fn organization_id(&self) -> Option<&str> {
        self.0.organization_id.as_deref()
    }

    /// Describes the credentials and their source, without secrets: "API key `abc` of the environment", "the login of
    /// profile `p` in /home/ada/.config/Crate/croud.yaml".
    pub fn credentials(&self) -> String {
        match &self.0.auth {
            Auth::Key { key, .. } => format!("API key `{key}` of {}", self.0.origin),
            Auth::Session(_) => format!("the login of {}", self.0.origin),
            Auth::Missing(_) => "no credentials".to_owned(),
        }
    }

    /// Returns the error of every request if the client has no credentials.
    pub(crate) fn missing(&self) -> Option<&Error> {
        match &self.0.auth {
            Auth::Missing(error) => Some(error),
            _ => None,
        }
    }

    /// Identifies the user whose tokens for clusters may be shared.
    pub(crate) fn principal(&self) -> &str {
        &self.0.principal
    }

    /// Returns the time limit for one answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Returns the time in Unix seconds by the service's clock, as far as its answers told it. The moments that the
    /// service names are by that clock, from which this machine's may differ by days.
    #[doc(hidden)]
    pub fn now(&self) -> i64 {
        OffsetDateTime::now_utc().unix_timestamp().saturating_add(self.0.ahead.load(Ordering::Relaxed))
    }

    /// Ends the login: the service forgets the session. Any answer counts as success, since the only step left is to
    /// forget the token, which [`ProfileFile::clear_session`](crate::cloud::ProfileFile::clear_session) does.
    ///
    /// # Errors
    ///
    /// When the service can't be reached.
    pub async fn logout(&self) -> Result<()> {
        let this = self.clone();
        let path = Path("/oauth2/logout".to_owned());
        let work = async move { this.exchange(&Method::GET, &path, &[], None, "GET /oauth2/logout").await.map(drop) };
        match self.0.home {
            Home::Background => background::run(work).await,
            Home::Here => work.await,
        }
    }

    /// Sends a read, which is attempted three times if the service can't be reached or is in trouble.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T> {
        self.get_at(Path::of(path), query).await
    }

    /// Sends a read to a path of another form.
    pub(super) async fn get_at<T: DeserializeOwned>(&self, path: Result<Path>, query: &[(&str, String)]) -> Result<T> {
        let (path, body) = self.request(Method::GET, path, query, None).await?;
        self.decode(&Method::GET, &path, &body)
    }

    /// Sends a read whose answer may be empty (status 204).
    pub(super) async fn get_optional<T: DeserializeOwned>(&self, path: &[&str]) -> Result<Option<T>> {
        let (path, body) = self.request(Method::GET, Path::of(path), &[], None).await?;
        if body.is_empty() { Ok(None) } else { self.decode(&Method::GET, &path, &body).map(Some) }
    }

    /// Sends a write once. If its answer is lost, only the state of the cluster tells whether it was carried out.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T> {
        let json = serde_json::to_vec(body).map_err(|error| {
            Error::new(Kind::Usage, format!("cannot send {method} {}", path.join("/"))).because_of(&error)
        });
        let (path, answer) = self.request(method.clone(), Path::of(path), &[], Some(json?)).await?;
        self.decode(&method, &path, &answer)
    }

    /// Sends a deletion once, like every write. Only the status of the answer counts.
    pub(super) async fn delete(&self, path: &[&str]) -> Result<()> {
        self.delete_at(Path::of(path)).await
    }

    pub(super) async fn delete_at(&self, path: Result<Path>) -> Result<()> {
        self.request(Method::DELETE, path, &[], None).await.map(drop)
    }

    async fn request(
        &self,
        method: Method,
        path: Result<Path>,
        query: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Result<(Path, Vec<u8>)> {
        let path = path?;
        let query: Vec<(String, String)> =
            query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let this = self.clone();
        let work = async move {
            let again: &[Duration] = if method == Method::GET { &AGAIN } else { &[] };
            // Not `wait::until`: this repeats a failed request twice and waits for no state.
            for pause in again {
                match this.once(&method, &path, &query, body.clone()).await {
                    Err(error) if passing(&error) && this.0.pause.left() < Some(LONG_PAUSE) => {
                        tokio::time::sleep(*pause).await;
                    }
                    answer => return Ok((path, answer?)),
                }
            }
            match this.once(&method, &path, &query, body).await {
                Err(error) if !again.is_empty() && passing(&error) => Err(error.hint("tried 3 times; try again later")),
                answer => Ok((path, answer?)),
            }
        };
        match self.0.home {
            Home::Background => background::run(work).await,
            Home::Here => work.await,
        }
    }

    /// Sends one request. If the cookie of the login is stale and another process has stored a newer one, sends it once
    /// more: the first request was refused before it was processed.
    async fn once(
        &self,
        method: &Method,
        path: &Path,
        query: &[(String, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        let request = format!("{method} {}", path.as_str());
        let (answer, used) = self.exchange(method, path, query, body.clone(), &request).await?;
        let stale = answer.status == StatusCode::UNAUTHORIZED || answer.status.is_redirection();
        let answer = match stale && self.0.auth.reload(used.as_ref()) {
            true => self.exchange(method, path, query, body, &request).await?.0,
            false => answer,
        };
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let clean = |text: &str| self.0.auth.clean(text);
        let text = RefusalText::read(answer.status, answer.location.as_deref(), &answer.body, clean);
        let error = refusal::error(self.endpoint(), &request, answer.status, text, self.0.auth.token().is_some());
        let error = match self.0.pause.left().filter(|_| passing(&error)) {
            Some(left) => error.because(format!("it asks for a pause of {} s", left.as_secs() + 1)),
            None => error,
        };
        Err(match answer.status {
            StatusCode::UNAUTHORIZED => error.hint(format!("it was asked with {}", self.credentials())),
            _ => error,
        })
    }

    /// Returns the current token of the login, if the client uses one.
    pub(super) fn session_token(&self) -> Option<Secret> {
        self.0.auth.token()
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &Path,
        query: &[(String, String)],
        body: Option<Vec<u8>>,
        request: &str,
    ) -> Result<(ApiAnswer, Option<Secret>)> {
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
        self.0.pause.over().await;
        let unanswered = |error| self.unanswered(request, error);
        let answer = builder.send().await.map_err(unanswered)?;
        let status = answer.status();
        // A refusal may set the cookie of an anonymous visitor.
        if status.is_success() {
            self.0.auth.hear(used.as_ref(), answer.headers());
            if let Some(at) = answered_at(answer.headers()) {
                self.0.ahead.store((at - OffsetDateTime::now_utc()).whole_seconds(), Ordering::Relaxed);
            }
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            self.0.pause.hear(answer.headers());
        }
        let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        let Body { bytes: body, is_cut } = Body::read(answer, LONGEST).await.map_err(unanswered)?;
        if is_cut && status.is_success() {
            let why = format!("its answer is longer than {} MiB, of which the rest was not read", LONGEST >> 20);
            return Err(self.unexpected(request, "at length").because(why));
        }
        Ok((ApiAnswer { status, location, body }, used))
    }

    fn decode<T: DeserializeOwned>(&self, method: &Method, path: &Path, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            let unexpected = self.unexpected(&format!("{method} {}", path.as_str()), "strangely");
            let unexpected = match path.brings_secrets() {
                true => unexpected.because(format!("its {} bytes are not shown: they may hold a secret", body.len())),
                false => unexpected
                    .because(error)
                    .because(format!("it was `{}`", refusal::excerpt(body, |text| self.0.auth.clean(text)))),
            };
            unexpected.hint("something between may have answered instead of the API: a proxy, a login page")
        })
    }

    /// Describes an answer that is not what was promised: "strangely", "without a token".
    pub(super) fn unexpected(&self, request: &str, how: &str) -> Error {
        Error::new(Kind::Decode, format!("CrateDB Cloud at {} answered {request} {how}", self.endpoint()))
    }

    fn unanswered(&self, request: &str, error: reqwest::Error) -> Error {
        if error.is_builder() {
            // Sending it again would not help.
            return Error::new(Kind::Usage, format!("cannot send {request} to CrateDB Cloud at {}", self.endpoint()))
                .because_of(&error.without_url());
        }
        let (kind, late) = match error.is_timeout() {
            true => (Kind::Timeout, format!(" within {}", humantime::format_duration(self.0.timeout))),
            false => (Kind::Transport, String::new()),
        };
        // Without a connection, nothing was sent.
        let never_sent = error.is_connect();
        let error = Error::new(kind, format!("CrateDB Cloud at {} did not answer {request}{late}", self.endpoint()))
            .because_of(&error.without_url())
            .hint("check the network and CRATEDB_CLOUD_ENDPOINT; CRATEDB_CLOUD_TIMEOUT is the time for one answer");
        if never_sent { error.never_sent() } else { error }
    }
}

/// Returns the moment of an answer by the clock of the service.
fn answered_at(headers: &HeaderMap) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(headers.get(DATE)?.to_str().ok()?.trim(), &Rfc2822).ok()
}

struct ApiAnswer {
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
    /// Makes a client for a provider, which runs on the keeper's own runtime.
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

fn header_of_region(region: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(region).map_err(|_| {
        Error::new(Kind::Setting, format!("cannot send the region {region:?} to CrateDB Cloud"))
            .because("it holds characters that no header can carry")
            .hint("accepted: a name such as eks1.eu-west-1.aws, in code or as `region` of the profile")
    })
}

fn endpoint(text: &str) -> Result<Url> {
    let wrong = |cause: String| {
        // An address that can't be parsed may still hold a password.
        let shown = if text.contains('@') { "…" } else { text };
        Error::new(Kind::Setting, format!("cannot use CRATEDB_CLOUD_ENDPOINT=`{shown}`"))
            .because(cause)
            .hint("it is an address such as https://console.cratedb.cloud")
    };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("it is no http or https URL".to_owned()));
    }
    Ok(url)
}

/// The path of a call. Its segments are percent-encoded and never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(String);

/// Everything that is not allowed to stand for itself in a segment of a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'@');

impl Path {
    /// Makes a path below the API's prefix that ends with a slash, as nearly every path of the API does.
    pub(super) fn of(segments: &[&str]) -> Result<Self> {
        Self::without_slash(segments).map(|path| Self(path.0 + "/"))
    }

    /// Makes a path below the API's prefix, without a slash at the end.
    pub(super) fn without_slash(segments: &[&str]) -> Result<Self> {
        let mut path = "/api/v2".to_owned();
        for segment in segments {
            // `.` and `..` would be another path. An empty id would turn DELETE of one thing into DELETE of all.
            if segment.chars().all(|each| each == '.') {
                return Err(Error::new(Kind::Usage, format!("cannot ask CrateDB Cloud for {}", segments.join("/")))
                    .because(format!("`{segment}` is no id")));
            }
            path.push('/');
            path.extend(utf8_percent_encode(segment, ENCODED));
        }
        Ok(Self(path))
    }

    fn as_str(&self) -> &str {
        &self.0
    }

    /// Reports whether an answer to this path holds a secret: a token, the secret of a new key.
    fn brings_secrets(&self) -> bool {
        // The addresses of files are valid without credentials.
        let files = self.0.contains("/files/") || self.0.contains("/export-jobs/");
        files || ["/jwt/", "/jwt/refresh/", "/api-keys/"].iter().any(|end| self.0.ends_with(end))
    }

    /// Joins the path to the endpoint. The API is at the root of its host, but a prefix in the endpoint is kept.
    fn on(&self, endpoint: &Url) -> Url {
        let mut url = endpoint.clone();
        url.set_path(&format!("{}{}", endpoint.path().trim_end_matches('/'), self.0));
        url
    }
}

/// Sets up a [`Client`]; made by [`Client::builder`]. Settings that are left out come from the environment. An empty
/// text counts as left out.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before build()"]
pub struct ClientBuilder {
    given: Given,
    region: Option<String>,
    environment: bool,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self { given: Given::default(), region: None, environment: true }
    }
}

impl ClientBuilder {
    /// Sets the address of the API; takes precedence over `CRATEDB_CLOUD_ENDPOINT`. Default: the endpoint of the
    /// profile whose credentials are used, else `https://console.cratedb.cloud`.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.given.endpoint = filled(endpoint);
        self
    }

    /// Sets an API key and its secret; takes precedence over all other credentials.
    pub fn api_key(mut self, key: impl Into<String>, secret: impl Into<String>) -> Self {
        self.given.api_key = filled_key(key, secret);
        self
    }

    /// Sets the token of a login. It is stored nowhere: if an answer replaces it, only this client knows the new one.
    pub fn session(mut self, token: impl Into<String>) -> Self {
        self.given.session = filled(token).map(Secret::new);
        self
    }

    /// Sets the profile file to take the credentials from; `CRATEDB_CLOUD_API_KEY` is then ignored.
    pub fn profile_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.given.profile_file = Some(path.into());
        self
    }

    /// Sets the value of the header `X-Region`. Default: the region of the profile whose credentials are used, else
    /// none.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = filled(region);
        self
    }

    /// Sets the time limit for one answer; takes precedence over `CRATEDB_CLOUD_TIMEOUT`. Default: 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.given.timeout = Some(timeout);
        self
    }

    /// Sets the organization that [`Client::organization_id`] returns; takes precedence over
    /// `CRATEDB_CLOUD_ORGANIZATION_ID`.
    pub fn organization_id(mut self, id: impl Into<String>) -> Self {
        self.given.organization_id = filled(id);
        self
    }

    /// Sets whether credentials may be sent over plain HTTP to another machine; takes precedence over
    /// `CRATEDB_ALLOW_PLAIN_HTTP`. Default: false.
    pub fn allow_plain_http(mut self, allow: bool) -> Self {
        self.given.plain_http = Some(allow);
        self
    }

    /// Sets whether the environment, `.env` and the profile file are read at all. Default: true.
    pub fn env(mut self, environment: bool) -> Self {
        self.environment = environment;
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When there are no credentials, when they belong to another endpoint or would go over plain HTTP to another
    /// machine, and when a variable, `.env` or the profile file can't be read.
    pub fn build(self) -> Result<Client> {
        let sources = self.sources()?;
        let mut access = Access::find(&self.given, &sources).map_err(|error| Remarks::of(&sources).on(error))?;
        let organization = self.given.organization_id.or_else(|| sources.get("CRATEDB_CLOUD_ORGANIZATION_ID"));
        access.organization_id = organization.or(access.organization_id);
        access.region = self.region.or(access.region);
        Client::new(access, Home::Background)
    }

    fn sources(&self) -> Result<Sources> {
        if self.environment { Sources::of_program() } else { Ok(Sources::none()) }
    }

    /// Returns the address of the API that code, the environment or `.env` names, if one does. The command line logs in
    /// there.
    ///
    /// # Errors
    ///
    /// When the address or a `.env` can't be read.
    #[doc(hidden)]
    pub fn named_endpoint(&self) -> Result<Option<String>> {
        named_endpoint(&self.given, &self.sources()?)
    }
}

/// Half of a key is kept and refused when the client is built; an empty pair counts as left out.
pub(super) fn filled_key(key: impl Into<String>, secret: impl Into<String>) -> Option<(String, Secret)> {
    let (key, secret) = (filled(key), filled(secret));
    (key.is_some() || secret.is_some()).then(|| (key.unwrap_or_default(), Secret::new(secret.unwrap_or_default())))
}

#[cfg(test)]
mod tests;
