//! Control of the simulator for tests, below `/_simulator/`: faults and the clock. No credentials, no record.

use serde_json::{Value, json};

use super::body;
use crate::cloud::{Cloud, ClusterView};
use crate::http::{Exchange, Reply};
use crate::options::{FaultOptions, duration};
use crate::state::stamp;

/// The accepted requests, for the answer to any other.
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
pub(super) fn answer(cloud: &Cloud, exchange: &Exchange, rest: &str) -> Reply {
    let segments: Vec<&str> = rest.trim_matches('/').split('/').collect();
    let told = match exchange.method.as_str() {
        "GET" => read(cloud, &segments),
        "POST" => write(cloud, &segments, &body(exchange)),
        "DELETE" => delete(cloud, &segments),
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

fn read(cloud: &Cloud, segments: &[&str]) -> Option<Told> {
    Some(Ok(match segments {
        [""] => json!({ "paths": KNOWN }),
        ["clusters"] => cloud.clusters().iter().map(show).collect(),
        ["faults"] => cloud.store().traffic.faults().show(),
        ["clock"] => clock(cloud),
        ["requests"] => cloud.store().traffic.record.kept().iter().map(crate::requests::Request::show).collect(),
        _ => return None,
    }))
}

/// Without the password: a test that needs it has chosen it.
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

fn clock(cloud: &Cloud) -> Value {
    let clock = &cloud.store().traffic.clock;
    json!({ "now": stamp::utc(clock.now()), "ahead_ms": clock.ahead() / 1000 })
}

fn write(cloud: &Cloud, segments: &[&str], body: &Value) -> Option<Told> {
    Some(match segments {
        ["clusters", cluster, what] => write_cluster(cloud, cluster, what)?,
        ["faults"] => add_fault(cloud, body),
        ["step"] => Ok(json!({ "moved": cloud.step() })),
        ["settle"] => {
            cloud.settle();
            Ok(json!({}))
        }
        ["clock"] => advance(cloud, body),
        ["tokens", "expire"] => {
            cloud.revoke_tokens();
            Ok(json!({}))
        }
        ["sessions"] => Ok(json!({ "token": cloud.session() })),
        ["sessions", "expire"] => {
            cloud.expire_sessions();
            Ok(json!({}))
        }
        ["sessions", "rotate"] => rotate(cloud, body),
        ["save"] => match cloud.store().save() {
            Ok(true) => Ok(json!({})),
            Ok(false) => Err(bad("there is no file for the state; start the simulator with --state FILE")),
            Err(error) => Err((500, error.to_string())),
        },
        _ => return None,
    })
}

fn write_cluster(cloud: &Cloud, cluster: &str, what: &str) -> Option<Told> {
    let id = match cloud.known(cluster) {
        Ok(id) => id,
        Err(unknown) => return Some(Err((404, unknown))),
    };
    let freeze = |frozen: bool| cloud.store().change(|state, now| state.freeze_health(now, &id, frozen));
    match what {
        "snapshots" => {
            let taken = cloud.store().change(|state, now| state.take_snapshot(now, &id));
            let shown = taken.and_then(|taken| cloud.store().look(|state| state.show_snapshot(&taken)));
            return Some(shown.ok_or_else(|| bad(format!("cluster `{cluster}` has no data that can be copied now"))));
        }
        "release" => cloud.store().change(|state, _| state.release(&id)),
        "freeze-health" => freeze(true),
        "thaw-health" => freeze(false),
        _ => return None,
    };
    Some(Ok(json!({})))
}

fn add_fault(cloud: &Cloud, body: &Value) -> Told {
    let fault = FaultOptions::from_json(body).map_err(bad)?;
    cloud.apply(&fault).map_err(bad)?;
    Ok(cloud.store().traffic.faults().show())
}

fn advance(cloud: &Cloud, body: &Value) -> Told {
    let text = body["advance"].as_str().ok_or_else(|| bad("accepted: {\"advance\": \"4d\"}"))?;
    cloud.advance_clock(duration("advance", text).map_err(bad)?);
    Ok(clock(cloud))
}

fn rotate(cloud: &Cloud, body: &Value) -> Told {
    let every = match &body["every"] {
        Value::Null => None,
        value => {
            let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            Some(number.ok_or_else(|| bad("accepted: {\"every\": 3}, or {\"every\": null} for never"))?)
        }
    };
    cloud.rotate_sessions(every);
    Ok(json!({}))
}

fn delete(cloud: &Cloud, segments: &[&str]) -> Option<Told> {
    match segments {
        ["faults"] => cloud.clear_faults(),
        ["requests"] => cloud.store().traffic.record.clear(),
        _ => return None,
    }
    Some(Ok(json!({})))
}
