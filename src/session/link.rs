//! Holds the lease of this process: one connection to the keeper, from the first test to the end, made again if it
//! breaks.

mod attach;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval_at, sleep};

pub(super) use self::attach::{check_peer, versions};
use super::setup::SharedSetup;
use super::speaker::{self, Listener};
use crate::cluster::Explain;
use crate::cluster::current::LinkNumber;
use crate::error::{Error, Kind, Result};
use crate::host::process::{Ancestry, Identity};
use crate::host::{KeyFiles, say};
use crate::migrations::Migrations;
use crate::settings::Settings;
use crate::sql::{Credentials, Wallet};
use crate::wire::{
    AttemptId, Ended, FromClient, FromKeeper, Holder, KnownSetup, MigrationSet, Mode, Open, PROTOCOL, Ready,
    SetupOutcome, Verdict, encode,
};

/// The time by which a client waits longer than the keeper for what the keeper itself limits.
const MARGIN: Duration = Duration::from_secs(30);
/// The longest wait for the reason why a statement had no answer. The keeper asks CrateDB Cloud for it.
const EXPLANATION: Duration = Duration::from_secs(10);
/// The longest wait for the repairs after an exclusive test. A keeper gives up on them after 30 s.
const AFTERMATH: Duration = Duration::from_secs(40);

/// The connection of this process to the keeper of one key.
#[derive(Clone)]
pub(super) struct Link(Arc<Inside>);

struct Inside {
    number: LinkNumber,
    settings: Settings,
    ancestry: Ancestry,
    files: KeyFiles,
    next: AtomicU64,
    wallet: OnceLock<Wallet>,
    state: Mutex<LinkState>,
    renewed: Notify,
    listener: Option<Listener>,
    /// The setups of the session that this process needs.
    setups: Mutex<HashMap<String, SharedSetup>>,
    /// The task that reads from the keeper, and connects again.
    reader: OnceLock<AbortHandle>,
}

#[derive(Default)]
struct LinkState {
    /// For writing; the reader has its own descriptor. None while the connection is made again.
    socket: Option<UnixStream>,
    ready: Option<Arc<Ready>>,
    /// The reason why there will be no connection any more.
    over: Option<Error>,
    /// Attempts that were granted and have not ended.
    open: BTreeMap<AttemptId, Open>,
    /// Attempts that wait for their turn.
    waiting: HashMap<AttemptId, PendingAttempt>,
    /// Exclusive attempts that ended and wait to hear that what they had changed is repaired.
    aftermath: HashMap<AttemptId, mpsc::Sender<Option<String>>>,
    /// Attempts that ended while there was no connection, and the messages that say so.
    unsaid: Vec<(Open, FromClient)>,
    /// Setups that this process asks for.
    claims: HashMap<String, PendingSetup>,
    /// Setups that this process does, or knows to be done.
    setups: BTreeMap<String, KnownSetup>,
    /// The last renewal that failed.
    not_renewed: Option<Error>,
    /// Statements that had no answer, and wait to hear why.
    unanswered: Vec<oneshot::Sender<Option<Error>>>,
}

struct PendingAttempt {
    open: Open,
    parent: Option<AttemptId>,
    /// The files that make its tables, for a keeper that wants to know them.
    migrations: Option<Migrations>,
    answer: oneshot::Sender<Result<GrantedTurn>>,
}

/// A setup that was asked for.
struct PendingSetup {
    schema: String,
    answer: oneshot::Sender<Verdict>,
}

/// The turn of an attempt.
pub(super) struct GrantedTurn {
    pub(super) test: String,
    pub(super) schema: String,
    /// The migrations were applied to the schema ahead.
    pub(super) premade: bool,
}

impl Link {
    /// Connects, starting a keeper if need be, and waits for the cluster. What is waited for goes to the listener, if
    /// there is one.
    pub(super) async fn new(
        settings: Settings,
        ancestry: Ancestry,
        files: KeyFiles,
        listener: Option<Listener>,
    ) -> Result<Self> {
        let link = Self(Arc::new(Inside {
            number: LinkNumber::new(),
            settings,
            ancestry,
            files,
            next: AtomicU64::new(1),
            wallet: OnceLock::new(),
            state: Mutex::default(),
            renewed: Notify::new(),
            listener,
            setups: Mutex::default(),
            reader: OnceLock::new(),
        }));
        let reader = link.attach().await?;
        let reads = tokio::spawn(link.clone().read(reader));
        let _ = link.0.reader.set(reads.abort_handle());
        Ok(link)
    }

