//! The lease of this process: one connection to the keeper, from the first test to the end, made again if it breaks.

mod attach;
mod set_up;

pub(super) use attach::check_peer;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::speaker::{self, Listener};
use crate::cluster::current::LinkNumber;
use crate::error::{Error, Kind, Result};
use crate::host::KeyFiles;
use crate::host::process::{Ancestry, Identity};
use crate::host::say;
use crate::migrations::Set;
use crate::settings::Settings;
use crate::sql::{Credentials, Wallet};
use crate::wire::MigrationSet;
use crate::wire::{AttemptId, FromClient, FromKeeper, KnownSetup, Mode, Open, PROTOCOL, Ready, encode};

/// How much longer than the keeper a client waits for what the keeper itself limits.
const MARGIN: Duration = Duration::from_secs(30);
/// A keeper gives up putting things back after 30 s.
const AFTERMATH: Duration = Duration::from_secs(40);

/// The connection of this process to the keeper of one key.
#[derive(Clone)]
pub(super) struct Link(Arc<Shared>);

struct Shared {
    number: LinkNumber,
    settings: Settings,
    ancestry: Ancestry,
    files: KeyFiles,
    next: AtomicU64,
    wallet: OnceLock<Wallet>,
    state: Mutex<State>,
    renewed: Notify,
    listener: Option<Listener>,
    /// What is prepared once per session, as far as this process needs it.
    onces: Mutex<HashMap<String, super::once::Slot>>,
    /// What reads from the keeper, and connects again.
    reader: OnceLock<AbortHandle>,
}

#[derive(Default)]
struct State {
    /// For writing; the reader has its own descriptor. None while the connection is made again.
    socket: Option<UnixStream>,
    ready: Option<Arc<Ready>>,
    /// Why there will be no connection any more.
    over: Option<Error>,
    /// Attempts that were granted and have not ended.
    open: BTreeMap<AttemptId, Open>,
    /// Attempts that wait for their turn.
    waiting: HashMap<AttemptId, Waiting>,
    /// Exclusive attempts that ended and wait to hear that what they had changed is put back.
    aftermath: HashMap<AttemptId, std::sync::mpsc::Sender<Option<String>>>,
    /// Attempts that ended while there was no connection, and the words that say so.
    unsaid: Vec<(Open, FromClient)>,
    /// Set-ups that this process asks for.
    claims: HashMap<String, set_up::Claim>,
    /// Set-ups that it does, or knows to be done.
    set_ups: BTreeMap<String, KnownSetup>,
    /// The last renewal that failed.
    not_renewed: Option<Error>,
}

struct Waiting {
    open: Open,
    parent: Option<AttemptId>,
    /// What it needs first, for a keeper that wants to know it.
    set: Option<Set>,
    granted: oneshot::Sender<Result<Option<String>>>,
}

impl Link {
    /// Connects, starting a keeper if need be, and waits for the cluster.
    pub(super) async fn new(settings: Settings, ancestry: Ancestry, files: KeyFiles) -> Result<Self> {
        Self::heard(settings, ancestry, files, None).await
    }

