//! The command line: its commands, options and values, and the checks that clap can't make.

mod cloud;
mod leases;
#[cfg(all(unix, feature = "sessions"))]
mod projects;
#[cfg(all(unix, feature = "sessions"))]
mod report;
#[cfg(all(unix, feature = "sessions"))]
mod sessions;
#[cfg(all(unix, feature = "sessions"))]
mod standing;

use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
#[cfg(not(all(unix, feature = "sessions")))]
use clap::error::{ContextKind, ContextValue};
use clap::{Args, ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

pub(crate) use cloud::{
    Completions, Compression, Delete, Deploy, Import, List, ListSnapshots, Login, Query, Restore, RestoreScope,
    Snapshots, SnapshotsCommand, Start, Stop,
};
pub(crate) use leases::{Status, Sweep};
#[cfg(all(unix, feature = "sessions"))]
pub(crate) use projects::{Ci, Doctor, Init};
#[cfg(all(unix, feature = "sessions"))]
pub(crate) use report::Report;
#[cfg(all(unix, feature = "sessions"))]
pub(crate) use sessions::{Cache, CacheCommand, Fetch, Finish, Kept, Log, Prune, SessionCommand, Test};
#[cfg(all(unix, feature = "sessions"))]
pub(crate) use standing::{Shell, Up};

/// Cargo runs `cargo-cratedb cratedb …` for `cargo cratedb …`.
const CARGO_WORD: &str = "cratedb";

/// The longest time that an option takes: ten years. The time of day plus more than that overflows on some systems.
const LONGEST: Duration = Duration::from_secs(10 * 31_557_600);

/// The parts of the main help about sessions: exit codes and an example.
#[cfg(all(unix, feature = "sessions"))]
const ABOUT_SESSIONS: [&str; 2] = [
    "
  `test -- COMMAND` returns the command's own code, or 128 + n if signal n ended it.
  It returns 1 if the command succeeded but the cluster could not be released.",
    "
  cargo cratedb test -- docker compose run tests",
];
#[cfg(not(all(unix, feature = "sessions")))]
const ABOUT_SESSIONS: [&str; 2] = ["", ""];

fn about_all() -> String {
    let [codes, example] = ABOUT_SESSIONS;
    format!(
        "\
Exit codes:
  0    done
  1    failed
  2    wrong usage or setting
  3    not logged in, or not allowed
  4    no such thing
  5    timed out
  130  interrupted; 143 if by SIGTERM{codes}

Settings come from options, then from the environment, then from the `.env` files of the working
directory and of the project around it:
  CRATEDB_CLUSTER_ID, CRATEDB_CLUSTER_NAME, CRATEDB_CLUSTER_URL   which cluster
  CRATEDB_CLOUD_API_KEY, CRATEDB_CLOUD_API_SECRET                 credentials; else the login

Examples:
  cargo cratedb login --idp github
  cargo cratedb list
  cargo cratedb start --cluster-name ci
  cargo cratedb query --cluster-name ci 'SELECT * FROM sys.summits LIMIT 3'{example}
  cargo cratedb stop --cluster-name ci"
    )
}

/// CrateDB Cloud and test sessions from the command line.
#[derive(Debug, Parser)]
#[command(
    name = "cargo-cratedb",
    bin_name = "cargo cratedb",
    version,
    max_term_width = 100,
    after_help = about_all(),
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
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
    /// The form of results: json is one document, also for errors; csv is for rows.
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t = Output::Table, help_heading = "Global options")]
    pub(crate) output: Output,
    /// Print only results and errors, no progress and no notes.
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// When to use colours: auto means on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto, help_heading = "Global options")]
    pub(crate) color: Color,
    /// Give up after this time: 30s, 10m, 2h.
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, help_heading = "Global options")]
    pub(crate) timeout: Option<Duration>,
}

/// The form of results.
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

