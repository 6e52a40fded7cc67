//! `report`: what a session did, as text, page, trace, Markdown or JSON.

mod html;
mod lanes;
mod markdown;
mod price;
mod trace;

use std::path::Path;

use cratedb_test::private::control::report::{self, Bill, End, Session, WaitReason, span};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;

use super::failure;
use crate::arguments::Report;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Cell, Column, Document, People, Rows};

pub(super) fn run(context: &Context, wanted: &Report) -> Result<Document, Failure> {
    // A mistake in a price is noticed also where nothing is recorded.
    let price = price::given(wanted)?;
    let mut recorded = report::recorded(wanted.all)?;
    for one in &recorded.unreadable {
        context.terminal.note(&format!("not read: {one}"));
    }
    if wanted.list {
        price::set(context, price, &mut recorded.sessions)?;
        return list(context, wanted, &recorded.sessions);
    }
    let sessions = std::mem::take(&mut recorded.sessions);
    let mut session = match &wanted.session {
        Some(selector) => report::select(sessions, selector).map_err(failure)?,
        None => sessions.into_iter().next().ok_or_else(|| nothing(&recorded))?,
    };
    price::set(context, price, std::slice::from_mut(&mut session))?;
    if let Some(file) = &wanted.html {
        write(file, &html::page(&session))?;
    }
    if let Some(file) = &wanted.chrome_trace {
        write(file, &trace::trace(&session))?;
    }
    let text = match wanted.markdown {
        true => return Document::new(&session, People::Script(markdown::summary(&session))),
        false => facts(&session),
    };
    Document::new(&session, People::Facts(text))
}

fn nothing(recorded: &report::Recorded) -> Failure {
    let of = recorded.project.as_ref().map(|project| format!(" of {}", project.display())).unwrap_or_default();
    let failure = Failure::new(Code::NotFound, format!("no session{of} is recorded"));
    match recorded.project {
        Some(_) => failure.hint("run its tests; `cargo cratedb report --list --all` lists sessions of all projects"),
        None => failure.hint("run tests first"),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::failed(format!("cannot write the report to {}: {error}", file.display())))
}

/// The row of a session in a list, for programs.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    name: Option<&'a str>,
    project: &'a str,
    began_at_ms: u64,
    length: u64,
    end: End,
    clusters: Vec<&'a str>,
    tests: usize,
    results: std::collections::BTreeMap<&'static str, usize>,
    bill: &'a Bill,
}

impl<'a> Row<'a> {
    fn of(session: &'a Session) -> Self {
        Self {
            id: &session.id,
            name: session.name.as_deref(),
            project: &session.project,
            began_at_ms: session.began_at_ms,
            length: session.length,
            end: session.end,
            clusters: session.clusters.iter().map(|one| &*one.name).collect(),
            tests: session.attempts().count(),
            results: session.results(),
            bill: &session.bill,
        }
    }
}

fn list(context: &Context, wanted: &Report, sessions: &[Session]) -> Result<Document, Failure> {
    let sum = report::sum(sessions);
    if sessions.is_empty() {
        let of = if wanted.all { "" } else { " of this project" };
        context.terminal.note(&format!("no session{of} is recorded"));
    } else {
        context.terminal.note(&format!("together: {}", bill(&sum)));
    }
    let mut columns: Vec<Column> = ["session", "name", "began", "end"].map(Column::left).into();
    columns.extend(["tests", "failed", "running", "in tests", "idle", "cost"].map(Column::right));
    columns.push(Column::left("cluster"));
    if wanted.all {
        columns.push(Column::left("project"));
    }
    let row = |one: &Session| {
        let Bill { running_ms, in_tests_ms, idle_ms, cost, .. } = &one.bill;
        let clusters: Vec<&str> = one.clusters.iter().map(|one| &*one.name).collect();
        let mut row: Vec<Cell> = [
            one.id.clone(),
            one.name.clone().unwrap_or_default(),
            clock(one.began_at_ms),
            end(one).to_owned(),
            one.attempts().count().to_string(),
            failed(one).to_string(),
            span(*running_ms),
            span(*in_tests_ms),
            span(*idle_ms),
            cost.as_ref().map(report::Cost::text).unwrap_or_default(),
            clusters.join(", "),
        ]
        .map(Cell::from)
        .into();
        row.extend(wanted.all.then(|| Cell::from(&*one.project)));
        row
    };
    let rows = sessions.iter().map(row).collect();
    let all: Vec<Row> = sessions.iter().map(Row::of).collect();
    Document::new(&json!({ "sessions": all, "total": sum }), People::Rows(Rows { columns, rows }))
}

