//! What both planes, the ticker and the handles for tests share: the state machine behind a lock, and the real clock.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::engine::{Copy, Data};
use crate::fault::{Action, Faults};
use crate::gateway::Gateway;
use crate::http;
use crate::jwt::Tokens;
use crate::kept::{Keeper, Kept};
use crate::options::{EngineKind, Options};
use crate::postgres;
use crate::requests::Record;
use crate::state::access::Configured;
use crate::state::{Answer, Beginning, Call, Micros, Pace, State, Work};

/// How long after a change the state is written.
const KEEP_AFTER: Duration = Duration::from_millis(100);

/// The clock goes no further ahead: a hundred years.
const FURTHEST: Micros = 100 * 366 * 86_400_000_000;

/// The real clock.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

/// A listener on a free port, made without waiting.
fn loopback() -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Everything of one simulator.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    gateways: Mutex<HashMap<String, Arc<Gateway>>>,
    /// Bytes of files, by id.
    files: Mutex<HashMap<String, Bytes>>,
    /// Data of snapshots, by id.
    snapshots: Mutex<HashMap<String, Arc<Copy>>>,
    changed: watch::Sender<u64>,
    /// Work that takes its time.
    orders: mpsc::UnboundedSender<Work>,
    /// What was kept of engines that nobody used yet in this run.
    kept_engines: Mutex<HashMap<String, Data>>,
    keeper: Keeper,
    /// How far the simulator's clock is ahead of the real one.
    ahead: AtomicI64,
    pub(crate) record: Record,
    pub(crate) tokens: Tokens,
    pub(crate) configured: Configured,
    pub(crate) engine: EngineKind,
    pub(crate) pace: Pace,
    /// `http://127.0.0.1:PORT` of the control plane.
    pub(crate) base: String,
}

impl Shared {
    /// And where the work goes that is to be done.
    pub(crate) fn new(
        options: &Options,
        base: String,
        keep: bool,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<Work>)> {
        let now = now();
        let record = Record::new(options.requests.as_deref(), keep)?;
        options.api_secret.iter().for_each(|secret| record.hide(secret));
        let (orders, works) = mpsc::unbounded_channel();
        // Different from run to run: clients cache tokens by cluster id.
        let beginning = Beginning { now, seed: now.unsigned_abs(), pace: options.pace };
        let kept = options.state.as_deref().map(Kept::read).transpose()?.flatten();
        let (files, ahead) = kept.as_ref().map(|kept| (kept.files(), kept.ahead)).unwrap_or_default();
        let mut state = options.account(beginning, kept.as_ref().map(|kept| &kept.state))?;
        state.begin_run(options.pace, &base);
        state.secrets().iter().for_each(|secret| record.hide(secret));
        let (engines, snapshots) = kept.map(|kept| (kept.engines, kept.snapshots)).unwrap_or_default();
        let snapshots = snapshots.into_iter().map(|(id, data)| (id, Arc::new(Copy::of(data)))).collect();
        let shared = Self {
            state: Mutex::new(state),
            faults: Mutex::default(),
            gateways: Mutex::default(),
            files: Mutex::new(files),
            snapshots: Mutex::new(snapshots),
            changed: watch::Sender::default(),
            orders,
            kept_engines: Mutex::new(engines),
            keeper: Keeper::new(options.state.clone()),
            ahead: AtomicI64::new(ahead),
            record,
            tokens: Tokens::new(options.token_lifetime)?,
            configured: Configured { key: options.api_key.clone(), secret: options.api_secret.clone() },
            engine: options.engine.clone(),
            pace: options.pace,
            base,
        };
        Ok((shared, works))
    }

    /// The simulator's clock: the real one, or ahead of it.
    pub(crate) fn now(&self) -> Micros {
        now() + self.clock_offset()
    }

