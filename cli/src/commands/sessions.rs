//! The commands about test sessions, the cache of releases that tests use, and the package whose tests they are.

mod build;
mod cache;
mod doctor;
#[cfg(feature = "drill")]
mod drill;
mod init;
mod kept;
mod overlap;
mod package;
mod preparation;
mod process;
mod report;
mod standing;
mod test;

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use cratedb_test::private::control::{self, Finished};
use serde_json::json;

use crate::arguments::{Address, Finish, Global, Log, SessionCommand, Status, Sweep};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};

/// The time for which a keeper tries to release a cluster before it leaves the debt to its journal.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The variables that say which cluster. If an option names one, only its variable may be set.
const ADDRESSES: [&str; 3] = ["CRATEDB_CLUSTER_ID", "CRATEDB_CLUSTER_NAME", "CRATEDB_CLUSTER_URL"];

pub(super) fn run(context: &Context, command: SessionCommand) -> Result<Document, Failure> {
    // The others find sessions by the variables that tests read.
    if !matches!(command, SessionCommand::Kept(_) | SessionCommand::Cache(_)) {
        apply(&context.global);
    }
    match command {
        SessionCommand::Test(test) => test::run(context, test),
        SessionCommand::Finish(wanted) => finish(context, &wanted),
        SessionCommand::Log(wanted) => log(&wanted),
        SessionCommand::Report(wanted) => report::run(context, &wanted),
        SessionCommand::Kept(wanted) => context.wait(kept::run(context, &wanted)),
        SessionCommand::Cache(cache) => cache::run(context, cache),
        SessionCommand::Up(up) => standing::up(context, up),
        SessionCommand::Down => standing::down(context),
        SessionCommand::Env => standing::env(),
        SessionCommand::Shell(shell) => standing::shell(context, &shell),
        SessionCommand::Init(wanted) => init::run(context, &wanted),
        SessionCommand::Doctor(wanted) => doctor::run(context, &wanted),
    }
}

/// Makes the options count for all that reads the environment of this process from now on.
fn apply(global: &Global) {
    for (name, value) in variables(global) {
        // SAFETY: `main` has started no thread yet, so no other code reads or writes the environment.
        unsafe {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
}

/// Returns what the options say as variables of this process, and so of the command that it starts. A variable without
/// a value is removed.
fn variables(global: &Global) -> Vec<(&'static str, Option<String>)> {
    let mut all = Vec::new();
    if let Some(address) = global.address() {
        let (name, value) = match address {
            Address::Id(id) => (ADDRESSES[0], id),
            Address::Name(name) => (ADDRESSES[1], name),
            Address::Url(url) => (ADDRESSES[2], url),
        };
        all.extend(ADDRESSES.map(|address| (address, (address == name).then(|| value.clone()))));
    }
    all.extend(global.endpoint().map(|endpoint| ("CRATEDB_CLOUD_ENDPOINT", Some(endpoint))));
    let timeout = global.timeout.map(|timeout| humantime::format_duration(timeout).to_string().replace(' ', ""));
    all.extend(timeout.map(|timeout| ("CRATEDB_TEST_START_TIMEOUT", Some(timeout))));
    all
}

fn working_directory() -> Result<PathBuf, Failure> {
    std::env::current_dir().map_err(|error| Failure::failed(format!("cannot tell the working directory: {error}")))
}

/// A text with one paragraph for each item.
fn lines<T: Display>(all: &[T]) -> People {
    People::Text(all.iter().map(|one| format!("{one}\n")).collect())
}

/// Turns an error into a failure. An unknown key or session is not a wrong usage, which is what the library calls it.
fn failure(error: cratedb_test::Error) -> Failure {
    let unknown = control::is_unknown(&error);
    let mut failure = Failure::from(error);
    if unknown {
        failure.code = Code::NotFound;
    }
    failure
}

pub(super) fn status(context: &Context, wanted: &Status) -> Result<Document, Failure> {
    apply(&context.global);
    let mut keys = control::keys()?;
    let known = keys.len();
    keys.retain(|key| wanted.all || key.keeper.is_some() || key.owes || key.problem.is_some());
    match (keys.is_empty(), known) {
        (false, _) => {}
        (true, 0) => context.terminal.note("there is no test session, and there never was one"),
        (true, _) => context.terminal.note("there is no test session; --all shows those that are over"),
    }
    Document::new(&keys, lines(&keys))
}

/// Returns whether the cluster may still be running although it should not.
fn is_owed(finished: &Finished) -> bool {
    finished.outcome.is_owed()
}

fn finish(context: &Context, wanted: &Finish) -> Result<Document, Failure> {
    let wait = wanted.wait.then(|| context.global.timeout.unwrap_or(RELEASE_TIMEOUT));
    let finished = control::finish(wanted.selector.as_deref(), wait, &|why| context.progress.say(why));
    context.progress.clear();
    let finished = finished.map_err(failure)?;
    if finished.is_empty() {
        context.terminal.note("there was nothing to finish");
    }
    Ok(Document::new(&finished, lines(&finished))?.failed_if(finished.iter().any(is_owed)))
}

/// Releases what it can. Fails if something is still owed after that.
pub(super) fn sweep(context: &Context, wanted: &Sweep) -> Result<Document, Failure> {
    apply(&context.global);
    let swept = control::sweep(wanted.dry_run, wanted.forget.as_deref()).map_err(failure)?;
    if swept.is_empty() {
        context.terminal.note("no session left anything behind");
    }
    let owed = swept.iter().any(|one| matches!(one.outcome.as_str(), "skipped" | "failed"));
    Ok(Document::new(&swept, lines(&swept))?.failed_if(owed))
}

fn log(wanted: &Log) -> Result<Document, Failure> {
    let path = control::log_path(wanted.selector.as_deref()).map_err(failure)?;
    let bytes = std::fs::read(&path)
        .map_err(|error| Failure::failed(format!("cannot read the log {}: {error}", path.display())))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Document::new(&json!({ "path": path, "text": text }), People::Text(text))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::arguments;

    fn of(line: &str) -> Vec<(&'static str, Option<String>)> {
        variables(&arguments::read(line.split(' ').map(OsString::from)).unwrap().global)
    }

    #[test]
    fn an_address_is_the_only_one() {
        assert_eq!(
            of("x finish --cluster-name ci"),
            [("CRATEDB_CLUSTER_ID", None), ("CRATEDB_CLUSTER_NAME", Some("ci".into())), ("CRATEDB_CLUSTER_URL", None),]
        );
        assert_eq!(of("x finish"), []);
    }

    #[test]
    fn a_time_is_one_that_settings_take() {
        let expected = [
            ("CRATEDB_CLOUD_ENDPOINT", Some("http://x".to_owned())),
            ("CRATEDB_TEST_START_TIMEOUT", Some("1m30s".to_owned())),
        ];
        assert_eq!(of("x finish --timeout 90s --endpoint http://x"), expected);
    }
}