/// Returns the number of attempts that did not pass, of those that ended.
fn failed(session: &Session) -> usize {
    let results = session.results();
    let passed = results.get("passed").copied().unwrap_or_default();
    let open = results.get("not ended").copied().unwrap_or_default();
    session.attempts().count() - passed - open
}

/// Returns a session as lines for people.
fn facts(session: &Session) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("session", session.name.as_ref().map_or(session.id.clone(), |name| format!("{} ({name})", session.id))),
        ("project", session.project.clone()),
        ("began", clock(session.began_at_ms)),
        ("length", format!("{}, {}", span(session.length), end(session))),
    ];
    for used in &session.clusters {
        facts.push(("cluster", cluster(used)));
    }
    facts.push(("tests", tests(session)));
    facts.push(("bill", bill(&session.bill)));
    for wait in &session.slowest_waits {
        facts.push(("waited", format!("{} {}", span(wait.length), waited(wait))));
    }
    facts.extend(session.notes.iter().map(|note| ("note", note.clone())));
    facts
}

/// Describes a cluster and what became of it.
fn cluster(used: &report::ClusterUse) -> String {
    let name = if used.name.is_empty() { "none" } else { &used.name };
    format!("{name}{}", fate(used))
}

/// Continues the name of a cluster with its version, how it came, and what became of it.
fn fate(used: &report::ClusterUse) -> String {
    let version = if used.version.is_empty() { String::new() } else { format!(", CrateDB {}", used.version) };
    let how = if used.how.is_empty() { String::new() } else { format!(", {}", used.how) };
    let outcome = match &used.outcome {
        Some(outcome) if used.detail.is_empty() => format!("; {outcome}"),
        Some(outcome) => format!("; {outcome}: {}", used.detail),
        None => String::new(),
    };
    format!("{version}{how}{outcome}")
}

/// Returns how many attempts had which result, those that passed first.
fn results(session: &Session) -> String {
    let mut all: Vec<_> = session.results().into_iter().collect();
    all.sort_by_key(|(word, _)| *word != "passed");
    all.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

fn tests(session: &Session) -> String {
    let results = results(session);
    let processes = session.test_processes();
    match results.is_empty() {
        true => "none".to_owned(),
        false => {
            format!("{results} in {processes} {}", if processes == 1 { "process" } else { "processes" })
        }
    }
}

/// Describes a bill in one line.
fn bill(bill: &Bill) -> String {
    let at_least = if bill.at_least { "at least " } else { "" };
    let cost = bill.cost.as_ref().map(|cost| format!("; {}{}", cost.text(), price::of(cost))).unwrap_or_default();
    let [running, tests, idle] = [bill.running_ms, bill.in_tests_ms, bill.idle_ms].map(span);
    format!("{at_least}{running} running, {tests} of it in tests and {idle} idle{cost}")
}

fn waited(wait: &report::Wait) -> String {
    let who = format!("`{}` in process {}", wait.who, wait.pid);
    match (wait.reason, &wait.behind) {
        (WaitReason::Cluster, _) => format!("for the cluster: process {} of {}", wait.pid, wait.who),
        (WaitReason::Turn, Some(test)) => format!("for its turn behind the exclusive `{test}`: {who}"),
        (WaitReason::Turn, None) => format!("for its turn: {who}"),
        (WaitReason::Schema, _) => format!("for a schema with migrations: {who}"),
    }
}

fn end(session: &Session) -> &'static str {
    match session.end {
        End::Over => "over",
        End::Running => "running",
        End::Unknown => "end unknown",
    }
}

/// Formats a time of day for people.
fn clock(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    format!("{} {:02}:{:02}:{:02} UTC", time.date(), time.hour(), time.minute(), time.second())
}
