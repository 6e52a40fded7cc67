//! The messages of test processes and keepers.

use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;
use super::words::{AttemptId, ClusterOutcome, CutReason, Millis, Mode, Policy};
use crate::error::Error;
use crate::host::process::Identity;
use crate::sql::Credentials;
use crate::target::Target;
use crate::version::Version;

/// Of this protocol. A client of another one waits for this keeper's end and starts its own.
pub(crate) const PROTOCOL: u32 = 1;
/// The first frame, as every version of this crate sends and understands it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) r#type: String,
    pub(crate) protocol: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromClient {
    Hello(Box<Hello>),
    Begin {
        attempt: Open,
        parent: Option<AttemptId>,
    },
    End {
        id: AttemptId,
        passed: bool,
        used: bool,
        keep: bool,
    },
    /// The migrations of a checksum, for a keeper that asked for them.
    Migrations {
        checksum: String,
        files: Vec<MigrationFile>,
    },
    /// Needs a set-up that is done once per session, and would do it in this schema.
    SetUp {
        name: String,
        schema: String,
    },
    /// Did it, or not.
    SetUpEnded {
        name: String,
        outcome: SetupOutcome,
    },
    /// The credentials were refused: get new ones.
    Renew,
    /// Who holds what? Also as the first message, of somebody who wants no cluster.
    Status {
        protocol: u32,
        /// Say it again whenever it changes, and what becomes of the cluster.
        watch: bool,
    },
    /// Ends an explicit session, or all that nobody holds; also as the first message.
    Finish {
        protocol: u32,
        session: Option<String>,
        /// Who held the session and gives up its own part: the session ends unless somebody else holds it too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holder: Option<Identity>,
        /// Nobody wants the cluster kept warm either.
        now: bool,
    },
}

/// An explicit session: whoever knows its name belongs to it, whatever stands above its process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// Milliseconds that it lives without a lease.
    pub(crate) idle: Millis,
}

/// Who comes and what it wants. Its process descriptors come beside it: its own, then those of `runners`, or none where
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
    /// The explicit session. Its runners are who holds it, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<Named>,
    /// What this process knows of set-ups that a killed keeper gave away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) set_ups: Vec<KnownSetup>,
}

/// A set-up that this process does or knows to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KnownSetup {
    pub(crate) name: String,
    pub(crate) schema: String,
    pub(crate) done: bool,
}

/// How a set-up ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SetupOutcome {
    Done,
    Failed {
        error: Error,
    },
    /// Somebody else may try.
    GivenUp,
}

/// What becomes of a claim.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Do it, in the schema that you named.
    Yours,
    /// It is done, in this schema.
    Done {
        schema: String,
    },
    Failed {
        error: Error,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) id: AttemptId,
    pub(crate) schema: String,
    pub(crate) test: String,
    pub(crate) mode: Mode,
    /// Keep the schema if the process dies before it says how the attempt ended.
    pub(crate) keep_if_lost: bool,
    /// What has to be applied to the schema first. The keeper may have another one to which it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) migrations: Option<MigrationSet>,
}

/// A file on its way to the keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MigrationFile {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// What a test says of its migrations when it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MigrationSet {
    /// Of names and texts, in hexadecimal digits.
    pub(crate) checksum: String,
    /// Why no schema can be made ready for it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) apart: Option<String>,
}

/// All settings that reach a keeper: never by environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) key: String,
    pub(crate) target: Target,
    pub(crate) policy: Policy,
    /// Where to append one line per session.
    pub(crate) report: Option<String>,
    /// The filter of the keeper's log.
    pub(crate) log: String,
    /// What people should know about the settings.
    pub(crate) notes: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromKeeper {
    /// This keeper speaks another protocol.
    Protocol {
        protocol: u32,
        /// Of this crate.
        #[serde(default)]
        version: String,
        /// Runners of the one who asked hold this keeper: it does not end before they do.
        #[serde(default)]
        same_run: bool,
    },
    /// What is being waited for. `speak`: this client shows it to people.
    Progress {
        text: String,
        speak: bool,
    },
    /// For people, at once and once.
    Notice {
        text: String,
    },
    Ready(Box<Ready>),
    Fail {
        error: Error,
    },
    Granted {
        id: AttemptId,
        /// In place of its own, a schema to which its migrations were applied.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
        /// The keeper does not know the text of its migrations, and could use it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        wants: bool,
    },
    Refused {
        id: AttemptId,
        error: Error,
    },
    /// An exclusive attempt that ended: what it had changed outside its schema is put back, as far as that goes. With
    /// what people should know of it.
    Aftermath {
        id: AttemptId,
        text: Option<String>,
    },
    /// The answer to `SetUp`, which may take as long as another process needs for it.
    SetUp {
        name: String,
        verdict: Verdict,
    },
    Credentials {
        credentials: Credentials,
    },
    /// Renewing failed.
    NotRenewed {
        error: Error,
    },
    /// Precedes every deliberate close; without it a client attaches again.
    Cut {
        reason: CutReason,
        text: String,
    },
    /// The answer to `Status`.
    State(Box<Snapshot>),
    /// The answer to `Finish`: which sessions ended, and who still holds the cluster.
    Finished {
        sessions: Vec<String>,
        held_by: Vec<String>,
    },
    /// To those who watch: how a release ended, in the words of the report.
    Released {
        outcome: ClusterOutcome,
        detail: String,
    },
}

/// The cluster, as tests need it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) provider: String,
    /// For people.
    pub(crate) name: String,
    pub(crate) http_url: String,
    pub(crate) pg_url: Option<crate::secret::Secret>,
    pub(crate) pg_hint: Option<String>,
    pub(crate) credentials: Credentials,
    pub(crate) version: Version,
    pub(crate) console: Option<String>,
    /// Whether the data is still there after the session, so that a failed test's schema is worth keeping.
    pub(crate) lives_on: bool,
}
