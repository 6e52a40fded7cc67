//! The keeper's loop: turns sockets, deaths, timers and answers into events, and effects into calls.

mod aftermath;
mod alone;
mod debt;
mod drops;
mod grants;
mod maker;
mod neighbours;
mod observers;
mod premade;
mod recycle;
mod reports;
mod supply;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};

use super::clients::{Clients, Joined, Watch};
use super::connection::{self, Outbox};
use super::globals::{Globals, Restored};
use super::journal::SharedJournal;
use super::machine::{ClientId, Effect, Event, LookId, Machine, MachineLimits, MachineState, RunnerId, SessionId};
use super::recorder::Recorder;
use super::setups::Setups;
use super::{log, unix_seconds, watch};
use crate::background;
use crate::error::Result;
use crate::host::{DiskThread, KeyFiles, process};
use crate::provider::NodeLoss;
use crate::sharing::{Member, News};
use crate::target::{LocalKind, OnExit, Target};
use crate::wire::{FromClient, FromKeeper, Hello, Millis, PROTOCOL, exit};
use aftermath::AftermathTasks;
use alone::Alone;
use debt::Debts;
use drops::{Drops, Last};
use maker::Made;
use premade::PremadeTasks;
use recycle::Recycled;
use supply::{CallOutcome, Supply};

pub(crate) use drops::drop_schema;
pub(super) use reports::Report;

/// The time between two looks at the keeper's files: a cleaner of temporary files may have removed them.
const FILES_LOOK: Duration = Duration::from_secs(1);
/// The time that the last messages may take on their way.
const FAREWELL: Duration = Duration::from_secs(1);

/// All that can happen to a keeper.
#[derive(Debug)]
pub(super) enum Input {
    /// A client said hello, and sent descriptors of processes.
    Hello(ClientId, Box<Hello>, Vec<OwnedFd>, Outbox),
    /// A client connected that wants no cluster.
    Observer(ClientId, Outbox),
    /// A client connected that speaks another protocol, with the runners above it.
    Foreign(Vec<process::Identity>, Outbox),
    /// A client sent a message.
    Message(ClientId, FromClient),
    /// A client closed its socket, or died.
    Gone(ClientId),
    /// A runner died.
    RunnerGone(RunnerId),
    /// A call of the provider says what it waits for.
    Progress(String),
    /// A call of the provider ended.
    Call(CallOutcome),
    /// There are news of a cluster that keepers of other machines use, too.
    News(News),
    /// Nodes of the cluster that the provider knows by this name ended by themselves.
    Lost {
        cluster: String,
        loss: NodeLoss,
    },
    /// A schema or a user was dropped, or was not.
    Cleaned {
        name: String,
        outcome: Result<()>,
    },
    /// These schemas and users were left by dead runs.
    LeftOvers(Vec<String>),
    /// A maker of a premade schema ended.
    Premade {
        checksum: String,
        schema: String,
        made: Made,
    },
    Recycled {
        session: SessionId,
        schema: String,
        outcome: Recycled,
    },
    /// A look before an exclusive attempt ended.
    Looked {
        id: LookId,
        outcome: Result<Box<Globals>>,
    },
    /// A repair after an exclusive attempt ended.
    Restored {
        id: LookId,
        outcome: Result<Restored>,
    },
    /// Sessions are not recorded, for this reason.
    Unrecorded(String),
    /// The keeper was told to stop by a signal.
    Term,
}

/// The sending end of the loop's inputs, for connections and tasks.
#[derive(Clone, Debug)]
pub(super) struct Inputs(UnboundedSender<Input>);

