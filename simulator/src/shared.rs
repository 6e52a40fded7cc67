//! What both planes, the ticker and the handles for tests share: the state machine behind a lock, and the real clock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::fault::{Action, Faults};
use crate::gateway::Gateway;
use crate::http;
use crate::jwt::Tokens;
use crate::options::{EngineKind, Options};
use crate::requests::Record;
use crate::state::{Answer, Beginning, Call, Micros, State};

/// The real clock.
pub(crate) fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros::try_from(since.as_micros()).unwrap_or(Micros::MAX)
}

/// Everything of one simulator.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    faults: Mutex<Faults>,
    gateways: Mutex<HashMap<String, Arc<Gateway>>>,
    changed: watch::Sender<u64>,
    pub(crate) record: Record,
    pub(crate) tokens: Tokens,
    pub(crate) api_key: Option<String>,
    pub(crate) api_secret: Option<String>,
    pub(crate) engine: EngineKind,
    /// `http://127.0.0.1:PORT` of the control plane.
    pub(crate) base: String,
}

impl Shared {
    pub(crate) fn new(options: &Options, base: String) -> std::io::Result<Self> {
        Self::with_record(options, base, true)
    }

    /// Without a record of requests in memory.
    pub(crate) fn forgetful(options: &Options, base: String) -> std::io::Result<Self> {
        Self::with_record(options, base, false)
    }

    fn with_record(options: &Options, base: String, keep: bool) -> std::io::Result<Self> {
        let now = now();
        let record = Record::new(options.requests.as_deref(), keep)?;
        options.api_secret.iter().for_each(|secret| record.hide(secret));
        Ok(Self {
            // Different from run to run: clients cache tokens by cluster id.
            state: Mutex::new(State::new(Beginning { now, seed: now.unsigned_abs(), pace: options.pace })),
            faults: Mutex::default(),
            gateways: Mutex::default(),
            changed: watch::Sender::new(0),
            record,
            tokens: Tokens::new(options.token_lifetime)?,
            api_key: options.api_key.clone(),
            api_secret: options.api_secret.clone(),
            engine: options.engine.clone(),
            base,
        })
    }

    /// What tokens name as their issuer: the address of the key set.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/api/v2/meta/jwk/", self.base)
    }

    /// Reads the state as it is now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.advanced(|state, _| look(state))
    }

    /// A request that only reads.
    pub(crate) fn ask(&self, call: Call) -> Answer {
        self.advanced(|state, now| state.on(now, call))
    }

    /// Tells those who wait only if something was due: readers must not wake everybody, nor may a reader that notices
    /// first keep the ticker from telling.
    fn advanced<T>(&self, then: impl FnOnce(&mut State, Micros) -> T) -> T {
        let (mut state, now) = (self.lock(), now());
        let moves = state.next_due().is_some_and(|due| due <= now);
        state.advance(now);
        let result = then(&mut state, now);
        drop(state);
        if moves {
            self.tell();
        }
        result
    }

    /// Changes the state and tells everybody who waits.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State, Micros) -> T) -> T {
        let result = change(&mut self.lock(), now());
        self.tell();
        result
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
    pub(crate) fn open_gateway(self: &Arc<Self>, cluster: &str, auth: bool, listener: TcpListener) {
        let gateway = Arc::new(Gateway::new(self.clone(), cluster, auth));
        self.gateways.lock().unwrap().insert(cluster.into(), gateway.clone());
        tokio::spawn(http::serve(self.clone(), listener, gateway));
    }

    pub(crate) fn close_gateway(&self, cluster: &str) {
        self.gateways.lock().unwrap().remove(cluster);
    }

    /// Moves operations on when they are due, so that those who wait for a change hear of it.
    pub(crate) async fn tick(self: Arc<Self>) {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let due = self.lock().next_due();
            let left = due.map(|due| Duration::from_micros(u64::try_from(due - now()).unwrap_or(0)));
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
