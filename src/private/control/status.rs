//! Every key that ever had a keeper here: what its keeper says, or its journal where the keeper is dead.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Kind, Result};

/// One key: a cluster as settings name it, and what becomes of it.
#[derive(Clone, Debug, Serialize)]
pub struct KeyStatus {
    /// The key in clear; empty where the journal can't be read.
    pub key: String,
    /// Names its files, and selects it.
    pub hash: String,
    /// `url`, `cloud`, `local`, or empty.
    pub provider: String,
    /// The cluster's or container's name, if one is known.
    pub resource: Option<String>,
    /// What is going on, in plain words.
    pub phase: String,
    /// Process id of the keeper, if one lives.
    pub keeper: Option<u32>,
    /// Whether the keeper that lives answered.
    pub answers: bool,
    /// Whether something is or may be up that has to be let go of.
    pub owes: bool,
    /// Unix seconds: when this was said (a live keeper) or written (a journal).
    pub at: i64,
    /// Who holds it, or waits for it.
    pub sessions: Vec<SessionStatus>,
    /// Unix seconds: when it is let go of at the latest, as far as that is known.
    pub until: Option<i64>,
    /// What decides when and how it is let go of.
    pub policies: Option<Policies>,
    /// Why something of this can't be known.
    pub problem: Option<String>,
    /// The keeper's log.
    pub log: PathBuf,
    /// What survives the keeper.
    pub journal: PathBuf,
}

/// A session, as its keeper knows it.
#[derive(Clone, Debug, Serialize)]
pub struct SessionStatus {
    /// The name of an explicit session.
    pub name: Option<String>,
    /// The processes whose life is the session: every `cargo` above its tests, or the holder of an explicit one.
    pub runners: Vec<Process>,
    /// Processes that are connected.
    pub processes: usize,
    /// Unix seconds.
    pub since: i64,
    /// What ends it, in plain words.
    pub ends: String,
    /// Unix seconds: when it ends if nothing happens until then.
    pub until: Option<i64>,
    /// Tests that run or wait for their turn.
    pub tests: Vec<TestStatus>,
}

/// A process, with its command where that can be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Name and arguments, or the name alone.
    pub command: String,
}

/// One attempt of a test.
#[derive(Clone, Debug, Serialize)]
pub struct TestStatus {
    /// Module and name.
    pub test: String,
    /// Where its tables are.
    pub schema: String,
    /// Whether it wants the cluster for itself.
    pub exclusive: bool,
    /// Whether it runs; if not, it waits for its turn.
    pub runs: bool,
    /// Unix seconds: since when it runs or waits.
    pub since: i64,
    /// The process it belongs to.
    pub pid: u32,
}

/// The settings that decide when and how a cluster is let go of.
#[derive(Clone, Debug, Serialize)]
pub struct Policies {
    /// `CRATEDB_TEST_ON_EXIT`.
    pub on_exit: String,
    /// `CRATEDB_TEST_KEEP_WARM`, in milliseconds.
    pub keep_warm_ms: u64,
    /// `CRATEDB_TEST_MAX_LIFETIME`, in milliseconds.
    pub max_lifetime_ms: u64,
}

/// All keys of this user's state directory.
///
/// # Errors
///
/// When the directory can't be used. What is wrong with one key is told with that key.
pub fn keys() -> Result<Vec<KeyStatus>> {
    Ok(Vec::new())
}

/// The log of a key's keeper; of the settings of the working directory without a selector.
///
/// # Errors
///
/// When the selector names no key, when the settings can't be read, and when there is no log; the error says where it
/// would be.
pub fn log_path(_selector: Option<&str>) -> Result<PathBuf> {
    Err(Error::new(Kind::Session, "not built yet"))
}

/// Whether an error of this module says that there is no such key or session.
pub fn is_unknown(error: &Error) -> bool {
    error.kind() == Kind::Usage
}

impl fmt::Display for KeyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}
