//! The events that the machine is told and the effects that it asks for.

use serde::{Deserialize, Serialize};

use crate::sharing::Turns;
use crate::wire::{AttemptId, CutReason, Millis, Mode, Policy};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub(crate) struct $name(pub(crate) u64);
    };
}

id! {
    /// A connection to the keeper, in the order of arrival.
    ClientId
}
id! {
    /// A runner process, whatever the number of clients that named it.
    RunnerId
}
id! {
    /// A session.
    SessionId
}
id! {
    /// A look at what a schema does not isolate, or a repair of it. Later ones have larger numbers.
    LookId
}

/// The journal's word about the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// Nothing is owed.
    #[default]
    Clean,
    /// An acquisition was begun.
    MaybeUp,
    /// Up, and ours to release.
    Up,
    /// A release was begun.
    MaybeDown,
}

/// The facts of a client that joins.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) session: SessionId,
    /// The runners above the client, each with whether it is alive now.
    pub(crate) runners: Vec<(RunnerId, bool)>,
    pub(crate) policy: Policy,
    /// The process belongs to a run that was killed before.
    pub(crate) orphan: bool,
    /// Attempts that a killed keeper had granted to it.
    pub(crate) open: Vec<(AttemptId, Mode)>,
    /// Set if the session has a name: how many milliseconds it lives without a lease. Its runners, if any, are its
    /// holders.
    pub(crate) explicit: Option<Millis>,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A client said hello.
    Join(ClientId, Join),
    /// The socket closed, or the process that opened it died.
    Leave(ClientId),
    /// A runner died.
    RunnerGone(RunnerId),
    /// The provider looked for what the journal names.
    Probed { up: bool },
    /// The provider could not look for it; the loop has the error.
    NotProbed,
    /// The acquisition succeeded; `ours` says whether this keeper has to release the cluster.
    Acquired { ours: bool },
    /// The acquisition failed, but something of it may be up.
    NotAcquired { maybe_up: bool },
    /// The release ended.
    Released { ok: bool },
    /// A client wants a turn for an attempt, which may be inside another one.
    Begin { client: ClientId, attempt: AttemptId, mode: Mode, parent: Option<AttemptId> },
    /// An attempt ended.
    End { client: ClientId, attempt: AttemptId },
    /// The state before an exclusive attempt was looked at, or could not be.
    Looked { id: LookId, ok: bool },
    /// The changes of an exclusive attempt were restored, as far as they could be.
    Restored(LookId),
    /// The number of schemas that wait to be dropped has changed.
    Dropping(usize),
    /// Nodes of the cluster, or all of them, ended although it was not released.
    Lost { all: bool },
    /// Keepers of other machines may use the cluster, too, and these attempts may begin.
    Turns(Turns),
    /// The cluster went away, or this keeper's lease on it is lost: nothing of it is held any more.
    CutOff,
    /// A runner waits for the keeper, too, so that its death can't be the end.
    Tethered,
    /// An explicit session was finished.
    Finish(SessionId),
    /// A process that held an explicit session gives up its own part and lives on.
    LetGo(SessionId, RunnerId),
    /// The cluster is not to be kept warm, unless a client joins after this.
    Cool,
    /// The keeper was told to stop by a signal.
    Term,
    /// The deadline has passed.
    Due,
}

/// The reason why a client will get no cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum FailReason {
    /// The acquisition failed; the loop has the error.
    NotAcquired,
    /// The run this process belongs to is over.
    RunOver,
}

/// The reason why an attempt can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum RefuseReason {
    RunOver,
    /// An exclusive attempt inside another attempt would wait for itself.
    NestedExclusive,
    /// Other attempts held the cluster longer than the start time-out.
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Effect {
    /// Write into the journal, on the disk, before anything that follows.
    Write(Word),
    Probe,
    Acquire,
    Release,
    Ready(ClientId),
    Fail(ClientId, FailReason),
    Cut(ClientId, CutReason),
    Granted(ClientId, AttemptId),
    Refused(ClientId, AttemptId, RefuseReason),
    /// Look at what a schema does not isolate, and note it, before this exclusive attempt.
    Look(LookId, ClientId, AttemptId),
    /// The exclusive attempt is over: restore what differs from the last look.
    Restore(LookId),
    /// End a look or a repair that is not waited for any more. What was seen means nothing now.
    Forget(LookId),
    /// Tell the keepers of other machines whether this one wants to be alone.
    WantAlone(bool),
    /// Tell them that no attempt runs, and none begins before other turns are given.
    Quiet,
    Exit,
}