    /// The same; what is waited for goes to a listener.
    pub(super) async fn heard(
        settings: Settings,
        ancestry: Ancestry,
        files: KeyFiles,
        listener: Option<Listener>,
    ) -> Result<Self> {
        let link = Self(Arc::new(Shared {
            number: LinkNumber::new(),
            settings,
            ancestry,
            files,
            next: AtomicU64::new(1),
            wallet: OnceLock::new(),
            state: Mutex::default(),
            renewed: Notify::new(),
            listener,
            onces: Mutex::default(),
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

    /// What this process knows of one set-up.
    pub(super) fn once(&self, name: &str) -> super::once::Slot {
        let mut onces = self.0.onces.lock().unwrap_or_else(PoisonError::into_inner);
        onces.entry(name.to_owned()).or_default().clone()
    }

    /// The cluster, as the last keeper described it: after the death of one, a local server is another.
    pub(super) fn ready(&self) -> Result<Arc<Ready>> {
        self.state().ready.clone().ok_or_else(|| Error::new(Kind::Session, "the cluster is not there yet"))
    }

    pub(super) fn wallet(&self) -> Result<&Wallet> {
        self.0.wallet.get().ok_or_else(|| Error::new(Kind::Session, "the cluster is not there yet"))
    }

    pub(super) fn next_attempt(&self) -> AttemptId {
        AttemptId(self.0.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits for the turn of an attempt. If the keeper has a schema with the migrations of `set`, that is the attempt's.
    pub(super) async fn begin(
        &self,
        open: Open,
        parent: Option<AttemptId>,
        set: Option<Set>,
    ) -> Result<Option<String>> {
        let (granted, mut answer) = oneshot::channel();
        let (id, test) = (open.id, open.test.clone());
        {
            let mut state = self.state();
            if let Some(error) = &state.over {
                return Err(error.clone());
            }
            let frame = FromClient::Begin { attempt: open.clone(), parent };
            state.waiting.insert(id, Waiting { open, parent, set, granted });
            state.write(&frame);
        }
        let mut asked = Asked { link: self, id, answered: false };
        let limit = self.0.settings.start_timeout.saturating_add(MARGIN);
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        // Not `interval`, whose first tick takes a millisecond, ten times what the turn itself takes.
        let mut shown = tokio::time::interval_at(tokio::time::Instant::now() + speaker::AGAIN, speaker::AGAIN);
        loop {
            tokio::select! {
                answer = &mut answer => {
                    asked.answered = true;
                    return answer.unwrap_or_else(|_| Err(Error::new(Kind::Session, "the connection to the keeper is over")));
                }
                _ = shown.tick() => say(&format!("`{test}` waits for its turn on the cluster")),
                () = &mut deadline => {
                    return Err(self.silent(&format!("`{test}` waited for its turn"), limit));
                }
            }
        }
    }

    /// The exclusive attempt that this process has.
    pub(super) fn exclusive(&self) -> Option<Open> {
        self.state().open.values().find(|open| open.mode == Mode::Exclusive).cloned()
    }

    /// Says that an attempt is over. Returns once the words are in the socket: the process may end right after.
    pub(super) fn end(&self, id: AttemptId, passed: bool, used: bool, keep: bool) {
        let frame = FromClient::End { id, passed, used, keep };
        let mut state = self.state();
        match state.open.remove(&id) {
            // A keeper that is about to be greeted was told, or will be, that it is open.
            Some(open) if state.socket.is_none() => state.unsaid.push((open, frame)),
            _ => state.write(&frame),
        }
    }

    /// Says that an exclusive attempt is over, and waits until the keeper has put back what it had changed outside its
    /// schema, so that no test before or beside it sees that; what people should know of it. Blocks this thread.
    pub(super) fn end_alone(&self, id: AttemptId, passed: bool, used: bool, keep: bool) -> Option<String> {
        let (told, hears) = std::sync::mpsc::channel();
        self.state().aftermath.insert(id, told);
        self.end(id, passed, used, keep);
        if self.state().socket.is_none() {
            // There is no keeper now; the next one does it.
            self.state().aftermath.remove(&id);
        }
        hears.recv_timeout(AFTERMATH).ok().flatten()
    }

    /// Gives up what this process holds of its explicit session. Returns once the words are in the socket.
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

    /// This process, as its keeper knows it.
    pub(super) fn own(&self) -> &Identity {
        &self.0.ancestry.own
    }

    /// Asks the keeper for new credentials and waits for them.
    async fn renew(self) -> Result<Credentials> {
        let wallet = self.wallet()?.clone();
        let refused = wallet.current();
        let renewed = self.0.renewed.notified();
        tokio::pin!(renewed);
        renewed.as_mut().enable();
        {
            let mut state = self.state();
            if let Some(error) = &state.over {
                return Err(error.clone());
            }
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

    /// The keeper does not answer: who it is, so that somebody can look.
    fn silent(&self, what: &str, limit: Duration) -> Error {
        let holder = std::fs::read_to_string(&self.0.files.lifetime).unwrap_or_default();
        let pid = serde_json::from_str::<crate::wire::Holder>(&holder).map_or(0, |holder| holder.pid);
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
                // No `Cut`: the keeper was killed, or it is a broken one. Whoever is open goes on with the next.
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

    /// One message; true after the last one.
    fn take(&self, message: FromKeeper) -> bool {
        match message {
            FromKeeper::Granted { id, schema, wants } => self.granted(id, schema, wants),
            FromKeeper::Refused { id, error } => {
                if let Some(waiting) = self.state().waiting.remove(&id) {
                    let _ = waiting.granted.send(Err(error));
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
            FromKeeper::SetUp { name, verdict } => self.state().set_up(&name, verdict),
            FromKeeper::NotRenewed { error } => {
                self.state().not_renewed = Some(error);
                self.0.renewed.notify_waiters();
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
            FromKeeper::Progress { .. }
            | FromKeeper::Ready(_)
            | FromKeeper::Protocol { .. }
            | FromKeeper::State(_)
            | FromKeeper::Finished { .. }
            | FromKeeper::Released { .. } => {}
        }
        false
    }

    fn granted(&self, id: AttemptId, schema: Option<String>, wants: bool) {
        let mut state = self.state();
        let Some(Waiting { mut open, set, granted, .. }) = state.waiting.remove(&id) else { return };
        if let Some(schema) = &schema {
            open.schema.clone_from(schema);
        }
        let wanted = open.migrations.take();
        state.open.insert(id, open);
        let _ = granted.send(Ok(schema));
        if let (true, Some(set), Some(MigrationSet { checksum, .. })) = (wants, set, wanted) {
            state.write(&FromClient::Migrations { checksum, files: set.sent() });
        }
    }

    /// Nobody answers what the last keeper was asked; the next one is told what matters by the hello.
    fn without_keeper(&self) {
        let mut state = self.state();
        state.socket = None;
        state.aftermath.clear();
    }

    fn finish(&self, error: Error) {
        let mut state = self.state();
        state.socket = None;
        state.aftermath.clear();
        state.over = Some(error.clone());
        state.claims.clear();
        for (_, waiting) in state.waiting.drain() {
            let _ = waiting.granted.send(Err(error.clone()));
        }
        self.0.renewed.notify_waiters();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits for a turn. Dropped before the answer (a time-out, a future that its owner dropped), it takes the
/// question back: a turn that nobody takes would be held as long as this process lives.
struct Asked<'a> {
    link: &'a Link,
    id: AttemptId,
    answered: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.link.state().waiting.remove(&self.id);
            self.link.end(self.id, false, false, false);
        }
    }
}

impl State {
    /// Everything that a keeper has to take for granted until it is told otherwise.
    fn held(&self) -> Vec<Open> {
        self.open.values().chain(self.unsaid.iter().map(|(open, _)| open)).cloned().collect()
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
        match rustix::net::send(socket, bytes, rustix::net::SendFlags::NOSIGNAL) {
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
