//! The embedded engine behind a gateway.

use crate::http::{Exchange, Reply};

/// The engine of one cluster.
#[derive(Debug)]
pub(crate) struct Embedded {
    version: String,
}

/// One connection to it.
#[derive(Debug)]
pub(crate) struct Session {
    version: String,
}

impl Embedded {
    pub(crate) fn new(_id: &str, _name: &str, version: &str, _node: &str, _address: &str) -> Self {
        Self { version: version.into() }
    }

    pub(crate) fn connect(&self) -> Session {
        Session { version: self.version.clone() }
    }
}

impl Session {
    /// Only `GET /` and `SELECT 1` until the engine comes.
    pub(crate) fn answer(&mut self, _user: Option<&str>, exchange: &Exchange) -> Reply {
        let body = match exchange.path.as_str() {
            "/" => serde_json::json!({ "ok": true, "status": 200, "name": "Simulated", "cluster_name": "simulated",
                "version": { "number": self.version, "build_hash": "simulator", "build_snapshot": false } }),
            _ => serde_json::json!({ "cols": ["1"], "col_types": [9], "rows": [[1]], "rowcount": 1, "duration": 0.1 }),
        };
        Reply::new(200, "application/json", body.to_string())
    }
}
