//! What may be said on the command line.

mod clusters;
mod import;
mod sessions;
mod snapshots;
pub(crate) mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub(crate) use clusters::{Completions, Delete, Deploy, List, Login, Query, Start};
pub(crate) use import::{Import, guess};
pub(crate) use sessions::{Finish, Kept, Log, Status, Sweep, Test};
pub(crate) use snapshots::{ListSnapshots, Restore, Snapshots, SnapshotsCommand, What};

/// Cargo calls `cargo-cratedb cratedb …` for `cargo cratedb …`.
const AS_CARGO_CALLS_IT: &str = "cratedb";

const ABOUT_ALL: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong usage or setting
  3    not logged in, or not allowed
  4    no such thing
  5    timed out
  130  interrupted; 143 if by SIGTERM
  `test -- COMMAND` returns the command's own code, 128 + n if signal n ended it.
  It returns 1 if the command went well but the cluster could not be let go of.

Settings come from options, then from the environment, then from `.env` in the working directory:
  CRATEDB_CLUSTER_ID, CRATEDB_CLUSTER_NAME, CRATEDB_CLUSTER_URL   which cluster
  CRATEDB_CLOUD_API_KEY, CRATEDB_CLOUD_API_SECRET                 credentials; else the login

Examples:
  cargo cratedb login --idp github
  cargo cratedb list
  cargo cratedb start --cluster-name ci
  cargo cratedb query --cluster-name ci 'SELECT * FROM sys.summits LIMIT 3'
  cargo cratedb test -- docker compose run tests
  cargo cratedb stop --cluster-name ci";

/// CrateDB Cloud and test sessions from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-cratedb",
    bin_name = "cargo cratedb",
    version,
    max_term_width = 100,
    after_help = ABOUT_ALL,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// The cluster's id.
    #[arg(long, global = true, value_name = "ID", help_heading = "Cluster")]
    cluster_id: Option<String>,
    /// The cluster's name.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    cluster_name: Option<String>,
    /// The cluster's address.
    #[arg(long, global = true, value_name = "URL", help_heading = "Cluster")]
    cluster_url: Option<String>,
    /// The address of CrateDB Cloud.
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    endpoint: Option<String>,
    /// How results are written: json is one document, also for errors; csv is for rows.
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t = Output::Table, help_heading = "Global options")]
    pub(crate) output: Output,
    /// No progress and no notes, only results and errors.
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Colours: auto has them on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto, help_heading = "Global options")]
    pub(crate) color: Color,
    /// Give up after this time: 30s, 10m, 2h.
    #[arg(long, global = true, value_name = "TIME", value_parser = values::lasting, help_heading = "Global options")]
    pub(crate) timeout: Option<Duration>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
    Csv,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

/// Which cluster the options name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Id(String),
    Name(String),
    Url(String),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log in to CrateDB Cloud with the browser.
    #[command(after_help = clusters::LOGIN_EXAMPLES)]
    Login(clusters::Login),
    /// End the login session and forget it.
    #[command(after_help = clusters::LOGOUT_EXAMPLES)]
    Logout,
    /// Show who is asking, and with which credentials.
    #[command(after_help = clusters::WHOAMI_EXAMPLES)]
    Whoami,
    /// List the clusters.
    #[command(after_help = clusters::LIST_EXAMPLES)]
    List(List),
    /// Show one cluster.
    #[command(after_help = clusters::INFO_EXAMPLES)]
    Info,
    /// Make the cluster answer: resume it, wait for what is going on, or deploy it if there is none of that name.
    #[command(after_help = clusters::START_EXAMPLES)]
    Start(clusters::Start),
    /// Suspend the cluster. What it stores is kept.
    #[command(after_help = clusters::STOP_EXAMPLES)]
    Stop,
    /// Deploy a new cluster and wait until it answers.
    #[command(after_help = clusters::DEPLOY_EXAMPLES)]
    Deploy(Deploy),
    /// Delete the cluster and all that it stores.
    #[command(after_help = clusters::DELETE_EXAMPLES)]
    Delete(Delete),
    /// Run a SQL statement.
    #[command(after_help = clusters::QUERY_EXAMPLES)]
    Query(Query),
    /// Tell how the cluster is. Exit code 1 if it is not well.
    #[command(after_help = clusters::HEALTH_EXAMPLES)]
    Health,
    /// Load a file or what is at a URL into a table.
    #[command(after_help = import::EXAMPLES)]
    Import(Import),
    /// List snapshots, or restore one.
    #[command(after_help = snapshots::EXAMPLES)]
    Snapshots(Snapshots),
    /// Show the test sessions of this machine: who holds what, since when, until when.
    #[command(after_help = sessions::STATUS_EXAMPLES)]
    Status(Status),
    /// End a test session now instead of when its run is over.
    #[command(after_help = sessions::FINISH_EXAMPLES)]
    Finish(Finish),
    /// Release what killed sessions left.
    #[command(after_help = sessions::SWEEP_EXAMPLES)]
    Sweep(Sweep),
    /// List the schemas that failed tests left on the cluster, or drop them.
    #[command(after_help = sessions::KEPT_EXAMPLES)]
    Kept(Kept),
    /// Show the log of the process that holds a cluster for tests.
    #[command(after_help = sessions::LOG_EXAMPLES)]
    Log(Log),
    /// Run a command within a test session: the cluster is there before it starts and is let go of after it.
    #[command(after_help = sessions::TEST_EXAMPLES)]
    Test(Test),
    /// Print the completions of a shell.
    #[command(after_help = clusters::COMPLETIONS_EXAMPLES)]
    Completions(clusters::Completions),
}

