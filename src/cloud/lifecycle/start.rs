//! Makes a cluster run: deploys it if it does not exist, resumes it if it is suspended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use super::{Hooks, Lifecycle, NameLookup, WRITES, named, which_exist};
use crate::cloud::is_conflict;
use crate::cloud::model::{ClusterInfo, Operation, OperationFilter};
use crate::cloud::operation::{LISTED, LastOperation, OperationEnd, Which, passing};
use crate::error::{Error, Kind, Result};
use crate::target::{ClusterAddress, DeployPolicy};
use crate::wait::{self, Look};

/// A step gets this long after the deadline to report the timeout itself, before it is cut off.
const GRACE: Duration = Duration::from_millis(100);

/// A call that is about to be made.
pub(crate) struct Intent<'a> {
    pub(crate) name: &'a str,
    /// None for a cluster that is about to be deployed and has no id yet.
    pub(crate) cluster: Option<&'a ClusterInfo>,
    pub(crate) touch: Touch,
}

/// The call that made a cluster available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    Resumed,
    Deployed,
}

/// The calls that are allowed in order to make a cluster available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum May {
    /// Deploy it if it does not exist, resume it if it is suspended.
    DeployAndResume,
    /// The same, even if the settings forbid deployments: the caller asked for one.
    Deploy,
    Resume,
}

/// One attempt to make a cluster available, and what is known about it so far.
pub(crate) struct Run<'a> {
    pub(crate) deadline: Instant,
    pub(crate) hooks: &'a dyn Hooks,
    may: May,
    /// True once a request was sent that may leave a cluster running.
    touched: AtomicBool,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    /// Known once the cluster is found or deployed; names are looked up only once.
    id: Option<String>,
    touch: Option<Touch>,
    lost_writes: usize,
    /// Held from before a deployment until there is a cluster or the run ends.
    turn: Option<OwnedMutexGuard<()>>,
    /// When and how the answer to a deployment was lost. A deployment is the one write that is never repeated.
    lost_deployment: Option<(Instant, Error)>,
    step: String,
}

impl Lifecycle {
    /// Makes the cluster run. Ends by the run's deadline in every case. Does not try SQL: an operation may end before
    /// the server answers.
    pub(crate) async fn make_available(&self, run: &Run<'_>) -> Result<ClusterInfo> {
        let awaited = format!("{} of CrateDB Cloud to run", self.target.cluster);
        wait::until(&awaited, wait::OPERATION, run.deadline, |_| (), || self.pass(run)).await
    }

