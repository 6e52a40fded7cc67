//! Drives the gate of one keeper: sends its statements and requests, one at a time, and tells the provider and the
//! keeper what follows.
//!
//! A task of its own owns the gate, since leases are renewed while no call of the provider is under way. It ends with
//! its last [`Door`].

use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::gate::{AtEnd, Effect, Event, Gate, Lease, Left, Limits, Memory};
use super::table::LeaseTable;
use crate::cloud::lifecycle::{Hooks, Intent, Lifecycle, May, Run, StopRequest, Stopped, Touch};
use crate::cloud::operation::LastOperation;
use crate::error::{Error, Kind, Result};
use crate::sharing::{Member, News};
use crate::wait::Millis;

/// The longest sleep. The runtime's clock stands still while the machine sleeps, and the gate's does not.
const NAP: Duration = Duration::from_secs(1);
/// The deadline of one suspension, and of a resumption long after the join. They take minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The cluster behind a door.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) id: String,
    /// Names the cluster to people.
    pub(crate) named: String,
}

/// An order to join the keepers on a cluster that answers SQL.
pub(crate) struct Entry {
    /// See [`Event::Join`].
    pub(crate) woken: bool,
    pub(crate) deadline: Instant,
    pub(crate) hooks: Arc<dyn Hooks>,
}

/// An order to leave, and to suspend or delete the cluster if no other keeper uses it.
pub(crate) struct Exit {
    pub(crate) at_end: AtEnd,
    pub(crate) delete: bool,
    /// The newest operation of the cluster that is known.
    pub(crate) known: Option<LastOperation>,
    pub(crate) hooks: Arc<dyn Hooks>,
}

/// The state of a cluster for a keeper that has joined the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside {
    /// The cluster is to be suspended in the end.
    pub(crate) ours: bool,
    /// The call that made the cluster available while this keeper joined.
    pub(crate) touch: Option<Touch>,
    pub(crate) alone: bool,
}

/// The outcome of a departure.
#[derive(Debug)]
pub(crate) enum Departure {
    Stopped(Stopped),
    /// These other keepers use it.
    InUse(String),
    Running,
    /// A newer version shares it.
    Newer,
    /// It is to be stopped and was not. True if another try may succeed at once.
    Owed(Error, bool),
}

enum Order {
    Join(Entry, oneshot::Sender<Result<Inside>>),
    Leave(Exit, oneshot::Sender<Departure>),
    WantAlone { wants: bool, number: u64 },
    Quiet { number: u64 },
    Look(oneshot::Sender<()>),
}

/// The sending end of the doorman's orders.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) cluster: String,
    orders: UnboundedSender<Order>,
}

impl Door {
    /// Starts the task. Nothing is sent yet.
    pub(crate) fn open(site: Site, table: LeaseTable, member: Member, memory: Memory) -> Self {
        Self::with_limits(site, table, member, memory, Limits::default())
    }

    pub(crate) fn with_limits(site: Site, table: LeaseTable, member: Member, memory: Memory, limits: Limits) -> Self {
        let me = Lease {
            id: member.id.clone(),
            host: host(),
            user: user(),
            session: member.session.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Lease::default()
        };
        let (orders, received) = mpsc::unbounded_channel();
        let cluster = site.id.clone();
        let doorman = Doorman {
            gate: Gate::new(me, memory, limits),
            limits,
            site: Arc::new(site),
            table,
            member,
            call: None,
            look: None,
            lookers: Vec::new(),
            entry: None,
            exit: None,
            joining: None,
            leaving: None,
            inside: None,
            touch: None,
            stopped: None,
            since: None,
            failure: None,
            others: String::new(),
            number: 0,
            wish: 0,
            told: String::new(),
        };
        tokio::spawn(doorman.work(received));
        Self { cluster, orders }
    }

