//! What the machine is told and what it asks for: the closed sets of events and effects.

use serde::{Deserialize, Serialize};

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
    /// One connection to the keeper, in the order of arrival.
    ClientId
}
id! {
    /// One runner process, whatever the number of clients that named it.
    RunnerId
}
id! {
    /// One test run.
    SessionId
}
id! {
    /// One look at what a schema does not isolate, or one repair of it; later ones have larger numbers.
    LookId
}

/// What the journal says about the resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    /// Nothing is owed.
    Clean,
    /// An acquisition was begun.
    MaybeUp,
    /// Up, and ours to release.
    Up,
    /// A release was begun.
    MaybeDown,
}

/// What a client says when it joins.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) session: SessionId,
    /// With whether each is alive now.
    pub(crate) runners: Vec<(RunnerId, bool)>,
    pub(crate) policy: Policy,
    /// The process belongs to a run that was killed before.
    pub(crate) orphan: bool,
    /// Attempts that a killed keeper had granted.
    pub(crate) open: Vec<(AttemptId, Mode)>,
    /// The session has a name: milliseconds that it lives without a lease. Its runners, if any, are those who hold it.
    pub(crate) explicit: Option<Millis>,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Join(ClientId, Join),
    /// The socket closed, or the process that opened it died.
    Leave(ClientId),
    RunnerGone(RunnerId),
    /// What the journal names was looked for.
    Probed {
        up: bool,
    },
    /// It could not be looked for; the loop has the error.
    NotProbed,
    Acquired {
        ours: bool,
    },
    NotAcquired {
        maybe_up: bool,
    },
    Released {
        ok: bool,
    },
    Begin {
        client: ClientId,
        attempt: AttemptId,
        mode: Mode,
        parent: Option<AttemptId>,
    },
    End {
        client: ClientId,
        attempt: AttemptId,
    },
    /// What there is before an exclusive attempt was looked at, or could not be.
    Looked {
        id: LookId,
        ok: bool,
    },
    /// What an exclusive attempt had changed was put back, as far as it could be.
    Restored(LookId),
    /// So many schemas wait to be dropped.
    Dropping(usize),
    /// A runner waits for the keeper too; its death can't be the end.
    Tethered,
    /// Somebody ended an explicit session.
    Finish(SessionId),
    /// A process that held an explicit session gives up its own part and lives on.
    LetGo(SessionId, RunnerId),
    /// Somebody wants it let go of: it is not kept warm, unless somebody joins after this.
    Cool,
    /// A signal: release now.
    Term,
    /// The deadline passed.
    Due,
}

/// Why a client is told that there will be no cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailReason {
    /// The acquisition failed; the loop has the error.
    NotAcquired,
    /// The run this process belongs to is over.
    RunOver,
}

/// Why an attempt can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefuseReason {
    RunOver,
    /// An exclusive attempt inside another attempt would wait for itself.
    NestedExclusive,
    /// Others held the cluster longer than the start time-out.
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Into the journal, on the disk, before anything that follows.
    Write(Word),
    Probe,
    Acquire,
    Release,
    Ready(ClientId),
    Fail(ClientId, FailReason),
    Cut(ClientId, CutReason),
    Granted(ClientId, AttemptId),
    Refused(ClientId, AttemptId, RefuseReason),
    /// Before this attempt, which is exclusive: look at what a schema does not isolate, and note it.
    Look(LookId, ClientId, AttemptId),
    /// The exclusive attempt is over: put back what differs from the last look.
    Restore(LookId),
    /// A look or a repair that is not waited for any more: end it, and what was seen means nothing now.
    Forget(LookId),
    Exit,
}
