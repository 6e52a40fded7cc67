//! Begins and ends one execution of one test: its turn, its schema, what is said about it at the end.

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::link::Link;
use super::readonly::ReadonlySchema;
use super::{joined, kept};
use crate::background;
use crate::cluster::current::{LinkedAttempt, Whereabouts};
use crate::cluster::{Cluster, Grant, Trace, Writers};
use crate::environment::Package;
use crate::error::{Error, Kind, Result};
use crate::faults::Proxies;
use crate::foreign;
use crate::host::say;
use crate::migrations::Migrations;
use crate::settings::{KeepSchema, Wanted};
use crate::target::Security;
use crate::wire::{AttemptId, Ended, Mode, Open, Ready};
use crate::{clock, schema};

/// A test, as its expansion describes it.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// `module_path!()` of the test.
    pub module: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// Directory of the manifest of the test's package when it was built.
    pub manifest_dir: &'static str,
    /// The test wants to be alone on the cluster.
    pub exclusive: bool,
    /// The test passes by panicking.
    pub should_panic: bool,
    /// The version of CrateDB that the test wants, as in `6.4` or `6.4.3`.
    pub version: Option<&'static str>,
    /// The number of nodes that the test wants.
    pub nodes: Option<u32>,
    /// The settings of CrateDB that the test wants, as names and values.
    pub settings: &'static [(&'static str, &'static str)],
    /// The test wants a server that asks for a password.
    pub password: bool,
    /// The test wants a server that encrypts.
    pub tls: bool,
    /// When the schema outlives the test. It takes precedence over the setting.
    pub keep_schema: Option<KeepSchema>,
    /// The files that make its tables.
    pub migrations: Option<Migrations>,
}

impl Test {
    /// A test without options: expansions name only what differs.
    pub const USUAL: Self = Self {
        module: "",
        name: "",
        manifest_dir: "",
        exclusive: false,
        should_panic: false,
        version: None,
        nodes: None,
        settings: &[],
        password: false,
        tls: false,
        keep_schema: None,
        migrations: None,
    };
}

/// An attempt that was granted.
pub(crate) struct Attempt {
    cluster: Cluster,
    ending: Ending,
    /// The migrations, unless the schema is a premade one.
    due: Option<Migrations>,
}

impl Attempt {
    /// Joins the session, waits for the cluster and for the test's turn. It sends no SQL. Where it is made `within` an
    /// attempt on the same cluster, it does not wait for a turn. Runs on the background thread.
    pub(crate) async fn begin(test: Test, within: Vec<LinkedAttempt>) -> Result<Self> {
        let (version, settings) = (test.version.map(str::parse).transpose()?, test.settings.iter().copied());
        let security = Security { password: test.password, tls: test.tls };
        let wanted = Wanted { version, nodes: test.nodes, settings: Wanted::settings_of(settings)?, security };
        let link = joined::link(Package::of_process(Path::new(test.manifest_dir)), wanted).await?;
        let parent = parent_of(&within, &link);
        granted(link, format!("{}::{}", test.module, test.name), Some(test), parent).await
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns the work of applying the migrations, if any are due.
    pub(crate) fn migrations_due(&self) -> Option<impl Future<Output = Result<()>> + Send + use<>> {
        let (cluster, due) = (self.cluster.clone(), self.due?);
        Some(async move { due.apply(&cluster).await })
    }

    /// Ends the attempt: from now on its handles answer with an error. A failure that leaves its schema behind says
    /// where it is.
    ///
    /// # Errors
    ///
    /// When the test has changed a schema that it shares with others.
    pub(crate) fn end(mut self, passed: bool) -> Result<()> {
        self.ending.end(passed)
    }
}

/// This process has said what would keep a server that is removed after the run.
static ADVISED: AtomicBool = AtomicBool::new(false);

/// Ends an attempt, at the latest when it is dropped: a test that panics drops it while unwinding.
struct Ending {
    link: Link,
    attempt: LinkedAttempt,
    grant: Arc<Grant>,
    keep: KeepSchema,
    /// The schema, if other tests read it, too.
    readonly: Option<ReadonlySchema>,
    /// None in an attempt not tied to a test.
    should_panic: Option<bool>,
    ended: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        // A test that does not panic here had its future dropped in its middle, by a time-out for example.
        if let Err(error) = self.end(self.should_panic.map_or(!panics, |should_panic| panics && should_panic)) {
            say(&error.to_string());
        }
    }
}

impl Ending {
    fn end(&mut self, passed: bool) -> Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        let Grant { over, used, trace, writers, proxies, test, .. } = &*self.grant;
        let LinkedAttempt { id, exclusive, .. } = self.attempt;
        // In one order with the statements of tasks that go on: each is counted below, or refused.
        over.store(true, Ordering::SeqCst);
        // Nothing that they still hold gets to the server.
        proxies.close();
        let settled = writers.settled();
        self.attempt.forget_runtime();
        let unchanged = self.readonly.as_ref().map_or(Ok(()), |shared| shared.is_as_made(&self.grant));
        // A schema that is shared is not this test's to drop or to keep.
        let used = used.load(Ordering::Acquire) && self.readonly.is_none();
        let wanted = match self.keep {
            KeepSchema::Always => true,
            KeepSchema::OnFailure => !passed,
            KeepSchema::Never => false,
        };
        let ready = self.link.ready().ok().filter(|_| wanted && used);
        let (stays, goes): (Option<_>, Option<_>) = match ready {
            Some(ready) if ready.lives_on => (Some(ready), None),
            other => (None, other.filter(|_| !passed && !ADVISED.swap(true, Ordering::Relaxed))),
        };
        let keep = stays.is_some();
        // The thread that reads the answer must not wait for it. The keeper repairs the cluster all the same.
        if exclusive && used && !background::is_background() {
            if let Some(text) = self.link.end_alone(id, Ended { passed, used, keep, settled }) {
                say(&text);
            }
        } else {
            self.link.end(id, Ended { passed, used, keep, settled });
        }
        let kept = stays.map(|ready| kept::told(self.link.settings(), &ready, &self.grant.schema, test));
        let advice = goes.map(|_| kept::advice(test));
        let sent = trace.report().filter(|_| !passed).map(|report| format!("`{test}` sent {report}"));
        for text in sent.into_iter().chain(kept).chain(advice) {
            // Shown with the test's own output, which libtest captures. The macro panics if nobody reads it any more;
            // in the drop of a test that panics already, that would be the end of the whole process.
            let _ = catch_unwind(|| eprintln!("cratedb-test: {}", foreign::block(&text)));
        }
        unchanged
    }
}

