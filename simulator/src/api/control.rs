//! What is for tests only, below `/_simulator/`: the faults and the clock, by HTTP. No credentials, no record.

use std::sync::Arc;

use serde_json::{Value, json};

use super::body;
use crate::cloud::ClusterView;
use crate::http::{Exchange, Reply};
use crate::interference::{FaultOptions, duration, known};
use crate::shared::Shared;
use crate::state::{State, stamp};

/// What can be asked, for whoever asks for something else.
const KNOWN: [&str; 19] = [
    "GET clusters/",
    "POST clusters/{id or name}/snapshots/",
    "POST clusters/{id or name}/release/",
    "POST clusters/{id or name}/freeze-health/",
    "POST clusters/{id or name}/thaw-health/",
    "GET faults/",
    "POST faults/",
    "DELETE faults/",
    "POST step/",
    "POST settle/",
    "GET clock/",
    "POST clock/",
    "POST tokens/expire/",
    "POST sessions/",
    "POST sessions/expire/",
    "POST sessions/rotate/",
    "GET requests/",
    "DELETE requests/",
    "POST save/",
];

/// An answer, or status and reason of a refusal.
type Told = Result<Value, (u16, String)>;

/// Answers what is asked below `/_simulator`.
pub(super) fn answer(shared: &Arc<Shared>, exchange: &Exchange, rest: &str) -> Reply {
    let segments: Vec<&str> = rest.trim_matches('/').split('/').collect();
    let told = match exchange.method.as_str() {
        "GET" => read(shared, &segments),
        "POST" => write(shared, &segments, &body(exchange)),
        "DELETE" => delete(shared, &segments),
        _ => None,
    };
    match told.unwrap_or_else(|| Err((404, format!("accepted below /_simulator/: {}", KNOWN.join(", "))))) {
        Ok(body) => reply(200, &body),
        Err((status, message)) => reply(status, &json!({ "success": false, "message": message })),
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/json", body.to_string())
}

fn bad(reason: impl ToString) -> (u16, String) {
    (400, reason.to_string())
}

fn read(shared: &Shared, segments: &[&str]) -> Option<Told> {
    Some(Ok(match segments {
        [""] => json!({ "paths": KNOWN }),
        ["clusters"] => {
            shared.look(|state| state.clusters().iter().map(|one| show(&ClusterView::of(shared, one))).collect())
        }
        ["faults"] => shared.faults().show(),
        ["clock"] => clock(shared),
        ["requests"] => shared.record.kept().iter().map(crate::requests::Request::show).collect(),
        _ => return None,
    }))
}

/// Without the password: whoever needs that has given it.
fn show(cluster: &ClusterView) -> Value {
    let operation = cluster.operation.as_ref().map(|(kind, status)| json!({ "type": kind, "status": status }));
    json!({
        "id": cluster.id,
        "name": cluster.name,
        "url": cluster.url,
        "psql_port": cluster.psql_port,
        "running": cluster.running,
        "suspended": cluster.suspended,
        "allow_suspend": cluster.allow_suspend,
        "operation": operation,
    })
}

fn clock(shared: &Shared) -> Value {
    json!({ "now": stamp::utc(shared.now()), "ahead_ms": shared.clock_offset() / 1000 })
}

fn write(shared: &Arc<Shared>, segments: &[&str], body: &Value) -> Option<Told> {
    Some(match segments {
        ["clusters", cluster, what] => write_cluster(shared, cluster, what)?,
        ["faults"] => add_fault(shared, body),
        ["step"] => Ok(json!({ "moved": shared.change(State::step) })),
        ["settle"] => {
            while shared.change(State::step) > 0 {}
            Ok(json!({}))
        }
        ["clock"] => advance(shared, body),
        ["tokens", "expire"] => {
            shared.tokens.revoke();
            Ok(json!({}))
        }
        ["sessions"] => {
            let token = shared.change(|state, _| state.log_in());
            shared.record.hide(&token);
            Ok(json!({ "token": token }))
        }
        ["sessions", "expire"] => {
            shared.change(|state, _| state.expire_sessions());
            Ok(json!({}))
        }
        ["sessions", "rotate"] => rotate(shared, body),
        ["save"] => match shared.save() {
            Ok(true) => Ok(json!({})),
            Ok(false) => Err(bad("there is nowhere to save to; start the simulator with --state FILE")),
            Err(error) => Err((500, error.to_string())),
        },
        _ => return None,
    })
}

fn write_cluster(shared: &Shared, cluster: &str, what: &str) -> Option<Told> {
    let id = match known(shared, cluster) {
        Ok(id) => id,
        Err(unknown) => return Some(Err((404, unknown))),
    };
    let freeze = |frozen: bool| shared.change(|state, now| state.freeze_health(now, &id, frozen));
    match what {
        "snapshots" => {
            let taken = shared.change(|state, now| state.take_snapshot(now, &id));
            let shown = taken.and_then(|taken| shared.look(|state| state.show_snapshot(&taken)));
            return Some(shown.ok_or_else(|| bad(format!("cluster `{cluster}` has no data that can be copied now"))));
        }
        "release" => shared.change(|state, _| state.release(&id)),
        "freeze-health" => freeze(true),
        "thaw-health" => freeze(false),
        _ => return None,
    };
    Some(Ok(json!({})))
}

fn add_fault(shared: &Arc<Shared>, body: &Value) -> Told {
    let fault = FaultOptions::from_json(body).map_err(bad)?;
    fault.apply(shared).map_err(bad)?;
    Ok(shared.faults().show())
}

fn advance(shared: &Shared, body: &Value) -> Told {
    let text = body["advance"].as_str().ok_or_else(|| bad("accepted: {\"advance\": \"4d\"}"))?;
    shared.advance_clock(duration("advance", text).map_err(bad)?);
    Ok(clock(shared))
}

fn rotate(shared: &Shared, body: &Value) -> Told {
    let every = match &body["every"] {
        Value::Null => None,
        value => {
            let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            Some(number.ok_or_else(|| bad("accepted: {\"every\": 3}, or {\"every\": null} for never"))?)
        }
    };
    shared.change(|state, _| state.rotate_sessions(every));
    Ok(json!({}))
}

fn delete(shared: &Shared, segments: &[&str]) -> Option<Told> {
    match segments {
        ["faults"] => shared.faults().clear(),
        ["requests"] => shared.record.clear(),
        _ => return None,
    }
    Some(Ok(json!({})))
}
