//! The record of every request of both planes, in memory and in a file, without secrets.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use serde::Serialize;
use serde_json::Value;

use crate::state::Micros;

const HIDDEN: &str = "***";
/// Shorter ones would occur in other texts by chance.
const SHORTEST_SECRET: usize = 6;

/// One request as it came, and the status of its answer.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Request {
    /// Arrival, in milliseconds since the Unix epoch, to a microsecond.
    pub at_ms: f64,
    /// `GET`, `POST`, …
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query as it came, without `?`; empty if there was none.
    pub query: String,
    /// Status of the answer; 0 if a fault left the request without one.
    pub status: u16,
    /// The request's body: parsed if it is JSON, else as text; null if there was none. Secrets are replaced.
    pub body: Value,
    /// Id of the cluster whose gateway was asked; none for the control plane. Not in the file.
    #[serde(skip)]
    pub cluster: Option<String>,
    /// Number of the TCP connection, unique over both planes. Not in the file.
    #[serde(skip)]
    pub connection: u64,
    /// `User-Agent` of the client. Not in the file.
    #[serde(skip)]
    pub user_agent: String,
    /// Kind of the client's credentials: `none`, `basic`, `session` (the cookie), `bearer` or `other`. Not in the file.
    #[serde(skip)]
    pub auth: &'static str,
    /// The header `X-Region`. Not in the file.
    #[serde(skip)]
    pub region: Option<String>,
}

impl Request {
    /// Shows everything, including fields that are not in the file.
    pub(crate) fn show(&self) -> Value {
        let mut shown = serde_json::to_value(self).unwrap_or_default();
        shown["cluster"] = self.cluster.clone().into();
        shown["connection"] = self.connection.into();
        shown["user_agent"] = self.user_agent.clone().into();
        shown["auth"] = self.auth.into();
        shown["region"] = self.region.clone().into();
        shown
    }

    /// Returns whether this asked the control plane to resume a cluster.
    pub fn is_resume(&self) -> bool {
        self.is_suspend_request(false)
    }

    /// Returns whether this asked the control plane to suspend a cluster.
    pub fn is_suspend(&self) -> bool {
        self.is_suspend_request(true)
    }

    /// Returns whether this asked the control plane to deploy a cluster.
    pub fn is_deploy(&self) -> bool {
        let path = self.path.trim_end_matches('/');
        self.cluster.is_none() && self.method == "POST" && path.ends_with("/clusters")
    }

    fn is_suspend_request(&self, suspended: bool) -> bool {
        let path = self.path.trim_end_matches('/');
        self.cluster.is_none()
            && self.method == "PUT"
            && path.ends_with("/suspend")
            && self.body["suspended"] == suspended
    }
}

/// The number of requests that a long-running server keeps in memory.
const KEPT: usize = 10_000;

/// Keeps the requests and writes them as they are answered.
#[derive(Debug)]
pub(crate) struct Record {
    kept: Mutex<VecDeque<Request>>,
    /// The number of requests that are kept; older ones are dropped.
    most: usize,
    file: Option<Mutex<File>>,
    secrets: Mutex<HashSet<String>>,
}

impl Record {
    /// Opens the record. `all` keeps every request in memory, else the last ones are kept.
    pub(crate) fn new(path: Option<&Path>, all: bool) -> io::Result<Self> {
        let open = |path: &Path| {
            File::create(path).map(Mutex::new).map_err(|error| {
                let path = path.display();
                io::Error::new(error.kind(), format!("cannot write requests to `{path}`: {error}"))
            })
        };
        let most = if all { usize::MAX } else { KEPT };
        Ok(Self { kept: Mutex::default(), most, file: path.map(open).transpose()?, secrets: Mutex::default() })
    }

    /// Replaces this text wherever it occurs from now on.
    pub(crate) fn hide(&self, secret: &str) {
        if secret.len() >= SHORTEST_SECRET {
            self.secrets.lock().unwrap().insert(secret.into());
        }
    }

    pub(crate) fn kept(&self) -> Vec<Request> {
        self.kept.lock().unwrap().iter().cloned().collect()
    }

    /// Drops the requests in memory.
    pub(crate) fn clear(&self) {
        self.kept.lock().unwrap().clear();
    }

    /// Returns a body without its secrets.
    pub(crate) fn body(&self, raw: &[u8]) -> Value {
        if raw.is_empty() {
            return Value::Null;
        }
        let parsed = serde_json::from_slice(raw);
        let mut body = parsed.unwrap_or_else(|_| String::from_utf8_lossy(raw).into_owned().into());
        for name in SECRET_NAMES {
            if let Some(secret) = find(&body, name) {
                self.hide(&secret);
            }
        }
        redact(&mut body, &self.secrets.lock().unwrap());
        body
    }

    pub(crate) fn query(&self, query: &str) -> String {
        replace(query, &self.secrets.lock().unwrap())
    }

    /// Adds a request. Its line is written at once, so that it is in the file before the client has the answer.
    pub(crate) fn add(&self, request: Request) {
        if let Some(file) = &self.file {
            let line = line(&request);
            // A full disk must not take the simulator down; the requests are still kept in memory.
            let _ = file.lock().unwrap().write_all(line.as_bytes());
        }
        let mut kept = self.kept.lock().unwrap();
        if kept.len() >= self.most {
            kept.pop_front();
        }
        kept.push_back(request);
    }
}

/// Formats a line. The time always has three decimals; a JSON number would lose trailing zeros.
fn line(request: &Request) -> String {
    let json = serde_json::to_string(request).unwrap_or_default();
    let rest = json.split_once(',').map_or("}", |(_, rest)| rest);
    format!("{{\"at_ms\":{:.3},{rest}\n", request.at_ms)
}