/// The cluster that the options name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Id(String),
    Name(String),
    Url(String),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Log in to CrateDB Cloud with the browser.
    #[command(after_help = cloud::LOGIN_EXAMPLES)]
    Login(Login),
    /// End the login session and forget it.
    #[command(after_help = cloud::LOGOUT_EXAMPLES)]
    Logout,
    /// Show the user and the credentials in use.
    #[command(after_help = cloud::WHOAMI_EXAMPLES)]
    Whoami,
    /// List the clusters.
    #[command(after_help = cloud::LIST_EXAMPLES)]
    List(List),
    /// Show one cluster.
    #[command(after_help = cloud::INFO_EXAMPLES)]
    Info,
    /// Start the cluster: resume it, wait for a running operation, or deploy it if no cluster has the name.
    #[command(after_help = cloud::START_EXAMPLES)]
    Start(Start),
    /// Suspend the cluster; its data is kept.
    #[command(after_help = cloud::STOP_EXAMPLES)]
    Stop(Stop),
    /// Deploy a new cluster and wait until it answers.
    #[command(after_help = cloud::DEPLOY_EXAMPLES)]
    Deploy(Deploy),
    /// Delete the cluster and all its data.
    #[command(after_help = cloud::DELETE_EXAMPLES)]
    Delete(Delete),
    /// Run SQL statements.
    #[command(after_help = cloud::QUERY_EXAMPLES)]
    Query(Query),
    /// Show the health of the cluster; the exit code is 1 unless it is good.
    #[command(after_help = cloud::HEALTH_EXAMPLES)]
    Health,
    /// Import a local file or a URL into a table.
    #[command(after_help = cloud::IMPORT_EXAMPLES)]
    Import(Import),
    /// List snapshots, or restore one.
    #[command(after_help = cloud::SNAPSHOTS_EXAMPLES)]
    Snapshots(Snapshots),
    #[cfg_attr(
        all(unix, feature = "sessions"),
        doc = "Show the test sessions on this machine: what holds each cluster, since when and until when."
    )]
    #[cfg_attr(not(all(unix, feature = "sessions")), doc = "Show who uses the clusters of the account.")]
    #[command(after_help = leases::STATUS_EXAMPLES)]
    Status(Status),
    #[cfg_attr(all(unix, feature = "sessions"), doc = "Release what killed sessions left behind.")]
    #[cfg_attr(not(all(unix, feature = "sessions")), doc = "Suspend what machines that died left running.")]
    #[command(after_help = leases::SWEEP_EXAMPLES)]
    Sweep(Sweep),
    #[cfg(all(unix, feature = "sessions"))]
    #[command(flatten)]
    Session(SessionCommand),
    /// Print the completion script for a shell.
    #[command(after_help = cloud::COMPLETIONS_EXAMPLES)]
    Completions(Completions),
}

impl Command {
    /// Returns whether the result has rows, so that it can be CSV.
    fn has_rows(&self) -> bool {
        match self {
            Self::List(_) | Self::Query(_) => true,
            Self::Status(Status { account, .. }) | Self::Sweep(Sweep { account, .. }) => *account,
            Self::Snapshots(snapshots) => !matches!(snapshots.command, Some(SnapshotsCommand::Restore(_))),
            #[cfg(all(unix, feature = "sessions"))]
            Self::Session(SessionCommand::Cache(cache)) => matches!(cache.command, None | Some(CacheCommand::List)),
            #[cfg(all(unix, feature = "sessions"))]
            Self::Session(SessionCommand::Report(report)) => report.list,
            _ => false,
        }
    }

    /// Returns whether the command is about one cluster. Naming one for the others is a mistake that should not pass
    /// unnoticed.
    fn takes_a_cluster(&self) -> bool {
        match self {
            Self::Login(_) | Self::Logout | Self::Whoami | Self::List(_) | Self::Completions(_) => false,
            Self::Status(_) | Self::Sweep(Sweep { account: true, .. }) => false,
            #[cfg(all(unix, feature = "sessions"))]
            Self::Session(SessionCommand::Cache(_) | SessionCommand::Init(_) | SessionCommand::Report(_)) => false,
            _ => true,
        }
    }
}

impl Cli {
    /// Returns the names by which errors call settings, with the options that were given for them: a hint names what
    /// was typed.
    pub(crate) fn names(&self) -> Vec<(&'static str, &'static str)> {
        let mut names = self.global.names();
        if let Command::Deploy(deploy) = &self.command {
            names.extend(deploy.names());
        }
        if let Command::Stop(_) | Command::Delete(_) = &self.command {
            names.push(("call stop_although_in_use(true) of the builder", "use --force"));
        }
        if let Command::Start(Start { no_deploy: true }) = &self.command {
            names.push(("set CRATEDB_CLOUD_DEPLOY=auto", "leave out --no-deploy"));
            names.push(("CRATEDB_CLOUD_DEPLOY=never", "--no-deploy"));
        }
        names
    }
}

impl Global {
    /// Returns the cluster that the options name. An empty value counts as not given. Two clusters are a mistake, which
    /// [`read`] reports.
    pub(crate) fn address(&self) -> Option<Address> {
        let (id, name, url) = (given(&self.cluster_id), given(&self.cluster_name), given(&self.cluster_url));
        id.map(Address::Id).or(name.map(Address::Name)).or(url.map(Address::Url))
    }

    pub(crate) fn endpoint(&self) -> Option<String> {
        given(&self.endpoint)
    }

