//! The commands about test sessions.

mod child;
mod settings;
mod signals;
mod test;

use std::time::Duration;

use cratedb_test::private::control;
use serde_json::json;

use crate::arguments::{Command, Finish, Log, Status, Sweep};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};

/// As long as a keeper tries to let go of a cluster before it leaves the debt to its journal.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Runs one of them and prints its result; gives the exit code.
pub(super) fn run(context: &Context, command: Command) -> Result<u8, Failure> {
    settings::apply(&context.global);
    let document = match command {
        Command::Test(test) => return test::run(context, test),
        Command::Finish(wanted) => return finish(context, wanted),
        Command::Sweep(wanted) => return sweep(context, wanted),
        Command::Log(wanted) => log(wanted),
        Command::Status(wanted) => status(context, &wanted),
        other => unreachable!("`{}` is not about sessions", other.name()),
    };
    document?.print(&context.terminal)?;
    Ok(0)
}

/// A key or a session that nobody knows is no wrong usage.
fn known(error: cratedb_test::Error) -> Failure {
    let unknown = control::is_unknown(&error);
    let failure = Failure::from(error);
    if unknown { failure.with(Code::NotFound) } else { failure }
}

fn status(context: &Context, wanted: &Status) -> Result<Document, Failure> {
    let mut keys = control::keys()?;
    let known = keys.len();
    keys.retain(|key| wanted.all || key.keeper.is_some() || key.owes || key.problem.is_some());
    match (keys.is_empty(), known) {
        (false, _) => {}
        (true, 0) => context.terminal.note("there is no test session, and there never was one"),
        (true, _) => context.terminal.note("there is no test session; --all shows those that are over"),
    }
    let text = keys.iter().map(|key| format!("{key}\n")).collect();
    Document::new(&keys, People::Text(text))
}

/// Whether the cluster may run on although it should not.
fn is_owed(finished: &control::Finished) -> bool {
    finished.outcome.is_owed()
}

/// Fails if a cluster is still owed.
fn finish(context: &Context, wanted: Finish) -> Result<u8, Failure> {
    let wait = wanted.wait.then(|| context.global.timeout.unwrap_or(PATIENCE));
    let finished = control::finish(wanted.selector.as_deref(), wait).map_err(known)?;
    if finished.is_empty() {
        context.terminal.note("there was nothing to finish");
    }
    let text = finished.iter().map(|one| format!("{one}\n")).collect();
    Document::new(&finished, People::Text(text))?.print(&context.terminal)?;
    Ok(if finished.iter().any(is_owed) { Code::Failed as u8 } else { 0 })
}

/// Fails if something is still owed, after it did what could be done.
fn sweep(context: &Context, wanted: Sweep) -> Result<u8, Failure> {
    let swept = control::sweep(wanted.dry_run, wanted.forget.as_deref()).map_err(known)?;
    if swept.is_empty() {
        context.terminal.note("no session left anything");
    }
    let text = swept.iter().map(|one| format!("{one}\n")).collect();
    Document::new(&swept, People::Text(text))?.print(&context.terminal)?;
    let owed = swept.iter().any(|one| matches!(one.outcome.as_str(), "skipped" | "failed"));
    Ok(if owed { Code::Failed as u8 } else { 0 })
}

fn log(wanted: Log) -> Result<Document, Failure> {
    let path = control::log_path(wanted.selector.as_deref()).map_err(known)?;
    let bytes = std::fs::read(&path)
        .map_err(|error| Failure::failed(format!("cannot read the log {}: {error}", path.display())))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Document::new(&json!({ "path": path, "text": text }), People::Text(text))
}