    pub(crate) async fn join(&self, entry: Entry) -> Result<Inside> {
        let (reply, answer) = oneshot::channel();
        let _ = self.orders.send(Order::Join(entry, reply));
        answer.await.unwrap_or_else(|_| Err(gone()))
    }

    pub(crate) async fn leave(&self, exit: Exit) -> Departure {
        let (reply, answer) = oneshot::channel();
        let _ = self.orders.send(Order::Leave(exit, reply));
        answer.await.unwrap_or_else(|_| Departure::Owed(gone(), false))
    }

    /// Tells whether this keeper wants to be alone. Each of these wishes has a higher number than the one before.
    pub(crate) fn want_alone(&self, wants: bool, number: u64) {
        let _ = self.orders.send(Order::WantAlone { wants, number });
    }

    /// Looks whether the cluster went away. If it did, the member hears of that before this ends.
    pub(crate) async fn look(&self) {
        let (reply, answer) = oneshot::channel();
        let _ = self.orders.send(Order::Look(reply));
        let _ = answer.await;
    }

    /// Tells that no test runs under the news of this number.
    pub(crate) fn quiet(&self, number: u64) {
        let _ = self.orders.send(Order::Quiet { number });
    }
}

fn gone() -> Error {
    Error::new(Kind::Provider, "the leases of a cluster are not kept any more")
        .because("the task that keeps them ended")
}

/// The answer to a call.
enum Answer {
    Event(Event),
    Available {
        touch: Option<Touch>,
        woken: bool,
        error: Option<Error>,
    },
    /// None if the cluster runs, as far as is known.
    Found(Option<Found>),
    Suspended(Result<Stopped>),
}

/// A cluster that does not run, and since when, in the words of CrateDB Cloud.
struct Found {
    stopped: Stopped,
    since: Option<String>,
}

/// Hears nothing, and may touch nothing.
struct Unheard;

impl Hooks for Unheard {
    fn step(&self, _: String) {}

    fn intend(&self, _: &Intent<'_>) -> Result<()> {
        Err(gone())
    }
}

type Work = Pin<Box<dyn Future<Output = Answer> + Send>>;

struct Doorman {
    gate: Gate,
    limits: Limits,
    site: Arc<Site>,
    table: LeaseTable,
    member: Member,
    /// The call that is under way.
    call: Option<Work>,
    /// A look at the cluster beside it, and those who wait for that.
    look: Option<Work>,
    lookers: Vec<oneshot::Sender<()>>,
    entry: Option<Arc<Entry>>,
    exit: Option<Arc<Exit>>,
    joining: Option<oneshot::Sender<Result<Inside>>>,
    leaving: Option<oneshot::Sender<Departure>>,
    inside: Option<Inside>,
    touch: Option<Touch>,
    /// The outcome of the last look or request, and since when it holds.
    stopped: Option<Stopped>,
    since: Option<String>,
    /// The reason why the last request had no effect, and whether another one may have.
    failure: Option<(Error, bool)>,
    /// The other keepers, as they were seen before the last event.
    others: String,
    /// The number of the last news about turns.
    number: u64,
    /// The number of the last wish.
    wish: u64,
    /// The last thing that was said of a wait.
    told: String,
}

impl Doorman {
    async fn work(mut self, mut orders: UnboundedReceiver<Order>) {
        loop {
            let due = self.gate.deadline();
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                answer = answered(&mut self.call) => {
                    self.call = None;
                    self.answered(answer);
                }
                answer = answered(&mut self.look) => {
                    self.look = None;
                    self.looked(answer);
                }
                () = sleep_until(due) => {
                    if due.is_some_and(|due| now() >= due) {
                        self.feed(Event::Due);
                    }
                }
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Join(entry, reply) => {
                let woken = entry.woken;
                (self.touch, self.entry, self.joining) = (None, Some(Arc::new(entry)), Some(reply));
                self.feed(Event::Join { woken });
                // It may have been in already.
                self.tell_joined();
            }
            Order::Leave(exit, reply) => {
                let at_end = exit.at_end;
                (self.stopped, self.failure) = (None, None);
                (self.exit, self.leaving, self.joining) = (Some(Arc::new(exit)), Some(reply), None);
                self.feed(Event::Leave(at_end));
            }
            Order::WantAlone { wants, number } => {
                self.wish = number;
                self.feed(Event::WantAlone(wants));
            }
            // What was said of earlier turns says nothing about these.
            Order::Quiet { number } if number == self.number => self.feed(Event::Quiet),
            Order::Quiet { .. } => {}
            Order::Look(reply) => self.look(reply),
        }
    }

