//! A cluster of CrateDB Cloud: resumed, deployed or found running, and suspended again.
//!
//! [`crate::cloud`], which programs use too, decides what happens to the cluster. This provider adds the journal and
//! translates to the terms of a keeper: resources, intents, releases.

mod postgres;

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use super::held::HeldCluster;
use super::{Acquired, Held, Intents, NotAcquired, Ours, Progress, Released, Resource};
use crate::cloud::Client;
use crate::cloud::lifecycle::{
    Hooks, Intent, Lifecycle, MadeProject, May, NameLookup, Run, StopRequest, Stopped, Tell, Touch, is_unclear, named,
};
use crate::cloud::model::ClusterInfo;
use crate::cloud::operation::LastOperation;
use crate::error::{Error, Kind, Result};
use crate::probe::{self, Readiness};
use crate::sql::{Credentials, Wallet};
use crate::target::{CloudTarget, OnExit};
use crate::wait::{self, Look};

/// The deadline of one release. Suspensions take minutes. One that takes longer than this is an error, and the keeper
/// tries again.
const RELEASE: Duration = Duration::from_secs(15 * 60);

pub(crate) struct CloudProvider {
    lifecycle: Lifecycle,
}

/// Sends steps to the people who wait and intents to the journal.
struct Journalled<'a> {
    progress: &'a Progress,
    intents: &'a Intents,
}

/// Sends steps to the people who wait. It is for calls that create or wake nothing.
struct Told<'a>(&'a Progress);

/// The state in which the cluster of a killed keeper was found.
enum Left {
    Running(Box<ClusterInfo>),
    /// Nothing of it runs.
    Suspended,
    Gone,
}

/// The aim of a release.
enum Goal {
    Suspend,
    Delete,
    /// Leaves it as it is, for the reason in this line.
    Leave(String),
}

impl Hooks for Journalled<'_> {
    fn step(&self, text: String) {
        self.progress.step(text);
    }

    fn trouble(&self, text: String) {
        self.progress.trouble(text);
    }

    fn intend(&self, intent: &Intent<'_>) -> Result<()> {
        let project = intent.project.clone();
        self.intents.write(Held::Cloud(match intent.cluster {
            Some(cluster) => HeldCluster::of(cluster, intent.touch.into(), project),
            None => HeldCluster { project, ..HeldCluster::planned(intent.name) },
        }))
    }
}

impl Hooks for Told<'_> {
    fn step(&self, text: String) {
        self.0.step(text);
    }

    fn trouble(&self, text: String) {
        self.0.trouble(text);
    }

    fn intend(&self, _: &Intent<'_>) -> Result<()> {
        Ok(())
    }
}

impl From<Touch> for Ours {
    fn from(touch: Touch) -> Self {
        match touch {
            Touch::Resumed => Self::Resumed,
            Touch::Deployed => Self::Deployed,
        }
    }
}

impl HeldCluster {
    fn of(cluster: &ClusterInfo, ours: Ours, project: Option<MadeProject>) -> Self {
        Self {
            id: Some(cluster.id.clone()),
            name: cluster.name.clone(),
            ours,
            allow_suspend: cluster.allow_suspend,
            known: cluster.last_async_operation.as_ref().map(LastOperation::from),
            project,
        }
    }

    /// Returns the record of a cluster that is about to be deployed.
    fn planned(name: &str) -> Self {
        let (name, ours) = (name.to_owned(), Ours::Deployed);
        Self { id: None, name, ours, allow_suspend: None, known: None, project: None }
    }

    fn read(held: &Held) -> Result<&Self> {
        match held {
            Held::Cloud(held) => Ok(held),
            other => Err(other.mismatch("a Cloud cluster")),
        }
    }

    /// Returns the name and, as soon as there is one, the id, for people.
    fn describe(&self) -> String {
        match &self.id {
            Some(id) => format!("cluster `{}` ({id})", self.name),
            None => format!("cluster `{}`", self.name),
        }
    }
}

impl CloudProvider {
    pub(super) fn new(target: CloudTarget) -> Result<Self> {
        // It lives as long as the keeper, so that the suspension finds an open connection.
        let client = target.login.client(&target.endpoint, target.timeout)?;
        Ok(Self { lifecycle: Lifecycle { target, client } })
    }

    fn client(&self) -> &Client {
        &self.lifecycle.client
    }

    fn target(&self) -> &CloudTarget {
        &self.lifecycle.target
    }

