//! SQL from within: the connection of the service itself to the database of a cluster, for its jobs.

use std::net::{Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use serde_json::Value;

use super::{Gateway, Upstream};
use crate::engine::{Connection, Request};
use crate::http::{Exchange, Reply};
use crate::jwt::Expected;
use crate::options::EngineKind;

const PATH: &str = "/_sql";
const UNAUTHORIZED: u16 = 401;

/// A connection of the service itself.
pub(crate) struct Inside(Database);

enum Database {
    Embedded(Connection),
    Real { upstream: Upstream, headers: HeaderMap },
}

impl Gateway {
    /// Connects to the database, if the cluster runs.
    pub(crate) async fn inside(&self) -> Result<Inside, String> {
        let facts = self.facts().filter(|facts| facts.running_since.is_some()).ok_or("The cluster is not running.")?;
        if let Some(engine) = self.engine(&facts) {
            return Ok(Inside(Database::Embedded(engine.connect())));
        }
        let EngineKind::Real(address) = &self.store.engines.kind else { return Err("There is no database.".into()) };
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", facts.username, facts.password)));
        let issuer = self.tokens.issuer();
        let expected = Expected { audience: &self.cluster, username: &facts.username, issuer };
        let issued = self.tokens.issue(self.store.now(), expected, String::new());
        let bearer = format!("Bearer {}", issued["token"].as_str().unwrap_or_default());
        // The server may have been set up with the user's password, with tokens, or without authentication.
        let mut refusal = String::new();
        for authorization in [Some(basic), Some(bearer), None] {
            let lost = |error: std::io::Error| format!("The database cannot be reached: {error}.");
            let upstream = Upstream::connect(address).await.map_err(lost)?;
            let mut inside = Inside(Database::Real { upstream, headers: headers(address, authorization) });
            let (status, answer) = inside.ask(&serde_json::json!({ "stmt": "SELECT 1" })).await?;
            if status != UNAUTHORIZED {
                return Ok(inside);
            }
            refusal = answer.to_string();
        }
        Err(format!("The database refuses the simulator: {refusal}."))
    }
}

fn headers(address: &str, authorization: Option<String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.extend(HeaderValue::from_str(address).ok().map(|host| (HOST, host)));
    let secret = authorization.and_then(|text| HeaderValue::from_str(&text).ok());
    headers.extend(secret.map(|secret| (AUTHORIZATION, secret)));
    headers
}

impl Inside {
    /// Returns the answer to a request's body, or the error message of the database.
    pub(crate) async fn sql(&mut self, body: &Value) -> Result<Value, String> {
        let (_, answer) = self.ask(body).await?;
        match answer["error"]["message"].as_str() {
            Some(message) => Err(message.to_owned()),
            None if answer["cols"].is_array() => Ok(answer),
            None => Err(format!("The database answered {answer}.")),
        }
    }

    async fn ask(&mut self, body: &Value) -> Result<(u16, Value), String> {
        let body = body.to_string();
        let (status, answer) = match &mut self.0 {
            Database::Embedded(connection) => {
                let body = body.as_bytes();
                let request = Request { method: "POST", path: PATH, user: None, default_schema: None, body };
                let answer = connection.handle(&request);
                (answer.status, Bytes::from(answer.body))
            }
            Database::Real { upstream, headers } => {
                let reply = forward(upstream, headers, body).await;
                let reply = reply.map_err(|error| format!("The connection to the database was lost: {error}."))?;
                (reply.status, reply.body)
            }
        };
        let text = || Value::String(String::from_utf8_lossy(&answer).trim().to_owned());
        Ok((status, serde_json::from_slice(&answer).unwrap_or_else(|_| text())))
    }
}

async fn forward(upstream: &mut Upstream, headers: &HeaderMap, body: String) -> std::io::Result<Reply> {
    let exchange = Exchange {
        at: 0,
        method: "POST".into(),
        path: PATH.into(),
        query: String::new(),
        headers: headers.clone(),
        body: body.into(),
        peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
    };
    upstream.forward(&exchange).await
}
