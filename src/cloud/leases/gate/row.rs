//! The lease row: the data that keepers of several machines share in the cluster.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::wait::Millis;

/// The newest format of the row that this version knows.
pub(crate) const FORMAT: u32 = 1;

/// The id that stands for keepers that a lost row may have named.
const UNKNOWN: &str = "unknown";

/// The row `id = 0` of the table of leases. All its times are the server's, in milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Row {
    pub(crate) format: u32,
    pub(crate) state: RowState,
    /// The harness resumed or deployed the cluster, no matter which keeper did.
    pub(crate) ours: bool,
    /// The time of the last change, by any keeper.
    pub(crate) written: Millis,
    pub(crate) leases: Vec<Lease>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum RowState {
    /// Keepers may join.
    Open,
    /// The last keeper is about to have the cluster suspended.
    Closing { by: String, since: Millis },
}

/// The claim of one keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Lease {
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) session: String,
    pub(crate) version: String,
    pub(crate) joined: Millis,
    pub(crate) renewed: Millis,
    /// The place in the queue of keepers that want to be alone. The smallest is next.
    pub(crate) wish: Option<u64>,
    /// No test of this keeper runs or begins until no other keeper wishes to be alone.
    pub(crate) drained: bool,
}

/// The version of a row that a compare-and-set expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct RowVersion {
    pub(crate) seq_no: i64,
    pub(crate) primary_term: i64,
}

impl Lease {
    /// Returns the time since the last renewal.
    pub(crate) fn age(&self, server_now: Millis) -> Millis {
        server_now.saturating_sub(self.renewed)
    }
}

impl fmt::Display for Lease {
    /// Names it to people. A lease that stands for unknown ones has no host.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.host {
            "" => f.write_str("a machine that a lost row may have named"),
            host => write!(f, "{host} ({})", self.session),
        }
    }
}

impl Row {
    pub(super) fn closing(by: &str, since: Millis) -> Self {
        let state = RowState::Closing { by: by.to_owned(), since };
        Self { format: FORMAT, state, ours: true, written: since, leases: Vec::new() }
    }

    pub(super) fn empty(written: Millis) -> Self {
        Self { format: FORMAT, state: RowState::Open, ours: false, written, leases: Vec::new() }
    }

    /// Returns the row that a missing or damaged one counts as. Keepers that it may have named join again with their
    /// next look. Until then one lease stands for all of them.
    pub(super) fn vacant(written: Millis, renewed: Millis) -> Self {
        let unknown = Lease { id: UNKNOWN.to_owned(), joined: renewed, renewed, ..Lease::default() };
        Self { leases: vec![unknown], ..Self::empty(written) }
    }

    pub(super) fn lease(&self, id: &str) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.id == id)
    }

    /// Returns the leases of others that were renewed within `limit`.
    pub(crate) fn others(&self, id: &str, server_now: Millis, limit: Millis) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(move |lease| lease.id != id && lease.age(server_now) <= limit)
    }
}
