//! Reads the leases of a cluster, and suspends or deletes it unless others use it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{ManagedCluster, ManagedInner};
use crate::cloud::is_conflict;
use crate::cloud::leases::{Closed, Condition, LeaseTable, Leases, LeasesState, Verdict, close, examine};
use crate::cloud::lifecycle::{Hooks as _, StopRequest, Stopped, Tell, is_unclear, named};
use crate::cloud::model::ClusterInfo;
use crate::cloud::operation::passing;
use crate::error::{Error, Kind, Result};
use crate::sharing;
use crate::wait::{self, Look};

/// The time limit for the way to a cluster's leases. A cluster that costs money has to be stopped without them.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request that had no effect is sent this often.
pub(super) const REQUESTS: usize = 3;

/// The ids of one handle among the leases.
#[derive(Debug)]
pub(super) struct Me {
    /// The one that closes the row.
    id: String,
    /// Those of leases that it holds.
    own: Mutex<Vec<String>>,
}

impl Default for Me {
    fn default() -> Self {
        Self { id: sharing::new_id(), own: Mutex::default() }
    }
}

impl Me {
    pub(super) fn holds(&self, id: &str) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).push(id.to_owned());
    }

    pub(super) fn lets_go_of(&self, id: &str) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| own != id);
    }

    fn own(&self) -> Vec<String> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The outcome of stopping a cluster.
#[derive(Debug)]
pub(super) enum Ended {
    Stopped(Stopped),
    /// These use it.
    InUse(String),
    /// It runs on for this reason.
    Kept(String),
}

/// The outcome of looking after one cluster of an account, for the command line. It may change without notice.
#[doc(hidden)]
#[derive(Clone, Debug, Serialize)]
pub struct Swept {
    /// `suspended`, `would suspend`, `kept` (with the reason), `in use` or `unknown` (its leases can't be read).
    pub outcome: &'static str,
    /// Details of the outcome, for display.
    pub detail: String,
}

impl Swept {
    fn new(outcome: &'static str, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into() }
    }
}

impl ManagedCluster {
    /// Returns the leases of the cluster: the runs of tests and the programs that use it. A cluster that is suspended,
    /// and one that no run of tests has used yet, has none; [`state`](Leases::state) tells them apart. The cluster is
    /// not started for it.
    ///
    /// ```no_run
    /// # async fn example(cluster: cratedb_test::ManagedCluster) -> cratedb_test::Result<()> {
    /// let leases = cluster.leases().await?;
    /// match leases.live().next() {
    ///     Some(lease) => println!("in use by {lease}"),
    ///     None => println!("nobody uses it; started by a run of tests: {}", leases.ours),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no such cluster; when it runs and does not answer SQL; when the leases can't be read, since a
    /// newer version wrote them or a person changed them.
    pub async fn leases(&self) -> Result<Leases> {
        self.work(|inner| async move { inner.leases().await }).await
    }

    /// Suspends the cluster if the harness started it and nobody has used it for `idle`. With `dry_run`, nothing is
    /// changed. For the command line; it may change without notice.
    ///
    /// # Errors
    ///
    /// When its leases can't be read for want of rights, and when it is to be suspended and can't be.
    #[doc(hidden)]
    pub async fn sweep(&self, idle: Duration, dry_run: bool) -> Result<Swept> {
        self.work(move |inner| async move { inner.sweep(idle, dry_run).await }).await
    }
}

impl ManagedInner {
    /// Returns the way to the leases of a cluster that runs, and that may have been looked at just now.
    pub(super) async fn lease_table(&self, seen: Option<&ClusterInfo>) -> Result<LeaseTable> {
        match tokio::time::timeout(PATIENCE, self.connect_knowing(seen)).await {
            Ok(connection) => connection?.leases(),
            Err(_) => Err(Error::new(Kind::Timeout, format!("cannot connect to {}", self.lifecycle.target.cluster))
                .because(format!("no answer within {}", humantime::format_duration(PATIENCE)))),
        }
    }

    pub(super) async fn leases(&self) -> Result<Leases> {
        let of_url = self.server.as_ref().filter(|_| self.lifecycle.client.missing().is_some());
        let (name, seen) = match of_url {
            Some(server) => (format!("the cluster at {}", server.url), None),
            None => match self.lifecycle.look().await {
                Ok(cluster) if cluster.suspended || cluster.busy() == Some("CREATE") => {
                    return Ok(Leases::none(LeasesState::Suspended));
                }
                Ok(cluster) => (named(&cluster), Some(cluster)),
                Err(error) if self.server.is_some() && error.is_not_found() => {
                    (self.lifecycle.target.cluster.to_string(), None)
                }
                Err(error) => return Err(error),
            },
        };
        Leases::seen(self.lease_table(seen.as_ref()).await?.read().await, &name)
    }