    /// Begins to look at a cluster that a test had no answer of.
    fn look(&mut self, reply: oneshot::Sender<()>) {
        if self.inside.is_some() {
            self.lookers.push(reply);
            let site = self.site.clone();
            let look = || -> Work { Box::pin(async move { Answer::Found(site.look(false, None).await) }) };
            self.look.get_or_insert_with(look);
        }
    }

    fn looked(&mut self, answer: Answer) {
        if let Answer::Found(found) = answer {
            self.found(found);
        }
        self.lookers.clear();
    }

    fn found(&mut self, found: Option<Found>) {
        let suspended = found.is_some();
        (self.stopped, self.since) = match found {
            Some(found) => (Some(found.stopped), found.since),
            None => (None, None),
        };
        self.feed(Event::Found { suspended });
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Event(event) => self.feed(event),
            Answer::Available { touch, woken, error } => {
                self.touch = self.touch.or(touch);
                if let Some(error) = error
                    && let Some(reply) = self.joining.take()
                {
                    let _ = reply.send(Err(error));
                }
                self.feed(Event::Available { woken });
            }
            Answer::Found(found) => self.found(found),
            Answer::Suspended(outcome) => {
                let failed = |error, again| (Some((error, again)), None);
                (self.failure, self.stopped) = match outcome {
                    Ok(Stopped::Unchanged(error)) => failed(error, true),
                    Ok(stopped) => (None, Some(stopped)),
                    Err(error) => failed(error, false),
                };
                let done = self.stopped.is_some();
                self.feed(Event::Suspended { done });
            }
        }
    }

    fn feed(&mut self, event: Event) {
        tracing::trace!(?event, "gate");
        // Between two looks, nothing is known of them.
        let others = Some(self.others()).filter(|others| !others.is_empty());
        if let Some(others) = others.filter(|_| self.leaving.is_some()) {
            self.others = others;
        }
        let effects = self.gate.on(now(), event);
        for effect in effects {
            tracing::debug!(?effect, "gate");
            self.carry_out(effect);
        }
        self.tell_alone();
        self.tell_wait();
    }

    fn carry_out(&mut self, effect: Effect) {
        let (table, site) = (self.table.clone(), self.site.clone());
        match effect {
            Effect::Read => self.event(async move { Event::Read(table.read().await) }),
            Effect::MakeTable => self.event(async move { Event::TableMade(table.make().await) }),
            Effect::Insert(row) => self.event(async move { Event::Wrote(table.insert(&row).await) }),
            Effect::Write(row, version) => self.event(async move { Event::Wrote(table.write(&row, version).await) }),
            Effect::MakeAvailable => match self.entry.clone() {
                Some(entry) => self.call(async move { site.make_available(&entry).await }),
                None => self.event(async { Event::Available { woken: false } }),
            },
            Effect::Look { wait } => {
                let hooks = self.hooks();
                self.call(async move { Answer::Found(site.look(wait, hooks.as_deref()).await) });
            }
            Effect::Suspend { before } => match self.exit.clone() {
                Some(exit) => self.call(async move { Answer::Suspended(site.suspend(before, &exit).await) }),
                None => self.event(async { Event::Suspended { done: false } }),
            },
            Effect::Report(line) => self.hear(News::Line(line)),
            Effect::Joined { ours } => {
                self.inside = Some(Inside { ours, touch: self.touch, alone: self.gate.is_alone() });
                self.tell_joined();
            }
            Effect::Cut(cut) => {
                (self.inside, self.look) = (None, None);
                let since = self.since.take();
                self.hear(News::Cut(cut, since));
                self.lookers.clear();
            }
            Effect::Turns(turns) => {
                self.number += 1;
                self.hear(News::Turns { turns, number: self.number, wish: self.wish });
            }
            Effect::Left(left) => self.left(left),
        }
    }

    fn event(&mut self, work: impl Future<Output = Event> + Send + 'static) {
        self.call(async move { Answer::Event(work.await) });
    }

    fn call(&mut self, work: impl Future<Output = Answer> + Send + 'static) {
        self.call = Some(Box::pin(work));
    }

    fn hear(&self, news: News) {
        (self.member.hear)(news);
    }

    /// Returns who hears of the call that is under way.
    fn hooks(&self) -> Option<Arc<dyn Hooks>> {
        let exit = self.exit.as_ref().filter(|_| self.leaving.is_some()).map(|exit| exit.hooks.clone());
        exit.or_else(|| self.entry.as_ref().map(|entry| entry.hooks.clone()))
    }

    /// Answers a join, after the news about turns that came with it.
    fn tell_joined(&mut self) {
        if let (Some(inside), Some(reply)) = (self.inside, self.joining.take_if(|_| self.inside.is_some())) {
            let _ = reply.send(Ok(inside));
        }
    }

    fn tell_alone(&mut self) {
        let alone = self.gate.is_alone();
        if let Some(inside) = self.inside.as_mut().filter(|inside| inside.alone != alone) {
            inside.alone = alone;
            self.hear(News::Alone(alone));
        }
    }

    /// Says what keeps this keeper from joining, or whose leases keep it from leaving.
    fn tell_wait(&mut self) {
        let joins = self.entry.as_ref().filter(|_| self.joining.is_some());
        if let Some((entry, why)) = joins.zip(self.table.trouble()).filter(|(_, why)| self.told != *why) {
            entry.hooks.trouble(format!("waiting for the table of leases of {}: {why}", self.site.named));
            self.told = why;
            return;
        }
        let Some(exit) = self.exit.as_ref().filter(|_| self.leaving.is_some() && self.call.is_none()) else { return };
        if !self.others.is_empty() && self.told != self.others {
            exit.hooks.trouble(format!("waiting until this lease is renewed or dead: {}", self.others));
            self.told.clone_from(&self.others);
        }
    }

    fn left(&mut self, left: Left) {
        self.inside = None;
        let departure = match left {
            Left::Suspended => Departure::Stopped(self.stopped.take().unwrap_or(Stopped::Suspended)),
            Left::InUse => Departure::InUse(std::mem::take(&mut self.others)),
            Left::Running => Departure::Running,
            Left::Newer => Departure::Newer,
            Left::Owed => match self.failure.take() {
                Some((error, again)) => Departure::Owed(error, again),
                None => Departure::Owed(self.unanswered(), false),
            },
        };
        if let Some(reply) = self.leaving.take() {
            let _ = reply.send(departure);
        }
    }

    fn unanswered(&self) -> Error {
        Error::new(Kind::Provider, format!("cannot tell whether {} is still used", self.site.named))
            .because("its server does not answer, and other machines used it")
    }

    /// Names the other keepers that use the cluster.
    fn others(&self) -> String {
        let (Some(row), Some(server)) = (self.gate.row(), self.gate.server_now(now())) else { return String::new() };
        let all = row.others(&self.member.id, server, self.limits.dead).map(ToString::to_string);
        all.collect::<Vec<_>>().join(", ")
    }
}