    pub(crate) fn clock_offset(&self) -> Micros {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Lets the simulator's clock jump, a hundred years in all at most; everything that is due by then happens.
    pub(crate) fn advance_clock(&self, by: Duration) {
        let add =
            |ahead: Micros| ahead.saturating_add(Micros::try_from(by.as_micros()).unwrap_or(Micros::MAX)).min(FURTHEST);
        let _ = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |ahead| Some(add(ahead)));
        self.change(|state, now| state.advance(now));
    }

    /// What was kept of a cluster's engine, for whoever makes it.
    pub(crate) fn kept_engine(&self, cluster: &str) -> Option<Data> {
        self.kept_engines.lock().unwrap().remove(cluster)
    }

    /// Data in an engine may have changed, which nobody but the file waits for.
    pub(crate) fn data_changed(&self) {
        self.keeper.wake();
    }

    /// Writes the state where it is kept; false if it is kept nowhere.
    pub(crate) fn save(&self) -> std::io::Result<bool> {
        self.keeper.write(|| self.kept())
    }

    fn kept(&self) -> Kept {
        let state = self.lock().clone();
        let gateways: Vec<_> =
            self.gateways.lock().unwrap().iter().map(|(id, one)| (id.clone(), one.clone())).collect();
        let mut engines: HashMap<_, _> =
            gateways.into_iter().filter_map(|(id, gateway)| Some((id, gateway.keep()?))).collect();
        // Those that nobody used in this run are kept as they were.
        let mut unused = self.kept_engines.lock().unwrap();
        unused.retain(|id, _| state.find(id).is_some() && !engines.contains_key(id));
        engines.extend(unused.iter().map(|(id, data)| (id.clone(), data.clone())));
        let snapshots = self.snapshots.lock().unwrap();
        let snapshots = snapshots.iter().map(|(id, copy)| (id.clone(), copy.keep())).collect();
        Kept::new(self.clock_offset(), state, engines, snapshots, &self.files.lock().unwrap())
    }

