//! The handle for tests: looks at clusters, moves operations and injects faults.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::Fault;
use crate::gateway::{Gateway, Gateways};
use crate::options::{FaultOptions, Target, Trouble};
use crate::state::cluster::{Cluster, Presence};
use crate::state::faults::FaultPlan;
use crate::state::operation::Effect;
use crate::state::{Pace, State};
use crate::store::Store;

/// The clusters of a [`Simulator`](crate::Simulator), to inspect and to inject faults. Cheap to clone.
///
/// A cluster is named by its id or its name. An unknown name panics with a list of the clusters that exist.
#[derive(Clone)]
pub struct Cloud {
    gateways: Arc<Gateways>,
}

/// The state of a cluster at one moment.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Address of its gateway.
    pub url: String,
    /// Port of the PostgreSQL protocol on loopback; none if a real server is behind the gateway.
    pub psql_port: Option<u16>,
    /// True if it answers SQL.
    pub running: bool,
    /// True if the API says that it is suspended.
    pub suspended: bool,
    /// True if the API lets it be suspended.
    pub allow_suspend: bool,
    /// Type and status of its last operation, such as `("SUSPEND", "IN_PROGRESS")`.
    pub operation: Option<(String, &'static str)>,
    /// User name of the database.
    pub username: String,
    /// Password of that user.
    pub password: String,
}

impl ClusterView {
    fn of(gateways: &Gateways, cluster: &Cluster) -> Self {
        let last = cluster.operations.last();
        Self {
            id: cluster.id.clone(),
            name: cluster.name.clone(),
            url: cluster.url.clone(),
            psql_port: gateways.psql_port(&cluster.id),
            running: cluster.is_running(),
            suspended: cluster.presence == Presence::Suspended,
            allow_suspend: cluster.allow_suspend,
            operation: last.map(|operation| (operation.effect.kind().to_owned(), operation.status.word())),
            username: cluster.username.clone(),
            password: cluster.password.clone(),
        }
    }
}

/// Without the password.
impl fmt::Debug for ClusterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterView")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("url", &self.url)
            .field("psql_port", &self.psql_port)
            .field("running", &self.running)
            .field("suspended", &self.suspended)
            .field("allow_suspend", &self.allow_suspend)
            .field("operation", &self.operation)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The error of [`Cloud::wait_until`] when the time limit has passed.
#[derive(Clone, Debug)]
pub struct WaitedTooLong {
    limit: Duration,
    last: Vec<ClusterView>,
}

impl fmt::Display for WaitedTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the condition did not become true within {:?}; the clusters are", self.limit)?;
        for cluster in &self.last {
            write!(f, " `{}` suspended={} operation={:?}", cluster.name, cluster.suspended, cluster.operation)?;
        }
        Ok(())
    }
}

impl std::error::Error for WaitedTooLong {}

impl Cloud {
    pub(crate) fn new(gateways: Arc<Gateways>) -> Self {
        Self { gateways }
    }

    /// Returns all clusters.
    pub fn clusters(&self) -> Vec<ClusterView> {
        self.store().look(|state| state.clusters().iter().map(|one| ClusterView::of(&self.gateways, one)).collect())
    }

    /// Returns one cluster.
    #[track_caller]
    pub fn cluster(&self, id_or_name: &str) -> ClusterView {
        let found = self.store().look(|state| state.find(id_or_name).map(|one| ClusterView::of(&self.gateways, one)));
        found.unwrap_or_else(|| self.unknown(id_or_name))
    }

