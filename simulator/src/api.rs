//! The control plane over HTTP: authentication, and the way from a request to its answer.

pub(crate) mod control;
mod routes;

use std::time::Duration;

use hyper::header::{CACHE_CONTROL, COOKIE};
use serde_json::Value;

use crate::cloud::Cloud;
use crate::gateway;
use crate::http::{Exchange, Plane, Recorded, Reply, parse_query};
use crate::jwt::Expected;
use crate::options::Options;
use crate::state::access::{Configured, Credentials, Pass};
use crate::state::{ApiAnswer, ApiCall, Pace};
use crate::store::Store;
use routes::{Route, route};

const PREFIX: &str = "/api/v2/";
/// Everything below is for tests: no credentials, no record, no faults.
const CONTROL: &str = "/_simulator";
/// Files are read and written here with a signed address.
const STORAGE: &str = "/_storage/";
const LOGIN: &str = "/oauth2/";
/// The bare form, without lists after it: CrateDB caches the keys only then.
const KEYS_LIFETIME: &str = "max-age=300";
/// Time that the answer to a new job waits for the job if operations take no time. Clients poll every ten seconds only.
const JOB_PATIENCE: Duration = Duration::from_secs(3);

/// The control plane of a simulator.
pub(crate) struct Api {
    cloud: Cloud,
    configured: Configured,
    pace: Pace,
}

impl Plane for Api {
    type Session = ();

    fn open(&self) {}

    async fn answer(&self, (): &mut (), exchange: &Exchange) -> Option<Reply> {
        let path = exchange.path.as_str();
        if let Some(rest) = path.strip_prefix(CONTROL) {
            return Some(control::answer(&self.cloud, exchange, rest));
        }
        if let Some(rest) = path.strip_prefix(STORAGE) {
            return Some(answer_storage(self.store(), exchange, rest));
        }
        // A client that joins the endpoint and a path may send two slashes.
        if let Some(rest) = path.trim_start_matches('/').strip_prefix(&LOGIN[1..]) {
            return Some(answer_login(&self.cloud, exchange, rest));
        }
        Some(self.answer_api(exchange, path.strip_prefix(PREFIX).unwrap_or_default()).await)
    }

    fn recorded(&self, exchange: &Exchange) -> Recorded {
        if exchange.path.starts_with(CONTROL) {
            Recorded::Nothing
        } else if exchange.path.starts_with(STORAGE) {
            Recorded::WithoutBody
        } else {
            Recorded::Everything
        }
    }
}

impl Api {
    pub(crate) fn new(cloud: Cloud, options: &Options) -> Self {
        let configured = Configured { key: options.api_key.clone(), secret: options.api_secret.clone() };
        Self { cloud, configured, pace: options.pace }
    }

    fn store(&self) -> &Store {
        self.cloud.store()
    }

    fn hide(&self, secret: &str) {
        self.store().traffic.record.hide(secret);
    }

    async fn answer_api(&self, exchange: &Exchange, path: &str) -> Reply {
        // The specification lists no 401 for what is below `meta`.
        let pass = if path.starts_with("meta") { Pass::Granted } else { self.admit(exchange) };
        match pass {
            Pass::Granted => self.granted(exchange, path).await,
            Pass::Renewed(token) => self.granted(exchange, path).await.with_cookie(&token),
            // Not JSON: `ctk` expects the text that its client makes of any other body.
            Pass::Refused => Reply::new(401, "text/html; charset=utf-8", "<html><body>Unauthorized</body></html>"),
            Pass::Stale => Reply::redirect(&format!("/?rd={}", exchange.path)),
        }
    }

