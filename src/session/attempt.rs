//! One execution of one test: its turn, its schema, its end.

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use super::Session;
use super::link::Link;
use crate::background;
use crate::cluster::current::{LinkedAttempt, Surroundings};
use crate::cluster::{Cluster, Grant, OnDrop, Trace};
use crate::error::{Error, Kind, Result};
use crate::host::say;
use crate::migrations::Set;
use crate::schema;
use crate::settings::{KeepSchema, Wanted};
use crate::sql::Credentials;
use crate::user;
use crate::wire::{AttemptId, Mode, Open, Ready};

/// What the attribute knows about a test.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TestInfo {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) manifest_dir: &'static str,
    pub(crate) exclusive: bool,
    /// Of its cluster.
    pub(crate) wanted: Wanted,
    /// Beats the setting.
    pub(crate) keep_schema: Option<KeepSchema>,
    pub(crate) migrations: Option<Set>,
}

/// An attempt that was granted. Dropped without a word it counts as failed if the thread panics, else as passed.
pub(crate) struct Attempt {
    cluster: Cluster,
    lease: Lease,
    /// What has to be applied before anything else; none if it was applied ahead.
    due: Option<Set>,
}

/// What ends an attempt.
struct Lease {
    link: Link,
    id: AttemptId,
    test: String,
    schema: String,
    keep: KeepSchema,
    trace: Arc<Trace>,
    used: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    exclusive: bool,
    ended: bool,
}

impl Attempt {
    /// Joins the session, waits for the cluster and for the test's turn. No SQL. It does not wait where it is made
    /// `within` an attempt on the same cluster.
    pub(crate) async fn begin(test: TestInfo, within: Vec<LinkedAttempt>) -> Result<Self> {
        let session = Session::of_package(Path::new(test.manifest_dir), test.wanted).await?;
        let parent = parent_of(&within, &session.link);
        let name = format!("{}::{}", test.module, test.name);
        let mode = if test.exclusive { Mode::Exclusive } else { Mode::Shared };
        background::run(granted(session.link, name, mode, test.keep_schema, parent, test.migrations)).await
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether there are migrations that were not applied ahead.
    pub(crate) fn has_migrations_due(&self) -> bool {
        self.due.is_some()
    }

    /// Applies the migrations to the schema, unless that was done ahead.
    pub(crate) fn migrate(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let (cluster, due) = (self.cluster.clone(), self.due);
        async move {
            match due {
                Some(set) => set.apply(&cluster).await,
                None => Ok(()),
            }
        }
    }

    /// Ends the attempt: from now on its handles answer with an error. A failure that leaves its schema behind says where
    /// it is.
    pub(crate) fn end(mut self, passed: bool) {
        self.lease.end(passed);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(!std::thread::panicking());
    }
}

impl Lease {
    fn end(&mut self, passed: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.over.store(true, Ordering::Release);
        self.within().forget_runtime();
        let used = self.used.load(Ordering::Acquire);
        let lives_on = self.link.ready().is_ok_and(|ready| ready.lives_on);
        let wanted = match self.keep {
            KeepSchema::Always => true,
            KeepSchema::OnFailure => !passed,
            KeepSchema::Never => false,
        };
        let keep = wanted && lives_on && used;
        // The thread that reads the answer must not wait for it; then the keeper puts back all the same.
        if self.exclusive && used && !background::is_background() {
            if let Some(text) = self.link.end_alone(self.id, passed, used, keep) {
                say(&text);
            }
        } else {
            self.link.end(self.id, passed, used, keep);
        }
        let kept = self.link.ready().ok().filter(|_| keep).map(|ready| self.kept(&ready));
        let sent = self.trace.report().filter(|_| !passed).map(|report| format!("`{}` sent {report}", self.test));
        for text in sent.into_iter().chain(kept) {
            // Shown with the test's own output, which libtest captures. The macro panics if nobody reads it any more; in
            // the drop of a test that panics already, that would be the end of the whole process.
            let _ = catch_unwind(|| eprintln!("cratedb-test: {text}"));
        }
    }

    fn within(&self) -> LinkedAttempt {
        LinkedAttempt { link: self.link.number(), id: self.id, exclusive: self.exclusive }
    }

