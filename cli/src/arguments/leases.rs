//! Arguments of `status` and `sweep`: about the sessions of this machine, or about all clusters of the account.

use std::time::Duration;

use clap::Args;

use super::duration;

#[cfg(all(unix, feature = "sessions"))]
pub(super) const STATUS_EXAMPLES: &str = "\
With --account, one row is one lease: a run of tests on one machine, or a program, that uses a cluster. A lease that was not \
renewed for 90 s is dead.

Examples:
  cargo cratedb status
  cargo cratedb status --all
  cargo cratedb status --account
  cargo cratedb status --output json | jq -r '.[].key'";

#[cfg(not(all(unix, feature = "sessions")))]
pub(super) const STATUS_EXAMPLES: &str = "\
One row is one lease: a run of tests on one machine, or a program, that uses a cluster. A lease that was not renewed for \
90 s is dead.

Examples:
  cargo cratedb status --account
  cargo cratedb status --account --output json | jq '.[].leases.leases | length'";

#[cfg(all(unix, feature = "sessions"))]
pub(super) const SWEEP_EXAMPLES: &str = "\
Needs the settings and the credentials with which the cluster was made available. The exit code is 1 if something is \
still owed afterwards.

With --account, it needs an API key and nothing of the machines that left something behind: it suspends the clusters of the \
account that test runs started and whose leases are all dead. What was started in another way stays as it is.

Examples:
  cargo cratedb sweep --dry-run
  cargo cratedb sweep
  cargo cratedb sweep --account --older-than 2h";

#[cfg(not(all(unix, feature = "sessions")))]
pub(super) const SWEEP_EXAMPLES: &str = "\
It needs an API key and nothing of the machines that left something behind: it suspends the clusters of the account that test \
runs started and whose leases are all dead. What was started in another way stays as it is. The exit code is 1 if something \
is still owed afterwards.

Examples:
  cargo cratedb sweep --account --dry-run
  cargo cratedb sweep --account --older-than 2h";

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// Show the leases of all clusters of the account instead: who uses which cluster, on any machine.
    #[arg(long)]
    pub(crate) account: bool,
    /// Also show those that are over and owe nothing.
    #[cfg(all(unix, feature = "sessions"))]
    #[arg(long, short, conflicts_with = "account")]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Sweep {
    /// Only show what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Suspend what machines that died left running, in the whole account.
    #[arg(long)]
    pub(crate) account: bool,
    /// With --account: only clusters that nobody has used for this long: 30m, 2h.
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "account")]
    pub(crate) older_than: Option<Duration>,
    /// Forget what this key's journal owes, after you have cleared it up yourself.
    #[cfg(all(unix, feature = "sessions"))]
    #[arg(long, value_name = "KEY", conflicts_with = "account")]
    pub(crate) forget: Option<String>,
}
