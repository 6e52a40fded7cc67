//! The keeper's loop: turns sockets, deaths, timers and answers into events, and effects into calls.

mod aftermath;
mod alone;
mod cleaning;
mod effects;
mod observers;
mod prepared;
mod reports;
mod setups;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::cleaner::Cleaner;
use super::clients::{Clients, Joined, Watch};
use super::connection::{self, Outbox};
use super::globals::Globals;
use super::journal::Journal;
use super::machine::{ClientId, Event, Limits, LookId, Machine, RunnerId, State, Word};
use super::prepared::Made;
use super::restorer::Restored;
use super::setups::SetUps;
use super::work::{Outcome, Work};
use super::{log, watch};
use crate::error::{Error, Result};
use crate::host::KeyFiles;
use crate::host::process;
use crate::provider::Resource;
use crate::wire::Millis;
use crate::wire::exit;
use crate::wire::{FromClient, FromKeeper, Hello, PROTOCOL, Spec};
use aftermath::Aftermath;
use alone::Alone;
use prepared::Stock;

/// How often the socket's path is looked at: a cleaner of temporary files may have removed it.
const SOCKET_LOOK: Duration = Duration::from_secs(1);
/// How long a release waits for schemas that are being dropped.
const DROPS: Duration = Duration::from_secs(5);
/// How long the last messages may take on their way.
const FAREWELL: Duration = Duration::from_secs(1);

/// All that can happen to a keeper.
#[derive(Debug)]
pub(super) enum Input {
    Hello(ClientId, Box<Hello>, Vec<OwnedFd>, Outbox),
    /// Somebody who wants no cluster.
    Observer(ClientId, Outbox),
    /// Somebody who speaks another protocol, with the runners above it.
    Foreign(Vec<process::Identity>, Outbox),
    Message(ClientId, FromClient),
    Gone(ClientId),
    RunnerGone(RunnerId),
    Progress(String),
    Work(Outcome),
    /// A schema or a user.
    Cleaned {
        name: String,
        outcome: Result<()>,
    },
    LeftOvers(Vec<String>),
    Made {
        checksum: String,
        schema: String,
        made: Made,
        shards: Option<u64>,
    },
    Looked {
        id: LookId,
        outcome: Result<Box<Globals>>,
    },
    Restored {
        id: LookId,
        outcome: Result<Restored>,
    },
    Term,
}

/// The last thing a keeper does with a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Release,
    Exit,
}

/// Runs a keeper on an inherited listener until nothing is left to do; the exit code.
pub(super) fn run(listener: OwnedFd, files: &KeyFiles) -> i32 {
    let filter = log::start();
    if !alone::hold_lifetime(files) || !alone::hold_journal(files) {
        return exit::NOT_ALONE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return exit::NOT_STARTED };
    tracing::info!(pid = std::process::id(), key = files.hash, "a keeper was born");
    let code = runtime.block_on(async {
        let listener = std::os::unix::net::UnixListener::from(listener);
        let listening = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
        match listening {
            Ok(listener) => Keeper::new(files.clone(), filter).live(listener).await,
            Err(error) => {
                tracing::error!(%error, "the socket can't be used");
                exit::NOT_STARTED
            }
        }
    });
    tracing::info!(code, "the keeper ends");
    code
}

pub(super) type SharedJournal = Arc<Mutex<Result<Journal>>>;

pub(super) struct Keeper {
    files: KeyFiles,
    filter: log::Filter,
    machine: Machine,
    journal: SharedJournal,
    born: Instant,
    clients: Clients,
    observers: BTreeMap<ClientId, observers::Observer>,
    next_client: u64,
    inputs: UnboundedSender<Input>,
    received: Option<UnboundedReceiver<Input>>,
    /// Events that follow from effects.
    events: VecDeque<Event>,
    spec: Option<Spec>,
    work: Option<Work>,
    resource: Option<Resource>,
    /// Why there is no cluster, for everybody who asks.
    failure: Option<Error>,
    /// The intent could not be written: the call that follows must not be made.
    no_intent: Option<Error>,
    cleaner: Option<Cleaner>,
    drops_in_flight: Vec<String>,
    /// So many of them the machine knows of.
    dropping: usize,
    /// What could not be dropped, and will not be in this session.
    not_dropped: Vec<String>,
    drop_warned: bool,
    /// Made for PostgreSQL drivers, now or by keepers that were killed; dropped at the end.
    users: Vec<String>,
    aftermath: Aftermath,
    stock: Stock,
    set_ups: SetUps,
    /// What waits for drops, and until when at most.
    after_drops: Option<(Instant, Last)>,
    renew_at: Option<Instant>,
    renewing: bool,
    last_progress: Option<String>,
    /// Told to stop, or something waits for this process: it is to leave nothing behind that still works.
    hurried: bool,
    connections: JoinSet<()>,
    exit: Option<i32>,
}

