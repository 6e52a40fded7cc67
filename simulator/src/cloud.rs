//! The handle for tests: look at clusters, move operations, make things go wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::Fault;
use crate::gateway::Gateway;
use crate::shared::Shared;
use crate::state::cluster::{Cluster, Presence};
use crate::state::faults::Plan;
use crate::state::operation::Effect;
use crate::state::{Pace, State};

/// The clusters of a [`Simulator`](crate::Simulator), to look at and to interfere with. Cheap to clone.
///
/// Where a cluster is named, its id or its name is meant; a name that nobody has is a panic that lists those that exist.
#[derive(Clone)]
pub struct Cloud {
    shared: Arc<Shared>,
}

/// What a cluster is like at a moment.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Address of its gateway.
    pub url: String,
    /// Port of the PostgreSQL protocol on loopback; none where a real server is behind the gateway.
    pub psql_port: Option<u16>,
    /// Whether it answers SQL.
    pub running: bool,
    /// Whether the API says that it is suspended.
    pub suspended: bool,
    /// Whether the API lets it be suspended.
    pub allow_suspend: bool,
    /// Type and status of its last operation, such as `("SUSPEND", "IN_PROGRESS")`.
    pub operation: Option<(String, &'static str)>,
    /// User name of the database.
    pub username: String,
    /// Password of that user.
    pub password: String,
}

