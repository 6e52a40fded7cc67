//! The control plane over HTTP: who may ask, and what becomes of the answer.

pub(crate) mod control;
mod login;
mod routes;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::http::{Exchange, Plane, Recorded, Reply};
use crate::jwt::Expected;
use crate::shared::Shared;
use crate::state::access::{Credentials, Pass};
use crate::state::{Answer, Call, Pace};
use routes::{Route, route};

const PREFIX: &str = "/api/v2/";
/// Everything below is for tests: no credentials, no record, no faults.
const CONTROL: &str = "/_simulator";
/// Files are read and written here by whoever knows their address.
const STORAGE: &str = "/_storage/";
const LOGIN: &str = "/oauth2/";
/// The bare form, without lists after it: CrateDB caches the keys only then.
const KEYS_LIFETIME: &str = "max-age=300";
/// How long the answer to a new job waits for it where operations take no time: clients poll every ten seconds.
const JOB_PATIENCE: Duration = Duration::from_secs(3);

/// The control plane of a simulator.
pub(crate) struct Api {
    shared: Arc<Shared>,
}

impl Plane for Api {
    type Session = ();

    fn open(&self) {}

    async fn answer(&self, (): &mut (), exchange: &Exchange) -> Option<Reply> {
        let path = exchange.path.as_str();
        if let Some(rest) = path.strip_prefix(CONTROL) {
            return Some(control::answer(&self.shared, exchange, rest));
        }
        if let Some(rest) = path.strip_prefix(STORAGE) {
            return Some(storage::answer(&self.shared, exchange, rest));
        }
        // An endpoint that ends with a slash gives clients that join texts two of them.
        if let Some(rest) = path.trim_start_matches('/').strip_prefix(&LOGIN[1..]) {
            return Some(login::answer(&self.shared, exchange, rest));
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
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn answer_api(&self, exchange: &Exchange, path: &str) -> Reply {
        // The specification lists no 401 for what is below `meta`.
        let pass = if path.starts_with("meta") { Pass::Granted } else { self.admit(exchange) };
        match pass {
            Pass::Granted => self.granted(exchange, path).await,
            Pass::Renewed(token) => self.granted(exchange, path).await.with_cookie(&token),
            // Not JSON: `ctk` expects the text its client makes of any other body.
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
            Route::Keys => json(&Answer::ok(self.shared.tokens.key_set())).with(CACHE_CONTROL, KEYS_LIFETIME),
            Route::NotAllowed => json(&Answer::refused(405, "The method is not allowed for the requested URL.")),
            Route::Unknown => json(&Answer::not_found()),
        }
    }

    fn admit(&self, exchange: &Exchange) -> Pass {
        let credentials = credentials(exchange);
        match &credentials {
            Credentials::None => {}
            Credentials::Basic { secret, .. } => self.shared.record.hide(secret),
            Credentials::Session(token) => self.shared.record.hide(token),
        }
        let configured = &self.shared.configured;
        let pass = self.shared.quietly(|state, now| state.admit(now, &credentials, configured));
        if let Pass::Renewed(token) = &pass {
            self.shared.record.hide(token);
        }
        pass
    }

    async fn call(&self, call: Call) -> Reply {
        let is_job = matches!(call, Call::CreateImportJob(..) | Call::CreateExportJob(..));
        let answer = match call.is_read() {
            true => self.shared.ask(call),
            false => self.shared.change(|state, now| state.on(now, call)),
        };
        self.hide_secrets(&answer);
        if let Some(id) = answer.body.as_ref().filter(|_| is_job).and_then(|body| body["id"].as_str()) {
            self.wait_for_job(id).await;
        }
        json(&answer)
    }

    /// What an answer tells once must not turn up in the record.
    fn hide_secrets(&self, answer: &Answer) {
        let Some(body) = &answer.body else { return };
        if let Some(secret) = body["secret"].as_str() {
            self.shared.record.hide(secret);
        }
        for url in [&body["upload_url"], &body["download_url"]] {
            if let Some((_, signature)) = url.as_str().and_then(|url| url.split_once("signature=")) {
                self.shared.record.hide(signature);
            }
        }
    }

    /// So that the first poll finds it over, as it does with operations.
    async fn wait_for_job(&self, id: &str) {
        if self.shared.pace != Pace::Auto(Duration::ZERO) {
            return;
        }
        let mut changes = self.shared.changes();
        let over = async {
            while !self.shared.look(|state| state.job(id).is_none_or(|job| job.is_over() || job.is_held())) {
                let _ = changes.changed().await;
            }
        };
        // Whoever loads much data polls.
        let _ = tokio::time::timeout(JOB_PATIENCE, over).await;
    }

    async fn deploy(&self, organization: String, body: Value) -> Reply {
        let Ok((listener, url)) = bind_gateway().await else {
            return json(&Answer::refused(500, "An error occured."));
        };
        if let Some(password) = body["cluster"]["password"].as_str() {
            self.shared.record.hide(password);
        }
        let answer = self.shared.change(|state, now| state.on(now, Call::Deploy { organization, body, url }));
        if let (201, Some(id)) = (answer.status, answer.body.as_ref().and_then(|body| body["id"].as_str())) {
            self.shared.open_gateway(id, listener);
        }
        json(&answer)
    }

    fn token(&self, id: &str) -> Reply {
        let shared = &self.shared;
        let issued = shared.quietly(|state, now| {
            let refresh = state.new_id();
            let cluster = state.clusters().iter().find(|cluster| cluster.id == id)?;
            let expected = Expected { audience: id, username: &cluster.username, issuer: &shared.issuer() };
            Some(shared.tokens.issue(now, expected, refresh))
        });
        for secret in issued.iter().flat_map(|issued| [&issued["token"], &issued["refresh"]]).filter_map(Value::as_str)
        {
            shared.record.hide(secret);
        }
        json(&issued.map_or_else(Answer::not_found, Answer::ok))
    }

    /// A new token for one that may have expired. Each refresh token is good once.
    fn refresh(&self, body: &Value) -> Reply {
        let Some(refresh) = body["refresh_token"].as_str() else {
            let problem = serde_json::json!({ "refresh_token": ["Missing data for required field."] });
            return json(&Answer::invalid(problem));
        };
        match self.shared.tokens.redeem(refresh) {
            Some(cluster) => self.token(&cluster),
            None => json(&Answer::refused(401, "Authentication required.")),
        }
    }
}

/// A listener for a cluster's data plane, and its URL.
pub(crate) async fn bind_gateway() -> std::io::Result<(TcpListener, String)> {
    bind_gateway_at("127.0.0.1:0").await
}

/// The same at an address that was used before.
pub(crate) async fn bind_gateway_at(address: &str) -> std::io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

/// A header that can't be read is none.
fn credentials(exchange: &Exchange) -> Credentials {
    if let Some((key, secret)) = exchange.header(AUTHORIZATION.as_str()).and_then(basic) {
        return Credentials::Basic { key, secret };
    }
    let cookies = exchange.headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    match pairs.find(|(name, token)| *name == "session" && !token.is_empty()) {
        Some((_, token)) => Credentials::Session(token.trim_matches('"').to_owned()),
        None => Credentials::None,
    }
}

/// User and password of a Basic header.
pub(crate) fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn json(answer: &Answer) -> Reply {
    match &answer.body {
        Some(body) => Reply::new(answer.status, "application/json", body.to_string()),
        None => Reply::empty(answer.status),
    }
}

/// A body that can't be parsed is an input of the wrong type for whoever reads it.
fn body(exchange: &Exchange) -> Value {
    serde_json::from_slice(&exchange.body).unwrap_or(Value::Null)
}