/// Begins an attempt not tied to a test: it ends with the last handle of its cluster.
pub(super) async fn unattended(link: Link, name: String, parent: Option<AttemptId>) -> Result<Cluster> {
    let Attempt { cluster, ending, .. } = granted(link, name, None, parent).await?;
    cluster.end_with_last_handle(ending);
    Ok(cluster)
}

async fn granted(link: Link, name: String, test: Option<Test>, parent: Option<AttemptId>) -> Result<Attempt> {
    let Test { exclusive, migrations, keep_schema, .. } = test.unwrap_or(Test::USUAL);
    let (shared, own) = (migrations.filter(Migrations::is_readonly), migrations.filter(|one| !one.is_readonly()));
    let keep = keep_schema.unwrap_or(link.settings().keep_schema);
    let attempt = LinkedAttempt { link: link.number(), id: link.next_attempt(), exclusive };
    let ready = link.ready()?;
    let open = Open {
        id: attempt.id,
        schema: schema::name(&name, clock::now(ready.clock)),
        test: name,
        mode: if exclusive { Mode::Exclusive } else { Mode::Shared },
        keep_if_lost: keep != KeepSchema::Never && ready.lives_on && shared.is_none(),
        migrations: own.map(|migrations| migrations.described()),
    };
    let turn = link.begin(open, parent, own).await?;
    let mut open_turn = OpenTurn { link: link.clone(), id: Some(attempt.id) };
    let readonly = match shared {
        Some(migrations) => Some(ReadonlySchema::enter(&link, migrations).await?),
        None => None,
    };
    let schema = readonly.as_ref().map_or(turn.schema, |shared| shared.schema().to_owned());
    let mut grant = grant(&link, schema, turn.test, Some(attempt))?;
    (grant.used, grant.readonly) = (AtomicBool::new(turn.premade), readonly.is_some());
    let grant = Arc::new(grant);
    let should_panic = test.map(|test| test.should_panic);
    let ending = Ending { link, attempt, grant: grant.clone(), keep, readonly, should_panic, ended: false };
    open_turn.id = None;
    Ok(Attempt { cluster: Cluster::new(grant)?, ending, due: own.filter(|_| !turn.premade) })
}

/// A turn that was granted. Dropped before the attempt is there, by a failure or a time-out, it gives the turn back.
struct OpenTurn {
    link: Link,
    id: Option<AttemptId>,
}

impl Drop for OpenTurn {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.link.end(id, Ended { passed: false, used: false, keep: false, settled: None });
        }
    }
}

/// Grants a schema on the cluster of `link`: that of an attempt, or one that is shared and ends with the session.
pub(super) fn grant(link: &Link, schema: String, test: String, attempt: Option<LinkedAttempt>) -> Result<Grant> {
    // Not earlier than the turn, which another keeper may have given, over another local server.
    let ready = link.ready()?;
    Ok(Grant {
        pg_url: pg_url(&ready, &schema),
        http_url: ready.http_url.clone(),
        wallet: link.wallet()?.clone(),
        version: ready.version,
        schema,
        test,
        attempt,
        trace: Trace::default(),
        proxies: Proxies::default(),
        writers: Writers::default(),
        explain: link.explainer(&ready),
        used: AtomicBool::default(),
        over: AtomicBool::default(),
        readonly: false,
    })
}

/// Returns the address of the PostgreSQL protocol, which takes the schema for the database.
pub(super) fn pg_url(ready: &Ready, schema: &str) -> Result<String> {
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

/// Returns the attempt of which one that begins in the calling thread is a part.
///
/// # Errors
///
/// When it would wait for the test that asks for it.
pub(super) fn parent_of_this_thread(link: &Link, name: &str) -> Result<Option<AttemptId>> {
    let thread = match Whereabouts::look() {
        Whereabouts::Inside(within) => return Ok(parent_of(&within, link)),
        Whereabouts::OneTest => return Ok(link.exclusive().map(|open| open.id)),
        Whereabouts::Elsewhere => return Ok(None),
        Whereabouts::Stray(thread) => thread,
    };
    let Some(open) = link.exclusive() else { return Ok(None) };
    let why = format!(
        "the exclusive test `{}` of this process has the cluster, and this may be a part of it that would wait for itself",
        open.test
    );
    Err(Error::new(Kind::Usage, format!("cannot make the cluster `{name}` in a thread {thread}")).because(why).hint(
        "ask for the cluster in the test's own thread or in a task of its runtime, and hand it to the other threads",
    ))
}

/// Returns the innermost attempt on the cluster of `link`. The number of an attempt on another cluster means nothing
/// here.
fn parent_of(within: &[LinkedAttempt], link: &Link) -> Option<AttemptId> {
    within.iter().find(|attempt| attempt.link == link.number()).map(|attempt| attempt.id)
}
