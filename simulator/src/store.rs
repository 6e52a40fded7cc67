//! The account and its data: the state machine behind a lock, and everything that is kept from one run to the next.

pub(crate) mod engines;
mod kept;

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::{mpsc, watch};

use crate::clock::{Clock, now};
use crate::http::Traffic;
use crate::options::Options;
use crate::requests::Record;
use crate::state::{ApiAnswer, ApiCall, Beginning, Micros, State, Work};
use engines::Engines;
use kept::{Keeper, Kept};

/// Delay of a write after a change.
const KEEP_AFTER: Duration = Duration::from_millis(100);

/// The state machine, what it decides about, and those who wait for its changes.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    /// Work that takes its time.
    orders: mpsc::UnboundedSender<Work>,
    /// Bytes of files, by id.
    files: Mutex<HashMap<String, Bytes>>,
    keeper: Keeper,
    pub(crate) engines: Engines,
    pub(crate) traffic: Arc<Traffic>,
}

impl Store {
    /// Opens the account of these options at this address of the control plane. Also returns the work that takes its
    /// time, as it comes. `all` keeps every request in memory, else the last ones are kept.
    pub(crate) fn open(
        options: &Options,
        base: &str,
        all: bool,
    ) -> std::io::Result<(Arc<Self>, mpsc::UnboundedReceiver<Work>)> {
        let now = now();
        let record = Record::new(options.requests.as_deref(), all)?;
        options.api_secret.iter().for_each(|secret| record.hide(secret));
        let (orders, works) = mpsc::unbounded_channel();
        // Different from run to run: clients cache tokens by cluster id.
        let beginning = Beginning { now, seed: now.unsigned_abs(), pace: options.pace };
        let kept = options.state.as_deref().map(Kept::read).transpose()?.flatten();
        let (files, ahead) = kept.as_ref().map(|kept| (kept.files(), kept.ahead)).unwrap_or_default();
        let mut state = options.account(beginning, kept.as_ref().map(|kept| &kept.state))?;
        state.begin_run(options.pace, base);
        state.secrets().iter().for_each(|secret| record.hide(secret));
        let (engines, snapshots) = kept.map(|kept| (kept.engines, kept.snapshots)).unwrap_or_default();
        let store = Self {
            state: Mutex::new(state),
            changed: watch::Sender::default(),
            orders,
            files: Mutex::new(files),
            keeper: Keeper::new(options.state.clone()),
            engines: Engines::new(options.engine.clone(), engines, snapshots),
            traffic: Arc::new(Traffic::new(Clock::new(ahead), record)),
        };
        Ok((Arc::new(store), works))
    }

    pub(crate) fn now(&self) -> Micros {
        self.traffic.clock.now()
    }

    /// Lets the clock jump; everything that is due by then happens.
    pub(crate) fn advance_clock(&self, by: Duration) {
        self.traffic.clock.advance(by);
        self.change(|state, now| state.advance(now));
    }

    /// Tells the keeper of the file that data in an engine may have changed.
    pub(crate) fn data_changed(&self) {
        self.keeper.wake();
    }

    /// Writes the state to its file. Returns false if there is none.
    pub(crate) fn save(&self) -> std::io::Result<bool> {
        self.keeper.write(|| self.kept())
    }

    fn kept(&self) -> Kept {
        let state = self.lock().clone();
        let (engines, snapshots) = (self.engines.keep(&state), self.engines.keep_snapshots());
        Kept::new(self.traffic.clock.ahead(), state, engines, snapshots, &self.files.lock().unwrap())
    }