impl Inputs {
    fn channel() -> (Self, UnboundedReceiver<Input>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends an input, unless the loop has ended.
    pub(super) fn send(&self, input: Input) {
        let _ = self.0.send(input);
    }

    /// Starts a task whose result is an input.
    fn spawn(&self, task: impl Future<Output = Input> + Send + 'static) -> AbortHandle {
        let inputs = self.clone();
        tokio::spawn(async move { inputs.send(task.await) }).abort_handle()
    }

    /// Does the same on the background thread, so that the loop does not wait for what the task computes.
    fn spawn_beside(&self, task: impl Future<Output = Input> + Send + 'static) {
        let inputs = self.clone();
        let task = async move { inputs.send(task.await) };
        match background::handle() {
            Ok(handle) => drop(handle.spawn(task)),
            Err(_) => drop(tokio::spawn(task)),
        }
    }
}

/// Runs a keeper on an inherited listener until nothing is left to do. Returns the exit code.
pub(super) fn run(listener: OwnedFd, files: &KeyFiles) -> i32 {
    let filter = log::start();
    if !alone::hold_lifetime(files) || !alone::hold_journal(files) {
        log::end();
        return exit::NOT_ALONE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return exit::NOT_STARTED };
    tracing::info!(pid = std::process::id(), key = files.hash, "a keeper was born");
    let code = runtime.block_on(async {
        let listener = std::os::unix::net::UnixListener::from(listener);
        let listening = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
        match listening {
            Ok(listener) => {
                let (inputs, received) = Inputs::channel();
                Keeper::new(files.clone(), filter, inputs).live(listener, received).await
            }
            Err(error) => {
                tracing::error!(%error, "the socket can't be used");
                exit::NOT_STARTED
            }
        }
    });
    // Not by dropping it, which waits for blocking calls: a name server that does not answer takes a minute.
    runtime.shutdown_background();
    tracing::info!(code, "the keeper ends");
    log::end();
    code
}

pub(super) struct Keeper {
    files: KeyFiles,
    filter: log::Filter,
    journal: SharedJournal,
    born: Instant,
    machine: Machine,
    /// Events that follow from effects.
    events: VecDeque<Event>,
    clients: Clients,
    observers: BTreeMap<ClientId, observers::ConnectedObserver>,
    last_client: u64,
    connections: JoinSet<()>,
    inputs: Inputs,
    supply: Supply,
    drops: Drops,
    aftermath: AftermathTasks,
    premade: PremadeTasks,
    setups: Setups,
    /// Writes reports, which may be on a disk that does not answer.
    reports: DiskThread,
    recorder: Recorder,
    /// The last session of the keeper before this one.
    before: Predecessor,
    debts: Debts,
    last_progress: Option<String>,
    /// Told to stop, or something waits for this process: it must leave nothing behind that still works.
    hurried: bool,
    exit: Option<i32>,
}

impl Keeper {
    fn new(files: KeyFiles, filter: log::Filter, inputs: Inputs) -> Self {
        let journal = SharedJournal::open(&files.journal);
        let (word, exclusive, premade) =
            journal.read(|record| (record.word, record.exclusive.clone(), record.premade.clone()));
        let before = journal.read(|record| Predecessor { runners: record.runners.clone(), at: record.at });
        let debts = journal.read(Debts::of_a_predecessor);
        let told = inputs.clone();
        let recorder = Recorder::new(&files, move |why| told.send(Input::Unrecorded(why)));
        Self {
            files,
            filter,
            journal,
            born: Instant::now(),
            machine: Machine::new(0, word, MachineLimits::default()).owing_aftermath(exclusive.is_some()),
            events: VecDeque::new(),
            clients: Clients::default(),
            observers: BTreeMap::new(),
            last_client: 0,
            connections: JoinSet::new(),
            inputs,
            supply: Supply::default(),
            drops: Drops::default(),
            aftermath: AftermathTasks::of_a_predecessor(exclusive),
            premade: PremadeTasks::of_a_predecessor(premade),
            setups: Setups::default(),
            reports: DiskThread::new(),
            recorder,
            before,
            debts,
            last_progress: None,
            hurried: false,
            exit: None,
        }
    }

    async fn live(mut self, mut listener: UnixListener, mut received: UnboundedReceiver<Input>) -> i32 {
        self.watch_signals();
        let mut alone = Alone::of(&self.files);
        let mut look = tokio::time::interval(FILES_LOOK);
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
                    self.recorder.pulse(self.now());
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
        self.recorder.end_all(self.now());
        // A process that waits for this one waits for its children, too; and after a signal none are wanted.
        if !self.hurried {
            self.supply.afterwards();
        }
        code
    }