    /// Writes the state soon after every change.
    pub(crate) async fn keep(self: Arc<Self>) {
        let mut changes = self.changes();
        while self.keeper.is_kept() {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = self.keeper.woken() => {}
            }
            // Changes come in crowds.
            tokio::time::sleep(KEEP_AFTER).await;
            changes.mark_unchanged();
            let shared = self.clone();
            let _ = tokio::task::spawn_blocking(move || shared.keep_now()).await;
        }
    }

    /// Says once why it can't.
    pub(crate) fn keep_now(&self) {
        if let Err(error) = self.save()
            && self.keeper.is_first_failure()
        {
            let _ = writeln!(std::io::stderr(), "{error}");
        }
    }

    /// What tokens name as their issuer: the address of the key set.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/api/v2/meta/jwk/", self.base)
    }

    /// Reads the state as it is now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.advanced(|state, _| look(state))
    }

    /// The same for what also leaves a mark that nobody waits for.
    pub(crate) fn used<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        self.advanced(|state, _| look(state))
    }

    /// A request that only reads.
    pub(crate) fn ask(&self, call: Call) -> Answer {
        self.advanced(|state, now| state.on(now, call))
    }

    /// Tells those who wait only if something was due: readers must not wake everybody, nor may a reader that notices
    /// first keep the ticker from telling.
    fn advanced<T>(&self, then: impl FnOnce(&mut State, Micros) -> T) -> T {
        let (mut state, now) = (self.lock(), self.now());
        let moves = state.next_due().is_some_and(|due| due <= now);
        state.advance(now);
        self.work(&mut state, now);
        let result = then(&mut state, now);
        if moves {
            self.close_gateways(&state);
        }
        drop(state);
        if moves {
            self.tell();
        }
        result
    }

    /// Changes what nobody waits for.
    pub(crate) fn quietly<T>(&self, change: impl FnOnce(&mut State, Micros) -> T) -> T {
        let now = self.now();
        change(&mut self.lock(), now)
    }

    /// Changes the state and tells everybody who waits.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State, Micros) -> T) -> T {
        let (mut state, now) = (self.lock(), self.now());
        let result = change(&mut state, now);
        self.work(&mut state, now);
        self.close_gateways(&state);
        drop(state);
        self.tell();
        result
    }

    /// Sees to it that what the state machine wants done is: at once what is quick, so that nobody sees it half done.
    fn work(&self, state: &mut State, now: Micros) {
        loop {
            let works = state.take_works();
            if works.is_empty() {
                return;
            }
            for work in works {
                match work {
                    Work::Snapshot { snapshot } => self.copy_data(state, &snapshot),
                    Work::Restore { cluster, operation } => {
                        let failure = self.restore(state, &cluster, &operation).err();
                        state.restored(now, &cluster, &operation, failure);
                    }
                    // Nobody is there to do it only while the simulator ends.
                    slow => drop(self.orders.send(slow)),
                }
            }
            state.advance(now);
        }
    }

    fn copy_data(&self, state: &mut State, snapshot: &str) {
        let copy = state.snapshot(snapshot).and_then(|one| {
            let cluster = state.find(&one.cluster)?;
            Some(self.gateway(&cluster.id)?.engine(cluster)?.copy())
        });
        state.snapshot_taken(snapshot, copy.as_ref().map(Copy::tables));
        let mut kept = self.snapshots.lock().unwrap();
        kept.retain(|id, _| state.snapshot(id).is_some());
        kept.extend(copy.map(|copy| (snapshot.to_owned(), Arc::new(copy))));
    }

    fn restore(&self, state: &State, cluster: &str, operation: &str) -> Result<(), String> {
        let gone = || "The snapshot does not exist any more.".to_owned();
        let order = state.restore_order(cluster, operation).ok_or_else(gone)?;
        let copy = self.snapshots.lock().unwrap().get(&order.snapshot).cloned().ok_or_else(gone)?;
        let engine = state.find(cluster).and_then(|found| self.gateway(cluster)?.engine(found)).ok_or_else(gone)?;
        engine.restore(&copy, &order)
    }

    pub(crate) fn file_bytes(&self, id: &str) -> Option<Bytes> {
        self.files.lock().unwrap().get(id).cloned()
    }

    /// What lets one read a file must not turn up in the record.
    pub(crate) fn hide_file(&self, id: &str) {
        let signature = self.look(|state| state.signature(id).map(str::to_owned));
        signature.iter().for_each(|signature| self.record.hide(signature));
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

    /// Fires whenever the state may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn take_fault(&self, method: &str, path: &str) -> Option<Action> {
        self.faults.lock().unwrap().take(method, path)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    pub(crate) fn gateway(&self, cluster: &str) -> Option<Arc<Gateway>> {
        self.gateways.lock().unwrap().get(cluster).cloned()
    }

    /// Opens the data plane of a cluster on a listener that is bound already.
    pub(crate) fn open_gateway(self: &Arc<Self>, cluster: &str, listener: TcpListener) {
        // Without a port of its own a cluster has no PostgreSQL protocol, as one behind a real server has none.
        let psql = match self.engine {
            EngineKind::Embedded => loopback().ok(),
            EngineKind::Real(_) => None,
        };
        let port = psql.as_ref().and_then(|psql| psql.local_addr().ok()).map(|address| address.port());
        let gateway = Arc::new(Gateway::new(self.clone(), cluster, port));
        self.gateways.lock().unwrap().insert(cluster.into(), gateway.clone());
        if let Some(psql) = psql {
            tokio::spawn(postgres::serve(psql, gateway.clone(), self.changes()));
        }
        tokio::spawn(http::serve(self.clone(), listener, gateway));
    }

    /// Of clusters that are gone; their listeners hear of it with the change.
    fn close_gateways(&self, state: &State) {
        self.gateways.lock().unwrap().retain(|id, _| state.find(id).is_some());
    }

    /// Moves operations on when they are due, so that those who wait for a change hear of it.
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

/// For ever if there is nothing to wait for.
async fn sleep(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left).await,
        None => std::future::pending().await,
    }
}
