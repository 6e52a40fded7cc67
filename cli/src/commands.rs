//! The commands: each returns a result, which is printed here.

mod account;
mod clusters;
mod data;
mod leases;
#[cfg(all(unix, feature = "sessions"))]
mod sessions;

use clap::CommandFactory;
use serde_json::json;

use crate::arguments::{Cli, Command, Completions};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Document, People};
use crate::terminal::Terminal;

/// The program's name in a shell. What follows `cargo cratedb` is up to cargo's own completions.
const PROGRAM: &str = "cargo-cratedb";

/// Runs a command, prints its result and returns the exit code.
pub(crate) fn run(cli: Cli, terminal: &Terminal) -> Result<u8, Failure> {
    let context = &Context::new(cli.global, terminal);
    let document = match cli.command {
        Command::Completions(completions) => self::completions(&completions),
        Command::Login(login) => context.wait(account::login(context, &login)),
        Command::Logout => context.wait(account::logout(context)),
        Command::Whoami => context.wait(account::whoami(context)),
        Command::List(list) => context.wait(clusters::list(context, &list)),
        Command::Info => context.wait(clusters::info(context)),
        Command::Start(start) => context.wait(clusters::start(context, &start)),
        Command::Stop(stop) => context.wait(clusters::stop(context, &stop)),
        Command::Deploy(deploy) => context.wait(clusters::deploy(context, deploy)),
        Command::Delete(delete) => context.wait(clusters::delete(context, &delete)),
        Command::Health => context.wait(clusters::health(context)),
        Command::Query(query) => context.wait(data::query(context, query)),
        Command::Import(import) => context.wait(data::import(context, import)),
        Command::Snapshots(snapshots) => context.wait(data::snapshots(context, snapshots)),
        #[cfg(all(unix, feature = "sessions"))]
        Command::Status(status) if !status.account => sessions::status(context, &status),
        #[cfg(all(unix, feature = "sessions"))]
        Command::Sweep(sweep) if !sweep.account => sessions::sweep(context, &sweep),
        Command::Status(_) => context.wait(leases::status(context)),
        Command::Sweep(sweep) => context.wait(leases::sweep(context, &sweep)),
        #[cfg(all(unix, feature = "sessions"))]
        Command::Session(command) => sessions::run(context, command),
    }?;
    document.print(terminal)?;
    Ok(document.code)
}

/// Returns the script that a shell needs to complete the words of this program.
fn completions(completions: &Completions) -> Result<Document, Failure> {
    let mut script = Vec::new();
    let mut command = Cli::command().bin_name(PROGRAM);
    clap_complete::generate(completions.shell, &mut command, PROGRAM, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let document = json!({ "shell": completions.shell.to_string(), "script": script });
    Document::new(&document, People::Script(script))
}
