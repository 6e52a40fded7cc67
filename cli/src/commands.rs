//! The commands.

mod account;
mod clusters;
mod completions;
mod delete;
mod deploy;
mod health;
mod import;
#[cfg(unix)]
mod kept;
mod login;
mod query;
#[cfg(unix)]
mod sessions;
mod snapshots;

use crate::arguments::{Cli, Command};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Document;
use crate::terminal::Terminal;

/// Where CrateDB Cloud sends a browser at the end of a login.
pub(crate) const LOGIN_PORT: u16 = 8400;

/// Runs a command and prints its result; gives the exit code.
pub(crate) fn run(cli: Cli, terminal: &Terminal) -> Result<u8, Failure> {
    let context = &Context::new(cli.global, terminal);
    let document = match cli.command {
        Command::Completions(completions) => completions::run(&completions),
        Command::Login(login) => context.wait(login::login(context, &login)),
        Command::Logout => context.wait(login::logout(context)),
        Command::Whoami => context.wait(account::whoami(context)),
        Command::List(list) => context.wait(clusters::list(context, &list)),
        Command::Info => context.wait(clusters::info(context)),
        Command::Start(start) => context.wait(clusters::start(context, &start)),
        Command::Stop => context.wait(clusters::stop(context)),
        Command::Deploy(deploy) => context.wait(deploy::run(context, deploy)),
        Command::Delete(delete) => context.wait(delete::run(context, &delete)),
        Command::Query(query) => context.wait(query::run(context, query)),
        Command::Import(import) => context.wait(import::run(context, import)),
        Command::Snapshots(snapshots) => context.wait(snapshots::run(context, snapshots)),
        #[cfg(unix)]
        Command::Kept(kept) => context.wait(kept::run(context, &kept)),
        Command::Health => return health::run(context),
        session => return sessions::run(context, session),
    };
    printed(document?, terminal)
}

fn printed(document: Document, terminal: &Terminal) -> Result<u8, Failure> {
    document.print(terminal)?;
    Ok(0)
}

/// Where there are no Unix sockets, there are no sessions.
#[cfg(not(unix))]
mod sessions {
    use super::{Command, Context, Failure};

    pub(super) fn run(_: &Context, command: Command) -> Result<u8, Failure> {
        Err(Failure::usage(format!("`{}` is about test sessions, which need Unix", command.name())))
    }
}
