//! Arguments of `snapshots`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::values;

pub(super) const EXAMPLES: &str = "\
Examples:
  cargo cratedb snapshots --cluster-name ci
  cargo cratedb snapshots list --cluster-name ci --since 14d --output csv
  cargo cratedb snapshots restore --cluster-name ci 20260105065500 --table doc.readings";

#[derive(Args, Debug)]
pub(crate) struct Snapshots {
    #[command(subcommand)]
    pub(crate) command: Option<SnapshotsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsCommand {
    /// List the snapshots, newest first: what `snapshots` alone does.
    List(ListSnapshots),
    /// Bring tables of a snapshot back, and wait until they are.
    Restore(Restore),
}

#[derive(Args, Debug)]
pub(crate) struct ListSnapshots {
    /// How far to look back, at most 14d: CrateDB Cloud tells no more at once.
    #[arg(long, value_name = "TIME", default_value = "2d", value_parser = values::lasting)]
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
    /// What to bring back.
    #[arg(long = "type", value_enum, default_value_t = What::Tables)]
    pub(crate) what: What,
    /// A table to bring back; all of the snapshot if none is given. May be given several times.
    #[arg(long = "table", value_name = "NAME")]
    pub(crate) tables: Vec<String>,
    /// A section to bring back, such as views or users, for --type sections. May be given several times.
    #[arg(long = "section", value_name = "NAME")]
    pub(crate) sections: Vec<String>,
    /// The cluster that the snapshot was made of, if it is another one.
    #[arg(long, value_name = "ID")]
    pub(crate) source_cluster_id: Option<String>,
}

/// What can be brought back from a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    All,
    Metadata,
    Tables,
    Sections,
}

impl What {
    /// As the Cloud API writes it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Metadata => "metadata",
            Self::Tables => "tables",
            Self::Sections => "sections",
        }
    }
}