    /// Cuts off work that does not end in time, with an error that names its last step.
    pub(crate) async fn in_time<T>(&self, run: &Run<'_>, work: impl Future<Output = Result<T>>) -> Result<T> {
        let error = match tokio::time::timeout_at((run.deadline + GRACE).into(), work).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => {
                let what = format!("{} of CrateDB Cloud was not available in time", self.target.cluster);
                Error::new(Kind::Timeout, what).because(format!("last step: {}", run.state().step))
            }
        };
        Err(self.with_place(error))
    }

    /// Looks once and takes the next step.
    async fn pass(&self, run: &Run<'_>) -> Result<Look<ClusterInfo>> {
        let found = match self.find(run).await? {
            // Another call of this process may have deployed it since.
            NameLookup::None { .. } if self.takes_turn(run).await? => self.find(run).await?,
            found => found,
        };
        let cluster = match found {
            NameLookup::One(cluster) => *cluster,
            NameLookup::None { others } => return self.absent(&others, run).await,
        };
        if run.may == May::Deploy && run.touch().is_none() {
            return Err(is_taken(&cluster));
        }
        run.found(&cluster)?;
        if let Some(kind) = cluster.busy() {
            self.sit_out(&cluster, kind, run.deadline, run.hooks).await?;
            return Ok(Look::NotYet(format!("operation {kind} has ended")));
        }
        if let Some(failed) = cluster.never_deployed() {
            return Err(self.broken(&cluster, failed).await);
        }
        if cluster.suspended { self.resume(&cluster, run).await } else { Ok(Look::Ready(cluster)) }
    }

    /// Waits until no other call in this process deploys under this name, since names are not unique. Returns true if
    /// the turn was taken just now: the name then has to be looked up again before anything is deployed.
    async fn takes_turn(&self, run: &Run<'_>) -> Result<bool> {
        if run.state().turn.is_some() {
            return Ok(false);
        }
        let turn = turn_of(self.client.endpoint(), &self.target.cluster.to_string());
        let guard = match turn.clone().try_lock_owned() {
            Ok(guard) => guard,
            Err(_) => {
                run.step(format!("waiting for another call of this process, which deploys {}", self.target.cluster));
                let guard = tokio::time::timeout_at(run.deadline.into(), turn.lock_owned()).await;
                guard.map_err(|_| {
                    Error::new(Kind::Timeout, format!("{} was not available in time", self.target.cluster))
                        .because("another call of this process was deploying it")
                })?
            }
        };
        run.state().turn = Some(guard);
        Ok(true)
    }

    /// Deploys a cluster that is not listed, unless that was already requested and the answer was lost.
    async fn absent(&self, others: &[ClusterInfo], run: &Run<'_>) -> Result<Look<ClusterInfo>> {
        let lost = run.state().lost_deployment.clone();
        match lost {
            None => self.deploy(others, run).await,
            Some((since, _)) if since.elapsed() < LISTED => {
                Ok(Look::NotYet("the deployment is not listed yet".to_owned()))
            }
            Some((_, error)) => Err(error.hint("the cluster may be deployed all the same")),
        }
    }

    /// Describes a cluster whose deployment failed. It is listed like any other and never answers.
    async fn broken(&self, cluster: &ClusterInfo, failed: &Operation) -> Error {
        // The cluster has the short form of the operation, without the service's message.
        let filter = OperationFilter::newest(10).of("CREATE");
        let all = self.client.operations(&cluster.id, &filter).await.unwrap_or_default();
        let full = all.iter().find(|operation| operation.id == failed.id).unwrap_or(failed);
        Error::new(Kind::Cloud, format!("{} can't be used", named(cluster)))
            .because(format!("its deployment failed: {}", full.told()))
            .hint(format!("delete it at {}, or name another", self.client.endpoint()))
    }

    /// Makes one attempt to resume. A conflict or a lost answer is "not yet", and the next pass looks at the cluster
    /// again.
    async fn resume(&self, cluster: &ClusterInfo, run: &Run<'_>) -> Result<Look<ClusterInfo>> {
        let name = named(cluster);
        run.step(format!("resuming {name}"));
        let touch = run.touch().unwrap_or(Touch::Resumed);
        run.intend(&Intent { name: &cluster.name, cluster: Some(cluster), touch })?;
        match self.client.set_suspended(&cluster.id, false).await {
            Ok(answer) => {
                run.owe(Touch::Resumed);
                self.resumed(cluster, &answer, run).await
            }
            Err(error) if is_conflict(&error) => {
                run.undone();
                run.step(format!("waiting for another operation on {name} before it can be resumed"));
                Ok(Look::not_yet(&error))
            }
            Err(error) if error.is_never_sent() => {
                run.undone();
                run.lost(error)
            }
            Err(error) if passing(&error) => {
                // It was suspended before the request. If it runs at the next look, this request resumed it.
                run.owe(Touch::Resumed);
                run.lost(error)
            }
            Err(error) => {
                run.undone();
                let is = if run.may_have_touched() { "may be running" } else { "stays suspended" };
                Err(error.hint(format!("{name} {is}")))
            }
        }
    }

    async fn resumed(&self, cluster: &ClusterInfo, answer: &ClusterInfo, run: &Run<'_>) -> Result<Look<ClusterInfo>> {
        let doing = format!("resuming {}", named(cluster));
        let which = Which::started("SUSPEND", answer, cluster.last_operation().as_ref());
        let told = |status: &str| run.step(format!("{doing}: {status}"));
        match self.client.follow(cluster, &which, &doing, |now| !now.suspended, run.deadline, told).await? {
            OperationEnd::Failed(error) => Err(self.after_failure(cluster, error, run).await),
            OperationEnd::Lost(error) => run.lost(error),
            OperationEnd::Succeeded => {
                // The flag may trail the operation.
                let differs = "resumed, says the operation; suspended, says the cluster";
                let runs = self.until(cluster, &doing, run.deadline, |now| now.suspended.then_some(differs));
                runs.await.map(Look::Ready)
            }
        }
    }

    /// A failed resumption usually leaves the cluster as it was; only a look can tell.
    async fn after_failure(&self, cluster: &ClusterInfo, error: Error, run: &Run<'_>) -> Error {
        let console = self.client.endpoint();
        match self.client.cluster(&cluster.id).await {
            Ok(now) if now.suspended && now.busy().is_none() => {
                // It was seen suspended, so nothing runs, whatever was sent.
                run.touched.store(false, Ordering::Relaxed);
                error.hint(format!("the cluster is suspended still; {console} may tell more"))
            }
            _ => error.hint(format!("the cluster may be running; {console} tells")),
        }
    }

    /// Makes one attempt to deploy, like [`Lifecycle::resume`].
    async fn deploy(&self, others: &[ClusterInfo], run: &Run<'_>) -> Result<Look<ClusterInfo>> {
        let ClusterAddress::Name(name) = &self.target.cluster else {
            unreachable!("a cluster that is named by its id or URL is found or an error");
        };
        let others = which_exist(others);
        let missing = || Error::new(Kind::Missing, format!("no cluster is named `{name}`"));
        if run.may == May::Resume {
            return Err(missing().because(others).hint("check CRATEDB_CLUSTER_NAME"));
        }
        if self.target.deploy == DeployPolicy::Never && run.may != May::Deploy {
            return Err(missing()
                .because(format!("{others}, and CRATEDB_CLOUD_DEPLOY=never keeps it from being deployed"))
                .hint("check CRATEDB_CLUSTER_NAME, or set CRATEDB_CLOUD_DEPLOY=auto"));
        }
        let (organization, deployment) = self.plan(name).await?;
        let new = &deployment.cluster;
        run.step(format!(
            "no cluster is named `{name}` ({others}): deploying it with CrateDB {} as product {} ({})",
            new.crate_version, new.product_name, new.product_tier
        ));
        run.intend(&Intent { name, cluster: None, touch: Touch::Deployed })?;
        match self.client.deploy(&organization, &deployment).await {
            Ok(made) => self.deployed(&made, run).await.map(Look::Ready),
            // Refused before anything was done, so it may be requested again.
            Err(error) if is_conflict(&error) || error.status() == Some(429) => {
                run.undone();
                Ok(Look::not_yet(&error))
            }
            Err(error) if error.is_never_sent() => {
                run.undone();
                run.lost(error)
            }
            Err(error) if passing(&error) || error.kind() == Kind::Decode => {
                // There was none before the request. If there is one at the next look, this request made it.
                run.owe(Touch::Deployed);
                let seen = Look::not_yet(&error);
                run.state().lost_deployment = Some((Instant::now(), error));
                Ok(seen)
            }
            Err(error) => {
                run.undone();
                let is = if run.may_have_touched() { "may have been deployed" } else { "was not deployed" };
                Err(error.without_secret(new.password.expose()).hint(format!("cluster `{name}` {is}")))
            }
        }
    }

    async fn deployed(&self, made: &ClusterInfo, run: &Run<'_>) -> Result<ClusterInfo> {
        run.owe(Touch::Deployed);
        run.found(made)?;
        let doing = format!("deploying {}", named(made));
        let which = Which::started("CREATE", made, Some(&LastOperation::default()));
        let told = |status: &str| run.step(format!("{doing}: {status}"));
        match self.client.follow(made, &which, &doing, |now| !now.url.is_empty(), run.deadline, told).await? {
            OperationEnd::Failed(error) | OperationEnd::Lost(error) => {
                Err(error.hint(format!("what there is of it stays: delete it at {}", self.client.endpoint())))
            }
            OperationEnd::Succeeded => {
                let lacks = |now: &ClusterInfo| now.url.is_empty().then_some("deployed, but without a URL");
                self.until(made, &doing, run.deadline, lacks).await
            }
        }
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(deadline: Instant, hooks: &'a dyn Hooks, may: May) -> Self {
        Self { deadline, hooks, may, touched: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Returns the call that made the cluster available and so has to be undone later; none if the cluster already ran.
    pub(crate) fn touch(&self) -> Option<Touch> {
        self.state().touch
    }

    /// Reports whether a request was sent that may leave a cluster running.
    pub(crate) fn may_have_touched(&self) -> bool {
        self.touched.load(Ordering::Relaxed)
    }

    pub(crate) fn step(&self, text: impl Into<String>) {
        let text = text.into();
        self.state().step.clone_from(&text);
        self.hooks.step(text);
    }

    pub(super) fn may_deploy(&self) -> bool {
        self.may != May::Resume
    }

    pub(super) fn id(&self) -> Option<String> {
        self.state().id.clone()
    }

    fn state(&self) -> MutexGuard<'_, RunState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a call. Without the announcement, the call must not be made.
    fn intend(&self, intent: &Intent<'_>) -> Result<()> {
        self.hooks.intend(intent)?;
        self.touched.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Records a call that has to be undone later. A deployment is never overwritten.
    fn owe(&self, touch: Touch) {
        self.state().touch.get_or_insert(touch);
    }

    /// Records that the call was refused and did nothing. That says nothing about an earlier call whose answer was
    /// lost.
    fn undone(&self) {
        if self.touch().is_none() {
            self.touched.store(false, Ordering::Relaxed);
        }
    }

    /// Records that the cluster exists. The id of a deployed cluster is known only now and is worth an intent: with it,
    /// the cluster is found again whatever happens to its name.
    fn found(&self, cluster: &ClusterInfo) -> Result<()> {
        let first = self.state().id.replace(cluster.id.clone()).is_none();
        self.state().turn = None;
        if first && self.touch() == Some(Touch::Deployed) {
            self.intend(&Intent { name: &cluster.name, cluster: Some(cluster), touch: Touch::Deployed })?;
        }
        Ok(())
    }

    /// Handles a write without an answer: the next pass looks what became of it. Gives up after [`WRITES`] of them.
    fn lost(&self, error: Error) -> Result<Look<ClusterInfo>> {
        let mut state = self.state();
        state.lost_writes += 1;
        if state.lost_writes >= WRITES {
            let then = if self.may_have_touched() { "; the cluster may be running" } else { "" };
            return Err(error.hint(format!("tried {WRITES} times{then}")));
        }
        Ok(Look::not_yet(&error))
    }
}

/// The error for a new cluster whose name is taken.
pub(crate) fn is_taken(cluster: &ClusterInfo) -> Error {
    Error::new(Kind::Usage, format!("cannot deploy cluster `{}`", cluster.name))
        .because(format!("there is one of that name: {}", cluster.id))
        .hint("`start` makes it available")
}

/// Returns the lock that calls of this process hold while they deploy under a name at an endpoint.
fn turn_of(endpoint: &str, name: &str) -> Arc<tokio::sync::Mutex<()>> {
    type Turns = HashMap<(String, String), Weak<tokio::sync::Mutex<()>>>;
    static TURNS: Mutex<Option<Turns>> = Mutex::new(None);
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    let turns = turns.get_or_insert_default();
    turns.retain(|_, turn| turn.strong_count() > 0);
    let entry = turns.entry((endpoint.to_owned(), name.to_owned())).or_default();
    let turn = entry.upgrade().unwrap_or_default();
    *entry = Arc::downgrade(&turn);
    turn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_at_an_endpoint_has_one_turn_as_long_as_anybody_has_it() {
        let one = turn_of("http://turns.invalid", "ci");
        assert!(Arc::ptr_eq(&one, &turn_of("http://turns.invalid", "ci")));
        assert!(!Arc::ptr_eq(&one, &turn_of("http://turns.invalid", "cd")));
        assert!(!Arc::ptr_eq(&one, &turn_of("http://other.invalid", "ci")));
        let guard = one.try_lock_owned().unwrap();
        assert!(turn_of("http://turns.invalid", "ci").try_lock().is_err());
        drop(guard);
        assert!(turn_of("http://turns.invalid", "ci").try_lock().is_ok());
    }
}
