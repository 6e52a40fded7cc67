//! An engine and its answers.

use cratedb_cloud_simulator::engine::{Connection, Engine, EngineOptions, Request};
use std::sync::Arc;

pub fn engine(version: &str) -> Arc<Engine> {
    Engine::new(EngineOptions {
        version: version.into(),
        cluster_name: "test".into(),
        cluster_id: "c0ffee".into(),
        node_name: "node".into(),
        http_address: "127.0.0.1:4200".into(),
        psql_port: Some(5432),
    })
}

pub fn body(stmt: &str) -> String {
    serde_json::json!({ "stmt": stmt }).to_string()
}

/// Runs a statement. Returns status and body.
pub fn sql(connection: &mut Connection, stmt: &str) -> (u16, String) {
    post(connection, &body(stmt))
}

pub fn post(connection: &mut Connection, body: &str) -> (u16, String) {
    let request =
        Request { method: "POST", path: "/_sql?types", user: None, default_schema: Some("s"), body: body.as_bytes() };
    let answer = connection.handle(&request);
    (answer.status, String::from_utf8(answer.body).expect("answers are UTF-8"))
}

pub fn rows(connection: &mut Connection, stmt: &str) -> String {
    let (status, text) = sql(connection, stmt);
    assert_eq!(status, 200, "{stmt}: {text}");
    let doc: serde_json::Value = serde_json::from_str(&text).expect("answers are JSON");
    doc["rows"].to_string()
}