/// Converts to milliseconds with three decimals.
pub(crate) fn at_ms(at: Micros) -> f64 {
    at as f64 / 1000.0
}

const SECRET_NAMES: [&str; 10] = [
    "password",
    "secret",
    "token",
    "refresh_token",
    "api_secret",
    "access_key",
    "secret_key",
    "secret_access_key",
    "connection_string",
    "certificate",
];

/// Finds the string under this key at any depth.
fn find(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(map) => match map.get(name) {
            Some(Value::String(secret)) => Some(secret.clone()),
            _ => map.values().find_map(|inner| find(inner, name)),
        },
        Value::Array(items) => items.iter().find_map(|inner| find(inner, name)),
        _ => None,
    }
}

fn redact(value: &mut Value, secrets: &HashSet<String>) {
    match value {
        Value::Object(map) => {
            let of_password = map.get("stmt").and_then(Value::as_str).is_some_and(names_a_password);
            for (key, inner) in map.iter_mut() {
                if of_password && ["args", "bulk_args"].contains(&key.as_str()) {
                    *inner = HIDDEN.into();
                    continue;
                }
                match (SECRET_NAMES.contains(&key.to_lowercase().as_str()), &inner) {
                    (true, _) => *inner = HIDDEN.into(),
                    // Presigned addresses are as good as passwords.
                    (false, Value::String(url)) if key == "url" => *inner = bare_url(&replace(url, secrets)).into(),
                    _ => redact(inner, secrets),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| redact(inner, secrets)),
        Value::String(text) => *text = redact_sql(&replace(text, secrets)),
        _ => {}
    }
}

/// Returns whether a statement's arguments may be passwords.
fn names_a_password(stmt: &str) -> bool {
    stmt.to_ascii_lowercase().contains("password")
}

/// Removes credentials and query from a URL.
fn bare_url(url: &str) -> String {
    let (path, query) = url.split_once('?').map_or((url, ""), |(path, _)| (path, "?***"));
    let shown = match path.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('/').unwrap_or((rest, ""))))
    {
        Some((scheme, (host, rest))) if host.contains('@') => {
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://***@{host}/{rest}")
        }
        _ => path.to_owned(),
    };
    shown + query
}

fn replace(text: &str, secrets: &HashSet<String>) -> String {
    let hidden =
        |text: String, secret: &String| if text.contains(secret) { text.replace(secret, HIDDEN) } else { text };
    secrets.iter().fold(text.to_owned(), hidden)
}

/// Replaces the literal of `password = '…'` in a statement.
fn redact_sql(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find("password") {
        let (before, after) = rest.split_at(at + "password".len());
        out.push_str(before);
        let trimmed = after.trim_start_matches(['"', ' ', '=', '\n', '\t']);
        let literal = trimmed.strip_prefix('\'').and_then(|inner| Some((inner, inner.find('\'')?)));
        rest = match literal {
            Some((inner, end)) => {
                out.push_str(&after[..after.len() - trimmed.len()]);
                out.push('\'');
                out.push_str(HIDDEN);
                &inner[end..]
            }
            None => after,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_by_name_by_value_and_inside_statements() {
        let record = Record::new(None, true).unwrap();
        record.hide("hunter2-hunter2");
        let shown = |raw: &str| record.body(raw.as_bytes()).to_string();
        assert_eq!(shown(r#"{"cluster":{"password":"abcdefgh"}}"#), r#"{"cluster":{"password":"***"}}"#);
        assert_eq!(shown(r#"{"args":["hunter2-hunter2",1]}"#), r#"{"args":["***",1]}"#);
        assert_eq!(
            shown(r#"{"stmt":"CREATE USER a WITH (password = 'pw', b = 1)"}"#),
            r#"{"stmt":"CREATE USER a WITH (password = '***', b = 1)"}"#
        );
        assert_eq!(shown(r#"{"args":["abcdefgh"]}"#), r#"{"args":["***"]}"#, "seen before as a password");
        assert_eq!(
            shown(r#"{"stmt":"ALTER USER a SET (PASSWORD = $1)","args":["never-seen"]}"#),
            r#"{"args":"***","stmt":"ALTER USER a SET (PASSWORD = $1)"}"#
        );
        assert_eq!(
            shown(r#"{"url":{"url":"http://me:pw@host/a.csv?X-Signature=1"}}"#),
            r#"{"url":{"url":"http://***@host/a.csv?***"}}"#
        );
        assert_eq!(shown(r#"{"url":"http://host/a.csv"}"#), r#"{"url":"http://host/a.csv"}"#);
    }

    #[test]
    fn bodies_that_are_no_json_are_kept_as_text() {
        let record = Record::new(None, true).unwrap();
        assert_eq!(record.body(b"{half"), Value::from("{half"));
        assert_eq!(record.body(b""), Value::Null);
    }

    #[test]
    fn a_line_has_three_decimals_and_only_what_is_promised() {
        let request = Request {
            at_ms: at_ms(1_767_607_200_456_700),
            method: "PUT".into(),
            path: "/x/".into(),
            query: String::new(),
            status: 200,
            body: serde_json::json!({ "suspended": true }),
            cluster: Some("c".into()),
            connection: 7,
            user_agent: "curl".into(),
            auth: "basic",
            region: None,
        };
        assert_eq!(
            line(&request),
            "{\"at_ms\":1767607200456.700,\"method\":\"PUT\",\"path\":\"/x/\",\"query\":\"\",\"status\":200,\"body\":{\"suspended\":true}}\n"
        );
    }
}