impl Site {
    async fn make_available(&self, entry: &Entry) -> Answer {
        // A keeper that was thrown out comes back long after its first deadline.
        let deadline = if entry.deadline > Instant::now() { entry.deadline } else { Instant::now() + PATIENCE };
        let run = Run::new(deadline, &*entry.hooks, May::Resume).patient();
        let made = self.lifecycle.in_time(&run, self.lifecycle.make_available(&run)).await;
        Answer::Available { touch: run.touch(), woken: run.has_woken(), error: made.err() }
    }

    /// Returns what became of the cluster; none if it runs, or if that can't be told.
    async fn look(&self, wait: bool, hooks: Option<&dyn Hooks>) -> Option<Found> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(cluster) = self.lifecycle.presence(&self.id).await.ok()? else {
                return Some(Found { stopped: Stopped::Deleted, since: None });
            };
            let since = cluster.last_async_operation.as_ref().filter(|operation| operation.kind == "SUSPEND");
            let since = since.map(|operation| operation.dc.created.clone()).filter(|since| !since.is_empty());
            let suspended = Found { stopped: Stopped::Suspended, since };
            match cluster.busy() {
                Some(kind) if wait => {
                    self.lifecycle.sit_out(&cluster, kind, deadline, hooks.unwrap_or(&Unheard)).await.ok()?
                }
                Some("SUSPEND") => return Some(suspended),
                _ => return cluster.suspended.then_some(suspended),
            }
        }
    }

    /// Sends one request, if there is time for it, and waits until it is known what became of it.
    async fn suspend(&self, before: Millis, exit: &Exit) -> Result<Stopped> {
        exit.hooks.may_stop().await;
        if now() >= before {
            return Ok(Stopped::Unchanged(
                Error::new(Kind::Timeout, format!("did not suspend {}", self.named))
                    .because("this process was stopped before it could ask for it"),
            ));
        }
        let wanted = StopRequest {
            id: self.id.clone(),
            named: self.named.clone(),
            delete: exit.delete,
            known: exit.known.clone(),
            at_once: true,
            once: Some(OnceLock::new()),
            deadline: Instant::now() + PATIENCE,
            hooks: &*exit.hooks,
            writes: AtomicUsize::new(0),
        };
        self.lifecycle.suspend_or_delete(&wanted).await
    }
}