impl Keeper {
    fn new(files: KeyFiles, filter: log::Filter) -> Self {
        let journal = Journal::open(&files.journal, "");
        let exclusive = journal.as_ref().ok().and_then(|journal| journal.record.exclusive.clone());
        let prepared = journal.as_ref().map(|journal| journal.record.prepared.clone()).unwrap_or_default();
        let word = match &journal {
            Ok(journal) => journal.record.word,
            Err(error) => {
                tracing::error!(%error, "there is no journal");
                Word::Clean
            }
        };
        let (inputs, received) = unbounded_channel();
        Self {
            files,
            filter,
            machine: Machine::new(0, word, Limits::default()).owing_aftermath(exclusive.is_some()),
            journal: Arc::new(Mutex::new(journal)),
            born: Instant::now(),
            clients: Clients::default(),
            observers: BTreeMap::new(),
            next_client: 0,
            inputs,
            received: Some(received),
            events: VecDeque::new(),
            spec: None,
            work: None,
            resource: None,
            failure: None,
            no_intent: None,
            cleaner: None,
            drops_in_flight: Vec::new(),
            dropping: 0,
            not_dropped: Vec::new(),
            drop_warned: false,
            users: Vec::new(),
            aftermath: Aftermath::of_a_predecessor(exclusive),
            stock: Stock::of_a_predecessor(&prepared),
            set_ups: SetUps::default(),
            after_drops: None,
            renew_at: None,
            renewing: false,
            last_progress: None,
            hurried: false,
            connections: JoinSet::new(),
            exit: None,
        }
    }

    async fn live(mut self, mut listener: UnixListener) -> i32 {
        let Some(mut received) = self.received.take() else { return exit::NOT_STARTED };
        self.watch_signals();
        let mut alone = Alone::of(&self.files);
        let mut look = tokio::time::interval(SOCKET_LOOK);
        let code = loop {
            if let Some(code) = self.exit {
                break code;
            }
            tokio::select! {
                biased;
                Some(input) = received.recv() => self.take(input),
                accepted = listener.accept() => self.accept(accepted).await,
                () = sleep_until(self.wake_at()) => self.wake(),
                _ = look.tick() => {
                    if let Some(again) = self.look_after_files(&mut alone) {
                        listener = again;
                    }
                }
                Some(_) = self.connections.join_next() => {}
            }
        };
        if alone.has_socket(&self.files) {
            let _ = std::fs::remove_file(&self.files.socket);
        }
        drop(listener);
        self.clients.clear();
        self.observers.clear();
        let _ = tokio::time::timeout(FAREWELL, async { while self.connections.join_next().await.is_some() {} }).await;
        // Whoever waits for this process waits for its children, too, and whoever stopped it wants no new ones.
        if let Some(work) = &self.work
            && !self.hurried
        {
            work.afterwards();
        }
        code
    }