impl Command {
    /// The word on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Login(_) => "login",
            Self::Logout => "logout",
            Self::Whoami => "whoami",
            Self::List(_) => "list",
            Self::Info => "info",
            Self::Start(_) => "start",
            Self::Stop => "stop",
            Self::Deploy(_) => "deploy",
            Self::Delete(_) => "delete",
            Self::Query(_) => "query",
            Self::Health => "health",
            Self::Import(_) => "import",
            Self::Snapshots(_) => "snapshots",
            Self::Status(_) => "status",
            Self::Finish(_) => "finish",
            Self::Sweep(_) => "sweep",
            Self::Kept(_) => "kept",
            Self::Log(_) => "log",
            Self::Test(_) => "test",
            Self::Completions(_) => "completions",
        }
    }

    /// Whether its result has rows, so that it can be CSV.
    fn has_rows(&self) -> bool {
        match self {
            Self::List(_) | Self::Query(_) => true,
            Self::Snapshots(snapshots) => !matches!(snapshots.command, Some(SnapshotsCommand::Restore(_))),
            _ => false,
        }
    }

    /// Whether it is about one cluster. Naming one for the others is a mistake that should not pass unnoticed.
    fn takes_a_cluster(&self) -> bool {
        !matches!(
            self,
            Self::Login(_) | Self::Logout | Self::Whoami | Self::List(_) | Self::Status(_) | Self::Completions(_)
        )
    }
}

impl Global {
    /// The cluster that the options name. An empty value counts as not given; two that are given are a mistake, found
    /// by [`read`].
    pub(crate) fn address(&self) -> Option<Address> {
        let (id, name, url) = (given(&self.cluster_id), given(&self.cluster_name), given(&self.cluster_url));
        id.map(Address::Id).or(name.map(Address::Name)).or(url.map(Address::Url))
    }

    pub(crate) fn endpoint(&self) -> Option<String> {
        given(&self.endpoint)
    }

    fn addresses(&self) -> Vec<&'static str> {
        let all = [
            ("--cluster-id", &self.cluster_id),
            ("--cluster-name", &self.cluster_name),
            ("--cluster-url", &self.cluster_url),
        ];
        all.into_iter().filter(|(_, value)| given(value).is_some()).map(|(option, _)| option).collect()
    }
}

fn given(value: &Option<String>) -> Option<String> {
    value.as_deref().map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Reads the arguments of a process; the error is to be printed, and may be the help text.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments = without_cargo(arguments.into_iter().collect());
    let mut command = Cli::command().color(help_colors(&arguments));
    let cli = command.try_get_matches_from_mut(&arguments).and_then(|matches| Cli::from_arg_matches(&matches))?;
    check(&cli).map_err(|(kind, text)| command.error(kind, text))?;
    Ok(cli)
}

/// What the declarations can't say: clap does not compare global options that stand at different levels.
fn check(cli: &Cli) -> Result<(), (ErrorKind, String)> {
    let name = cli.command.name();
    match cli.global.addresses()[..] {
        [first, second, ..] => {
            let text = format!("{first} and {second} both say which cluster; give one of them");
            return Err((ErrorKind::ArgumentConflict, text));
        }
        [option] if !cli.command.takes_a_cluster() => {
            return Err((
                ErrorKind::ArgumentConflict,
                format!("`{name}` is not about one cluster: leave out {option}"),
            ));
        }
        _ => {}
    }
    if cli.global.output == Output::Csv && !cli.command.has_rows() {
        let text = format!("the result of `{name}` has no rows to write as csv; accepted for --output: table, json");
        return Err((ErrorKind::InvalidValue, text));
    }
    Ok(())
}

fn without_cargo(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|first| first == AS_CARGO_CALLS_IT) {
        arguments.remove(1);
    }
    arguments
}

/// Help and mistakes are printed before anything is parsed, so this option is looked for by hand.
fn help_colors(arguments: &[OsString]) -> ColorChoice {
    match by_hand(arguments, "--color") {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// Whether a mistake in these arguments is to be told in JSON too.
pub(crate) fn want_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    by_hand(&arguments.into_iter().collect::<Vec<_>>(), "--output") == Some("json")
}

/// The value of an option among arguments that may hold mistakes; what follows `--` is another program's.
fn by_hand<'a>(arguments: &'a [OsString], option: &str) -> Option<&'a str> {
    let ours = arguments.iter().take_while(|argument| *argument != "--");
    let mut ours = ours.map(|argument| argument.to_str().unwrap_or_default());
    while let Some(argument) = ours.next() {
        if argument == option {
            return ours.next();
        }
        if let Some(value) = argument.strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value);
        }
    }
    None
}

/// Where an argument names a file: `-` and none are stdin.
pub(crate) fn file(path: &Option<PathBuf>) -> Option<&Path> {
    path.as_deref().filter(|path| *path != Path::new("-"))
}

#[cfg(test)]
mod tests;
