//! The messages of test processes and keepers, and the words in them.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::clock::ServerClock;
use crate::error::Error;
use crate::foreign;
use crate::host::process::Identity;
use crate::secret::Secret;
use crate::sql::{Authority, Credentials};
use crate::target::{OnExit, OnSuspended, Target};
use crate::version::Version;

/// The version of this protocol. A client of another one waits for the end of this keeper and starts its own.
pub(crate) const PROTOCOL: u32 = 1;

/// The most bytes of a text for people. It may quote a server, and what does not fit into a frame would not arrive.
const TEXT: usize = 16 << 10;

fn brief<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&foreign::shortened(&foreign::block(text), TEXT))
}

fn brief_if_any<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => serializer.serialize_some(&*foreign::shortened(&foreign::block(text), TEXT)),
        None => serializer.serialize_none(),
    }
}

pub(crate) use crate::wait::Millis;

/// The number of an attempt. Its client chooses it, and it is unique within the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct AttemptId(pub(crate) u64);

/// Shared attempts run side by side, an exclusive one runs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// When a release is due, and how it is done: the settings of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Hash))]
pub(crate) struct Policy {
    /// Milliseconds to keep the cluster after the last session.
    pub(crate) keep_warm: Millis,
    /// Milliseconds after the beginning of the last attempt at which the cluster is released, whatever is connected.
    pub(crate) max_lifetime: Millis,
    /// Milliseconds that an attempt may wait for its turn.
    pub(crate) start_timeout: Millis,
    /// The effect of a release, also on a cluster that was found running.
    pub(crate) on_exit: OnExit,
    #[serde(default, skip_serializing_if = "OnSuspended::is_fail")]
    pub(crate) on_suspended: OnSuspended,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            keep_warm: 0,
            max_lifetime: 7_200_000,
            start_timeout: 900_000,
            on_exit: OnExit::Auto,
            on_suspended: OnSuspended::Fail,
        }
    }
}

/// The reason why a client is sent away. The keeper names it before every deliberate close, or the client would attach
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Hash))]
#[serde(rename_all = "snake_case")]
pub(crate) enum CutReason {
    /// The keeper was told to stop.
    Terminated,
    /// The maximum lifetime passed.
    MaxLifetime,
    /// The run that this process belongs to is over.
    RunOver,
}

/// The end of a session for its cluster, in the words of reports and of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClusterOutcome {
    /// The cluster is suspended.
    Suspended,
    /// A local server is gone, with its data.
    Removed,
    /// A Cloud cluster is gone, with its data.
    Deleted,
    /// The cluster is left as it is.
    Left,
    /// The release failed.
    Owed,
    /// The cluster was found running and left alone.
    #[serde(rename = "found running")]
    FoundRunning,
    /// There never was a cluster.
    Failed,
    /// Other sessions go on with the cluster.
    Shared,
    /// The cluster waits for the next session.
    Warm,
    /// Other processes hold the session.
    Held,
    /// The release is not awaited.
    Releasing,
    /// There was nothing to release.
    Nothing,
    /// It is not known.
    Unknown,
}

impl ClusterOutcome {
    /// Returns whether the cluster may run on although it should not.
    pub fn is_owed(self) -> bool {
        matches!(self, Self::Owed | Self::Unknown)
    }
}

impl fmt::Display for ClusterOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The fields of the first frame that every version of this crate sends and understands.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) r#type: String,
    pub(crate) protocol: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromClient {
    /// The first message of a client that wants the cluster.
    Hello(Box<Hello>),
    /// A test wants its turn. `parent` is the attempt inside which it begins.
    Begin { attempt: Open, parent: Option<AttemptId> },
    /// An attempt ended.
    End {
        id: AttemptId,
        #[serde(flatten)]
        ended: Ended,
    },
    /// The migrations of a checksum, for a keeper that wanted them.
    Migrations { checksum: String, files: Vec<MigrationFile> },
    /// Claims a setup that is done once per session. The client would do it in this schema.
    #[serde(rename = "set_up")]
    Setup { name: String, schema: String },
    /// The client did a setup, or did not.
    #[serde(rename = "set_up_ended")]
    SetupEnded {
        name: String,
        outcome: SetupOutcome,
        /// The digest of the schema, if its tests may not write to it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// The credentials were refused, and the client needs new ones.
    Renew,
    /// A statement had no answer of CrateDB, and the client asks what became of the cluster.
    Unanswered,
    /// Asks who holds what. It may be the first message, of an observer, which wants no cluster.
    Status {
        protocol: u32,
        /// The observer wants every change, and what becomes of the cluster.
        watch: bool,
    },
    /// Ends an explicit session, or all without a holder. It may be the first message.
    Finish {
        protocol: u32,
        session: Option<String>,
        /// The process that held the session and gives up its own part: the session ends unless it has other holders.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Identity>,
        /// The cluster is not kept warm either.
        now: bool,
    },
}

/// An explicit session: every process that knows its name belongs to it, whatever stands above the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// Milliseconds that it lives without a lease.
    pub(crate) idle: Millis,
}

