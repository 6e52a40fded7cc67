//! Makes a cluster run: deploys it if it does not exist, resumes it if it is suspended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;

use super::{Hooks, Lifecycle, MadeProject, NameLookup, Tell, WRITES, named, which_exist};
use crate::cloud::is_conflict;
use crate::cloud::model::{ClusterInfo, Operation, OperationFilter};
use crate::cloud::operation::{LISTED, LastOperation, OperationEnd, Which, is_foreign, passing};
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
    /// The project that is made together with the cluster.
    pub(crate) project: Option<MadeProject>,
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
    hooks: &'a dyn Hooks,
    may: May,
    /// Set if a service that can't be reached at all is waited for, too.
    patient: bool,
    /// True once a request was sent that may leave a cluster running.
    touched: AtomicBool,
    /// True once a resumption was refused since another client resumes the cluster.
    overtaken: AtomicBool,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    /// Known once the cluster is found or deployed; names are looked up only once.
    id: Option<String>,
    touch: Option<Touch>,
    project: Option<MadeProject>,
    lost_writes: usize,
    /// The trouble that the last pass ended with.
    trouble: Option<Error>,
    /// Set if no trouble is borne any more.
    is_over: bool,
    /// Held from before a deployment until there is a cluster or the run ends.
    turn: Option<OwnedMutexGuard<()>>,
    /// When and how the answer to a deployment was lost. A deployment is the one write that is never repeated.
    lost_deployment: Option<(Instant, Error)>,
    step: String,
}

impl Lifecycle {
    /// Makes the cluster run. Ends by the run's deadline in every case, and bears trouble with the API until then. Does
    /// not try SQL: an operation may end before the server answers.
    pub(crate) async fn make_available(&self, run: &Run<'_>) -> Result<ClusterInfo> {
        let awaited = format!("{} of CrateDB Cloud to run", self.target.cluster);
        let pass = || async { run.bear(self.pass(run).await) };
        let tell = Tell::only_trouble(run, "waiting");
        let made = wait::until_told(&awaited, wait::OPERATION, run.deadline, tell, pass).await;
        made.map_err(|error| match run.state().trouble.take() {
            // It says more than that time ran out.
            Some(trouble) if error.is_timeout() => trouble,
            _ => error,
        })
    }

