//! The report of a session: plain data, which is also the JSON of `cargo cratedb report`. All times are milliseconds;
//! those named after an event count from the beginning of the session.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use crate::recording::RecycledCounts;

/// One session: a run, with every cluster that it used.
#[derive(Clone, Debug, Serialize)]
pub struct Session {
    /// The name that selects it: 8 hexadecimal digits.
    pub id: String,
    /// The name of an explicit session.
    pub name: Option<String>,
    /// The directory of the project.
    pub project: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub began_at_ms: u64,
    /// Its length, until the last cluster was released; as far as it is recorded, if its end is not.
    pub length: u64,
    /// The end, as far as it is recorded.
    pub end: End,
    /// The use of each cluster, in the order of the first requests.
    pub clusters: Vec<ClusterUse>,
    /// The time that clusters ran, and what that cost.
    pub bill: Bill,
    /// The longest waits, the longest first.
    pub slowest_waits: Vec<Wait>,
    /// Lines that people should know of the recording: damage, limits.
    pub notes: Vec<String>,
}

/// The end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It is over, and what became of its clusters is recorded.
    Over,
    /// A keeper of it is alive.
    Running,
    /// A keeper of it was killed, or its machine went down.
    Unknown,
}

/// The use of one cluster by one session.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterUse {
    /// The hash of the key, as `cargo cratedb status` shows it.
    pub key: String,
    /// `cloud`, `container`, `process`, `url`; empty if there never was a cluster.
    pub provider: String,
    /// The cluster or container, for people.
    pub name: String,
    /// The version of CrateDB.
    pub version: String,
    /// The way in which it came: `started`, `resumed`, `deployed`, `found running`.
    pub how: String,
    /// The id of a cluster of CrateDB Cloud.
    pub id: Option<String>,
    /// Its fate, in the words of `CRATEDB_TEST_REPORT`; none if that is not recorded.
    pub outcome: Option<String>,
    /// More about the outcome.
    pub detail: String,
    /// The phases of the cluster, without gaps.
    pub phases: Vec<Phase>,
    /// Steps of the keeper beside them: cleaning, looks and repairs around exclusive tests.
    pub steps: Vec<Phase>,
    /// The processes that used it, in the order of their arrival.
    pub processes: Vec<Process>,
    /// The attempts, in the order in which they asked for their turn.
    pub attempts: Vec<Attempt>,
    /// The fates of schemas that were made ahead.
    pub recycled: RecycledCounts,
}

/// A stretch of time in which a keeper did one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// The kind of it.
    pub kind: PhaseKind,
    /// Its beginning.
    pub from: u64,
    /// Its end.
    pub to: u64,
    /// The last messages of it, such as what a resume waited for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub says: Vec<String>,
}

/// The kind of a [`Phase`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// The keeper looked for what a killed one had left.
    Looking,
    /// There was no cluster.
    Down,
    /// The cluster was started, resumed, or found.
    Starting,
    /// The cluster was there for tests.
    Up,
    /// It was kept for the next session.
    Warm,
    /// It was released.
    Releasing,
    /// A release had failed, and was to be tried again.
    Owed,
    /// There will be no cluster.
    Failed,
    /// Schemas and users were dropped.
    Cleaning,
    /// The state before an exclusive test was looked at.
    Look,
    /// Changes of an exclusive test were put back.
    Restore,
    /// A kind of a later version.
    Unknown,
}

impl PhaseKind {
    /// Returns whether the cluster runs in such a phase.
    pub fn runs(self) -> bool {
        matches!(self, Self::Up | Self::Warm | Self::Releasing | Self::Owed)
    }

    /// Returns the word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Looking => "looking for left-overs",
            Self::Down => "down",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Warm => "kept warm",
            Self::Releasing => "releasing",
            Self::Owed => "not released",
            Self::Failed => "failed",
            Self::Cleaning => "cleaning",
            Self::Look => "look before an exclusive test",
            Self::Restore => "putting back after an exclusive test",
            Self::Unknown => "unknown",
        }
    }
}