    /// Returns the names by which errors call settings, with the options that were given for them.
    fn names(&self) -> Vec<(&'static str, &'static str)> {
        let mut names = Vec::new();
        if self.address().is_some() {
            // One that is given leaves no place for the variables of the others.
            names.extend([
                ("CRATEDB_CLUSTER_ID", "--cluster-id"),
                ("CRATEDB_CLUSTER_NAME", "--cluster-name"),
                ("CRATEDB_CLUSTER_URL", "--cluster-url"),
                ("`cluster_url`", "--cluster-url"),
            ]);
        }
        if self.endpoint().is_some() {
            names.extend([("CRATEDB_CLOUD_ENDPOINT", "--endpoint"), ("`endpoint`", "--endpoint")]);
        }
        if self.timeout.is_some() {
            names.extend([("CRATEDB_TEST_START_TIMEOUT", "--timeout"), ("`start_timeout`", "--timeout")]);
        }
        names
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

/// Parses the arguments of a process. The error is to be printed, and may be the help text.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let arguments = without_cargo(arguments.into_iter().collect());
    let mut command = Cli::command().color(help_colors(&arguments));
    let matches = command.try_get_matches_from_mut(&arguments);
    #[cfg(not(all(unix, feature = "sessions")))]
    let matches = matches.map_err(|error| without_sessions(error, &mut command));
    let matches = matches?;
    let cli = Cli::from_arg_matches(&matches)?;
    let name = matches.subcommand_name().unwrap_or_default();
    check(&cli, name).map_err(|(kind, text)| command.error(kind, text))?;
    Ok(cli)
}

/// Replaces the error about a command that is missing here, which would not say why.
#[cfg(not(all(unix, feature = "sessions")))]
fn without_sessions(error: clap::Error, command: &mut clap::Command) -> clap::Error {
    let known = ["init", "doctor", "test", "finish", "report", "kept", "log", "cache"];
    let why = if cfg!(unix) { "which the feature `sessions` of this package adds" } else { "which need Unix" };
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(name)) if known.contains(&name.as_str()) => {
            command.error(ErrorKind::InvalidSubcommand, format!("`{name}` is one of the commands for tests, {why}"))
        }
        _ => error,
    }
}

/// Makes the checks that clap can't: it does not compare global options that stand at different levels.
fn check(cli: &Cli, name: &str) -> Result<(), (ErrorKind, String)> {
    match cli.global.addresses()[..] {
        [first, second, ..] => {
            let text = format!("{first} and {second} both name a cluster; give one of them");
            return Err((ErrorKind::ArgumentConflict, text));
        }
        [option] if !cli.command.takes_a_cluster() => {
            let text = format!("`{name}` is not about one cluster: leave out {option}");
            return Err((ErrorKind::ArgumentConflict, text));
        }
        _ => {}
    }
    #[cfg(not(all(unix, feature = "sessions")))]
    if let Command::Status(Status { account: false, .. }) | Command::Sweep(Sweep { account: false, .. }) = cli.command {
        let why = if cfg!(unix) { "which the feature `sessions` of this package adds" } else { "which need Unix" };
        let text = format!("`{name}` without --account is one of the commands for tests, {why}");
        return Err((ErrorKind::MissingRequiredArgument, text));
    }
    if cli.global.output == Output::Csv && !cli.command.has_rows() {
        let text = format!("the result of `{name}` has no rows to write as csv; accepted for --output: table, json");
        return Err((ErrorKind::InvalidValue, text));
    }
    Ok(())
}

fn without_cargo(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if arguments.get(1).is_some_and(|first| first == CARGO_WORD) {
        arguments.remove(1);
    }
    arguments
}

/// Looks for `--color` by hand, since clap prints help and mistakes before anything is parsed.
fn help_colors(arguments: &[OsString]) -> ColorChoice {
    match by_hand(arguments, "--color") {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// Returns whether a mistake in these arguments is to be reported in JSON too.
pub(crate) fn want_json(arguments: impl IntoIterator<Item = OsString>) -> bool {
    by_hand(&arguments.into_iter().collect::<Vec<_>>(), "--output") == Some("json")
}

/// Returns the value of an option among arguments that may hold mistakes. What follows `--` belongs to another program.
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

/// Parses a time with its unit. Zero is refused: nothing can happen in no time.
fn duration(text: &str) -> Result<Duration, String> {
    let bare = text.parse::<f64>().is_ok();
    let read = humantime::parse_duration(text).ok().filter(|time| !bare && !time.is_zero() && *time <= LONGEST);
    read.ok_or_else(|| "accepted: a number with its unit, such as 250ms, 30s, 10m, 2h; at most 10y".into())
}

/// Returns the word that stands for a value on the command line, which for these is that of the Cloud API too.
pub(crate) fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
