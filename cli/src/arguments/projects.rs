//! Arguments of the commands about the package in a directory: its first test, and what its tests would use.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

pub(super) const INIT_EXAMPLES: &str = "\
Writes tests/cratedb.rs, a first test; .env.example; .config/nextest.toml; and with --ci a workflow. `cargo add` adds \
cratedb-test to the dev-dependencies. What exists is left alone, byte for byte. The exit code is 0 if there was nothing \
to do.

Examples:
  cargo cratedb init
  cargo cratedb init crates/orders --ci github
  cargo cratedb init --dry-run";

pub(super) const DOCTOR_EXAMPLES: &str = "\
Starts nothing, resumes nothing, downloads nothing and shows no secret. Only container engines are asked whether they \
answer. The exit code is 1 if a test run could not start.

--drill starts runs of its own, kills them, and shows how long it took until the cluster was let go of. It needs no \
account and touches no cluster: CrateDB Cloud is simulated, on this machine. The exit code is 1 if a cluster ran on.

Examples:
  cargo cratedb doctor
  cargo cratedb doctor --online
  cargo cratedb doctor --drill
  cargo cratedb doctor --output json | jq .cluster";

/// Writes what a package needs for its first test.
#[derive(Args, Debug)]
pub(crate) struct Init {
    /// The directory of the package; the working directory if not given.
    #[arg(value_name = "DIR", conflicts_with = "manifest_path")]
    pub(crate) dir: Option<PathBuf>,
    /// The Cargo.toml of the package.
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest_path: Option<PathBuf>,
    /// The CI service to write a job for; by default the one of which the repository has files.
    #[arg(long, value_name = "SERVICE", value_enum)]
    pub(crate) ci: Option<Ci>,
    /// Only show what would be written.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The directory of cratedb-test, for a dependency on it by its path.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) dependency_path: Option<PathBuf>,
}

/// The CI service that a job is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ci {
    Github,
    Gitlab,
    None,
}

#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Also ask the server or CrateDB Cloud about the cluster. A suspended one stays so.
    #[arg(long)]
    pub(crate) online: bool,
    /// Also kill runs the hard way, in a simulated CrateDB Cloud, and tell how long their cluster was held.
    #[cfg(feature = "drill")]
    #[arg(long)]
    pub(crate) drill: bool,
}
