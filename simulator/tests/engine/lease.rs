//! A row that several clients change by compare-and-set, with an array of objects, and the start of the server.

use serde_json::{Value, json};

use crate::support::{engine, post, rows, sql};
use cratedb_cloud_simulator::engine::Connection;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS t.lease (id INTEGER PRIMARY KEY, state TEXT, leases ARRAY(OBJECT(STRICT) \
    AS (id TEXT, \"user\" TEXT, renewed TIMESTAMP WITH TIME ZONE, wish BIGINT, drained BOOLEAN))) \
    CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = '0-1')";
const INSERT: &str = "INSERT INTO t.lease (id, state, leases) VALUES (0, ?, ?) RETURNING _seq_no, _primary_term";
const CHANGE: &str = "UPDATE t.lease SET state = ?, leases = ? WHERE id = 0 AND _seq_no = ? AND _primary_term = ? \
    RETURNING _seq_no, _primary_term";

fn call(connection: &mut Connection, stmt: &str, args: Value) -> (u16, Value) {
    let (status, text) = post(connection, &json!({ "stmt": stmt, "args": args }).to_string());
    (status, serde_json::from_str(&text).expect("answers are JSON"))
}

fn lease(id: &str) -> Value {
    json!({ "id": id, "user": "ada", "renewed": 1_700_000_000_123_i64, "wish": null, "drained": false })
}

#[test]
fn a_row_is_changed_only_by_the_client_that_knows_its_version() {
    let engine = engine("6.4.3");
    let (mut one, mut two) = (engine.connect(), engine.connect());
    for _ in 0..2 {
        assert_eq!(sql(&mut one, TABLE).0, 200);
    }
    let (status, made) = call(&mut one, INSERT, json!(["open", [lease("a")]]));
    assert_eq!((status, &made["rows"]), (200, &json!([[0, 1]])), "{made}");
    let (status, again) = call(&mut two, INSERT, json!(["open", []]));
    assert_eq!((status, &again["error"]["code"]), (409, &json!(4091)), "{again}");

    let (_, changed) = call(&mut two, CHANGE, json!(["open", [lease("a"), lease("b")], 0, 1]));
    assert_eq!(changed["rowcount"], 1, "{changed}");
    let version = changed["rows"][0].clone();
    let (status, stale) = call(&mut one, CHANGE, json!(["closing", [], 0, 1]));
    assert_eq!((status, &stale["rowcount"], &stale["rows"]), (200, &json!(0), &json!([])), "{stale}");

    let read = "SELECT state, leases, _seq_no, _primary_term FROM t.lease WHERE id = 0";
    let (_, seen) = call(&mut one, read, json!([]));
    assert_eq!(seen["rows"], json!([["open", [lease("a"), lease("b")], version[0], version[1]]]));
}

#[test]
fn the_server_tells_when_it_was_started() {
    let engine = engine("6.4.3");
    let ask = "SELECT pg_postmaster_start_time() <= CURRENT_TIMESTAMP, \
        pg_postmaster_start_time() > CURRENT_TIMESTAMP - INTERVAL '1 minute'";
    assert_eq!(rows(&mut engine.connect(), ask), "[[true,true]]");
    let (_, text) = sql(&mut engine.connect(), "SELECT pg_postmaster_start_time()");
    assert!(text.contains("\"cols\":[\"pg_postmaster_start_time\"],\"col_types\":[11]"), "{text}");
}