    async fn accept(&mut self, accepted: std::io::Result<(tokio::net::UnixStream, tokio::net::unix::SocketAddr)>) {
        match accepted {
            Ok((stream, _)) => {
                self.last_client += 1;
                let client = ClientId(self.last_client);
                self.connections.spawn(connection::serve(stream, client, self.inputs.clone()));
            }
            Err(error) => {
                // Most likely there are no descriptors left; accepting again at once would spin.
                tracing::error!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn watch_signals(&self) {
        // SIGXCPU comes before the kill for the time that a process may compute.
        let out_of_time = SignalKind::from_raw(libc::SIGXCPU);
        let all = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
        for kind in all.into_iter().chain([out_of_time]) {
            let inputs = self.inputs.clone();
            match signal(kind) {
                Ok(mut signal) => drop(tokio::spawn(async move {
                    while signal.recv().await.is_some() {
                        inputs.send(Input::Term);
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
        let premade = self.premade.core.deadline().filter(|_| !self.machine.is_exclusive()).and_then(at);
        [machine, premade, self.drops.then.map(|(at, _)| at), self.supply.renew_at].into_iter().flatten().min()
    }

    fn wake(&mut self) {
        let now = Instant::now();
        if self.drops.then.is_some_and(|(at, _)| now >= at) {
            self.drops_done();
        }
        if self.supply.renew_at.is_some_and(|at| now >= at) {
            self.supply.renew();
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
            Input::Call(outcome) => self.called(outcome),
            Input::News(news) => self.hear(news),
            Input::Lost { cluster, loss } => self.lost(&cluster, &loss),
            Input::Cleaned { name, outcome } => self.cleaned(&name, outcome),
            Input::Premade { checksum, schema, made } => self.made(checksum, schema, made),
            Input::Recycled { session, schema, outcome } => self.recycled(session, schema, outcome),
            Input::Looked { id, outcome } => self.looked(id, outcome),
            Input::Restored { id, outcome } => self.restored(id, outcome),
            Input::LeftOvers(names) => names.into_iter().for_each(|name| self.remove(name)),
            Input::Unrecorded(why) => self.unrecorded(&why),
            Input::Term => {
                tracing::info!("told to stop by a signal");
                self.hurried = true;
                self.feed(Event::Term);
            }
        }
    }

    /// Gives the machine an event, and does what it says until nothing more follows.
    fn feed(&mut self, event: Event) {
        if matches!(event, Event::Begin { .. } | Event::End { .. } | Event::Leave(_)) {
            self.look_at_nodes();
        }
        self.events.extend(self.drops.news().map(Event::Dropping));
        self.events.push_back(event);
        while let Some(event) = self.events.pop_front() {
            tracing::debug!(?event, state = ?self.machine.state(), "event");
            let before = self.machine.state();
            self.recorder.event(self.now(), &event);
            let effects = self.machine.on(self.now(), event);
            self.recorder.effects(self.now(), &effects, self.machine.state(), self.supply.resource.as_ref());
            self.drop_setups(before, &effects);
            for effect in effects {
                tracing::debug!(?effect, "effect");
                self.apply(effect);
            }
        }
        self.supply.is_wanted(self.machine.is_wanted());
        self.premake();
        self.report_ended();
        self.tell_observers();
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Write(word) => self.write(word),
            Effect::Probe => self.probe(),
            Effect::Acquire => self.acquire(),
            Effect::Release => self.finish_drops(Last::Release),
            Effect::Ready(client) => self.ready(client),
            Effect::Fail(client, reason) => self.fail(client, reason),
            Effect::Cut(client, reason) => self.cut(client, reason),
            Effect::Granted(client, id) => self.grant(client, id),
            Effect::Refused(client, id, reason) => self.refuse(client, id, reason),
            Effect::Look(id, client, attempt) => self.look(id, client, attempt),
            Effect::Restore(id) => self.restore(id),
            Effect::Forget(id) => self.forget_look(id),
            Effect::WantAlone(wants) => self.supply.want_alone(wants),
            Effect::Quiet => self.supply.quiet(),
            Effect::Exit => self.finish_drops(Last::Exit),
        }
    }

    fn hello(&mut self, id: ClientId, hello: &Hello, descriptors: Vec<OwnedFd>, outbox: Outbox) {
        if self.supply.spec.is_none() {
            self.filter.set(&hello.spec.log);
        }
        let member = self.member(hello);
        self.supply.adopt(&hello.spec, self.machine.state(), &self.inputs, member);
        let Joined { join, own, runners, first } = self.clients.join(id, hello, descriptors, outbox, &self.machine);
        self.recorder.joined(self.now(), join.session, id, hello);
        self.watch(own, Input::Gone);
        for runner in runners {
            self.watch(runner, Input::RunnerGone);
        }
        if first {
            self.tell_debt(id);
            self.greet(id, hello);
        }
        if let Some(text) = &self.last_progress {
            self.clients.send(id, &FromKeeper::Progress { text: text.clone(), speak: false });
        }
        for known in &hello.setups {
            self.setups.recall(id, join.session, known.clone());
        }
        self.feed(Event::Join(id, join));
        if first && hello.session.is_none() {
            self.tether(id, hello);
        }
    }

    /// Tells the machine if a runner that stands above the keeper waits for it: the keeper can't wait for its death.
    fn tether(&mut self, id: ClientId, hello: &Hello) {
        if !process::is_tethered(&hello.runners) {
            return;
        }
        self.hurried = true;
        // Process 1 as the runner is above everything; what that means was said by `greet`.
        if !hello.doomed {
            let text = "the keeper can't outlive this run (something waits for it): the cluster is released when no test was connected for 10 s";
            self.clients.notify(id, text);
        }
        self.feed(Event::Tethered);
    }

    /// Answers a client of another version. It waits for this keeper's end, unless that can't come before its own.
    fn foreign(&self, runners: &[process::Identity], outbox: &Outbox) {
        let same_run = self.clients.runs_under(runners, &self.machine);
        let version = env!("CARGO_PKG_VERSION").to_owned();
        outbox.send(&FromKeeper::Protocol { protocol: PROTOCOL, version, same_run });
    }

    /// Says what people are told once per session.
    fn greet(&mut self, id: ClientId, hello: &Hello) {
        for note in &hello.spec.notes {
            self.clients.notify(id, note);
        }
        let doom = || doom(&hello.spec.target, hello.spec.policy.on_exit);
        let doom = if hello.doomed && process::is_near(&hello.own) { doom() } else { None };
        let unreported = hello.spec.report.as_deref().and_then(|path| self.unreported(path));
        let told = doom.map(str::to_owned).into_iter().chain(unreported).chain(self.before.followed_by(hello));
        told.for_each(|text| self.clients.notify(id, text));
    }

    fn watch<T: Send + 'static>(&self, watch: Watch<T>, input: impl FnOnce(T) -> Input + Send + 'static) {
        self.inputs.spawn(async move {
            watch::end_of(watch.process, watch.descriptor).await;
            input(watch.of)
        });
    }

    fn progress(&mut self, text: String) {
        tracing::info!(text, "progress");
        self.recorder.says(self.now(), &text);
        self.note_trouble(self.supply.trouble());
        for (client, speak) in self.machine.waiting() {
            self.clients.send(client, &FromKeeper::Progress { text: text.clone(), speak });
        }
        self.tell_watching(&FromKeeper::Progress { text: text.clone(), speak: true });
        self.last_progress = Some(text);
        self.tell_observers();
    }
}

/// The last session of the keeper that ended before this one began, as the journal tells.
#[derive(Debug, Default)]
struct Predecessor {
    runners: Vec<process::Identity>,
    /// Unix seconds.
    at: i64,
}

impl Predecessor {
    /// Says that test processes follow one another without a runner that would make them one run, so that each of them
    /// pays for a cluster.
    fn followed_by(&self, hello: &Hello) -> Option<String> {
        /// A person who starts tests by hand is slower, or has time to read this.
        const SOON: i64 = 30;
        let unseen = hello.session.is_none() && !hello.orphan && hello.runners == [hello.own.clone()];
        let costs = !matches!(hello.spec.target, Target::Url(_));
        let was_unseen = !self.runners.is_empty() && !self.runners.iter().any(process::has_runners_name);
        let ago = unix_seconds().saturating_sub(self.at);
        let follows = was_unseen && (0..=SOON).contains(&ago) && !self.runners.contains(&hello.own);
        (unseen && costs && follows).then(|| {
            format!(
                "no `cargo` and no `cargo-nextest` is seen above this process, so it is a run of its own, for which the \
                 cluster is made available anew; the run before it ended {ago} s ago. Set CRATEDB_TEST_SESSION to one \
                 name for all processes of a run, or start them by `cargo cratedb test -- COMMAND`"
            )
        })
    }
}

/// Says what is left when a container ends with the run, if anything is.
fn doom(target: &Target, on_exit: OnExit) -> Option<&'static str> {
    match target {
        // Nothing is to be released, or it ends with the container, too.
        Target::Url(_) => None,
        _ if on_exit == OnExit::Keep => None,
        Target::Local(target) if target.home.is_some() || target.kind == LocalKind::Process => None,
        Target::Cloud(_) => Some(
            "this run is process 1 of its container: if the container ends with it, nothing is left that could suspend the cluster. \
             Start the run under an init that waits (`sh -c 'cargo test; sleep 30'` does for a cluster that suspends in less)",
        ),
        Target::Local(_) => Some(
            "this run is process 1 of its container: if the container ends with it, nothing is left that could remove the container \
             of the server. Start the run under an init that waits (`sh -c 'cargo test; sleep 5'`)",
        ),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::LocalTarget;

    /// A client of a local server, which is its own runner.
    fn unseen() -> Hello {
        let golden = include_str!("../wire/golden-v1.ndjson").lines().next().unwrap();
        let FromClient::Hello(mut hello) = serde_json::from_str(golden).unwrap() else { panic!("{golden}") };
        hello.runners = vec![hello.own.clone()];
        hello.spec.target = Target::Local(LocalTarget::of_image("crate:6.4.3"));
        *hello
    }

    fn before(name: &str, ago: i64) -> Predecessor {
        let process = process::Identity { pid: 4, name: name.to_owned(), ..unseen().own };
        Predecessor { runners: vec![process], at: unix_seconds() - ago }
    }

    #[test]
    fn a_run_without_a_runner_that_follows_another_one_is_told_how_to_be_one_with_it() {
        for ago in [0, 5] {
            let told = before("it-0123456789ab", ago).followed_by(&unseen()).unwrap();
            assert!(told.contains("CRATEDB_TEST_SESSION") && told.contains("cargo cratedb test"), "{told}");
        }
    }

    #[test]
    fn nothing_is_told_where_a_runner_was_seen_nothing_is_lost_or_time_has_passed() {
        let follows = |before: Predecessor, change: &dyn Fn(&mut Hello)| {
            let mut hello = unseen();
            change(&mut hello);
            before.followed_by(&hello)
        };
        let same = |_: &mut Hello| {};
        for name in ["cargo", ".cargo-wrapped", "cargo-nextest", "cargo-cratedb"] {
            assert_eq!(follows(before(name, 1), &same), None, "{name}");
        }
        assert_eq!(follows(before("it", 3600), &same), None);
        assert_eq!(follows(before("it", -3600), &same), None, "the clock was set back");
        assert_eq!(follows(Predecessor::default(), &same), None);
        let again = Predecessor { runners: vec![unseen().own], at: unix_seconds() };
        assert_eq!(follows(again, &same), None, "its keeper was killed");
        let url = |hello: &mut Hello| {
            let url = "http://localhost:4200".to_owned();
            hello.spec.target = Target::Url(crate::target::UrlTarget { url, username: None, password: None });
        };
        let runner = |hello: &mut Hello| hello.runners[0].pid += 1;
        let named = |hello: &mut Hello| hello.session = Some(crate::wire::Named { name: "n".into(), idle: 1 });
        for change in [&url as &dyn Fn(&mut Hello), &runner, &named, &|hello: &mut Hello| hello.orphan = true] {
            assert_eq!(follows(before("it", 1), change), None);
        }
    }

    #[test]
    fn only_what_would_stay_is_warned_of_where_a_container_ends_with_the_run() {
        let local = LocalTarget::of_image("crate:6.4.3");
        let container = Target::Local(local.clone());
        let process = Target::Local(LocalTarget { home: Some("/opt/crate".into()), ..local.clone() });
        let downloaded = Target::Local(LocalTarget { kind: LocalKind::Process, ..local });
        let url = crate::target::UrlTarget { url: "http://db:4200".into(), username: None, password: None };
        for target in [&process, &downloaded, &Target::Url(url)] {
            assert_eq!(doom(target, OnExit::Auto), None, "{target:?}");
        }
        assert!(doom(&container, OnExit::Auto).unwrap().contains("remove the container"));
        assert_eq!(doom(&container, OnExit::Keep), None);
    }
}
