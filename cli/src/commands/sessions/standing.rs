//! `up`, `down`, `env` and `shell`: a server of this machine to develop against.

mod migrations;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cratedb_test::private::control::{self, Raising, Standing, Wish};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::process::Arrived;
use super::test::{Event, Events, lost, ran, released};
use super::{RELEASE_TIMEOUT, is_owed, lines, working_directory};
use crate::arguments::{Shell, Up};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};

pub(super) fn up(context: &Context, up: Up) -> Result<Document, Failure> {
    let here = working_directory()?;
    // A file that is missing is noticed before a server is started.
    let files = files(&here, &up)?;
    let wish = Wish { version: up.version, nodes: up.nodes, settings: up.settings, lasting: up.lasting };
    let raising = Arc::new(Raising::new(&here, &wish)?);
    let events = Events::with_signals()?;
    let (thread, progress, left_out) = (raising.clone(), context.progress.clone(), files.len());
    events.when_done(move || Event::Stands(thread.wait(&files, move |step| progress.say(step))));
    let stands = stands(&events);
    context.progress.clear();
    let standing = stands.inspect_err(|_| {
        if !raising.stood() {
            released(context, &events, move |on_trouble| raising.give_up(Some(RELEASE_TIMEOUT), on_trouble));
        }
    })?;
    if !standing.new {
        let not = if left_out > 0 { "; no file was executed" } else { "" };
        context.terminal.note(&format!("it was up already{not}"));
    }
    Document::new(&standing, People::Facts(facts(&standing)))
}

/// Waits until the server is there.
fn stands(events: &Events) -> Result<Standing, Failure> {
    loop {
        match events.next() {
            Event::Stands(standing) => return Ok(standing?),
            Event::Signal(Arrived { signal, .. }) => {
                let code = if signal == signal_hook::consts::SIGINT { Code::Interrupted } else { Code::Terminated };
                return Err(Failure::new(code, "interrupted"));
            }
            Event::Lost => return Err(lost("starting the server")),
            Event::Waits | Event::Acquired(_) | Event::Ended(_) | Event::Released(_) => {}
        }
    }
}

/// Returns the files to execute, in their order.
fn files(here: &Path, up: &Up) -> Result<Vec<PathBuf>, Failure> {
    let mut files = match &up.migrations {
        Some(directory) => migrations::files(&here.join(directory)).map_err(Failure::usage)?,
        None => Vec::new(),
    };
    for file in &up.sql {
        let path = here.join(file);
        if !path.is_file() {
            return Err(Failure::usage(format!("--sql: there is no file {}", path.display())));
        }
        files.push(path);
    }
    Ok(files)
}

fn facts(standing: &Standing) -> Vec<(&'static str, String)> {
    vec![
        ("server", standing.name.clone()),
        ("version", standing.version.clone()),
        ("http", standing.http_url.clone()),
        ("admin", format!("{}/", standing.http_url.trim_end_matches('/'))),
        ("postgres", standing.pg_url.clone().unwrap_or_default()),
        ("until", standing.until.map(clock).unwrap_or_default()),
    ]
}

fn clock(at: i64) -> String {
    OffsetDateTime::from_unix_timestamp(at).ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

pub(super) fn down(context: &Context) -> Result<Document, Failure> {
    let wait = context.global.timeout.unwrap_or(RELEASE_TIMEOUT);
    let removed = control::take_down(wait, &|why| context.progress.say(why));
    context.progress.clear();
    let removed = removed?;
    if removed.is_empty() {
        context.terminal.note("no server was up");
    }
    Ok(Document::new(&removed, lines(&removed))?.failed_if(removed.iter().any(is_owed)))
}

/// Returns the only server that is up.
fn only() -> Result<Standing, Failure> {
    let mut all = control::standing()?;
    match all.len() {
        0 => {
            Err(Failure::new(Code::NotFound, "no server is up for this project").hint("`cargo cratedb up` starts one"))
        }
        1 => Ok(all.remove(0)),
        count => {
            let listed: Vec<String> = all.iter().map(|one| format!("{} at {}", one.version, one.http_url)).collect();
            Err(Failure::usage(format!("{count} servers are up for this project: {}", listed.join(", ")))
                .hint("`cargo cratedb down` removes them"))
        }
    }
}

fn variables(standing: &Standing) -> Vec<(String, String)> {
    let mut all = vec![("CRATEDB_CLUSTER_URL".to_owned(), standing.http_url.clone())];
    all.extend(standing.pg_url.clone().map(|url| ("DATABASE_URL".to_owned(), url)));
    all
}

pub(super) fn env() -> Result<Document, Failure> {
    let variables = variables(&only()?);
    let line = |(name, value): &(String, String)| format!("export {name}={}\n", quoted(value));
    let script = variables.iter().map(line).collect();
    let json: serde_json::Map<_, _> = variables.into_iter().map(|(name, value)| (name, value.into())).collect();
    Document::new(&json, People::Script(script))
}

/// Quotes a text for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

pub(super) fn shell(context: &Context, shell: &Shell) -> Result<Document, Failure> {
    let standing = only()?;
    let interactive =
        || std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let command: Vec<OsString> = match shell.command.is_empty() {
        true => vec![interactive()],
        false => shell.command.clone(),
    };
    let code = ran(context, &command, variables(&standing), &Events::with_signals()?)?;
    let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let document = json!({ "server": standing, "command": words, "exit_code": code });
    Ok(Document::new(&document, People::Text(String::new()))?.exit_code(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_for_a_shell() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $HOME"), "'it'\\''s $HOME'");
    }

    #[test]
    fn times_are_told_in_utc() {
        assert_eq!(clock(1_790_000_000), "2026-09-21T14:13:20Z");
    }
}