    /// Sends reads until the deadline if the API is in trouble.
    pub(crate) async fn read<T, F: Future<Output = Result<T>>>(
        &self,
        awaited: &str,
        deadline: Instant,
        hooks: &dyn Hooks,
        read: impl Fn() -> F,
    ) -> Result<T> {
        let look = || async { wait::tolerate(passing, read().await.map(Look::Ready)) };
        let tell = Tell::only_trouble(hooks, "waiting");
        wait::until_told(awaited, wait::OPERATION, deadline, tell, look).await
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
            self.sit_out(&cluster, kind, run.deadline, run).await?;
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
            Some((_, error)) => {
                run.state().is_over = true;
                Err(error.hint("the cluster may be deployed all the same"))
            }
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
        run.intend(&Intent { name: &cluster.name, cluster: Some(cluster), touch, project: run.project() })?;
        match self.client.set_suspended(&cluster.id, false).await {
            Ok(answer) => {
                run.owe(Touch::Resumed);
                self.resumed(cluster, &answer, run).await
            }
            Err(error) if is_conflict(&error) => {
                run.undone();
                run.overtaken.store(true, Ordering::Relaxed);
                run.step(format!("waiting for another operation on {name} before it can be resumed"));
                Ok(Look::not_yet(&error))
            }
            Err(error) if error.is_never_sent() => {
                run.undone();
                run.lost(error)
            }
            Err(error) if passing(&error) || is_foreign(&error) => {
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
        match self
            .client
            .follow(cluster, &which, &doing, |now| !now.suspended, run.deadline, Tell::all(run, &doing))
            .await?
        {
            OperationEnd::Failed(error) => Err(self.after_failure(cluster, error, run).await),
            OperationEnd::Lost(error) => run.lost(error),
            OperationEnd::Succeeded => {
                // The flag may trail the operation.
                let differs = "resumed, says the operation; suspended, says the cluster";
                let runs = self.until(cluster, &doing, run.deadline, run, |now| now.suspended.then_some(differs));
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
        run.state().project =
            deployment.project.as_ref().map(|new| MadeProject { id: None, region: new.region.clone() });
        run.step(format!(
            "no cluster is named `{name}` ({others}): deploying it with CrateDB {} as product {} ({})",
            new.crate_version, new.product_name, new.product_tier
        ));
        run.intend(&Intent { name, cluster: None, touch: Touch::Deployed, project: run.project() })?;
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
            Err(error) if passing(&error) || is_foreign(&error) => {
                // There was none before the request. If there is one at the next look, this request made it.
                run.owe(Touch::Deployed);
                let seen = Look::trouble(&error);
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
        let has_url = |now: &ClusterInfo| !now.url.is_empty();
        match self.client.follow(made, &which, &doing, has_url, run.deadline, Tell::all(run, &doing)).await? {
            OperationEnd::Failed(error) | OperationEnd::Lost(error) => {
                Err(error.hint(format!("what there is of it stays: delete it at {}", self.client.endpoint())))
            }
            OperationEnd::Succeeded => {
                let lacks = |now: &ClusterInfo| (!has_url(now)).then_some("deployed, but without a URL");
                self.until(made, &doing, run.deadline, run, lacks).await
            }
        }
    }
}

impl<'a> Run<'a> {
    pub(crate) fn new(deadline: Instant, hooks: &'a dyn Hooks, may: May) -> Self {
        let (touched, overtaken) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { deadline, hooks, may, patient: false, touched, overtaken, state: Mutex::default() }
    }

    /// Waits also for a service that can't be reached at all. A program says at once that its address is wrong; a test
    /// run should not fail because the network has a bad minute.
    pub(crate) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// Returns the call that made the cluster available and so has to be undone later; none if the cluster already ran.
    pub(crate) fn touch(&self) -> Option<Touch> {
        self.state().touch
    }

    /// Reports whether the cluster was found suspended, and resumed for this call or for another one at the same time.
    pub(crate) fn has_woken(&self) -> bool {
        self.touch().is_some() || self.overtaken.load(Ordering::Relaxed)
    }

    /// Reports whether a request was sent that may leave a cluster running.
    pub(crate) fn may_have_touched(&self) -> bool {
        self.touched.load(Ordering::Relaxed)
    }

    /// Returns the project that was made together with the cluster, or may have been.
    pub(crate) fn project(&self) -> Option<MadeProject> {
        self.state().project.clone()
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
            if let Some(project) = &mut self.state().project {
                project.id = Some(cluster.project_id.clone()).filter(|id| !id.is_empty());
            }
            let (touch, project) = (Touch::Deployed, self.project());
            self.intend(&Intent { name: &cluster.name, cluster: Some(cluster), touch, project })?;
        }
        Ok(())
    }

    /// Reports whether trouble is waited out.
    fn bears(&self, error: &Error) -> bool {
        let may_pass = passing(error) && (self.patient || !error.is_never_sent());
        may_pass && Instant::now() < self.deadline && !self.state().is_over
    }

    /// Turns trouble into "not yet", and keeps it in case the time runs out.
    fn bear(&self, found: Result<Look<ClusterInfo>>) -> Result<Look<ClusterInfo>> {
        let trouble = found.as_ref().err().filter(|error| self.bears(error)).cloned();
        self.state().trouble.clone_from(&trouble);
        trouble.map_or(found, |error| Ok(Look::trouble(&error)))
    }

    /// Handles a write without an answer: the next pass looks what became of it. An outage is waited out; after
    /// [`WRITES`] strange answers, or requests without an effect, it gives up.
    fn lost(&self, error: Error) -> Result<Look<ClusterInfo>> {
        if self.bears(&error) {
            return Err(error);
        }
        let mut state = self.state();
        state.lost_writes += 1;
        if state.lost_writes >= WRITES {
            let then = if self.may_have_touched() { "; the cluster may be running" } else { "" };
            return Err(error.hint(format!("tried {WRITES} times{then}")));
        }
        Ok(Look::trouble(&error))
    }
}

impl Hooks for Run<'_> {
    fn step(&self, text: String) {
        self.state().step.clone_from(&text);
        self.hooks.step(text);
    }

    fn trouble(&self, text: String) {
        self.state().step.clone_from(&text);
        self.hooks.trouble(text);
    }

    fn intend(&self, intent: &Intent<'_>) -> Result<()> {
        self.hooks.intend(intent)?;
        self.touched.store(true, Ordering::Relaxed);
        Ok(())
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
