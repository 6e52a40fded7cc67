//! Arguments of the commands about a server to develop against.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;

pub(super) const UP_EXAMPLES: &str = "\
The server is one of this machine, as tests would get it: of CRATEDB_HOME, in a container, or of a release that is \
downloaded. Tests do not use it. It has no data but what --migrations and --sql bring, and `down` removes it with its \
data. If it is up already, its address is shown, nothing is executed, and its time begins anew.

Ctrl-C while it starts removes it. After that, it is independent of this terminal.

Examples:
  cargo cratedb up
  cargo cratedb up --version 6.3 --nodes 3 --for 2d
  cargo cratedb up --migrations migrations --sql examples.sql --setting stats.jobs_log_size=100";

pub(super) const DOWN_EXAMPLES: &str = "\
Removes every server that `up` started for this project, with its data.

Examples:
  cargo cratedb down";

pub(super) const ENV_EXAMPLES: &str = "\
Prints lines for a POSIX shell. CRATEDB_CLUSTER_URL is the address for HTTP, which tests and the SDK take as the \
cluster to use; DATABASE_URL is that for PostgreSQL drivers. The exit code is 4 if no server is up.

Examples:
  eval \"$(cargo cratedb env)\"
  cargo cratedb env --output json";

pub(super) const SHELL_EXAMPLES: &str = "\
Runs COMMAND, or the shell that SHELL names, with the variables of `cargo cratedb env`. The exit code is that of the \
command.

Examples:
  cargo cratedb shell
  cargo cratedb shell -- cargo run";

#[derive(Args, Debug)]
pub(crate) struct Up {
    /// CrateDB's version: 6.4.3, or 6.4 for its newest patch.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// The number of nodes, 1 to 9.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) nodes: Option<u32>,
    /// A setting of CrateDB; may be given several times.
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Execute the migrations of this directory, as the argument `migrations` of the attribute does.
    #[arg(long, value_name = "DIR")]
    pub(crate) migrations: Option<PathBuf>,
    /// Execute the statements of this file, after the migrations; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub(crate) sql: Vec<PathBuf>,
    /// Remove the server this long after the last `up`: 30m, 8h, 2d.
    #[arg(long = "for", value_name = "TIME", value_parser = lasting, default_value = "12h")]
    pub(crate) lasting: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct Shell {
    /// The command and its arguments; an interactive shell if not given.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Parses a setting, of which the library checks name and value.
fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("accepted: NAME=VALUE, such as stats.jobs_log_size=100".into()),
    }
}

/// Parses a time of at least a minute and at most a year.
fn lasting(text: &str) -> Result<Duration, String> {
    const MINUTE: Duration = Duration::from_secs(60);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    match duration(text)? {
        time if (MINUTE..=YEAR).contains(&time) => Ok(time),
        _ => Err("accepted: 1m to 365d".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_value() {
        assert_eq!(setting("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        assert_eq!(setting("a="), Ok(("a".into(), String::new())));
        for bad in ["", "a", "=b"] {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_stands_for_a_minute_to_a_year() {
        assert_eq!(lasting("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(lasting("365d"), Ok(Duration::from_secs(365 * 86_400)));
        for bad in ["59s", "0", "366d", "2", "ever"] {
            assert!(lasting(bad).is_err(), "{bad}");
        }
    }
}
