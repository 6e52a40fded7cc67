//! Arguments of the commands about accounts and clusters.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

pub(super) const LOGIN_EXAMPLES: &str = "\
The session is kept in the profile file that `croud` and `ctk` use as well. API keys, for machines, need no login: set \
CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET.

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
A deploy takes from the environment what `cargo cratedb deploy` takes as options: CRATEDB_CLOUD_PRODUCT, CRATEDB_CLOUD_REGION, …

Examples:
  cargo cratedb start --cluster-name ci
  cargo cratedb start --cluster-name ci --no-deploy --timeout 10m";

pub(super) const STOP_EXAMPLES: &str = "\
Examples:
  cargo cratedb stop --cluster-name ci";

pub(super) const DEPLOY_EXAMPLES: &str = "\
What is left out is chosen where there is only one choice, and an error that lists the choices where there are several. \
The database user's password comes from CRATEDB_PASSWORD. Without it a random one is made that nobody knows: `query` needs none.

Examples:
  cargo cratedb deploy --cluster-name ci
  cargo cratedb deploy --cluster-name ci --product cr1 --region eks1.eu-west-1.aws --version 6.4.3";

pub(super) const DELETE_EXAMPLES: &str = "\
Examples:
  cargo cratedb delete --cluster-name ci
  cargo cratedb delete --cluster-id e1e38d92-0000-4000-8000-000000000001 --yes";

pub(super) const QUERY_EXAMPLES: &str = "\
Without a statement it is read from stdin. In csv, NULL is an empty field and an empty text is \"\". Times are ISO 8601 in table and \
csv. json has columns (name, type), rows with values as CrateDB writes them, rowcount and seconds.

Examples:
  cargo cratedb query --cluster-name ci 'SELECT * FROM sys.summits LIMIT 3'
  cargo cratedb query --cluster-name ci 'SELECT name FROM sys.nodes' --output csv
  cargo cratedb query --cluster-url http://localhost:4200 --file report.sql --output json
  echo 'SELECT 1' | cargo cratedb query --cluster-name ci";

pub(super) const HEALTH_EXAMPLES: &str = "\
Examples:
  cargo cratedb health --cluster-name ci
  cargo cratedb health --cluster-name ci --quiet && cargo test";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  cargo cratedb completions bash > ~/.local/share/bash-completion/completions/cargo-cratedb
  cargo cratedb completions fish > ~/.config/fish/completions/cargo-cratedb.fish";

#[derive(Args, Debug)]
pub(crate) struct Login {
    /// Who knows you: the identity provider of your account.
    #[arg(long, value_enum)]
    pub(crate) idp: IdentityProvider,
    /// Print the address instead of opening a browser.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Where the browser brings the session. CrateDB Cloud knows the default only.
    #[arg(long, hide = true, default_value_t = crate::commands::LOGIN_PORT)]
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

impl IdentityProvider {
    /// As it stands in the login's address.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Cognito => "cognito",
            Self::Azuread => "azuread",
            Self::Github => "github",
            Self::Google => "google",
        }
    }
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
    /// Who pays.
    #[arg(long, value_name = "ID")]
    pub(crate) subscription_id: Option<String>,
    /// CrateDB's version; the newest stable one if not given.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Where the version comes from: stable, testing, nightly.
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) channel: Option<String>,
    /// How many nodes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) nodes: Option<u32>,
    /// The database user; admin if not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Don't ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Query {
    /// The statement; `-` reads it from stdin.
    #[arg(value_name = "STATEMENT", conflicts_with = "file")]
    pub(crate) statement: Option<String>,
    /// Reads the statement from a file; `-` is stdin.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}