/// A client introduces itself. Descriptors of processes come beside it: its own, then those of `runners`; none where
/// the system has none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) protocol: u32,
    pub(crate) spec: Spec,
    pub(crate) own: Identity,
    pub(crate) runners: Vec<Identity>,
    pub(crate) orphan: bool,
    /// The keeper will die with the container in which the run takes place.
    pub(crate) doomed: bool,
    /// Attempts that another keeper had granted, before it was killed.
    pub(crate) open: Vec<Open>,
    /// The test binary, to be counted.
    pub(crate) binary: String,
    /// The explicit session. The runners of its clients are its holders, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<Named>,
    /// The setups that this process knows from a keeper that was killed.
    #[serde(rename = "set_ups", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) setups: Vec<KnownSetup>,
}

/// A setup that this process does, or of which it knows that it is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KnownSetup {
    pub(crate) name: String,
    pub(crate) schema: String,
    pub(crate) done: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
}

/// The outcome of a setup.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SetupOutcome {
    /// It is done.
    Done,
    /// It failed, for all clients of the session.
    Failed { error: Error },
    /// It is not known whether it would have worked. Another client may try.
    GivenUp,
    /// It was done, and a test has changed what no test may change.
    Spoiled { error: Error },
}

/// The answer to a claim.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Do it, in the schema that you named.
    Yours,
    /// It is done, in this schema.
    Done {
        schema: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
    },
    /// It failed, with this error for all clients.
    Failed { error: Error },
}

/// An attempt that a client begins, or that was open when a keeper was killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) id: AttemptId,
    pub(crate) schema: String,
    pub(crate) test: String,
    pub(crate) mode: Mode,
    /// Keep the schema if the process dies before it says how the attempt ended.
    pub(crate) keep_if_lost: bool,
    /// The migrations that the schema needs. The keeper may have a premade one for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) migrations: Option<MigrationSet>,
}

/// A file of migrations on its way to the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MigrationFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The migrations of a test that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MigrationSet {
    /// The checksum of all names and texts, in hexadecimal digits.
    pub(crate) checksum: String,
    /// The reason why no schema can be made ahead for them, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) apart: Option<String>,
    /// The test wants a schema that no other test had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fresh: bool,
    /// They have so many statements that a test waits for a schema rather than make one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) long: bool,
}

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    pub(crate) passed: bool,
    /// There may be something to drop.
    pub(crate) used: bool,
    /// The schema is to be kept.
    pub(crate) keep: bool,
    /// The number of statements that it sent, if all are answered and nothing of it may write any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) settled: Option<u64>,
}

/// All settings that reach a keeper. None come by its environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) key: String,
    pub(crate) target: Target,
    pub(crate) policy: Policy,
    /// The file to which one line per session is appended.
    pub(crate) report: Option<String>,
    /// The filter of the keeper's log.
    pub(crate) log: String,
    /// Notes for people about the settings.
    pub(crate) notes: Vec<String>,
    /// The directory of the project whose sessions are recorded; empty for one that is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) project: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromKeeper {
    /// This keeper speaks another protocol.
    Protocol {
        protocol: u32,
        /// The version of the keeper's crate.
        #[serde(default)]
        version: String,
        /// Runners of the client keep this keeper: it does not end before they do.
        #[serde(default)]
        same_run: bool,
    },
    /// Says what is being waited for. A client shows it to people if it is to `speak`.
    Progress {
        #[serde(serialize_with = "brief")]
        text: String,
        speak: bool,
    },
    /// A line for people.
    Notice {
        #[serde(serialize_with = "brief")]
        text: String,
    },
    /// The cluster is there.
    Ready(Box<Ready>),
    /// There will be no cluster.
    Fail { error: Error },
    /// It is the turn of an attempt.
    Granted {
        id: AttemptId,
        /// A premade schema, which takes the place of the attempt's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
        /// The keeper does not know the text of the migrations, and wants it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        wants: bool,
    },
    /// It is the turn of an attempt, which waits for a schema. The keeper wants the text of the migrations.
    Wants { id: AttemptId },
    /// An attempt gets no turn.
    Refused { id: AttemptId, error: Error },
    /// Everything that an exclusive attempt had changed outside its schema is restored, as far as that is possible. The
    /// text says what people should know of it.
    Aftermath {
        id: AttemptId,
        #[serde(serialize_with = "brief_if_any")]
        text: Option<String>,
    },
    /// The answer to a claim. It may take as long as another process needs for the setup.
    #[serde(rename = "set_up")]
    Setup { name: String, verdict: Verdict },
    /// New credentials, in place of all earlier ones.
    Credentials { credentials: Credentials },
    /// The credentials could not be renewed.
    NotRenewed { error: Error },
    /// The answer to `Unanswered`. Without an error, the cluster is there, as far as is known.
    Explained {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Error>,
    },
    /// Precedes every deliberate close; without it a client attaches again.
    Cut {
        reason: CutReason,
        #[serde(serialize_with = "brief")]
        text: String,
    },
    /// The answer to `Status`.
    State(Box<KeeperSnapshot>),
    /// The answer to `Finish`: which sessions ended, and what still holds the cluster.
    Finished { sessions: Vec<String>, held_by: Vec<String> },
    /// Says how a release ended, in the words of the report, to observers that watch.
    Released {
        outcome: ClusterOutcome,
        #[serde(serialize_with = "brief")]
        detail: String,
    },
}

