//! SQL from within: the connection of the service itself to the database of a cluster, for its jobs.

use hyper::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::plain::{Actor, Line};
use super::upstream::headers;
use super::{Gateway, Upstream, basic};
use crate::engine::{Connection, Request};
use crate::http::Reply;
use crate::jwt::Expected;
use crate::options::EngineKind;

const UNAUTHORIZED: u16 = 401;

/// A connection of the service itself.
pub(crate) struct Inside(Database);

enum Database {
    Embedded(Connection),
    /// A plain server, as the cluster's user.
    Plain(Line),
    /// A server that checks credentials itself.
    Real {
        upstream: Upstream,
        headers: HeaderMap,
    },
}

impl Gateway {
    /// Connects to the database, if the cluster runs.
    pub(crate) async fn inside(&self) -> Result<Inside, String> {
        let facts = self.facts().filter(|facts| facts.running_since.is_some()).ok_or("The cluster is not running.")?;
        if let Some(engine) = self.engine(&facts) {
            return Ok(Inside(Database::Embedded(engine.connect())));
        }
        if let Some(plain) = &self.plain {
            let lost = |reply: Reply| format!("The database: {}.", String::from_utf8_lossy(&reply.body).trim());
            return Ok(Inside(Database::Plain(plain.connect(Actor::Owner, &facts, None).await.map_err(lost)?)));
        }
        let EngineKind::Real(address) = &self.store.engines.kind else { return Err("There is no database.".into()) };
        let password = basic(&facts.username, &facts.password);
        let issuer = self.tokens.issuer();
        let expected = Expected { audience: &self.cluster, username: &facts.username, issuer };
        let issued = self.tokens.issue(self.store.now(), expected, String::new());
        let bearer = HeaderValue::from_str(&format!("Bearer {}", issued["token"].as_str().unwrap_or_default())).ok();
        // The server may have been set up with the user's password, with tokens, or without authentication.
        let mut refusal = String::new();
        for authorization in [password, bearer, None] {
            let lost = |error: std::io::Error| format!("The database cannot be reached: {error}.");
            let upstream = Upstream::connect(address).await.map_err(lost)?;
            let headers = headers(address, authorization.as_ref());
            let mut inside = Inside(Database::Real { upstream, headers });
            let (status, answer) = inside.ask(&json!({ "stmt": "SELECT 1" })).await?;
            if status != UNAUTHORIZED {
                return Ok(inside);
            }
            refusal = answer.to_string();
        }
        Err(format!("The database refuses the simulator: {refusal}."))
    }
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
        let answer = match &mut self.0 {
            Database::Embedded(connection) => return Ok(embedded(connection, body)),
            Database::Plain(line) => line.ask(body).await,
            Database::Real { upstream, headers } => upstream.ask(headers, body).await,
        };
        answer.map_err(|error| format!("The connection to the database was lost: {error}."))
    }
}

fn embedded(connection: &mut Connection, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let request = Request { method: "POST", path: "/_sql", user: None, default_schema: None, body: body.as_bytes() };
    let answer = connection.handle(&request);
    let text = || Value::String(String::from_utf8_lossy(&answer.body).trim().to_owned());
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_else(|_| text()))
}