    async fn granted(&self, exchange: &Exchange, path: &str) -> Reply {
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match route(exchange, &segments) {
            Route::Call(call) => self.call(*call).await,
            Route::Deploy(organization, body) => self.deploy(organization, body).await,
            Route::Token(cluster) => self.token(&cluster),
            Route::Refresh(body) => self.refresh(&body),
            Route::Keys => {
                json(&ApiAnswer::ok(self.cloud.gateways().tokens.key_set())).with(CACHE_CONTROL, KEYS_LIFETIME)
            }
            Route::NotAllowed => json(&ApiAnswer::refused(405, "The method is not allowed for the requested URL.")),
            Route::Unknown => json(&ApiAnswer::not_found()),
        }
    }

    fn admit(&self, exchange: &Exchange) -> Pass {
        let credentials = credentials(exchange);
        match &credentials {
            Credentials::None => {}
            Credentials::Basic { secret, .. } => self.hide(secret),
            Credentials::Session(token) => self.hide(token),
        }
        let pass = self.store().quietly(|state, now| state.admit(now, &credentials, &self.configured));
        if let Pass::Renewed(token) = &pass {
            self.hide(token);
        }
        pass
    }

    async fn call(&self, call: ApiCall) -> Reply {
        let is_job = matches!(call, ApiCall::CreateImportJob(..) | ApiCall::CreateExportJob(..));
        let answer = match call.is_read() {
            true => self.store().ask(call),
            false => self.store().change(|state, now| state.on(now, call)),
        };
        self.hide_secrets(&answer);
        if let Some(id) = answer.body.as_ref().filter(|_| is_job).and_then(|body| body["id"].as_str()) {
            self.wait_for_job(id).await;
        }
        json(&answer)
    }

    /// Hides the secrets of an answer from the record.
    fn hide_secrets(&self, answer: &ApiAnswer) {
        let Some(body) = &answer.body else { return };
        if let Some(secret) = body["secret"].as_str() {
            self.hide(secret);
        }
        for url in [&body["upload_url"], &body["download_url"]] {
            if let Some((_, signature)) = url.as_str().and_then(|url| url.split_once("signature=")) {
                self.hide(signature);
            }
        }
    }

    /// Waits until a job is over, so that the first poll of the client finds it so, as it does with operations.
    async fn wait_for_job(&self, id: &str) {
        if self.pace != Pace::Auto(Duration::ZERO) {
            return;
        }
        let mut changes = self.store().changes();
        let over = async {
            while !self.store().look(|state| state.job(id).is_none_or(|job| job.is_over() || job.is_held())) {
                let _ = changes.changed().await;
            }
        };
        // A client that loads much data has to poll.
        let _ = tokio::time::timeout(JOB_PATIENCE, over).await;
    }

    async fn deploy(&self, organization: String, body: Value) -> Reply {
        let Ok((listener, url)) = gateway::bind().await else {
            return json(&ApiAnswer::refused(500, "An error occured."));
        };
        if let Some(password) = body["cluster"]["password"].as_str() {
            self.hide(password);
        }
        let answer = self.store().change(|state, now| state.on(now, ApiCall::Deploy { organization, body, url }));
        if let (201, Some(id)) = (answer.status, answer.body.as_ref().and_then(|body| body["id"].as_str())) {
            self.cloud.gateways().open(id, listener);
        }
        json(&answer)
    }

    fn token(&self, id: &str) -> Reply {
        let tokens = &self.cloud.gateways().tokens;
        let issued = self.store().quietly(|state, now| {
            let refresh = state.new_id();
            let cluster = state.clusters().iter().find(|cluster| cluster.id == id)?;
            let expected = Expected { audience: id, username: &cluster.username, issuer: tokens.issuer() };
            Some(tokens.issue(now, expected, refresh))
        });
        for secret in issued.iter().flat_map(|issued| [&issued["token"], &issued["refresh"]]).filter_map(Value::as_str)
        {
            self.hide(secret);
        }
        json(&issued.map_or_else(ApiAnswer::not_found, ApiAnswer::ok))
    }

