//! Arguments of the command about the cache of this machine.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::values;

pub(super) const EXAMPLES: &str = "\
Tests that run CrateDB as a local process take releases from here, and put them here. CRATEDB_TEST_MIRROR and CRATEDB_TEST_SHA256 \
say where releases come from and which archives are accepted. The cache is below XDG_CACHE_HOME (~/.cache).

Examples:
  cargo cratedb cache
  cargo cratedb cache fetch 6.4
  cargo cratedb cache prune --older-than 7d
  cargo cratedb cache prune --all --dry-run";

#[derive(Args, Debug)]
pub(crate) struct Cache {
    #[command(subcommand)]
    pub(crate) command: Option<CacheCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// List what is there: what it is, how large, when it was used.
    List,
    /// Remove what was not used for long. What some process uses is left.
    Prune(Prune),
    /// Put a release there, so that tests find it.
    Fetch(Fetch),
}

#[derive(Args, Debug)]
pub(crate) struct Prune {
    /// Only what was not used for this long: 12h, 7d.
    #[arg(long, value_name = "TIME", value_parser = values::lasting, default_value = "30d")]
    pub(crate) older_than: Duration,
    /// Everything, however new.
    #[arg(long, conflicts_with = "older_than")]
    pub(crate) all: bool,
    /// Only tell what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Fetch {
    /// 6.4.3, or 6.4 for its newest patch.
    #[arg(value_name = "VERSION")]
    pub(crate) version: String,
}