    /// Waits until the clusters meet a condition.
    pub async fn wait_until(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&[ClusterView]) -> bool,
    ) -> Result<(), WaitedTooLong> {
        let mut changes = self.store().changes();
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let clusters = self.clusters();
            if condition(&clusters) {
                return Ok(());
            }
            if tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
                return Err(WaitedTooLong { limit, last: self.clusters() });
            }
        }
    }

    /// Moves every operation in flight by one status (`REGISTERED`, `SENT`, `IN_PROGRESS`, `SUCCEEDED` or `FAILED`), at
    /// any pace. Returns their number.
    pub fn step(&self) -> usize {
        self.store().change(State::step)
    }

    /// Moves every operation in flight to its end.
    pub fn settle(&self) {
        while self.step() > 0 {}
    }

    /// Makes the next operation of this cluster fail with this message. The cluster may be one that is not deployed
    /// yet. Plans for one cluster queue up.
    pub fn fail_next_operation(&self, id_or_name: &str, message: &str) {
        self.plan(id_or_name, FaultPlan { failure: Some(message.into()), ..FaultPlan::default() });
    }

    /// Makes the next operation of this cluster wait for [`step`](Self::step) or [`release`](Self::release).
    pub fn hold_next_operation(&self, id_or_name: &str) {
        self.plan(id_or_name, FaultPlan { held: true, ..FaultPlan::default() });
    }

    /// Loses the next operation of this cluster: the request is accepted, but nothing happens and no operation is
    /// listed.
    pub fn lose_next_operation(&self, id_or_name: &str) {
        self.plan(id_or_name, FaultPlan { lost: true, ..FaultPlan::default() });
    }

    /// Hides the next operation of this cluster: it does its work, but is not listed.
    pub fn hide_next_operation(&self, id_or_name: &str) {
        self.plan(id_or_name, FaultPlan { hidden: true, ..FaultPlan::default() });
    }

    /// Makes the next import or export job of this cluster fail with this message.
    pub fn fail_next_job(&self, id_or_name: &str, message: &str) {
        self.plan_job(id_or_name, FaultPlan { failure: Some(message.into()), ..FaultPlan::default() });
    }

    /// Makes the next import or export job of this cluster wait for [`step`](Self::step) or [`release`](Self::release).
    pub fn hold_next_job(&self, id_or_name: &str) {
        self.plan_job(id_or_name, FaultPlan { held: true, ..FaultPlan::default() });
    }

    /// Lets a held operation go on at the simulator's own pace.
    #[track_caller]
    pub fn release(&self, id_or_name: &str) {
        let known = self.store().change(|state, _| state.release(id_or_name));
        self.expect(known, id_or_name);
    }

    /// Starts an operation of another client, of this type (`SCALE`, `UPGRADE`, …), for a time or until it is stepped.
    /// Meanwhile every other operation is refused with the conflict text.
    #[track_caller]
    pub fn foreign_operation(&self, id_or_name: &str, kind: &str, pace: Pace) {
        self.foreign(id_or_name, Effect::Foreign(kind.into()), pace);
    }

    /// Lets another client suspend this cluster.
    #[track_caller]
    pub fn foreign_suspend(&self, id_or_name: &str, pace: Pace) {
        self.foreign(id_or_name, Effect::Suspend, pace);
    }

    /// Lets another client resume this cluster.
    #[track_caller]
    pub fn foreign_resume(&self, id_or_name: &str, pace: Pace) {
        self.foreign(id_or_name, Effect::Resume, pace);
    }

    /// Freezes `health` at its present value.
    #[track_caller]
    pub fn freeze_health(&self, id_or_name: &str) {
        let known = self.store().change(|state, now| state.freeze_health(now, id_or_name, true));
        self.expect(known, id_or_name);
    }

    /// Lets `health` be true again.
    #[track_caller]
    pub fn thaw_health(&self, id_or_name: &str) {
        let known = self.store().change(|state, now| state.freeze_health(now, id_or_name, false));
        self.expect(known, id_or_name);
    }

    /// Answers the next `n` requests to the gateway of the running cluster with 503.
    #[track_caller]
    pub fn sql_not_ready_requests(&self, id_or_name: &str, n: u32) {
        self.gateway(id_or_name).switch(|switches| switches.not_ready_requests = n);
    }

    /// Answers requests to the gateway with 503 for this time after each start of the cluster.
    #[track_caller]
    pub fn sql_not_ready_for(&self, id_or_name: &str, time: Duration) {
        self.gateway(id_or_name).switch(|switches| switches.not_ready_for = time);
    }

    /// Lets all connections to the gateway share one database session, as behind a proxy that reuses connections.
    #[track_caller]
    pub fn mix_connections(&self, id_or_name: &str, mixing: bool) {
        self.gateway(id_or_name).switch(|switches| switches.mixing = mixing);
    }

    /// Expires every database token that was issued so far.
    pub fn revoke_tokens(&self) {
        self.gateways.tokens.revoke();
    }

    /// Makes a login session and returns the token of its cookie.
    pub fn session(&self) -> String {
        let token = self.store().change(|state, _| state.log_in());
        self.store().traffic.record.hide(&token);
        token
    }

    /// Makes every login session stale: requests with its cookie are redirected to the login.
    pub fn expire_sessions(&self) {
        self.store().change(|state, _| state.expire_sessions());
    }

    /// Gives login sessions a new token by cookie after each `every` requests, or never.
    pub fn rotate_sessions(&self, every: Option<u32>) {
        self.store().change(|state, _| state.rotate_sessions(every));
    }

    /// Takes a backup of a cluster now. Returns false if it doesn't run or has no embedded engine.
    #[track_caller]
    pub fn take_snapshot(&self, id_or_name: &str) -> bool {
        let id = self.cluster(id_or_name).id;
        let taken = self.store().change(|state, now| state.take_snapshot(now, &id));
        taken.is_some_and(|taken| self.store().look(|state| state.snapshot(&taken).is_some()))
    }

    /// Moves the simulator's clock ahead. Operations, backups, tokens and the time-outs of the free tier follow it.
    pub fn advance_clock(&self, by: Duration) {
        self.store().advance_clock(by);
    }

    /// Sets a fault of the transport. The first fault that fits a request and is not used up happens.
    pub fn fault(&self, fault: Fault) {
        self.store().traffic.faults().add(fault);
    }

    /// Removes all faults of the transport.
    pub fn clear_faults(&self) {
        self.store().traffic.faults().clear();
    }

    /// Adds an organization with one project, for clients that must choose, and returns its id.
    pub fn add_organization(&self, name: &str) -> String {
        self.store().change(|state, now| state.add_organization(now, name))
    }

    /// Adds a subscription to the first organization, for clients that must choose, and returns its id.
    pub fn add_subscription(&self) -> String {
        self.store().change(State::add_subscription)
    }

    pub(crate) fn gateways(&self) -> &Arc<Gateways> {
        &self.gateways
    }

    pub(crate) fn store(&self) -> &Store {
        &self.gateways.store
    }

    /// Sets a fault. It is an error if the cluster doesn't exist or is busy.
    pub(crate) fn apply(&self, fault: &FaultOptions) -> Result<(), String> {
        let (cluster, trouble) = match &fault.0 {
            Target::Transport(fault) => {
                self.fault(fault.clone());
                return Ok(());
            }
            Target::Cluster { cluster, trouble } => (cluster.as_str(), trouble),
        };
        // The cluster of a plan may be one that is not deployed yet.
        if !matches!(trouble, Trouble::Operation(_) | Trouble::Job(_)) {
            self.known(cluster)?;
        }
        match trouble {
            Trouble::Operation(plan) => self.plan(cluster, plan.clone()),
            Trouble::Job(plan) => self.plan_job(cluster, plan.clone()),
            Trouble::Foreign(kind, pace) => {
                let effect = Effect::Foreign(kind.clone());
                if !self.store().change(|state, now| state.foreign(now, cluster, effect, *pace)) {
                    return Err(format!("cluster `{cluster}` is busy"));
                }
            }
            Trouble::FrozenHealth => self.freeze_health(cluster),
            Trouble::NotReadyFor(time) => self.sql_not_ready_for(cluster, *time),
            Trouble::NotReadyRequests(n) => self.sql_not_ready_requests(cluster, *n),
            Trouble::MixedConnections => self.mix_connections(cluster, true),
        }
        Ok(())
    }

    /// Returns the id of a cluster by id or name. The error lists the clusters that exist.
    pub(crate) fn known(&self, cluster: &str) -> Result<String, String> {
        let found = |state: &State| state.find(cluster).map(|one| one.id.clone());
        self.store().look(found).ok_or_else(|| {
            let names: Vec<_> = self.clusters().iter().map(|one| format!("`{}`", one.name)).collect();
            format!("there is no cluster `{cluster}`; there are [{}]", names.join(", "))
        })
    }

    fn plan(&self, id_or_name: &str, plan: FaultPlan) {
        self.store().change(|state, _| state.plan(id_or_name, plan));
    }

    fn plan_job(&self, id_or_name: &str, plan: FaultPlan) {
        self.store().change(|state, _| state.plan_job(id_or_name, plan));
    }

    #[track_caller]
    fn foreign(&self, id_or_name: &str, effect: Effect, pace: Pace) {
        if !self.store().change(|state, now| state.foreign(now, id_or_name, effect, pace)) {
            let cluster = self.cluster(id_or_name);
            panic!("cluster `{}` is busy with {:?}", cluster.name, cluster.operation);
        }
    }

    #[track_caller]
    fn gateway(&self, id_or_name: &str) -> Arc<Gateway> {
        let id = self.cluster(id_or_name).id;
        self.gateways.get(&id).unwrap_or_else(|| self.unknown(id_or_name))
    }

    #[track_caller]
    fn expect(&self, known: bool, id_or_name: &str) {
        if !known {
            self.unknown(id_or_name)
        }
    }

    #[track_caller]
    fn unknown(&self, id_or_name: &str) -> ! {
        let names: Vec<_> = self.clusters().into_iter().map(|cluster| cluster.name).collect();
        panic!("there is no cluster `{id_or_name}`; there are {names:?}")
    }
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cloud").field(&self.clusters().iter().map(|one| one.name.clone()).collect::<Vec<_>>()).finish()
    }
}