    /// Answers with a new token for one that may have expired. Each refresh token is good once.
    fn refresh(&self, body: &Value) -> Reply {
        let Some(refresh) = body["refresh_token"].as_str() else {
            let problem = serde_json::json!({ "refresh_token": ["Missing data for required field."] });
            return json(&ApiAnswer::invalid(problem));
        };
        match self.cloud.gateways().tokens.redeem(refresh) {
            Some(cluster) => self.token(&cluster),
            None => json(&ApiAnswer::refused(401, "Authentication required.")),
        }
    }
}

/// Returns the credentials of a request. A header that can't be read counts as none.
fn credentials(exchange: &Exchange) -> Credentials {
    if let Some((key, secret)) = exchange.basic() {
        return Credentials::Basic { key, secret };
    }
    let cookies = exchange.headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    match pairs.find(|(name, token)| *name == "session" && !token.is_empty()) {
        Some((_, token)) => Credentials::Session(token.trim_matches('"').to_owned()),
        None => Credentials::None,
    }
}

fn json(answer: &ApiAnswer) -> Reply {
    match &answer.body {
        Some(body) => Reply::new(answer.status, "application/json", body.to_string()),
        None => Reply::empty(answer.status),
    }
}

/// Returns the body. One that can't be parsed is null, which every call refuses as an input of the wrong type.
fn body(exchange: &Exchange) -> Value {
    serde_json::from_slice(&exchange.body).unwrap_or(Value::Null)
}

/// The identity providers.
const PROVIDERS: [&str; 4] = ["cognito", "azuread", "github", "google"];
/// The address where a command line listens for its token while it logs in.
const LISTENER: &str = "http://localhost:8400/";

/// Answers what is asked below `/oauth2/`.
fn answer_login(cloud: &Cloud, exchange: &Exchange, rest: &str) -> Reply {
    match rest.trim_end_matches('/').split('/').collect::<Vec<_>>()[..] {
        ["logout"] => log_out(cloud, exchange),
        [provider, "login"] if PROVIDERS.contains(&provider) => log_in(cloud, exchange),
        _ => json(&ApiAnswer::not_found()),
    }
}

/// Logs in. A browser gets the cookie. One that a command line opened is redirected to it with the token.
fn log_in(cloud: &Cloud, exchange: &Exchange) -> Reply {
    let token = cloud.session();
    let for_a_program = parse_query(&exchange.query).iter().any(|(name, value)| name == "cli" && value == "true");
    match for_a_program {
        true => Reply::redirect(&format!("{LISTENER}?token={token}")),
        false => Reply::redirect("/").with_cookie(&token),
    }
}

/// Logs out. Without a session this succeeds as well.
fn log_out(cloud: &Cloud, exchange: &Exchange) -> Reply {
    if let Credentials::Session(token) = credentials(exchange) {
        let store = cloud.store();
        store.traffic.record.hide(&token);
        store.change(|state, _| state.log_out(&token));
    }
    Reply::new(200, "text/html; charset=utf-8", "<html><body>You have been logged out.</body></html>")
}

/// Answers what is asked below `/_storage/`.
fn answer_storage(store: &Store, exchange: &Exchange, id: &str) -> Reply {
    let query = parse_query(&exchange.query);
    let signature = query.iter().find(|(name, _)| name == "signature").map_or("", |(_, value)| value.as_str());
    store.traffic.record.hide(signature);
    let known = store.look(|state| state.signed_file(id, signature).is_some());
    match exchange.method.as_str() {
        _ if !known => text(403, "The request signature does not match."),
        "PUT" => upload(store, exchange, id),
        "GET" | "HEAD" => match store.file_bytes(id) {
            Some(bytes) => Reply::new(200, "application/octet-stream", bytes),
            None => text(404, "Nothing was uploaded yet."),
        },
        _ => text(405, "Accepted: GET, PUT."),
    }
}

fn upload(store: &Store, exchange: &Exchange, id: &str) -> Reply {
    store.keep_file(id, exchange.body.clone());
    Reply::empty(200)
}

fn text(status: u16, text: &'static str) -> Reply {
    Reply::new(status, "text/plain; charset=utf-8", text)
}