    /// Writes the state soon after every change.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut changes = self.changes();
        while self.keeper.is_kept() {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = self.keeper.woken() => {}
            }
            // Changes come in bursts.
            tokio::time::sleep(KEEP_AFTER).await;
            changes.mark_unchanged();
            let store = self.clone();
            let _ = tokio::task::spawn_blocking(move || store.keep_now()).await;
        }
    }

    /// Writes the state; prints the first failure.
    pub(crate) fn keep_now(&self) {
        if let Err(error) = self.save()
            && self.keeper.is_first_failure()
        {
            let _ = writeln!(std::io::stderr(), "{error}");
        }
    }

    /// Reads the state at the present time.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.advanced(|state, _| look(state))
    }

    /// Reads the state and may leave a mark, without telling those who wait for changes.
    pub(crate) fn used<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        self.advanced(|state, _| look(state))
    }

    /// Answers a request that only reads.
    pub(crate) fn ask(&self, call: ApiCall) -> ApiAnswer {
        self.advanced(|state, now| state.on(now, call))
    }

    /// Moves the state to the present time. Waiting tasks are woken only if something was due: a reader must not wake
    /// all, nor may a reader that comes first keep the ticker from waking them.
    fn advanced<T>(&self, then: impl FnOnce(&mut State, Micros) -> T) -> T {
        let (mut state, now) = (self.lock(), self.now());
        let moves = state.next_due().is_some_and(|due| due <= now);
        state.advance(now);
        self.work(&mut state, now);
        let result = then(&mut state, now);
        if moves {
            self.engines.forget(&state);
        }
        drop(state);
        if moves {
            self.tell();
        }
        result
    }

    /// Changes the state without waking those who wait for changes.
    pub(crate) fn quietly<T>(&self, change: impl FnOnce(&mut State, Micros) -> T) -> T {
        let now = self.now();
        change(&mut self.lock(), now)
    }

    /// Changes the state and wakes those who wait for changes.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State, Micros) -> T) -> T {
        let (mut state, now) = (self.lock(), self.now());
        let result = change(&mut state, now);
        self.work(&mut state, now);
        self.engines.forget(&state);
        drop(state);
        self.tell();
        result
    }

    /// Does the work that the state machine ordered. Quick work is done at once, so that no client sees it half done.
    fn work(&self, state: &mut State, now: Micros) {
        loop {
            let works = state.take_works();
            if works.is_empty() {
                return;
            }
            for work in works {
                match work {
                    Work::Snapshot { snapshot } => self.engines.copy(state, &snapshot),
                    Work::Restore { cluster, operation } => {
                        let failure = self.engines.restore(state, &cluster, &operation).err();
                        state.restored(now, &cluster, &operation, failure);
                    }
                    // Fails only while the simulator ends.
                    slow => drop(self.orders.send(slow)),
                }
            }
            state.advance(now);
        }
    }

    pub(crate) fn file_bytes(&self, id: &str) -> Option<Bytes> {
        self.files.lock().unwrap().get(id).cloned()
    }

    /// Hides the signature of a file, which gives access to it, from the record.
    pub(crate) fn hide_file(&self, id: &str) {
        let signature = self.look(|state| state.signature(id).map(str::to_owned));
        signature.iter().for_each(|signature| self.traffic.record.hide(signature));
    }

    pub(crate) fn keep_file(&self, id: &str, bytes: Bytes) {
        let size = bytes.len() as u64;
        self.files.lock().unwrap().insert(id.to_owned(), bytes);
        self.change(|state, now| {
            state.uploaded(now, id, size);
            self.files.lock().unwrap().retain(|id, _| state.has_file(id));
        });
    }

    fn tell(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns a receiver that fires whenever the state may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Moves operations on when they are due, so that those who wait for a change are woken.
    pub(crate) async fn tick(self: Arc<Self>) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let due = self.lock().next_due();
            let left = due.map(|due| Duration::from_micros(u64::try_from(due - self.now()).unwrap_or(0)));
            tokio::select! {
                () = sleep(left) => self.change(|state, now| state.advance(now)),
                _ = changes.changed() => {}
            }
        }
    }
}

/// Sleeps, for ever if there is nothing to wait for.
async fn sleep(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}
