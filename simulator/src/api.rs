//! The control plane over HTTP: who may ask, which path means which call.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::http::{Exchange, Plane, Reply, parse_query};
use crate::jwt::Expected;
use crate::shared::Shared;
use crate::state::{Answer, Call, Query};

const PREFIX: &str = "/api/v2/";
/// The bare form, without lists after it: CrateDB caches the keys only then.
const KEYS_LIFETIME: &str = "max-age=300";

/// The control plane of a simulator.
pub(crate) struct Api {
    shared: Arc<Shared>,
}

/// What a path means.
enum Route {
    Call(Box<Call>),
    /// Needs a listener before the call.
    Deploy(String, Value),
    Token(String),
    Keys,
    NotAllowed,
    Unknown,
}

impl Plane for Api {
    type Session = ();

    fn open(&self) {}

    async fn answer(&self, (): &mut (), exchange: &Exchange) -> Option<Reply> {
        let path = exchange.path.strip_prefix(PREFIX).unwrap_or_default();
        // The specification lists no 401 for these.
        if !path.starts_with("meta") && !self.may_ask(exchange) {
            // Not JSON: `ctk` expects the text its client makes of any other body.
            return Some(Reply::new(401, "text/html; charset=utf-8", "<html><body>Unauthorized</body></html>"));
        }
        let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        Some(match route(exchange, &segments) {
            Route::Call(call) => self.call(*call),
            Route::Deploy(organization, body) => self.deploy(organization, body).await,
            Route::Token(cluster) => self.token(&cluster),
            Route::Keys => json(&Answer::ok(self.shared.tokens.key_set())).with(CACHE_CONTROL, KEYS_LIFETIME),
            Route::NotAllowed => json(&Answer::refused(405, "The method is not allowed for the requested URL.")),
            Route::Unknown => json(&Answer::not_found()),
        })
    }
}

impl Api {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Basic, with the configured key and secret or, if there are none, with any.
    fn may_ask(&self, exchange: &Exchange) -> bool {
        let Some((key, secret)) = exchange.header(AUTHORIZATION.as_str()).and_then(basic) else { return false };
        self.shared.record.hide(&secret);
        let fits = |wanted: &Option<String>, given: &str| wanted.as_deref().map_or(!given.is_empty(), |it| it == given);
        fits(&self.shared.api_key, &key) && fits(&self.shared.api_secret, &secret)
    }

    fn call(&self, call: Call) -> Reply {
        let deleted = match &call {
            Call::Delete(id) => Some(id.clone()),
            _ => None,
        };
        let answer = match call {
            Call::CreateProject(_) | Call::Delete(_) | Call::Suspend(..) | Call::Protect(..) => {
                self.shared.change(|state, now| state.on(now, call))
            }
            read => self.shared.ask(read),
        };
        if let Some(id) = deleted.filter(|_| answer.status == 204) {
            self.shared.close_gateway(&id);
        }
        json(&answer)
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
            self.shared.open_gateway(id, true, listener);
        }
        json(&answer)
    }

    fn token(&self, id: &str) -> Reply {
        let shared = &self.shared;
        let issued = shared.change(|state, now| {
            let refresh = state.new_id();
            let cluster = state.clusters().iter().find(|cluster| cluster.id == id)?;
            let expected = Expected { audience: id, username: &cluster.username, issuer: &shared.issuer() };
            Some(shared.tokens.issue(now, expected, refresh))
        });
        if let Some(token) = issued.as_ref().and_then(|issued| issued["token"].as_str()) {
            shared.record.hide(token);
        }
        json(&issued.map_or_else(Answer::not_found, Answer::ok))
    }
}

/// A listener for a cluster's data plane, and its URL.
pub(crate) async fn bind_gateway() -> std::io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
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

fn route(exchange: &Exchange, segments: &[&str]) -> Route {
    let query = || parse_query(&exchange.query);
    let known = match exchange.method.as_str() {
        "GET" | "HEAD" => get(segments, query()),
        "POST" => post(segments, exchange),
        "PUT" => put(segments, exchange),
        "DELETE" => match segments {
            ["clusters", id] => Some(call(Call::Delete((*id).into()))),
            _ => None,
        },
        _ => None,
    };
    let exists = || {
        get(segments, Query::new()).is_some() || matches!(segments, ["clusters", _, "suspend" | "deletion-protection"])
    };
    known.unwrap_or_else(|| if exists() { Route::NotAllowed } else { Route::Unknown })
}

fn call(call: Call) -> Route {
    Route::Call(Box::new(call))
}

fn get(segments: &[&str], mut query: Query) -> Option<Route> {
    let owned = |id: &str| id.to_owned();
    Some(call(match segments {
        ["users", "me"] => Call::Me,
        ["organizations"] => Call::Organizations,
        ["organizations", id] => Call::Organization(owned(id)),
        ["organizations", id, "projects"] => Call::OrganizationProjects(owned(id)),
        ["organizations", id, "subscriptions"] => Call::OrganizationSubscriptions(owned(id)),
        ["organizations", id, "regions"] => Call::OrganizationRegions(owned(id)),
        ["organizations", id, "clusters"] => Call::OrganizationClusters(owned(id), query),
        ["projects"] => Call::Projects,
        ["projects", id] => Call::Project(owned(id)),
        ["projects", id, "clusters"] => Call::ProjectClusters(owned(id), query),
        ["subscriptions"] => Call::Subscriptions(query),
        ["subscriptions", id] => Call::Subscription(owned(id)),
        ["products"] => Call::Products(query),
        ["products", kind] => {
            query.push(("kind".into(), owned(kind)));
            Call::Products(query)
        }
        ["regions"] => Call::Regions,
        ["clusters"] => Call::Clusters(query),
        ["clusters", id] => Call::Cluster(owned(id)),
        ["clusters", id, "operations"] => Call::Operations(owned(id), query),
        ["clusters", id, "jwt"] => return Some(Route::Token(owned(id))),
        ["meta"] => Call::Meta,
        ["meta", "cratedb-versions"] => Call::Versions,
        ["meta", "jwk"] => return Some(Route::Keys),
        _ => return None,
    }))
}

fn post(segments: &[&str], exchange: &Exchange) -> Option<Route> {
    match segments {
        ["projects"] => Some(call(Call::CreateProject(body(exchange)))),
        ["organizations", id, "clusters"] => Some(Route::Deploy((*id).into(), body(exchange))),
        _ => None,
    }
}

fn put(segments: &[&str], exchange: &Exchange) -> Option<Route> {
    match segments {
        ["clusters", id, "suspend"] => Some(call(Call::Suspend((*id).into(), body(exchange)))),
        ["clusters", id, "deletion-protection"] => Some(call(Call::Protect((*id).into(), body(exchange)))),
        _ => None,
    }
}