    pub(super) fn number(&self) -> LinkNumber {
        self.0.number
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(super) fn files(&self) -> &KeyFiles {
        &self.0.files
    }

    /// Returns this process, as its keeper knows it.
    pub(super) fn own(&self) -> &Identity {
        &self.0.ancestry.own
    }

    /// Returns the cluster, as the last keeper described it: after the death of one, a local server is another.
    pub(super) fn ready(&self) -> Result<Arc<Ready>> {
        self.state().ready.clone().ok_or_else(|| Error::new(Kind::Session, "the cluster is not there yet"))
    }

    pub(super) fn wallet(&self) -> Result<&Wallet> {
        self.0.wallet.get().ok_or_else(|| Error::new(Kind::Session, "the cluster is not there yet"))
    }

    pub(super) fn next_attempt(&self) -> AttemptId {
        AttemptId(self.0.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for the turn of an attempt. If the keeper has a premade schema for `migrations`, the attempt gets that
    /// one.
    pub(super) async fn begin(
        &self,
        open: Open,
        parent: Option<AttemptId>,
        migrations: Option<Migrations>,
    ) -> Result<GrantedTurn> {
        let (answer, granted) = oneshot::channel();
        let (id, test) = (open.id, open.test.clone());
        {
            let mut state = self.not_over()?;
            let frame = FromClient::Begin { attempt: open.clone(), parent };
            state.waiting.insert(id, PendingAttempt { open, parent, migrations, answer });
            state.write(&frame);
        }
        let take_back = || {
            self.state().waiting.remove(&id);
            self.end(id, Ended { passed: false, used: false, keep: false, settled: None });
        };
        let late = |limit| self.silent(&format!("`{test}` waited for its turn"), limit);
        self.answered(granted, || format!("`{test}` waits for its turn on the cluster"), late, take_back).await?
    }

    /// Waits for the answer to a question, and says from time to time what is waited for. Dropped before the answer, by
    /// a time-out for example, it takes the question back: a turn or a setup that nobody takes would be held as long as
    /// this process lives.
    async fn answered<T>(
        &self,
        mut answer: oneshot::Receiver<T>,
        awaited: impl Fn() -> String,
        late: impl FnOnce(Duration) -> Error,
        take_back: impl FnOnce(),
    ) -> Result<T> {
        let mut question = Question(Some(take_back));
        let limit = self.0.settings.start_timeout.saturating_add(MARGIN);
        let deadline = sleep(limit);
        tokio::pin!(deadline);
        // Not `interval`, whose first tick takes a millisecond, ten times what the turn itself takes.
        let mut shown = interval_at(Instant::now() + speaker::AGAIN, speaker::AGAIN);
        loop {
            tokio::select! {
                answer = &mut answer => {
                    question.0 = None;
                    let closed = || Error::new(Kind::Session, "the connection to the keeper is over");
                    return answer.map_err(|_| self.state().over.clone().unwrap_or_else(closed));
                }
                _ = shown.tick() => say(&awaited()),
                () = &mut deadline => return Err(late(limit)),
            }
        }
    }

    /// Returns the exclusive attempt that this process has.
    pub(super) fn exclusive(&self) -> Option<Open> {
        self.state().open.values().find(|open| open.mode == Mode::Exclusive).cloned()
    }

    /// Says that an attempt is over. Returns once the message is in the socket: the process may end right after.
    pub(super) fn end(&self, id: AttemptId, ended: Ended) {
        let frame = FromClient::End { id, ended };
        let mut state = self.state();
        match state.open.remove(&id) {
            // A keeper that is about to be greeted was told, or will be, that it is open.
            Some(open) if state.socket.is_none() => state.unsaid.push((open, frame)),
            _ => state.write(&frame),
        }
    }

    /// Says that an exclusive attempt is over, and waits until the keeper has repaired what it had changed outside its
    /// schema, so that no test before or beside it sees that. Returns what people should know of it. Blocks this
    /// thread.
    pub(super) fn end_alone(&self, id: AttemptId, ended: Ended) -> Option<String> {
        let (told, hears) = mpsc::channel();
        self.state().aftermath.insert(id, told);
        self.end(id, ended);
        if self.state().socket.is_none() {
            // There is no keeper now; the next one does it.
            self.state().aftermath.remove(&id);
        }
        hears.recv_timeout(AFTERMATH).ok().flatten()
    }

    /// Returns what this process knows of one setup.
    pub(super) fn setup(&self, name: &str) -> SharedSetup {
        let mut setups = self.0.setups.lock().unwrap_or_else(PoisonError::into_inner);
        setups.entry(name.to_owned()).or_default().clone()
    }

    /// Asks for a setup, and waits while another process does it. One question for a name at a time.
    pub(super) async fn claim(&self, name: &str, schema: &str) -> Result<Verdict> {
        let (answer, verdict) = oneshot::channel();
        {
            let mut state = self.not_over()?;
            state.claims.insert(name.to_owned(), PendingSetup { schema: schema.to_owned(), answer });
            state.write(&FromClient::Setup { name: name.to_owned(), schema: schema.to_owned() });
        }
        let take_back = || {
            self.state().claims.remove(name);
            self.setup_ended(name, SetupOutcome::GivenUp, None);
        };
        let awaited = || format!("waiting for the setup `{name}`, which another test does");
        let late = |_| {
            let limit = humantime::format_duration(self.0.settings.start_timeout);
            Error::new(Kind::Timeout, format!("waited {limit} for the setup `{name}`"))
                .because("another process of this session does it, and did not end")
                .hint("see whether it hangs, or set CRATEDB_TEST_START_TIMEOUT")
        };
        let verdict = self.answered(verdict, awaited, late, take_back).await?;
        let known = match &verdict {
            Verdict::Yours => Some((schema, false, None)),
            Verdict::Done { schema, digest } => Some((&**schema, true, digest.clone())),
            Verdict::Failed { .. } => None,
        };
        if let Some((schema, done, digest)) = known {
            let known = KnownSetup { name: name.to_owned(), schema: schema.to_owned(), done, digest };
            self.state().setups.insert(name.to_owned(), known);
        }
        Ok(verdict)
    }

    /// Says how the setup ended that this process was given, or that a test has changed one.
    pub(super) fn setup_ended(&self, name: &str, outcome: SetupOutcome, digest: Option<String>) {
        let mut state = self.state();
        match outcome {
            SetupOutcome::Done => {
                if let Some(known) = state.setups.get_mut(name) {
                    known.done = true;
                    known.digest.clone_from(&digest);
                }
            }
            _ => drop(state.setups.remove(name)),
        }
        // Without a connection the next keeper learns by the hello that it is done, or knows nothing of it.
        state.write(&FromClient::SetupEnded { name: name.to_owned(), outcome, digest });
    }

    /// Says that a test has changed a schema that the tests of the session share. All that ask for it from now on get
    /// this error.
    pub(super) fn setup_spoiled(&self, name: &str, error: &Error) {
        self.setup_ended(name, SetupOutcome::Spoiled { error: error.clone() }, None);
        let known = self.setup(name);
        // A test that asks right now still gets the schema.
        if let Ok(mut known) = known.try_lock() {
            *known = Some(Err(error.clone()));
        }
    }

    /// Gives up this process's part of its explicit session. Returns once the message is in the socket.
    pub(super) fn finish_session(&self) {
        if let Some(named) = &self.0.settings.session {
            let (session, holder) = (Some(named.name.clone()), Some(self.own().clone()));
            self.state().write(&FromClient::Finish { protocol: PROTOCOL, session, holder, now: false });
        }
    }

    /// Ends the connection, which is not made again: not even if the keeper is killed just now.
    pub(super) fn close(&self) {
        if let Some(reader) = self.0.reader.get() {
            reader.abort();
        }
        self.finish(Error::new(Kind::Session, "the session is over").because("this process let go of it"));
    }

    /// Asks the keeper for new credentials and waits for them.
    async fn renew(self) -> Result<Credentials> {
        let wallet = self.wallet()?.clone();
        let refused = wallet.current();
        let renewed = self.0.renewed.notified();
        tokio::pin!(renewed);
        renewed.as_mut().enable();
        {
            let mut state = self.not_over()?;
            state.not_renewed = None;
            state.write(&FromClient::Renew);
        }
        let limit = MARGIN;
        if tokio::time::timeout(limit, renewed).await.is_err() {
            return Err(self.silent("waited for new credentials", limit));
        }
        match self.state().not_renewed.take() {
            Some(error) if wallet.current() == refused => Err(error),
            _ => Ok(wallet.current()),
        }
    }

    /// Returns how statements without an answer learn what became of a cluster that others may suspend.
    pub(super) fn explainer(&self, ready: &Ready) -> Option<Explain> {
        let link = Arc::downgrade(&self.0);
        (ready.provider == "cloud").then(|| -> Explain {
            Arc::new(move || {
                let link = link.upgrade().map(Link);
                Box::pin(async move { link?.explain().await })
            })
        })
    }

    /// Asks the keeper what became of the cluster. Returns none if it knows nothing, or not in time.
    async fn explain(self) -> Option<Error> {
        let (tell, told) = oneshot::channel();
        {
            let mut state = match self.not_over() {
                Ok(state) => state,
                Err(error) => return Some(error),
            };
            state.unanswered.push(tell);
            // One question has an answer for all.
            if state.unanswered.len() == 1 {
                state.write(&FromClient::Unanswered);
            }
        }
        match tokio::time::timeout(EXPLANATION, told).await {
            Ok(Ok(reason)) => reason,
            // The end of the connection says why, if it was a deliberate one.
            Ok(Err(_)) => self.state().over.clone(),
            Err(_) => {
                self.state().unanswered.clear();
                None
            }
        }
    }

    /// Makes the error of a keeper that does not answer. It names the process, so that a person can look at it.
    fn silent(&self, what: &str, limit: Duration) -> Error {
        let holder = std::fs::read_to_string(&self.0.files.lifetime).unwrap_or_default();
        let pid = serde_json::from_str::<Holder>(&holder).map_or(0, |holder| holder.pid);
        Error::new(Kind::Timeout, format!("{what} for {}", humantime::format_duration(limit)))
            .because(format!("the keeper (process {pid}) did not answer"))
            .hint(format!("its log is {}; if it is stopped, continue or end it", self.0.files.log.display()))
    }

    /// Reads until the end, attaching again whenever the connection breaks without a word.
    async fn read(self, mut reader: attach::Reader) {
        loop {
            match reader.next().await {
                Ok(Some(message)) => {
                    if self.take(message) {
                        return;
                    }
                }
                // No `Cut`: the keeper was killed, or it is a broken one. Open attempts go on with the next.
                Ok(None) | Err(_) => {
                    self.without_keeper();
                    match self.attach().await {
                        Ok(again) => reader = again,
                        Err(error) => return self.finish(error),
                    }
                }
            }
        }
    }

    /// Handles one message. Returns true after the last one.
    fn take(&self, message: FromKeeper) -> bool {
        match message {
            FromKeeper::Granted { id, schema, wants } => self.granted(id, schema, wants),
            FromKeeper::Wants { id } => self.tell_migrations(id),
            FromKeeper::Refused { id, error } => {
                if let Some(waiting) = self.state().waiting.remove(&id) {
                    let _ = waiting.answer.send(Err(error));
                }
            }
            FromKeeper::Credentials { credentials } => {
                if let Some(wallet) = self.0.wallet.get() {
                    wallet.replace(credentials);
                }
                self.0.renewed.notify_waiters();
            }
            FromKeeper::Aftermath { id, text } => {
                if let Some(told) = self.state().aftermath.remove(&id) {
                    let _ = told.send(text);
                }
            }
            FromKeeper::Setup { name, verdict } => {
                if let Some(claim) = self.state().claims.remove(&name) {
                    let _ = claim.answer.send(verdict);
                }
            }
            FromKeeper::NotRenewed { error } => {
                self.state().not_renewed = Some(error);
                self.0.renewed.notify_waiters();
            }
            FromKeeper::Explained { error } => {
                for tell in std::mem::take(&mut self.state().unanswered) {
                    let _ = tell.send(error.clone());
                }
            }
            FromKeeper::Notice { text } => speaker::tell(self.0.listener.as_ref(), &text),
            FromKeeper::Cut { text, .. } => {
                self.finish(Error::new(Kind::Session, "the session is over").because(text));
                return true;
            }
            FromKeeper::Fail { error } => {
                self.finish(error);
                return true;
            }
            FromKeeper::Ready(ready) => self.replaced(*ready),
            FromKeeper::Progress { .. }
            | FromKeeper::Protocol { .. }
            | FromKeeper::State(_)
            | FromKeeper::Finished { .. }
            | FromKeeper::Released { .. } => {}
        }
        false
    }

    /// Another cluster took the place of a local one that lost nodes.
    fn replaced(&self, ready: Ready) {
        if let Some(wallet) = self.0.wallet.get() {
            wallet.replace(ready.credentials.clone());
        }
        self.state().ready = Some(Arc::new(ready));
    }

    fn granted(&self, id: AttemptId, premade: Option<String>, wants: bool) {
        let mut state = self.state();
        let Some(PendingAttempt { mut open, migrations, answer, .. }) = state.waiting.remove(&id) else { return };
        let turn = GrantedTurn {
            test: open.test.clone(),
            premade: premade.is_some(),
            schema: premade.unwrap_or_else(|| open.schema.clone()),
        };
        open.schema.clone_from(&turn.schema);
        let described = open.migrations.take();
        state.open.insert(id, open);
        let _ = answer.send(Ok(turn));
        if let (true, Some(migrations), Some(MigrationSet { checksum, .. })) = (wants, migrations, described) {
            state.write(&FromClient::Migrations { checksum, files: migrations.to_files() });
        }
    }

    /// Sends the migrations of an attempt that waits for a schema.
    fn tell_migrations(&self, id: AttemptId) {
        let mut state = self.state();
        let Some(PendingAttempt { open, migrations: Some(migrations), .. }) = state.waiting.get(&id) else { return };
        let (migrations, described) = (*migrations, open.migrations.clone());
        if let Some(MigrationSet { checksum, .. }) = described {
            state.write(&FromClient::Migrations { checksum, files: migrations.to_files() });
        }
    }

    /// Forgets what the last keeper was asked and nobody answers. The hello tells the next one what matters.
    fn without_keeper(&self) {
        let mut state = self.state();
        state.socket = None;
        state.aftermath.clear();
        state.unanswered.clear();
    }

    fn finish(&self, error: Error) {
        self.without_keeper();
        let mut state = self.state();
        state.over = Some(error);
        // They find the error where they see that nobody answers any more.
        state.claims.clear();
        state.waiting.clear();
        drop(state);
        self.0.renewed.notify_waiters();
    }

    /// Locks the state; an error if the connection is over.
    fn not_over(&self) -> Result<MutexGuard<'_, LinkState>> {
        let state = self.state();
        match &state.over {
            Some(error) => Err(error.clone()),
            None => Ok(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a question back that is dropped before its answer.
struct Question<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Question<F> {
    fn drop(&mut self) {
        if let Some(take_back) = self.0.take() {
            take_back();
        }
    }
}

impl LinkState {
    /// Returns everything that a keeper has to take for granted until it is told otherwise.
    fn held(&self) -> Vec<Open> {
        self.open.values().chain(self.unsaid.iter().map(|(open, _)| open)).cloned().collect()
    }

    /// Asks the next keeper what a dead one did not answer, and tells it what the dead one was not told.
    fn say_again(&mut self) {
        let begins = self
            .waiting
            .values()
            .map(|waiting| FromClient::Begin { attempt: waiting.open.clone(), parent: waiting.parent });
        let claims = self
            .claims
            .iter()
            .map(|(name, claim)| FromClient::Setup { name: name.clone(), schema: claim.schema.clone() });
        let mut frames: Vec<FromClient> = begins.chain(claims).collect();
        frames.extend(self.unsaid.drain(..).map(|(_, end)| end));
        frames.iter().for_each(|frame| self.write(frame));
    }

    /// Writes a frame if there is a connection. If not, the next one is told what matters by its hello.
    fn write(&mut self, message: &FromClient) {
        let Some(socket) = &self.socket else { return };
        // An error here is an end that the reader sees too.
        if let Ok(frame) = encode(message) {
            let _ = write_all(socket, &frame);
        }
    }
}

/// Writes to a socket that does not block, waiting for it where it is full.
fn write_all(socket: &UnixStream, mut bytes: &[u8]) -> std::io::Result<()> {
    /// A keeper that reads nothing for so long is stopped.
    const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
    while !bytes.is_empty() {
        match crate::host::platform::send(socket, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut full = [rustix::event::PollFd::new(socket, rustix::event::PollFlags::OUT)];
                if rustix::event::poll(&mut full, Some(&PATIENCE))? == 0 {
                    return Err(std::io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