    pub(super) async fn acquire(&self, deadline: Instant, progress: &Progress, intents: &Intents) -> Acquired {
        let hooks = Journalled { progress, intents };
        let run = Run::new(deadline, &hooks, May::DeployAndResume).patient();
        let work = self.lifecycle.in_time(&run, self.make_available(&run, progress));
        work.await.map_err(|error| {
            let error = match Instant::now() >= deadline {
                true => error.hint("CRATEDB_TEST_START_TIMEOUT is the time for all of it"),
                false => error,
            };
            NotAcquired { error, maybe_up: run.may_have_touched() }
        })
    }

    async fn make_available(&self, run: &Run<'_>, progress: &Progress) -> Result<Resource> {
        let cluster = self.lifecycle.make_available(run).await?;
        let ours = run.touch().map_or(Ours::No, Ours::from);
        if ours == Ours::No {
            run.step(format!("{} is running already", named(&cluster)));
        }
        let project = run.project().filter(|_| ours == Ours::Deployed);
        self.resource(cluster, ours, project, run.deadline, progress).await
    }

    /// Connects to a running cluster and describes it as a resource.
    async fn resource(
        &self,
        cluster: ClusterInfo,
        ours: Ours,
        project: Option<MadeProject>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Resource> {
        let http_url = self.lifecycle.http_url(&cluster)?.to_owned();
        progress.step(format!("connecting to {}", named(&cluster)));
        let (awaited, wallet) = (format!("a token for {}", named(&cluster)), || self.wallet(&cluster));
        let wallet = self.lifecycle.read(&awaited, deadline, &Told(progress), wallet).await?;
        let patience = Readiness::Starting;
        let version = probe::answers_sql(&http_url, &wallet, patience, deadline, |text| progress.step(text))
            .await
            .map_err(|error| error.hint(format!("{} is running, says CrateDB Cloud", named(&cluster))))?;
        let clock = probe::clock(&http_url, &wallet).await;
        let postgres = self.postgres(&cluster, &http_url, &wallet, clock, deadline, progress).await;
        Ok(Resource {
            provider: "cloud".to_owned(),
            name: named(&cluster),
            http_url,
            pg_url: postgres.url,
            user: postgres.user,
            pg_hint: postgres.hint,
            credentials: wallet.current(),
            version,
            clock,
            ours,
            console: Some(self.client().endpoint().to_owned()),
            held: Held::Cloud(HeldCluster::of(&cluster, ours, project)),
            nodes: None,
        })
    }

    /// Returns a wallet with a JWT that it can renew, since the cluster may take longer to answer than a JWT lasts.
    async fn wallet(&self, cluster: &ClusterInfo) -> Result<Wallet> {
        let (client, id) = (self.client().clone(), cluster.id.clone());
        let first = fresh(&client, &id).await?;
        Ok(Wallet::new(first).with_renewer(std::sync::Arc::new(move || {
            let (client, id) = (client.clone(), id.clone());
            Box::pin(async move { fresh(&client, &id).await })
        })))
    }

    /// Takes over the cluster that a killed keeper's journal names, with what is owed for it. Returns none if it is
    /// suspended or gone.
    pub(super) async fn recover(
        &self,
        held: &Held,
        on_exit: OnExit,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Option<Resource>> {
        let held = HeldCluster::read(held)?;
        let awaited = format!("{}, which an earlier session left", held.describe());
        let look = || async { wait::tolerate(is_unclear, self.left_behind(held, deadline, progress).await) };
        let (told, doing) = (Told(progress), format!("looking at {}", held.describe()));
        let tell = Tell::only_trouble(&told, &doing);
        match wait::until_told(&awaited, wait::OPERATION, deadline, tell, look).await? {
            Left::Running(cluster) => {
                progress.step(format!("taking over {}, which an earlier session left running", named(&cluster)));
                self.resource(*cluster, held.ours, held.project.clone(), deadline, progress).await.map(Some)
            }
            Left::Suspended => Ok(None),
            Left::Gone => {
                // The keeper may have died between the two deletions. An empty project is no reason to fail a run.
                if let Err(error) = self.delete_project(held, on_exit, deadline, progress).await {
                    progress.step(format!("an empty project is left: {}", error.first_line()));
                }
                Ok(None)
            }
        }
    }

    async fn left_behind(&self, held: &HeldCluster, deadline: Instant, progress: &Progress) -> Result<Look<Left>> {
        let Some(cluster) = self.again(held, deadline, progress).await? else { return Ok(Look::Ready(Left::Gone)) };
        if let Some(kind) = cluster.busy() {
            self.lifecycle.sit_out(&cluster, kind, deadline, &Told(progress)).await?;
            return Ok(Look::NotYet(format!("operation {kind} has ended")));
        }
        if cluster.never_deployed().is_some() {
            progress.step(self.left(held, "its deployment failed"));
            return Ok(Look::Ready(Left::Suspended));
        }
        Ok(Look::Ready(if cluster.suspended { Left::Suspended } else { Left::Running(Box::new(cluster)) }))
    }

    /// Finds the cluster of the journal by its id, or else by its name: a planned cluster may be listed only later.
    async fn again(&self, held: &HeldCluster, deadline: Instant, progress: &Progress) -> Result<Option<ClusterInfo>> {
        if let Some(id) = &held.id {
            return self.lifecycle.presence(id).await;
        }
        Ok(match self.lifecycle.by_name_at_last(&held.name, deadline, &Told(progress)).await? {
            NameLookup::One(cluster) => Some(*cluster),
            NameLookup::None { .. } => None,
        })
    }

    pub(super) async fn release(&self, held: &Held, on_exit: OnExit, progress: &Progress) -> Result<Released> {
        let held = HeldCluster::read(held)?;
        let delete = match self.goal(held, on_exit) {
            Goal::Leave(line) => return Ok(Released::Left(line)),
            Goal::Delete => true,
            Goal::Suspend => false,
        };
        let (deadline, hooks) = (Instant::now() + RELEASE, Told(progress));
        // The request leaves at once if the id is known.
        let id = match &held.id {
            Some(id) => Some(id.clone()),
            None => self.again(held, deadline, progress).await?.map(|cluster| cluster.id),
        };
        let stopped = match id {
            None => Stopped::Deleted,
            Some(id) => {
                let (named, known, writes) = (held.describe(), held.known.clone(), AtomicUsize::new(0));
                let wanted = StopRequest { id, named, delete, known, at_once: true, deadline, hooks: &hooks, writes };
                self.lifecycle.suspend_or_delete(&wanted).await?
            }
        };
        Ok(match stopped {
            Stopped::Suspended => Released::Suspended,
            Stopped::Deleted => {
                self.delete_project(held, on_exit, deadline, progress).await?;
                Released::Deleted
            }
            Stopped::NotAllowed(_) => Released::Left(self.not_allowed(held)),
            Stopped::NeverDeployed(_) => Released::Left(self.left(held, "its deployment failed")),
        })
    }

    /// Deletes the project of a cluster that is gone, if both were made for the run and the run deletes what it made.
    async fn delete_project(
        &self,
        held: &HeldCluster,
        on_exit: OnExit,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<()> {
        match &held.project {
            Some(made) if on_exit == OnExit::Delete => {
                self.lifecycle.delete_project(made, &held.name, deadline, &Told(progress)).await
            }
            _ => Ok(()),
        }
    }

    fn goal(&self, held: &HeldCluster, on_exit: OnExit) -> Goal {
        match (on_exit, held.ours) {
            (OnExit::Keep, _) => Goal::Leave(self.left(held, "CRATEDB_TEST_ON_EXIT=keep")),
            (OnExit::Delete, Ours::Deployed) => Goal::Delete,
            (OnExit::Auto | OnExit::Delete, Ours::No) => {
                Goal::Leave(format!("{} was running before and is left running", held.describe()))
            }
            _ if held.allow_suspend == Some(false) => Goal::Leave(self.not_allowed(held)),
            _ => Goal::Suspend,
        }
    }

    /// Names what may cost money, and where it can be ended.
    fn left(&self, held: &HeldCluster, why: &str) -> String {
        format!("{} is left running ({why}); suspend or delete it at {}", held.describe(), self.client().endpoint())
    }

    fn not_allowed(&self, held: &HeldCluster) -> String {
        format!("{} is left running: its product can't be suspended (allow_suspend is false)", held.describe())
    }

    pub(super) async fn credentials(&self, held: &Held) -> Result<Credentials> {
        let held = HeldCluster::read(held)?;
        let Some(id) = &held.id else {
            return Err(Error::new(Kind::Provider, format!("cannot get a JWT for cluster `{}`", held.name))
                .because("its id is not known yet"));
        };
        fresh(self.client(), id).await
    }
}

async fn fresh(client: &Client, id: &str) -> Result<Credentials> {
    let jwt = client.jwt(id).await?;
    Ok(Credentials::Jwt { expires: jwt.expires(), token: jwt.token })
}

#[cfg(test)]
mod tests;
