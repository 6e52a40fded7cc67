//! Arguments of the commands about CrateDB Cloud: accounts, clusters and their data.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::duration;

pub(super) const LOGIN_EXAMPLES: &str = "\
The session is kept in the profile file that `croud` and `ctk` use as well. Machines use an API key and need no login: \
set CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET.

Examples:
  cargo cratedb login --idp github
  cargo cratedb login --idp cognito --no-browser";

pub(super) const LOGOUT_EXAMPLES: &str = "\
Examples:
  cargo cratedb logout";

pub(super) const WHOAMI_EXAMPLES: &str = "\
Examples:
  cargo cratedb whoami
  cargo cratedb whoami --output json | jq -r .user.email";

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  cargo cratedb list
  cargo cratedb list --output json | jq -r '.[] | select(.suspended | not) | .name'";

pub(super) const INFO_EXAMPLES: &str = "\
Examples:
  cargo cratedb info --cluster-name ci
  CRATEDB_CLUSTER_ID=e1e38d92-0000-4000-8000-000000000001 cargo cratedb info --output json";

pub(super) const START_EXAMPLES: &str = "\
A deployment takes from the environment what `cargo cratedb deploy` takes as options: CRATEDB_CLOUD_PRODUCT, \
CRATEDB_CLOUD_REGION, …

Examples:
  cargo cratedb start --cluster-name ci
  cargo cratedb start --cluster-name ci --no-deploy --timeout 10m";

pub(super) const STOP_EXAMPLES: &str = "\
A cluster that tests or programs use is not suspended: the error names them. `cargo cratedb status --account` shows all of \
them.

Examples:
  cargo cratedb stop --cluster-name ci
  cargo cratedb stop --cluster-name ci --force";

pub(super) const DEPLOY_EXAMPLES: &str = "\
An option that is left out takes the only choice. Where there are several, an error lists them. The password of the \
database user comes from CRATEDB_PASSWORD. Without it, a random one is set and not shown: `query` needs none.

Examples:
  cargo cratedb deploy --cluster-name ci
  cargo cratedb deploy --cluster-name ci --product cr1 --region eks1.eu-west-1.aws --version 6.4.3";

pub(super) const DELETE_EXAMPLES: &str = "\
Examples:
  cargo cratedb delete --cluster-name ci
  cargo cratedb delete --cluster-id e1e38d92-0000-4000-8000-000000000001 --yes";

pub(super) const QUERY_EXAMPLES: &str = "\
Without an argument and --file, the statement is read from stdin. Several statements, separated by semicolons, are run one \
after another up to the first that fails; json is then a list. In csv, NULL is an empty field and an empty text is \"\". \
Times are ISO 8601 in table and csv. json has columns (name, type), rows with values as CrateDB writes them, rowcount and seconds.

Examples:
  cargo cratedb query --cluster-name ci 'SELECT * FROM sys.summits LIMIT 3'
  cargo cratedb query --cluster-name ci 'SELECT name FROM sys.nodes' --output csv
  cargo cratedb query --cluster-url http://localhost:4200 --file report.sql --output json
  echo 'SELECT 1' | cargo cratedb query --cluster-name ci";

pub(super) const HEALTH_EXAMPLES: &str = "\
Examples:
  cargo cratedb health --cluster-name ci
  cargo cratedb health --cluster-name ci --quiet && cargo test";

pub(super) const IMPORT_EXAMPLES: &str = "\
CrateDB Cloud does the import: it fetches a URL itself, and a local file is uploaded to it first.

Examples:
  cargo cratedb import --cluster-name ci https://example.org/weather.csv.gz --table weather
  cargo cratedb import --cluster-name ci readings.json --table doc.readings --no-create-table";

pub(super) const SNAPSHOTS_EXAMPLES: &str = "\
Examples:
  cargo cratedb snapshots --cluster-name ci
  cargo cratedb snapshots list --cluster-name ci --since 14d --output csv
  cargo cratedb snapshots restore --cluster-name ci 20260105065500 --table doc.readings";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  cargo cratedb completions bash > ~/.local/share/bash-completion/completions/cargo-cratedb
  cargo cratedb completions fish > ~/.config/fish/completions/cargo-cratedb.fish";

#[derive(Args, Debug)]
pub(crate) struct Login {
    /// The identity provider of your account.
    #[arg(long, value_enum)]
    pub(crate) idp: IdentityProvider,
    /// Print the address instead of opening a browser.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// The port to which the browser brings the session. CrateDB Cloud sends it to the default port only.
    #[arg(long, hide = true, default_value_t = 8400)]
    pub(crate) port: u16,
}

/// Identity providers of CrateDB Cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IdentityProvider {
    Cognito,
    Azuread,
    Github,
    Google,
}

