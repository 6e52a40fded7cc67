//! The events that the gate is told and the effects that it asks for.

use super::row::{Row, RowVersion};
pub(crate) use crate::sharing::{CutOff, Turns};
use crate::wait::Millis;

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The cluster runs, and the keeper wants to use it. `woken`: it was found suspended and its resumption was asked
    /// for, or it was deployed.
    Join { woken: bool },
    /// The keeper does not need the cluster any more.
    Leave(AtEnd),
    /// An exclusive test is next or runs, or not any more.
    WantAlone(bool),
    /// No test runs, and none begins until turns are given again.
    Quiet,
    /// The answer to [`Effect::Read`].
    Read(Seen),
    /// The answer to [`Effect::MakeTable`], with the reason why there is no table.
    TableMade(Result<(), String>),
    /// The answer to [`Effect::Insert`] and [`Effect::Write`].
    Wrote(Written),
    /// The answer to [`Effect::MakeAvailable`]; `woken` as in [`Event::Join`].
    Available { woken: bool },
    /// The answer to [`Effect::Look`]. It may also come unasked.
    Found { suspended: bool },
    /// The answer to [`Effect::Suspend`]. Not `done`: the request was not sent in time, or it was refused or lost, and
    /// the cluster runs.
    Suspended { done: bool },
    /// The deadline has passed.
    Due,
}

/// The answer to a read of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Seen {
    Row(Row, RowVersion, ServerTime),
    NoTable,
    /// The table has no row: a person deleted it, or nobody has written one.
    NoRow(ServerTime),
    /// The row does not say what a row must say.
    Damaged(RowVersion, ServerTime),
    /// A newer version wrote the row in a format that this one can't read.
    Newer,
    /// The server refused the statement, for this reason.
    Refused(String),
    /// No answer of the server.
    Unreachable,
}

/// The server's clock, read in one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct ServerTime {
    pub(crate) now: Millis,
    /// The time at which the server was started.
    pub(crate) booted: Millis,
}

/// The answer to a write of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Written {
    /// It was applied and gave the row this version.
    Applied(RowVersion),
    /// The row had another version, was missing, or was there already.
    Lost,
    /// It was sent, and no answer came.
    Unknown,
    /// The server refused the statement, for this reason.
    Refused(String),
}

/// The keeper's policy for a cluster that it does not need any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum AtEnd {
    /// Suspend it if the harness started it.
    Auto,
    Suspend,
    Keep,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Effect {
    /// Read the row by its key, with the server's time.
    Read,
    MakeTable,
    /// Write the row if there is none.
    Insert(Row),
    /// Write the row if it has this version.
    Write(Row, RowVersion),
    /// Wait for operations on the cluster to end, and resume it if it is suspended.
    MakeAvailable,
    /// Ask CrateDB Cloud whether the cluster is suspended. `wait`: once no operation is under way. Else at once, and
    /// one that is being suspended or resumed counts as suspended.
    Look {
        wait: bool,
    },
    /// Send one request to suspend the cluster, or to delete it, if that comes before this local time. Never send it
    /// again without another such effect.
    Suspend {
        before: Millis,
    },
    /// Tell people this line.
    Report(String),
    /// The lease is in the row. `ours`: the cluster is to be suspended at the end.
    Joined {
        ours: bool,
    },
    /// The cluster went away under the tests: they have to be told. Nothing is held any more.
    Cut(CutOff),
    /// The tests that may begin have changed.
    Turns(Turns),
    /// The answer to [`Event::Leave`].
    Left(Left),
}

/// The way in which a keeper left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Left {
    /// The cluster is suspended or deleted.
    Suspended,
    /// Other keepers use it.
    InUse,
    /// It runs on, as it was found or as the policy has it.
    Running,
    /// It can't be told if it may be suspended: the row is of a newer version.
    Newer,
    /// The suspension failed, or the cluster did not answer and other keepers may use it. It is still owed.
    Owed,
}
