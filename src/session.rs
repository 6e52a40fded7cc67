//! Stand-in until the session is merged: attempts whose cluster is never contacted.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::cluster::{Cluster, Grant};
use crate::error::Result;

/// One run.
pub struct Session;

impl Session {
    /// The session of this process.
    pub async fn current() -> Result<Session> {
        Ok(Session)
    }

    /// A cluster without a macro.
    pub async fn cluster(&self, name: &str) -> Result<Cluster> {
        grant(name.to_owned())
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
        self.0.grant().over.store(true, Ordering::SeqCst);
        if let Ok(path) = std::env::var("CRATEDB_TEST_STANDIN_LOG") {
            use std::io::Write;
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            writeln!(file, "{} {}", self.0.grant().test, passed).unwrap();
        }
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
    if let Ok(text) = std::env::var("CRATEDB_TEST_STANDIN_FAIL") {
        return Err(crate::Error::new(crate::error::Kind::Session, text));
    }
    Cluster::new(Grant {
        http_url: "http://127.0.0.1:4200".into(),
        pg_url: Ok("postgresql://crate@127.0.0.1:5432".into()),
        version: "6.4.3".parse()?,
        schema: format!("standin_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst)),
        test,
        used: AtomicBool::new(false),
        over: AtomicBool::new(false),
    })
}