    /// Suspends or deletes the cluster. Leases of others are an error.
    pub(super) async fn suspend_or_delete(&self, delete: bool, deadline: Instant) -> Result<(ClusterInfo, Stopped)> {
        let (cluster, ended) = self.stop_unless_in_use(delete, deadline).await?;
        let because = match ended {
            Ended::Stopped(stopped) => return Ok((cluster, stopped)),
            Ended::InUse(others) => format!("it is in use by {others}"),
            Ended::Kept(why) => why,
        };
        let doing = if delete { "delete" } else { "suspend" };
        Err(Error::new(Kind::Provider, format!("did not {doing} {}", named(&cluster)))
            .because(because)
            .hint(format!("to {doing} it nevertheless, call stop_although_in_use(true) of the builder")))
    }

    /// Suspends or deletes the cluster if nobody else uses it.
    pub(super) async fn stop_unless_in_use(&self, delete: bool, deadline: Instant) -> Result<(ClusterInfo, Ended)> {
        let tries = AtomicUsize::new(0);
        let pass = || async {
            let cluster = self.look_patiently(deadline).await?;
            if cluster.suspended && cluster.busy().is_none() && !delete {
                return Ok(Look::Ready((cluster, Ended::Stopped(Stopped::Suspended))));
            }
            // Nobody uses what does not run, and leases say nothing to a product that can't be suspended.
            let is_used = !cluster.suspended && cluster.busy().is_none_or(|kind| kind != "CREATE" && delete);
            if !is_used || !delete && cluster.allow_suspend == Some(false) {
                return self.stop_at_once_if_idle(cluster, delete, deadline).await;
            }
            match self.closed(&cluster).await {
                Verdict::InUse(others) => Ok(Look::Ready((cluster, Ended::InUse(others)))),
                Verdict::Kept(why) => Ok(Look::Ready((cluster, Ended::Kept(why)))),
                Verdict::Closing => Ok(Look::NotYet("it is about to be suspended by another machine".to_owned())),
                Verdict::Unknown(why) => {
                    tracing::debug!(why, "without leases");
                    self.stop_at_once_if_idle(cluster, delete, deadline).await
                }
                Verdict::Closed(closed) => self.stop_closed(cluster, closed, delete, deadline, &tries).await,
                Verdict::Holds => unreachable!("it closes or says why not"),
            }
        };
        let doing = format!("{} {}", if delete { "deleting" } else { "suspending" }, self.lifecycle.target.cluster);
        wait::until_told(&doing, wait::OPERATION, deadline, Tell::only_trouble(self, &doing), pass).await
    }

    async fn closed(&self, cluster: &ClusterInfo) -> Verdict {
        let own = self.me.own();
        let condition = if self.although_in_use { Condition::Forced } else { Condition::Unused { own: &own } };
        match self.lease_table(Some(cluster)).await {
            Ok(table) => close(&table, &self.me.id, condition).await,
            Err(error) => Verdict::Unknown(error.first_line()),
        }
    }

    /// Stops a cluster without a row, as every program did before there were leases. Waits for an operation first.
    async fn stop_at_once_if_idle(
        &self,
        cluster: ClusterInfo,
        delete: bool,
        deadline: Instant,
    ) -> Result<Look<(ClusterInfo, Ended)>> {
        if let Some(kind) = cluster.busy().filter(|_| !delete) {
            return self.sat_out(&cluster, kind, deadline).await;
        }
        let wanted = self.request(&cluster, delete, deadline, None);
        let stopped =
            self.lifecycle.suspend_or_delete(&wanted).await.map_err(|error| self.lifecycle.with_place(error))?;
        Ok(Look::Ready((cluster, Ended::Stopped(stopped))))
    }

    /// Waits for the end of an operation that another client started.
    pub(super) async fn sat_out<T>(&self, cluster: &ClusterInfo, kind: &str, deadline: Instant) -> Result<Look<T>> {
        let ended = self.lifecycle.sit_out(cluster, kind, deadline, self).await;
        let trouble = |error: &Error| is_unclear(error) && Instant::now() < deadline;
        wait::tolerate(trouble, ended.map(|()| Look::NotYet(format!("operation {kind} has ended"))))
            .map_err(|error| self.lifecycle.with_place(error))
    }

    /// Sends one request for a cluster whose row says "closing", and waits for what becomes of it.
    async fn stop_closed(
        &self,
        cluster: ClusterInfo,
        closed: Closed,
        delete: bool,
        deadline: Instant,
        tries: &AtomicUsize,
    ) -> Result<Look<(ClusterInfo, Ended)>> {
        if !closed.is_in_time() {
            return Ok(Look::NotYet("this process was stopped before it could ask for it".to_owned()));
        }
        let wanted = self.request(&cluster, delete, deadline, Some(OnceLock::new()));
        let ended = self.lifecycle.suspend_or_delete(&wanted).await;
        match ended {
            Ok(Stopped::Unchanged(error)) => {
                let again = tries.fetch_add(1, Ordering::Relaxed) + 1 < REQUESTS || is_conflict(&error);
                // One whose answer was lost may still arrive, so the row stays closed.
                if again { Ok(Look::trouble(&error)) } else { Err(self.lifecycle.with_place(error)) }
            }
            Ok(stopped) => {
                if matches!(stopped, Stopped::NotAllowed(_) | Stopped::NeverDeployed(_)) {
                    closed.reopen().await;
                }
                Ok(Look::Ready((cluster, Ended::Stopped(stopped))))
            }
            Err(error) => {
                if is_refusal(&error) {
                    closed.reopen().await;
                }
                Err(self.lifecycle.with_place(error))
            }
        }
    }