/// A test process.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// The process id, in the namespace of the process.
    pub pid: u32,
    /// The name of its program.
    pub program: String,
    /// When it asked for the cluster.
    pub joined: u64,
    /// When it was told of the cluster, if it was.
    pub ready: Option<u64>,
    /// When it was gone, if that is recorded.
    pub left: Option<u64>,
}

/// One execution of a test.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// The module and name of the test.
    pub test: String,
    /// The place of its process in [`ClusterUse::processes`].
    pub process: usize,
    /// The schema, if it got one.
    pub schema: String,
    /// True if it ran alone.
    pub exclusive: bool,
    /// True if it began inside another attempt, of which it is a part.
    pub inside: bool,
    /// True if its schema was made ahead.
    pub premade: bool,
    /// True if its schema was kept.
    pub kept: bool,
    /// When it asked for its turn.
    pub asked: u64,
    /// When it was its turn, if that came before the schema was there.
    pub turn: Option<u64>,
    /// When it began, if it did.
    pub began: Option<u64>,
    /// When it ended, if it did.
    pub ended: Option<u64>,
    /// The result.
    pub result: AttemptResult,
}

/// The result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The test passed.
    Passed,
    /// The test failed.
    Failed,
    /// Its process ended before the test did.
    Lost,
    /// It got no turn, for this reason.
    Refused(String),
    /// It waits or runs, or the recording ends before it does.
    Open,
}

impl AttemptResult {
    /// Returns the word for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Lost => "process ended",
            Self::Refused(_) => "not begun",
            Self::Open => "not ended",
        }
    }
}

/// A wait for the cluster, for a turn, or for a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wait {
    /// The thing that was waited for.
    pub reason: WaitReason,
    /// The test, or the program of the process that waited for the cluster.
    pub who: String,
    /// The process id.
    pub pid: u32,
    /// The beginning.
    pub from: u64,
    /// The length.
    pub length: u64,
    /// The exclusive test behind which a test waited for its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
}

/// The thing that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The cluster: its start, or that of its keeper.
    Cluster,
    /// A turn on it.
    Turn,
    /// A schema with migrations.
    Schema,
}

/// The time that clusters ran, and what that cost. The time of several clusters is added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Bill {
    /// The time that clusters took to be there.
    pub starting_ms: u64,
    /// The time from then on until they were released.
    pub running_ms: u64,
    /// The part of it in which a test had its turn.
    pub in_tests_ms: u64,
    /// The part of it in which none had.
    pub idle_ms: u64,
    /// True if the end of a recording is not known, so that it was at least this.
    pub at_least: bool,
    /// The cost of the running time, if a price is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// A cost, with the price from which it follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// The amount.
    pub amount: f64,
    /// The currency; empty if none is known.
    pub currency: String,
    /// The price for an hour; none in a sum of several prices.
    pub per_hour: Option<f64>,
    /// The source of the price.
    pub source: String,
}

impl Session {
    /// Returns the number of attempts by the words of their results, but for those inside others.
    pub fn results(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for attempt in self.attempts() {
            *counts.entry(attempt.result.word()).or_default() += 1;
        }
        counts
    }

    /// Returns the number of processes that ran tests.
    pub fn test_processes(&self) -> usize {
        let of = |used: &'_ ClusterUse| -> Vec<(u32, String)> {
            let places = used.attempts.iter().filter_map(|one| used.processes.get(one.process));
            places.map(|process| (process.pid, process.program.clone())).collect()
        };
        self.clusters.iter().flat_map(of).collect::<BTreeSet<_>>().len()
    }

    /// Returns all attempts but for those inside others.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.clusters.iter().flat_map(|cluster| &cluster.attempts).filter(|attempt| !attempt.inside)
    }
}