    async fn accept(&mut self, accepted: std::io::Result<(tokio::net::UnixStream, tokio::net::unix::SocketAddr)>) {
        match accepted {
            Ok((stream, _)) => {
                self.next_client += 1;
                let client = ClientId(self.next_client);
                self.connections.spawn(connection::serve(stream, client, self.inputs.clone()));
            }
            Err(error) => {
                // Out of descriptors, most likely; accepting at once again would spin.
                tracing::error!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn watch_signals(&self) {
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()] {
            let inputs = self.inputs.clone();
            match signal(kind) {
                Ok(mut signal) => drop(tokio::spawn(async move {
                    while signal.recv().await.is_some() {
                        let _ = inputs.send(Input::Term);
                    }
                })),
                Err(error) => tracing::warn!(%error, ?kind, "a signal can't be watched"),
            }
        }
    }

    fn now(&self) -> Millis {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wake_at(&self) -> Option<Instant> {
        let at = |millis| self.born.checked_add(Duration::from_millis(millis));
        let machine = self.machine.deadline().and_then(at);
        // While a test is alone, nothing is dropped, and waking for it would be spinning.
        let stock = self.stock.deadline().filter(|_| !self.machine.is_exclusive()).and_then(at);
        [machine, stock, self.after_drops.map(|(at, _)| at), self.renew_at].into_iter().flatten().min()
    }

    fn wake(&mut self) {
        let now = Instant::now();
        if self.after_drops.is_some_and(|(at, _)| now >= at) {
            self.drops_done();
        }
        if self.renew_at.is_some_and(|at| now >= at) {
            self.renew();
        }
        self.feed(Event::Due);
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Hello(client, hello, descriptors, outbox) => self.hello(client, &hello, descriptors, outbox),
            Input::Observer(client, outbox) => self.observe(client, outbox),
            Input::Foreign(runners, outbox) => self.foreign(&runners, &outbox),
            Input::Message(client, message) => self.message(client, message),
            Input::Gone(client) => self.gone(client),
            Input::RunnerGone(runner) => self.feed(Event::RunnerGone(runner)),
            Input::Progress(text) => self.progress(text),
            Input::Work(outcome) => self.worked(outcome),
            Input::Cleaned { name, outcome } => self.cleaned(&name, outcome),
            Input::Made { checksum, schema, made, shards } => self.made(checksum, schema, made, shards),
            Input::Looked { id, outcome } => self.looked(id, outcome),
            Input::Restored { id, outcome } => self.restored(id, outcome),
            Input::LeftOvers(names) => names.into_iter().for_each(|name| self.remove(name)),
            Input::Term => {
                tracing::info!("told to stop by a signal");
                self.hurried = true;
                self.feed(Event::Term);
            }
        }
    }

    fn hello(&mut self, id: ClientId, hello: &Hello, descriptors: Vec<OwnedFd>, outbox: Outbox) {
        self.adopt_spec(&hello.spec);
        let Joined { join, own, runners, first } = self.clients.join(id, hello, descriptors, outbox, &self.machine);
        self.watch(own, Input::Gone);
        for runner in runners {
            self.watch(runner, Input::RunnerGone);
        }
        if first {
            self.greet(id, hello);
        }
        if let Some(text) = &self.last_progress {
            self.clients.send(id, &FromKeeper::Progress { text: text.clone(), speak: false });
        }
        for known in &hello.set_ups {
            self.set_ups.recall(id, join.session, known.clone());
        }
        self.feed(Event::Join(id, join));
        if first && hello.session.is_none() {
            self.tether(id, hello);
        }
    }

    /// A runner that stands above the keeper waits for it: its death can't be what the keeper waits for.
    fn tether(&mut self, id: ClientId, hello: &Hello) {
        if !process::is_tethered(&hello.runners) {
            return;
        }
        self.hurried = true;
        // Process 1 as the runner is above everything; what that means was said.
        if !hello.doomed {
            let text = "the keeper can't outlive this run (something waits for it): the cluster is released when no test was connected for 10 s";
            self.clients.send(id, &FromKeeper::Notice { text: text.into() });
        }
        self.feed(Event::Tethered);
    }

    /// A client of another version waits for this keeper's end, unless that can't come before its own.
    fn foreign(&self, runners: &[process::Identity], outbox: &Outbox) {
        let same_run = self.clients.runs_under(runners, &self.machine);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        outbox.send(&FromKeeper::Protocol { protocol: PROTOCOL, version, same_run });
    }

    /// What people are told once per session.
    fn greet(&mut self, id: ClientId, hello: &Hello) {
        for note in &hello.spec.notes {
            self.clients.send(id, &FromKeeper::Notice { text: note.clone() });
        }
        if hello.doomed && process::is_near(&hello.own) {
            let text = "this run is process 1 of its container: if the container ends with it, nothing is left that could suspend the cluster. \
                        Start the run under an init that waits (`sh -c 'cargo test; sleep 30'` does for a cluster that suspends in less)";
            self.clients.send(id, &FromKeeper::Notice { text: text.into() });
        }
    }

    fn adopt_spec(&mut self, spec: &Spec) {
        if self.spec.is_none() {
            self.filter.set(&spec.log);
        }
        let changed = self.spec.as_ref().is_none_or(|known| known.target != spec.target);
        // While something is there or under way, its provider stays: the credentials that got it can let go of it, those
        // of somebody who came later may be mistyped.
        let free = match self.machine.state() {
            State::Recovering { .. } | State::Down | State::Failed => true,
            State::Owed { .. } => self.resource.is_none(),
            _ => false,
        };
        if self.work.is_none() || changed && free {
            match crate::provider::Provider::chain(&spec.target) {
                Ok(provider) => self.work = Some(Work::new(provider, self.inputs.clone())),
                Err(error) => (self.work, self.failure) = (None, Some(error)),
            }
        }
        if free || self.spec.is_none() {
            self.spec = Some(spec.clone());
        }
    }

    fn watch<T: Send + 'static>(&self, watch: Watch<T>, input: impl Fn(T) -> Input + Send + 'static) {
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            watch::end_of(watch.process, watch.descriptor).await;
            let _ = inputs.send(input(watch.of));
        });
    }

    fn with_journal<T>(&self, work: impl FnOnce(&mut Journal) -> Result<T>) -> Result<T> {
        match &mut *self.journal.lock().unwrap_or_else(PoisonError::into_inner) {
            Ok(journal) => work(journal),
            Err(error) => Err(error.clone()),
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