    fn request(
        &self,
        cluster: &ClusterInfo,
        delete: bool,
        deadline: Instant,
        once: Option<OnceLock<Error>>,
    ) -> StopRequest<'_> {
        StopRequest {
            id: cluster.id.clone(),
            named: named(cluster),
            delete,
            known: cluster.last_operation(),
            // It was looked at just now, and a deletion may interrupt an operation.
            at_once: delete || cluster.busy().is_none(),
            once,
            deadline,
            hooks: self,
            writes: AtomicUsize::new(0),
        }
    }

    /// Waits while the service is in trouble, since a cluster that is not stopped costs money. Gives up if the service
    /// can't be reached.
    pub(super) async fn look_patiently(&self, deadline: Instant) -> Result<ClusterInfo> {
        let awaited = format!("what CrateDB Cloud says of {}", self.lifecycle.target.cluster);
        let told = |status: &str| self.step(status.to_owned());
        let trouble = |error: &Error| error.status().is_some() && passing(error);
        wait::until(&awaited, wait::OPERATION, deadline, told, || async {
            wait::tolerate(trouble, self.lifecycle.look().await.map(Look::Ready))
        })
        .await
    }

    async fn sweep(&self, idle: Duration, dry_run: bool) -> Result<Swept> {
        let (deadline, tries) = (self.deadline(), AtomicUsize::new(0));
        let began = AtomicBool::new(false);
        let pass = || async {
            let cluster = match self.lifecycle.look().await {
                Err(error) if error.is_not_found() => return Ok(Look::Ready(Swept::new("kept", "it was deleted"))),
                cluster => cluster?,
            };
            if let Some(kind) = cluster.busy() {
                return Ok(Look::Ready(Swept::new("kept", format!("it is busy with operation {kind}"))));
            }
            if cluster.suspended {
                return Ok(Look::Ready(match began.load(Ordering::Relaxed) {
                    true => Swept::new("suspended", ""),
                    false => Swept::new("kept", "it is suspended"),
                }));
            }
            let table = match self.lease_table(Some(&cluster)).await {
                Err(error) if matches!(error.status(), Some(401 | 403)) => return Err(error),
                Err(error) => return Ok(Look::Ready(Swept::new("unknown", error.first_line()))),
                Ok(table) => table,
            };
            // The own change of the row is no use of the cluster.
            let idle = if began.load(Ordering::Relaxed) { Duration::ZERO } else { idle };
            let condition = Condition::Abandoned(idle);
            let can_be_suspended = cluster.allow_suspend != Some(false);
            let verdict = match dry_run || !can_be_suspended {
                true => examine(&table, &self.me.id, condition).await,
                false => close(&table, &self.me.id, condition).await,
            };
            Ok(Look::Ready(match verdict {
                Verdict::InUse(others) => Swept::new("in use", others),
                Verdict::Kept(why) => Swept::new("kept", why),
                Verdict::Closing => Swept::new("kept", "another machine is about to suspend it"),
                Verdict::Unknown(why) => Swept::new("unknown", why),
                Verdict::Holds if !can_be_suspended => Swept::new("kept", "its product can't be suspended"),
                Verdict::Holds => Swept::new("would suspend", ""),
                Verdict::Closed(closed) => {
                    began.store(true, Ordering::Relaxed);
                    let ended = match self.stop_closed(cluster, closed, false, deadline, &tries).await? {
                        Look::NotYet(status) => return Ok(Look::NotYet(status)),
                        Look::Trouble(status) => return Ok(Look::Trouble(status)),
                        Look::Ready((_, ended)) => ended,
                    };
                    match ended {
                        Ended::Stopped(Stopped::Suspended | Stopped::Deleted) => Swept::new("suspended", ""),
                        Ended::Stopped(
                            Stopped::NotAllowed(error) | Stopped::NeverDeployed(error) | Stopped::Unchanged(error),
                        ) => return Err(error),
                        Ended::InUse(why) | Ended::Kept(why) => Swept::new("kept", why),
                    }
                }
            }))
        };
        let doing = format!("sweeping {}", self.lifecycle.target.cluster);
        wait::until_told(&doing, wait::OPERATION, deadline, Tell::only_trouble(self, &doing), pass).await
    }
}

/// Reports whether a request was refused, or carried out and failed, so that nothing of it is still under way.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error.status(), Some(400..500)) || error.status().is_none() && error.kind() == Kind::Cloud
}