/// Waits for the call that is under way.
async fn answered(call: &mut Option<Work>) -> Answer {
    match call {
        Some(work) => work.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Millis>) {
    match due {
        Some(due) => tokio::time::sleep(Duration::from_millis(due.saturating_sub(now())).min(NAP)).await,
        None => std::future::pending().await,
    }
}

/// Returns a time that goes on while the process is stopped and the machine sleeps.
#[cfg(feature = "harness")]
pub(super) fn now() -> Millis {
    Millis::try_from(crate::host::platform::since_boot().as_millis()).unwrap_or(Millis::MAX)
}

/// Returns a time that goes on while the process is stopped. Whether it does while the machine sleeps, the system
/// decides.
#[cfg(not(feature = "harness"))]
pub(super) fn now() -> Millis {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    Millis::try_from(START.elapsed().as_millis()).unwrap_or(Millis::MAX)
}

/// Returns the user's name, or number where the environment names none, as in many containers.
fn user() -> String {
    let mut named = ["USER", "LOGNAME", "USERNAME"].iter().filter_map(|name| std::env::var(name).ok());
    let known = named.find(|name| !name.is_empty());
    #[cfg(feature = "harness")]
    let known = known.or_else(|| Some(format!("uid {}", rustix::process::getuid().as_raw())));
    known.unwrap_or_default()
}

#[cfg(feature = "harness")]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(feature = "harness"))]
fn host() -> String {
    let told = || ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let kept = || files.iter().find_map(|path| std::fs::read_to_string(path).ok());
    let name = told().or_else(kept).unwrap_or_default();
    // Without a host, a lease stands for unknown ones.
    if name.trim().is_empty() { "unknown".to_owned() } else { name.trim().to_owned() }
}
