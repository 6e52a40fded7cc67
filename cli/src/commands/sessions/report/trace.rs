//! A session in Chrome's Trace Event Format, for Perfetto and chrome://tracing.

use cratedb_test::private::control::report::{ClusterUse, Phase, Session};
use serde_json::{Value, json};

use super::lanes;

/// The place of the cluster's own phases among the threads of a trace; that of the keeper's steps follows.
const CLUSTER: usize = 1;
const STEPS: usize = 2;

/// Returns the trace of a session: a process for each cluster, a thread for each lane.
pub(super) fn trace(session: &Session) -> String {
    let mut events = Vec::new();
    for (at, used) in session.clusters.iter().enumerate() {
        cluster(&mut events, at + 1, used, session.length);
    }
    let facts = json!({ "session": session.id, "project": session.project, "began_at_ms": session.began_at_ms });
    json!({ "displayTimeUnit": "ms", "otherData": facts, "traceEvents": events }).to_string()
}

fn cluster(events: &mut Vec<Value>, pid: usize, used: &ClusterUse, end: u64) {
    let name = if used.name.is_empty() { "no cluster" } else { &used.name };
    events.push(named(pid, 0, "process_name", name));
    events.push(named(pid, CLUSTER, "thread_name", "cluster"));
    events.extend(used.phases.iter().map(|phase| span_of(pid, CLUSTER, phase, "cluster")));
    if !used.steps.is_empty() {
        events.push(named(pid, STEPS, "thread_name", "keeper"));
        events.extend(used.steps.iter().map(|step| span_of(pid, STEPS, step, "keeper")));
    }
    let mut tid = STEPS;
    for group in lanes::groups(used, end) {
        for lane in &group.lanes {
            tid += 1;
            events.push(named(pid, tid, "thread_name", &group.title));
            let order = json!({ "sort_index": tid });
            events.push(json!({ "ph": "M", "pid": pid, "tid": tid, "name": "thread_sort_index", "args": order }));
            lane.iter().for_each(|at| attempt(events, (pid, tid), used, *at, end));
        }
    }
}

/// Adds an attempt, after its wait.
fn attempt(events: &mut Vec<Value>, (pid, tid): (usize, usize), used: &ClusterUse, at: usize, end: u64) {
    let one = &used.attempts[at];
    let process = &used.processes[one.process];
    let args = json!({
        "schema": one.schema,
        "process": process.pid,
        "program": process.program,
        "result": one.result.word(),
        "exclusive": one.exclusive,
        "premade": one.premade,
    });
    let begins = one.began.or(one.ended).unwrap_or_else(|| lanes::end_of(one, end));
    if begins > one.asked {
        events.push(complete(pid, tid, "wait", &format!("waits: {}", one.test), (one.asked, begins), args.clone()));
    }
    if let Some(began) = one.began {
        events.push(complete(pid, tid, "test", &one.test, (began, lanes::end_of(one, end)), args));
    }
}

fn span_of(pid: usize, tid: usize, phase: &Phase, kind: &str) -> Value {
    complete(pid, tid, kind, phase.kind.word(), (phase.from, phase.to), json!({ "says": phase.says }))
}

/// A complete event. Times are microseconds.
fn complete(pid: usize, tid: usize, kind: &str, name: &str, (from, to): (u64, u64), args: Value) -> Value {
    let (ts, dur) = (from * 1000, to.saturating_sub(from) * 1000);
    json!({ "ph": "X", "pid": pid, "tid": tid, "cat": kind, "name": name, "ts": ts, "dur": dur, "args": args })
}

/// A name of a process or a thread.
fn named(pid: usize, tid: usize, what: &str, name: &str) -> Value {
    json!({ "ph": "M", "pid": pid, "tid": tid, "name": what, "args": { "name": name } })
}
