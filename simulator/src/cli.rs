//! The command line: its arguments and commands.

mod confidential;
mod environment;
mod keepers;
mod run;
mod serve;
mod standin;
mod timeline;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::options::{self, ClusterOptions, EngineKind, FaultOptions, Options};
use crate::state::Pace;
use confidential::Confidential;

/// Exit code if a cluster still runs after a command that succeeded, or if the simulator can't start.
const FAILURE: u8 = 1;

/// A local CrateDB Cloud: its HTTP API, and clusters that answer SQL.
#[derive(Debug, Parser)]
#[command(name = "cratedb-cloud-simulator", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until it is told to end by SIGTERM or Ctrl-C.
    Serve(Simulated),
    /// Serves while a command runs, sets up its environment, and afterwards waits until its clusters are let go of.
    Run {
        #[command(flatten)]
        simulated: Simulated,
        /// Time that keepers of test sessions and operations may take after the command, and, while a cluster runs that
        /// the command has resumed or deployed, processes that it left: 250ms, 30s, 0.
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
        wait: Duration,
        /// The command and its arguments.
        #[arg(last = true, required = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
    /// Stands in for the program `crate`: serves the embedded engine without authentication.
    Crate(standin::CrateArgs),
}

/// The options that `serve` and `run` share.
#[derive(Args, Debug)]
struct Simulated {
    /// Address of the control plane; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = address)]
    listen: SocketAddr,
    /// A cluster that exists from the start. More of its options, after commas: state=running|suspended, product=cr1,
    /// version=6.4.3, allow_suspend=true|false, protected=true|false, auth=on|off, id=UUID, organization=, project=,
    /// username=, password=.
    #[arg(long, value_name = "name=NAME[,…]", value_parser = Confidential::<ClusterOptions>::new())]
    cluster: Vec<ClusterOptions>,
    /// The only API key that is accepted; any if not given.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// The only API secret that is accepted; any if not given.
    #[arg(long, value_name = "SECRET")]
    api_secret: Option<String>,
    /// The engine that answers SQL: `embedded`; the address of a CrateDB, with the account to use it by, such as
    /// http://crate@127.0.0.1:4200 or http://user:password@host:4200; or the directory of an extracted CrateDB, from
    /// which a server is started that ends with the simulator. `,auth=server` behind an address leaves it to the server
    /// to check the Cloud's tokens.
    #[arg(long, value_name = "ENGINE", default_value = "embedded", value_parser = Confidential::<EngineKind>::new())]
    engine: EngineKind,
    /// Duration of operations and jobs: 250ms, 2s, 0; or `explicit` if they wait for POST /_simulator/step/.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = pace)]
    operation_time: Pace,
    /// A fault. Of the transport: method=GET,path=/operations/, then status=502 (with retry_after=SECONDS, body=TEXT),
    /// conflict, hang, drop or delay=2s, and after=N, times=N or times=always. Of one cluster: cluster=NAME, then
    /// fail=MESSAGE, hold, lose or hide (the next operation), fail_job=MESSAGE or hold_job (the next import or export),
    /// foreign=SCALE with time=5s (an operation of another client), freeze_health, not_ready=2s, not_ready_requests=3,
    /// mix_connections. Also by HTTP: POST /_simulator/faults/.
    #[arg(long, value_name = "FAULT")]
    fault: Vec<FaultOptions>,
    /// Keeps everything in this file from one run to the next: clusters with their ids and, if possible, their ports.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Writes every request into this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// An organization, in place of the default one. Each has a subscription and a project.
    #[arg(long, value_name = "NAME")]
    organization: Vec<String>,
    /// A project of an organization, in place of its default one.
    #[arg(long, value_name = "ORGANIZATION/NAME", value_parser = project)]
    project: Vec<(String, String)>,
    /// Gives a login session a new token by cookie after this number of requests.
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u32).range(1..))]
    rotate_sessions: Option<u32>,
    /// Lifetime of database tokens, in whole seconds.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    token_lifetime: Duration,
}

impl Simulated {
    fn options(self) -> Options {
        Options {
            listen: self.listen,
            clusters: self.cluster,
            api_key: self.api_key,
            api_secret: self.api_secret,
            engine: self.engine,
            pace: self.operation_time,
            requests: self.requests,
            token_lifetime: self.token_lifetime,
            organizations: self.organization,
            projects: self.project,
            rotate_sessions: self.rotate_sessions,
            faults: self.fault,
            state: self.state,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    options::duration("", text).map_err(|_| "accepted: a number with its unit, such as 250ms, 2s, 10m, 2h; or 0".into())
}

fn pace(text: &str) -> Result<Pace, String> {
    match text {
        "explicit" => Ok(Pace::Explicit),
        text => duration(text).map(Pace::Auto).map_err(|accepted| accepted + "; or explicit"),
    }
}

fn project(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('/').filter(|(organization, name)| !organization.is_empty() && !name.is_empty());
    let named = parts.map(|(organization, name)| (organization.to_owned(), name.to_owned()));
    named.ok_or_else(|| "accepted: the name of an organization, a slash and the name of the project".into())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "accepted: an IP address and a port, such as 127.0.0.1:9000 or 127.0.0.1:0".into())
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    if let Some(arguments) = standin::arguments_by_name(std::env::args_os().collect()) {
        return standin::stand_in(&standin::CrateArgs::parse_from(arguments));
    }
    match Cli::parse().command {
        Command::Serve(simulated) => serve::serve(simulated.options()),
        Command::Run { simulated, wait, command } => run::run(simulated.options(), wait, &command),
        Command::Crate(arguments) => standin::stand_in(&arguments),
    }
}

/// Prints an error. A closed stderr is ignored.
fn complain(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A runtime for signals and the child; the simulator has its own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit_or_are_zero() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["10", "1.5", "", "soon"] {
            assert!(duration(bad).is_err_and(|text| text.starts_with("accepted: ")), "{bad}");
        }
    }

    #[test]
    fn an_error_names_option_value_and_what_is_accepted() {
        let tell = |args: &[&str]| {
            let args = ["simulator", "serve"].iter().chain(args);
            Cli::try_parse_from(args).unwrap_err().to_string()
        };
        for (args, parts) in [
            (["--operation-time", "10"], ["10", "--operation-time", "accepted: a number with its unit"]),
            (["--cluster", "name=a,state=x"], ["name=a,state=x", "--cluster", "accepted: suspended, running"]),
            (["--listen", "here"], ["here", "--listen", "accepted: an IP address and a port"]),
            (["--engine", "ftp://x"], ["ftp://x", "--engine", "accepted: embedded"]),
        ] {
            let text = tell(&args);
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
        for (args, part) in [
            (["--engine", "http://ada:s3cret@host:port"], "http://***@host:port"),
            (["--engine", "http://ada:s3/cret@host"], "http://***@host"),
            (["--cluster", "name=a,password=s3cret,state=x"], "name=a,password=***,state=x"),
        ] {
            let text = tell(&args);
            assert!(text.contains(part) && text.contains(args[0]) && !text.contains("cret"), "{text}");
        }
    }
}
