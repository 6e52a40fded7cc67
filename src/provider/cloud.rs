//! A cluster of CrateDB Cloud: resumed, deployed or found running, and suspended again.
//!
//! [`crate::cloud`], which programs use too, decides what happens to the cluster. This provider adds the journal and
//! translates to the terms of a keeper: resources, intents, releases. Keepers of several machines may use one cluster:
//! each joins the others when it acquires and leaves them when it releases, and the last one suspends.

mod door;
mod gate;
mod lease;
mod postgres;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::door::{Departure, Door, Entry, Exit, Site};
use self::gate::{AtEnd, Memory};
use self::lease::LeaseTable;
use super::held::HeldCluster;
use super::sharing::Member;
use super::{Acquired, Held, Intents, NotAcquired, Ours, Progress, Released, Resource};
use crate::cloud::{Client, is_conflict};
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
/// A release whose request had no effect sends it again this often.
const REQUESTS: usize = 3;
/// A server that does not answer for so long after its cluster runs may have been suspended by another machine.
const SUSPICION: Duration = Duration::from_secs(5);

pub(crate) struct CloudProvider {
    lifecycle: Arc<Lifecycle>,
    /// The keeper, for those of other machines.
    member: Member,
    /// The way to the leases of the cluster that was acquired last, until it is left.
    door: Mutex<Option<Door>>,
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
            alone: None,
        }
    }

    /// Returns the record of a cluster that is about to be deployed.
    fn planned(name: &str) -> Self {
        let (name, ours) = (name.to_owned(), Ours::Deployed);
        Self { id: None, name, ours, allow_suspend: None, known: None, project: None, alone: None }
    }

    /// Returns what it says to the keeper that follows the one that wrote it.
    fn memory(&self) -> Memory {
        let owed = self.ours != Ours::No;
        Memory {
            woken: owed && self.alone.is_none(),
            ours: owed && self.alone.is_some(),
            alone: self.alone == Some(true),
        }
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
        let lifecycle = Arc::new(Lifecycle { target, client });
        Ok(Self { lifecycle, member: Member::nobody(), door: Mutex::default() })
    }

    pub(super) fn shared_by(self, member: Member) -> Self {
        Self { member, ..self }
    }

    pub(super) fn want_alone(&self, wants: bool) {
        if let Some(door) = self.door() {
            door.want_alone(wants);
        }
    }

    pub(super) fn quiet(&self, number: u64) {
        if let Some(door) = self.door() {
            door.quiet(number);
        }
    }

    fn door(&self) -> Option<Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_door(&self, door: Option<Door>) {
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = door;
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
        let work = self.lifecycle.in_time(&run, self.make_available(&run, progress, intents));
        work.await.map_err(|error| {
            if !run.may_have_touched() {
                self.set_door(None);
            }
            let error = match Instant::now() >= deadline {
                true => error.hint("CRATEDB_TEST_START_TIMEOUT is the time for all of it"),
                false => error,
            };
            NotAcquired { error, maybe_up: run.may_have_touched() }
        })
    }

    async fn make_available(&self, run: &Run<'_>, progress: &Progress, intents: &Intents) -> Result<Resource> {
        // Not `wait::until`: each pass waits by itself, and another one follows only if the cluster was taken away.
        loop {
            let cluster = self.lifecycle.make_available(run).await?;
            let ours = run.touch().map_or(Ours::No, Ours::from);
            if ours == Ours::No {
                run.step(format!("{} is running already", named(&cluster)));
            }
            let project = run.project().filter(|_| ours == Ours::Deployed);
            let held = HeldCluster::of(&cluster, ours, project);
            let entry = Entry {
                woken: run.has_woken(),
                deadline: run.deadline,
                progress: progress.clone(),
                intents: intents.clone(),
            };
            tokio::select! {
                joined = self.join(&cluster, held, Memory::default(), entry) => return joined,
                () = self.taken_away(&cluster) => run.step(format!("{} was suspended meanwhile", named(&cluster))),
            }
        }
    }

    /// Returns when a cluster is not running any more, although its server had time to answer.
    async fn taken_away(&self, cluster: &ClusterInfo) {
        // Not `wait::until`: it has no end of its own.
        loop {
            tokio::time::sleep(SUSPICION).await;
            if let Ok(Some(now)) = self.lifecycle.presence(&cluster.id).await
                && now.suspended
                && now.busy().is_none()
            {
                return;
            }
        }
    }

    /// Connects to a running cluster and joins the keepers that use it.
    async fn join(&self, cluster: &ClusterInfo, held: HeldCluster, memory: Memory, entry: Entry) -> Result<Resource> {
        let (mut resource, wallet) = self.resource(cluster, held.ours, entry.deadline, &entry.progress).await?;
        let late = entry.deadline;
        let door = self.door_to(cluster, wallet, memory)?;
        let inside = tokio::time::timeout_at(late.into(), door.join(entry)).await.map_err(|_| {
            Error::new(Kind::Timeout, format!("cannot use {}", named(cluster)))
                .because("the lease of this run was not written in time, since another machine suspends the cluster or its server does not answer")
        })??;
        resource.ours = match (inside.ours, inside.touch, held.ours) {
            (false, ..) => Ours::No,
            (true, Some(touch), Ours::No) => touch.into(),
            // Another machine started it.
            (true, None, Ours::No) => Ours::Resumed,
            (true, _, ours) => ours,
        };
        resource.held = Held::Cloud(HeldCluster { ours: resource.ours, alone: Some(inside.alone), ..held });
        Ok(resource)
    }

    /// Returns the way to the leases of a cluster that runs, the same as long as it was not left.
    fn door_to(&self, cluster: &ClusterInfo, wallet: Wallet, memory: Memory) -> Result<Door> {
        if let Some(door) = self.door().filter(|door| door.cluster == cluster.id) {
            return Ok(door);
        }
        let table = LeaseTable::of(self.lifecycle.http_url(cluster)?, wallet)?;
        let site = Site { lifecycle: self.lifecycle.clone(), id: cluster.id.clone(), named: named(cluster) };
        let door = Door::open(site, table, self.member.clone(), memory);
        self.set_door(Some(door.clone()));
        Ok(door)
    }

    /// Connects to a running cluster and describes it as a resource.
    async fn resource(
        &self,
        cluster: &ClusterInfo,
        ours: Ours,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<(Resource, Wallet)> {
        let http_url = self.lifecycle.http_url(cluster)?.to_owned();
        progress.step(format!("connecting to {}", named(cluster)));
        let (awaited, wallet) = (format!("a token for {}", named(cluster)), || self.wallet(cluster));
        let wallet = self.lifecycle.read(&awaited, deadline, &Told(progress), wallet).await?;
        let patience = Readiness::Starting;
        let version = probe::answers_sql(&http_url, &wallet, patience, deadline, |text| progress.step(text))
            .await
            .map_err(|error| error.hint(format!("{} is running, says CrateDB Cloud", named(cluster))))?;
        let clock = probe::clock(&http_url, &wallet).await;
        let postgres = self.postgres(cluster, &http_url, &wallet, clock, deadline, progress).await;
        let resource = Resource {
            provider: "cloud".to_owned(),
            name: named(cluster),
            http_url,
            pg_url: postgres.url,
            user: postgres.user,
            pg_hint: postgres.hint,
            credentials: wallet.current(),
            version,
            clock,
            ours,
            console: Some(self.client().endpoint().to_owned()),
            held: Held::Cloud(HeldCluster::of(cluster, ours, None)),
            nodes: None,
        };
        Ok((resource, wallet))
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
        intents: &Intents,
    ) -> Result<Option<Resource>> {
        let held = HeldCluster::read(held)?;
        match self.find_left(held, deadline, progress).await? {
            Left::Running(cluster) => {
                progress.step(format!("taking over {}, which an earlier session left running", named(&cluster)));
                let known = HeldCluster::of(&cluster, held.ours, held.project.clone());
                let entry =
                    Entry { woken: false, deadline, progress: progress.clone(), intents: intents.clone() };
                self.join(&cluster, known, held.memory(), entry).await.map(Some)
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

    /// Waits until it is known what became of a cluster that a keeper left.
    async fn find_left(&self, held: &HeldCluster, deadline: Instant, progress: &Progress) -> Result<Left> {
        let awaited = format!("{}, which an earlier session left", held.describe());
        let look = || async { wait::tolerate(is_unclear, self.left_behind(held, deadline, progress).await) };
        let (told, doing) = (Told(progress), format!("looking at {}", held.describe()));
        let tell = Tell::only_trouble(&told, &doing);
        wait::until_told(&awaited, wait::OPERATION, deadline, tell, look).await
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
        let goal = self.goal(held, on_exit);
        let deadline = Instant::now() + RELEASE;
        let departure = match (self.door(), &goal) {
            (Some(door), _) => self.leave(&door, held, &goal, on_exit, deadline, progress).await?,
            (None, Goal::Leave(_)) => Departure::Running,
            (None, _) => match self.find_left(held, deadline, progress).await? {
                Left::Gone => Departure::Stopped(Stopped::Deleted),
                Left::Suspended if !matches!(goal, Goal::Delete) => Departure::Stopped(Stopped::Suspended),
                Left::Suspended => self.stop(held, true, deadline, progress).await?,
                Left::Running(cluster) => match self.wallet(&cluster).await {
                    Ok(wallet) => {
                        let door = self.door_to(&cluster, wallet, held.memory())?;
                        self.leave(&door, held, &goal, on_exit, deadline, progress).await?
                    }
                    // Its server can't be asked, and as far as is known no other keeper uses it.
                    Err(_) if held.alone != Some(false) => {
                        self.stop(held, matches!(goal, Goal::Delete), deadline, progress).await?
                    }
                    Err(error) => return Err(error),
                },
            },
        };
        self.set_door(None);
        Ok(match (departure, goal) {
            (Departure::Stopped(Stopped::Suspended), _) => Released::Suspended,
            (Departure::Stopped(Stopped::Deleted), _) => {
                self.delete_project(held, on_exit, deadline, progress).await?;
                Released::Deleted
            }
            (Departure::Stopped(Stopped::NotAllowed(_)), _) => Released::Left(self.not_allowed(held)),
            (Departure::Stopped(Stopped::NeverDeployed(_)), _) => {
                Released::Left(self.left(held, "its deployment failed"))
            }
            (Departure::Owed(error, _) | Departure::Stopped(Stopped::Unchanged(error)), _) => return Err(error),
            (Departure::InUse(others), _) => {
                Released::Left(format!("{} is left running: it is in use by {others}", held.describe()))
            }
            (Departure::Newer, _) => {
                Released::Left(self.left(held, "a newer version of cratedb-test shares it with other machines"))
            }
            (Departure::Running, Goal::Leave(line)) => Released::Left(line),
            (Departure::Running, _) => {
                Released::Left(self.left(held, "it was started anew, and not by a test run"))
            }
        })
    }

    /// Leaves the keepers of a cluster, and has it suspended or deleted if this was the last one.
    async fn leave(
        &self,
        door: &Door,
        held: &HeldCluster,
        goal: &Goal,
        on_exit: OnExit,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Departure> {
        let at_end = match (goal, on_exit, held.ours) {
            (_, OnExit::Suspend, _) if matches!(goal, Goal::Suspend) => AtEnd::Suspend,
            // Another keeper may have started what this one found running.
            (Goal::Leave(_), OnExit::Auto | OnExit::Delete, Ours::No) => AtEnd::Auto,
            (Goal::Leave(_), ..) => AtEnd::Keep,
            _ => AtEnd::Auto,
        };
        let tries = AtomicUsize::new(0);
        let pass = || async {
            let delete = matches!(goal, Goal::Delete);
            let exit = Exit { at_end, delete, known: held.known.clone(), progress: progress.clone() };
            match door.leave(exit).await {
                Departure::Owed(error, true) => {
                    let again = tries.fetch_add(1, Ordering::Relaxed) + 1 < REQUESTS || is_conflict(&error);
                    if again { Ok(Look::trouble(&error)) } else { Err(error) }
                }
                Departure::Owed(error, false) => Err(error),
                departure => Ok(Look::Ready(departure)),
            }
        };
        let (told, doing) = (Told(progress), format!("releasing {}", held.describe()));
        wait::until_told(&doing, wait::OPERATION, deadline, Tell::only_trouble(&told, &doing), pass).await
    }

    /// Suspends or deletes a cluster whose leases can't be asked for.
    async fn stop(
        &self,
        held: &HeldCluster,
        delete: bool,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Departure> {
        let Some(id) = (match &held.id {
            Some(id) => Some(id.clone()),
            None => self.again(held, deadline, progress).await?.map(|cluster| cluster.id),
        }) else {
            return Ok(Departure::Stopped(Stopped::Deleted));
        };
        let (named, known, hooks) = (held.describe(), held.known.clone(), Told(progress));
        let writes = AtomicUsize::new(0);
        let wanted = StopRequest { id, named, delete, known, at_once: false, once: None, deadline, hooks: &hooks, writes };
        self.lifecycle.suspend_or_delete(&wanted).await.map(Departure::Stopped)
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