impl ClusterView {
    pub(crate) fn of(shared: &Shared, cluster: &Cluster) -> Self {
        let last = cluster.operations.last();
        Self {
            id: cluster.id.clone(),
            name: cluster.name.clone(),
            url: cluster.url.clone(),
            psql_port: shared.gateway(&cluster.id).and_then(|gateway| gateway.psql_port),
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

/// A time limit passed in [`Cloud::wait_until`].
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
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// All clusters.
    pub fn clusters(&self) -> Vec<ClusterView> {
        self.shared.look(|state| state.clusters().iter().map(|one| ClusterView::of(&self.shared, one)).collect())
    }

    /// One cluster.
    #[track_caller]
    pub fn cluster(&self, id_or_name: &str) -> ClusterView {
        let found = self.shared.look(|state| state.find(id_or_name).map(|one| ClusterView::of(&self.shared, one)));
        found.unwrap_or_else(|| self.unknown(id_or_name))
    }

    /// Waits until the clusters fulfil a condition.
    pub async fn wait_until(
        &self,
        limit: Duration,
        mut condition: impl FnMut(&[ClusterView]) -> bool,
    ) -> Result<(), WaitedTooLong> {
        let mut changes = self.shared.changes();
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
    /// whatever pace; says how many there were.
    pub fn step(&self) -> usize {
        self.shared.change(State::step)
    }

    /// Moves every operation in flight to its end.
    pub fn settle(&self) {
        while self.step() > 0 {}
    }

    /// The next operation of this cluster fails with this message. The cluster may be one that is not deployed yet. Plans
    /// for one cluster queue up.
    pub fn fail_next_operation(&self, id_or_name: &str, message: &str) {
        self.plan(id_or_name, Plan { failure: Some(message.into()), ..Plan::default() });
    }

    /// The next operation of this cluster waits for [`step`](Self::step), or for [`release`](Self::release).
    pub fn hold_next_operation(&self, id_or_name: &str) {
        self.plan(id_or_name, Plan { held: true, ..Plan::default() });
    }

    /// The next request for an operation of this cluster is accepted, and nothing ever comes of it: no operation is listed.
    pub fn lose_next_operation(&self, id_or_name: &str) {
        self.plan(id_or_name, Plan { lost: true, ..Plan::default() });
    }

    /// The next operation of this cluster does its work, but nothing names it.
    pub fn hide_next_operation(&self, id_or_name: &str) {
        self.plan(id_or_name, Plan { hidden: true, ..Plan::default() });
    }

    /// The next import or export job of this cluster fails with this message.
    pub fn fail_next_job(&self, id_or_name: &str, message: &str) {
        let plan = Plan { failure: Some(message.into()), ..Plan::default() };
        self.shared.change(|state, _| state.plan_job(id_or_name, plan));
    }

    /// The next import or export job of this cluster waits for [`step`](Self::step), or for [`release`](Self::release).
    pub fn hold_next_job(&self, id_or_name: &str) {
        self.shared.change(|state, _| state.plan_job(id_or_name, Plan { held: true, ..Plan::default() }));
    }

    /// Lets an operation that was held go on at the simulator's own pace.
    #[track_caller]
    pub fn release(&self, id_or_name: &str) {
        let known = self.shared.change(|state, _| state.release(id_or_name));
        self.expect(known, id_or_name);
    }

    /// Somebody else's operation of this type (`SCALE`, `UPGRADE`, …) is in progress, for a time or until stepped.
    /// Everything else is refused with the conflict text meanwhile.
    #[track_caller]
    pub fn foreign_operation(&self, id_or_name: &str, kind: &str, pace: Pace) {
        self.foreign(id_or_name, Effect::Foreign(kind.into()), pace);
    }

    /// Somebody else is suspending this cluster.
    #[track_caller]
    pub fn foreign_suspend(&self, id_or_name: &str, pace: Pace) {
        self.foreign(id_or_name, Effect::Suspend, pace);
    }

    /// Somebody else is resuming this cluster.
    #[track_caller]
    pub fn foreign_resume(&self, id_or_name: &str, pace: Pace) {
        self.foreign(id_or_name, Effect::Resume, pace);
    }

    /// `health` stays what it is now, whatever happens.
    #[track_caller]
    pub fn freeze_health(&self, id_or_name: &str) {
        let known = self.shared.change(|state, now| state.freeze_health(now, id_or_name, true));
        self.expect(known, id_or_name);
    }

    /// `health` is true again.
    #[track_caller]
    pub fn thaw_health(&self, id_or_name: &str) {
        let known = self.shared.change(|state, now| state.freeze_health(now, id_or_name, false));
        self.expect(known, id_or_name);
    }

    /// The next `n` requests to the gateway, while the cluster runs, are answered with 503.
    #[track_caller]
    pub fn sql_not_ready_requests(&self, id_or_name: &str, n: u32) {
        self.gateway(id_or_name).switch(|switches| switches.not_ready_requests = n);
    }

    /// Requests to the gateway are answered with 503 until this long after the cluster began to run, each time it does.
    #[track_caller]
    pub fn sql_not_ready_for(&self, id_or_name: &str, time: Duration) {
        self.gateway(id_or_name).switch(|switches| switches.not_ready_for = time);
    }

    /// Whether all connections to the gateway share one database session, as behind a proxy that reuses connections.
    #[track_caller]
    pub fn mix_connections(&self, id_or_name: &str, mixing: bool) {
        self.gateway(id_or_name).switch(|switches| switches.mixing = mixing);
    }

    /// Every database token that was issued so far counts as expired from now on.
    pub fn revoke_tokens(&self) {
        self.shared.tokens.revoke();
    }

    /// Makes a login session, and answers the token of its cookie.
    pub fn session(&self) -> String {
        let token = self.shared.change(|state, _| state.log_in());
        self.shared.record.hide(&token);
        token
    }

    /// Every login session there is becomes stale: requests with its cookie are sent to the login.
    pub fn expire_sessions(&self) {
        self.shared.change(|state, _| state.expire_sessions());
    }

    /// Gives login sessions a new token by cookie after every so many requests, or never.
    pub fn rotate_sessions(&self, every: Option<u32>) {
        self.shared.change(|state, _| state.rotate_sessions(every));
    }

    /// Takes a backup of a cluster now; false if it doesn't run or has no embedded engine.
    #[track_caller]
    pub fn take_snapshot(&self, id_or_name: &str) -> bool {
        let id = self.cluster(id_or_name).id;
        let taken = self.shared.change(|state, now| state.take_snapshot(now, &id));
        taken.is_some_and(|taken| self.shared.look(|state| state.snapshot(&taken).is_some()))
    }

    /// Lets the simulator's clock jump ahead: operations, backups, tokens and the time-outs of the free tier follow it.
    pub fn advance_clock(&self, by: Duration) {
        self.shared.advance_clock(by);
    }

    /// Sets a fault of the transport. The first one that fits and is not used up happens.
    pub fn fault(&self, fault: Fault) {
        self.shared.faults().add(fault);
    }

    /// Removes all faults of the transport.
    pub fn clear_faults(&self) {
        self.shared.faults().clear();
    }

    /// Adds an organization with one project, and answers its id: for clients that must choose.
    pub fn add_organization(&self, name: &str) -> String {
        self.shared.change(|state, now| state.add_organization(now, name))
    }

    /// Adds a subscription to the first organization, and answers its id: for clients that must choose.
    pub fn add_subscription(&self) -> String {
        self.shared.change(State::add_subscription)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn plan(&self, id_or_name: &str, plan: Plan) {
        self.shared.change(|state, _| state.plan(id_or_name, plan));
    }

    #[track_caller]
    fn foreign(&self, id_or_name: &str, effect: Effect, pace: Pace) {
        if !self.shared.change(|state, now| state.foreign(now, id_or_name, effect, pace)) {
            let cluster = self.cluster(id_or_name);
            panic!("cluster `{}` is busy with {:?}", cluster.name, cluster.operation);
        }
    }

    #[track_caller]
    fn gateway(&self, id_or_name: &str) -> Arc<Gateway> {
        let id = self.cluster(id_or_name).id;
        self.shared.gateway(&id).unwrap_or_else(|| self.unknown(id_or_name))
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