#[derive(Args, Debug)]
pub(crate) struct List {
    /// Only clusters of this project.
    #[arg(long, value_name = "ID")]
    pub(crate) project_id: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Start {
    /// Fail if there is no such cluster, instead of deploying it.
    #[arg(long)]
    pub(crate) no_deploy: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Stop {
    /// Suspend it even if tests or programs use it, which then fail.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Deploy {
    /// The product; crfree if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) product: Option<String>,
    /// The product's tier; default if not given.
    #[arg(long, value_name = "TIER")]
    pub(crate) tier: Option<String>,
    /// The region, for a new project.
    #[arg(long, value_name = "NAME")]
    pub(crate) region: Option<String>,
    /// The organization.
    #[arg(long, value_name = "ID")]
    pub(crate) organization_id: Option<String>,
    /// The project.
    #[arg(long, value_name = "ID")]
    pub(crate) project_id: Option<String>,
    /// The subscription that pays.
    #[arg(long, value_name = "ID")]
    pub(crate) subscription_id: Option<String>,
    /// CrateDB's version; the newest stable one if not given.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// The channel of the version: stable, testing, nightly.
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) channel: Option<String>,
    /// The number of nodes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) nodes: Option<u32>,
    /// The database user; admin if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
}

impl Deploy {
    /// Returns the variables for which options were given, with the options.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let all = [
            (&self.product, "CRATEDB_CLOUD_PRODUCT", "--product"),
            (&self.tier, "CRATEDB_CLOUD_TIER", "--tier"),
            (&self.region, "CRATEDB_CLOUD_REGION", "--region"),
            (&self.organization_id, "CRATEDB_CLOUD_ORGANIZATION_ID", "--organization-id"),
            (&self.project_id, "CRATEDB_CLOUD_PROJECT_ID", "--project-id"),
            (&self.subscription_id, "CRATEDB_CLOUD_SUBSCRIPTION_ID", "--subscription-id"),
            (&self.version, "CRATEDB_VERSION", "--version"),
            (&self.channel, "CRATEDB_CHANNEL", "--channel"),
            (&self.username, "CRATEDB_USERNAME", "--username"),
        ];
        all.into_iter().filter(|(value, ..)| value.is_some()).map(|(_, variable, option)| (variable, option))
    }
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Don't ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Delete it even if tests or programs use it, which then fail.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Query {
    /// The statement, or several; `-` reads them from stdin.
    #[arg(value_name = "STATEMENT", conflicts_with = "file")]
    pub(crate) statement: Option<String>,
    /// Read the statements from a file; `-` is stdin.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Import {
    /// A URL (http or https) or a local file.
    #[arg(value_name = "URL|FILE")]
    pub(crate) source: String,
    /// The table.
    #[arg(long, value_name = "NAME")]
    pub(crate) table: String,
    /// The format; told from the file name if not given.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The compression; told from the file name if not given.
    #[arg(long, value_enum)]
    pub(crate) compression: Option<Compression>,
    /// Fail if the table does not exist, instead of creating it.
    #[arg(long)]
    pub(crate) no_create_table: bool,
}

/// Formats that CrateDB Cloud imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Csv,
    Json,
    Parquet,
}

/// Compressions that CrateDB Cloud unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compression {
    None,
    Gzip,
}

impl Import {
    /// Returns format and compression: those of the options, else those that the file name tells.
    pub(crate) fn kind(&self) -> (Option<Format>, Option<Compression>) {
        let name = self.source.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
        let (name, compression) = match name.strip_suffix(".gz") {
            Some(name) => (name, Some(Compression::Gzip)),
            None => (name.as_str(), None),
        };
        let format = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("csv") => Some(Format::Csv),
            Some("json" | "ndjson" | "jsonl") => Some(Format::Json),
            Some("parquet") => Some(Format::Parquet),
            _ => None,
        };
        (self.format.or(format), self.compression.or(compression))
    }
}

#[derive(Args, Debug)]
pub(crate) struct Snapshots {
    #[command(subcommand)]
    pub(crate) command: Option<SnapshotsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsCommand {
    /// List the snapshots, newest first, as `snapshots` alone does.
    List(ListSnapshots),
    /// Restore tables from a snapshot, and wait until it is done.
    Restore(Restore),
}

#[derive(Args, Debug)]
pub(crate) struct ListSnapshots {
    /// The period to look back, at most 14d: CrateDB Cloud lists no more at once.
    #[arg(long, value_name = "TIME", default_value = "2d", value_parser = duration)]
    pub(crate) since: Duration,
}

impl Default for ListSnapshots {
    fn default() -> Self {
        Self { since: Duration::from_secs(2 * 24 * 3600) }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// The snapshot's name, as `snapshots list` shows it.
    #[arg(value_name = "SNAPSHOT")]
    pub(crate) snapshot: String,
    /// The repository; looked up among the snapshots of the last 14 days if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Option<String>,
    /// The parts to restore.
    #[arg(long = "type", value_enum, default_value_t = RestoreScope::Tables)]
    pub(crate) scope: RestoreScope,
    /// A table to restore; all tables of the snapshot if none is given. May be given several times.
    #[arg(long = "table", value_name = "NAME")]
    pub(crate) tables: Vec<String>,
    /// A section to restore, such as views or users, for --type sections. May be given several times.
    #[arg(long = "section", value_name = "NAME")]
    pub(crate) sections: Vec<String>,
    /// The cluster that the snapshot was made of, if it is another one.
    #[arg(long, value_name = "ID")]
    pub(crate) source_cluster_id: Option<String>,
}

/// The parts of a snapshot that can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RestoreScope {
    All,
    Metadata,
    Tables,
    Sections,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Command, read};

    #[test]
    fn format_and_compression_are_told_from_the_name_unless_given() {
        for (source, expected) in [
            ("a.csv", (Some(Format::Csv), None)),
            ("https://x/A.NDJSON.gz?version=1.csv", (Some(Format::Json), Some(Compression::Gzip))),
            ("dir.csv/data.parquet", (Some(Format::Parquet), None)),
            ("https://x/csv", (None, None)),
            ("data.gz", (None, Some(Compression::Gzip))),
            ("a.csv.gz --format json --compression none", (Some(Format::Json), Some(Compression::None))),
        ] {
            let line = format!("x import --table t {source}");
            let Command::Import(import) = read(line.split(' ').map(Into::into)).unwrap().command else {
                panic!("{line}")
            };
            assert_eq!(import.kind(), expected, "{source}");
        }
    }
}
