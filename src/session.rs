//! Stand-in until the session is merged: every attempt is granted at once, on the server of a variable.

use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::cluster::{Cluster, Grant, OnDrop};
use crate::error::{Error, Kind, Result};
use crate::sql::{Credentials, Wallet};

/// One run.
pub struct Session;

impl Session {
    /// The session of this process.
    pub async fn current() -> Result<Session> {
        Ok(Session)
    }

    /// A cluster without a macro.
    pub async fn cluster(&self, name: &str) -> Result<Cluster> {
        let cluster = grant(name.to_owned())?;
        let name = name.to_owned();
        cluster.grant().on_drop.set(move || note(&name, !std::thread::panicking()));
        Ok(cluster)
    }
}

#[allow(dead_code)]
pub(crate) struct TestInfo {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) manifest_dir: &'static str,
    pub(crate) exclusive: bool,
    pub(crate) keep_schema: Option<KeepSchema>,
}

pub(crate) enum KeepSchema {
    Always,
    Never,
    OnFailure,
}

pub(crate) struct Attempt(Cluster);

impl Attempt {
    pub(crate) async fn begin(test: TestInfo) -> Result<Attempt> {
        grant(format!("{}::{}", test.module, test.name)).map(Attempt)
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.0
    }

    pub(crate) fn end(self, passed: bool) {
        self.0.grant().over.store(true, Ordering::Release);
        note(&self.0.grant().test, passed);
    }
}

thread_local!(static CURRENT: RefCell<Vec<Cluster>> = const { RefCell::new(Vec::new()) });

pub(crate) fn current_cluster() -> Option<Cluster> {
    CURRENT.with_borrow(|all| all.last().cloned())
}

pub(crate) struct Entered;

pub(crate) fn enter(attempt: &Attempt) -> Entered {
    CURRENT.with_borrow_mut(|all| all.push(attempt.0.clone()));
    Entered
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|all| all.pop());
    }
}

fn grant(test: String) -> Result<Cluster> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let http_url = std::env::var("CRATEDB_CLUSTER_URL")
        .map_err(|_| Error::new(Kind::Session, "cannot find a cluster").because("this session is a stand-in"))?;
    Cluster::new(Grant {
        http_url,
        pg_url: Err(Error::new(Kind::Usage, "no PostgreSQL here")),
        wallet: Wallet::new(Credentials::None),
        version: "6.4.3".parse()?,
        schema: format!("standin_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)),
        test,
        used: AtomicBool::new(false),
        over: AtomicBool::new(false),
        on_drop: OnDrop::default(),
    })
}

fn note(test: &str, passed: bool) {
    let Ok(path) = std::env::var("CRATEDB_TEST_STANDIN_LOG") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let _ = file.and_then(|mut file| writeln!(file, "{test} {passed}"));
}