/// The cluster, as tests need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) provider: String,
    /// For people.
    #[serde(serialize_with = "brief")]
    pub(crate) name: String,
    pub(crate) http_url: String,
    pub(crate) pg_url: Option<Secret>,
    #[serde(serialize_with = "brief_if_any")]
    pub(crate) pg_hint: Option<String>,
    pub(crate) credentials: Credentials,
    /// The authority by which the server is known, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authority: Option<Authority>,
    pub(crate) version: Version,
    /// The server's clock, which the names of schemas carry; none if that of this machine will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clock: Option<ServerClock>,
    #[serde(serialize_with = "brief_if_any")]
    pub(crate) console: Option<String>,
    /// True if the data is there for some time after the session, so that a failed test's schema is worth keeping.
    pub(crate) lives_on: bool,
}

/// Everything about one keeper that people may want to know. It has no secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeeperSnapshot {
    pub(crate) pid: u32,
    pub(crate) key: String,
    pub(crate) phase: Phase,
    /// True if a cluster is or may be up that this keeper has to release.
    pub(crate) owes: bool,
    /// When it releases the cluster if no client comes; at the latest when no test begins any more. Unix seconds.
    pub(crate) until: Option<i64>,
    pub(crate) provider: Option<String>,
    /// The cluster or container, for people.
    #[serde(serialize_with = "brief_if_any")]
    pub(crate) resource: Option<String>,
    /// The address of the cluster while it is there, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_url: Option<String>,
    /// The address for PostgreSQL drivers, if it has no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pg_url: Option<String>,
    /// The last step of what is under way.
    #[serde(serialize_with = "brief_if_any")]
    pub(crate) step: Option<String>,
    /// The reason why the call under way can't go on for now, or why the last release failed.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "brief_if_any")]
    pub(crate) trouble: Option<String>,
    /// Since when something is owed that is not in use. Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owed_since: Option<i64>,
    /// The policy that a release now would follow.
    pub(crate) policy: Policy,
    pub(crate) sessions: Vec<SessionState>,
    /// The names of the explicit sessions that ended last in this keeper's life.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ended: Vec<String>,
}

/// The state of a keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Starting,
    Looking,
    Down,
    Acquiring,
    Up,
    Warm,
    Releasing,
    Owed,
    Failed,
}

/// One session of a keeper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionState {
    /// The name of an explicit session.
    pub(crate) name: Option<String>,
    /// Its runners or holders that live.
    pub(crate) runners: Vec<Identity>,
    /// Unix seconds.
    pub(crate) since: i64,
    /// It is over: its processes that are left have up to 30 s.
    pub(crate) over: bool,
    /// The number of its processes that are connected.
    pub(crate) processes: usize,
    /// Says what ends it, for people.
    pub(crate) ends: String,
    /// When it ends if nothing happens; Unix seconds.
    pub(crate) until: Option<i64>,
    pub(crate) turns: Vec<Turn>,
}

/// An attempt that runs or waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) test: String,
    pub(crate) schema: String,
    pub(crate) mode: Mode,
    pub(crate) runs: bool,
    /// Since when it runs or waits, as far as this keeper knows; Unix seconds.
    pub(crate) since: i64,
    pub(crate) pid: u32,
}