    /// Where a kept schema is, until when, and how to open it.
    fn kept(&self, ready: &Ready) -> String {
        let Self { schema, test, .. } = self;
        let mut lines = vec![format!("schema {schema} of `{test}` is kept on {}", ready.name)];
        if let Some(until) = schema::kept_until(schema) {
            lines.push(format!("until:   {until}; then the next run drops it"));
        }
        if let Some(page) = &ready.console {
            lines.push(format!("console: {page}"));
        }
        let user = match &ready.credentials {
            Credentials::Basic { username, .. } => format!(" --username {username}"),
            _ => String::new(),
        };
        lines.push(format!("open it: crash --hosts {}{user} --schema {schema}", ready.http_url));
        if let Some(url) = pg_url(ready, schema).ok().and_then(|url| to_show(&url)) {
            lines.push(format!("     or: psql \"{url}\""));
        }
        lines.push(format!("drop it: cargo cratedb kept --drop {schema}"));
        lines.join("\n  ")
    }
}

/// An address that can be shown, and used by people; none if its user will be gone by then.
fn to_show(url: &str) -> Option<url::Url> {
    let mut url = url::Url::parse(url).ok()?;
    if user::is_ours(url.username()) {
        return None;
    }
    url.set_password(None).ok()?;
    Some(url)
}

/// An attempt of nobody's: it ends with the last handle of its cluster.
pub(super) async fn unattended(link: Link, name: String, parent: Option<AttemptId>) -> Result<Cluster> {
    let attempt = granted(link, name, Mode::Shared, None, parent, None).await?;
    let cluster = attempt.cluster.clone();
    let mut lease = attempt.lease;
    cluster.grant().on_drop.set(move || lease.end(!std::thread::panicking()));
    Ok(cluster)
}

async fn granted(
    link: Link,
    test: String,
    mode: Mode,
    keep: Option<KeepSchema>,
    parent: Option<AttemptId>,
    set: Option<Set>,
) -> Result<Attempt> {
    let keep = keep.unwrap_or(link.settings().keep_schema);
    let (id, schema) = (link.next_attempt(), schema::name(&test, SystemTime::now()));
    let keep_if_lost = keep != KeepSchema::Never && link.ready()?.lives_on;
    let migrations = set.map(|set| set.wanted());
    let open = Open { id, schema: schema.clone(), test: test.clone(), mode, keep_if_lost, migrations };
    let prepared = link.begin(open, parent, set).await?;
    let (due, is_there) = (set.filter(|_| prepared.is_none()), prepared.is_some());
    let schema = prepared.unwrap_or(schema);
    // Only now: the turn may have been given by another keeper, over another local server.
    let ready = link.ready()?;
    let (used, over) = (Arc::new(AtomicBool::new(is_there)), Arc::new(AtomicBool::new(false)));
    let trace: Arc<Trace> = Arc::default();
    let lease = Lease {
        trace: trace.clone(),
        link: link.clone(),
        id,
        test: test.clone(),
        schema: schema.clone(),
        keep,
        used: used.clone(),
        over: over.clone(),
        exclusive: mode == Mode::Exclusive,
        ended: false,
    };
    let cluster = Cluster::new(Grant {
        pg_url: pg_url(&ready, &schema),
        http_url: ready.http_url.clone(),
        wallet: link.wallet()?.clone(),
        version: ready.version,
        schema,
        test,
        attempt: Some(lease.within()),
        trace,
        used,
        over,
        on_drop: OnDrop::default(),
    })?;
    Ok(Attempt { cluster, lease, due })
}

/// A cluster in a schema that belongs to no attempt: the session's end is its own.
pub(super) fn shared(link: &Link, name: &str, schema: String) -> Result<Cluster> {
    let ready = link.ready()?;
    Cluster::new(Grant {
        pg_url: pg_url(&ready, &schema),
        http_url: ready.http_url.clone(),
        wallet: link.wallet()?.clone(),
        version: ready.version,
        schema,
        test: format!("the set-up `{name}`"),
        attempt: None,
        trace: Arc::default(),
        used: Arc::default(),
        over: Arc::default(),
        on_drop: OnDrop::default(),
    })
}

/// The PostgreSQL protocol takes the schema for the database.
fn pg_url(ready: &Ready, schema: &str) -> Result<String> {
    let lacking = || {
        let error = Error::new(Kind::Usage, format!("no PostgreSQL URL for {}", ready.name));
        match &ready.pg_hint {
            Some(hint) => error.because(hint),
            None => error,
        }
    };
    let base = ready.pg_url.as_ref().ok_or_else(lacking)?;
    let mut url = url::Url::parse(base.expose())
        .map_err(|_| Error::new(Kind::Provider, "the PostgreSQL address of the cluster can't be read"))?;
    url.set_path(schema);
    Ok(url.into())
}

/// Returns the attempt of which one that begins in these surroundings is a part.
///
/// # Errors
///
/// When it would wait for the test that asks for it.
pub(super) fn parent(surroundings: Surroundings, link: &Link, name: &str) -> Result<Option<AttemptId>> {
    let thread = match surroundings {
        Surroundings::Inside(within) => return Ok(parent_of(&within, link)),
        Surroundings::OneTest => return Ok(link.exclusive().map(|open| open.id)),
        Surroundings::Elsewhere => return Ok(None),
        Surroundings::Stray(thread) => thread,
    };
    let Some(open) = link.exclusive() else { return Ok(None) };
    Err(Error::new(Kind::Usage, format!("cannot make the cluster `{name}` in a thread {thread}"))
        .because(format!("the exclusive test `{}` of this process has the cluster, and this may be a part of it that would wait for itself", open.test))
        .hint("ask for the cluster in the test's own thread or in a task of its runtime, and hand it to the other threads"))
}

/// Returns the innermost attempt on the cluster of `link`. The number of an attempt on another cluster means nothing here.
fn parent_of(within: &[LinkedAttempt], link: &Link) -> Option<AttemptId> {
    within.iter().find(|attempt| attempt.link == link.number()).map(|attempt| attempt.id)
}
