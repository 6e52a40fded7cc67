//! The embedded engine behind a gateway.

use std::io::Read;
use std::sync::Arc;

use flate2::read::{GzDecoder, ZlibDecoder};
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};

use crate::engine::{Connection, Data, Engine, EngineOptions, Request};
use crate::http::{Exchange, Reply};

/// The engine of one cluster. What is in it outlives suspensions, as disks do.
#[derive(Clone, Debug)]
pub(crate) struct Embedded(Arc<Engine>);

/// One connection to it, and so one session.
#[derive(Debug)]
pub(crate) struct Session(Connection);

impl Embedded {
    pub(crate) fn new(options: EngineOptions) -> Self {
        Self(Engine::new(options))
    }

    /// With what was kept of an earlier run.
    pub(crate) fn with(data: Data, options: EngineOptions) -> Self {
        Self(Engine::with(options, data))
    }

    /// Makes the user that a deploy names, with the privileges the service gives it.
    pub(crate) fn with_user(self, name: &str) -> Self {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        let mut connection = self.0.connect();
        for stmt in [format!("CREATE USER {quoted}"), format!("GRANT ALL PRIVILEGES TO {quoted}")] {
            let body = serde_json::json!({ "stmt": stmt }).to_string();
            let request =
                Request { method: "POST", path: "/_sql", user: None, default_schema: None, body: body.as_bytes() };
            // The superuser is there already and needs no privileges: refused, and rightly.
            connection.handle(&request);
        }
        self
    }

    pub(crate) fn version(&self) -> &str {
        self.0.version()
    }

    /// What is in it, in a newer version of it. This one is empty then.
    pub(crate) fn upgraded(self, version: &str) -> Self {
        Self(self.0.upgraded(version))
    }

    pub(crate) fn engine(&self) -> Arc<Engine> {
        self.0.clone()
    }

    pub(crate) fn connect(&self) -> Session {
        Session(self.0.connect())
    }
}

impl Session {
    /// Whether it is a connection to this engine and not to one before an upgrade.
    pub(super) fn is_of(&self, engine: &Embedded) -> bool {
        self.0.is_to(&engine.0)
    }

    /// As this user, whose credentials have been checked; none is `crate`.
    pub(crate) fn answer(&mut self, user: Option<&str>, exchange: &Exchange) -> Reply {
        let target = match exchange.query.is_empty() {
            true => exchange.path.clone(),
            false => format!("{}?{}", exchange.path, exchange.query),
        };
        let Some(body) = decompressed(exchange) else { return unreadable() };
        let answer = self.0.handle(&Request {
            method: &exchange.method,
            path: &target,
            user,
            default_schema: exchange.header("default-schema"),
            body: &body,
        });
        Reply {
            status: answer.status,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(answer.content_type))],
            body: answer.body.into(),
            close: answer.close,
        }
    }
}

/// CrateDB's limit of what a request may decompress to.
const LARGEST_BODY: u64 = 100 << 20;

/// The body as it was before the client compressed it, as `crate-python` does from 8 KiB on.
pub(crate) fn decompressed(exchange: &Exchange) -> Option<Bytes> {
    let compressed: &[u8] = &exchange.body;
    let mut body = Vec::new();
    match exchange.header(CONTENT_ENCODING.as_str()) {
        None | Some("identity") => return Some(exchange.body.clone()),
        Some("gzip" | "x-gzip") => GzDecoder::new(compressed).take(LARGEST_BODY).read_to_end(&mut body).ok()?,
        Some("deflate") => ZlibDecoder::new(compressed).take(LARGEST_BODY).read_to_end(&mut body).ok()?,
        Some(_) => return None,
    };
    Some(body.into())
}

fn unreadable() -> Reply {
    let message = "this content encoding or its content is not supported by the embedded engine";
    let error = serde_json::json!({ "error": { "message": message, "code": 4000 } });
    Reply::new(400, "application/json", error.to_string())
}
