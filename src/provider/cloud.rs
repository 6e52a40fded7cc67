//! A cluster of CrateDB Cloud: resumed, deployed or found running, and suspended again.
//!
//! [`crate::cloud`], which programs use too, decides what happens to the cluster. This provider adds the journal and
//! translates to the terms of a keeper: resources, intents, releases. Keepers of several machines may use one cluster:
//! each joins the others when it acquires and leaves them when it releases, and the last one suspends.

mod postgres;
mod release;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postgres::Postgres;

use super::held::HeldCluster;
use super::{Acquired, Held, Intents, NotAcquired, Ours, Progress, Resource};
use crate::clock::ServerClock;
use crate::cloud::Client;
use crate::cloud::leases::{Door, Entry, LeaseTable, Memory, Site};
use crate::cloud::lifecycle::{Hooks, Intent, Lifecycle, MadeProject, May, Run, Touch, named};
use crate::cloud::model::ClusterInfo;
use crate::cloud::operation::LastOperation;
use crate::error::{Error, Kind, Result};
use crate::probe::{self, Readiness};
use crate::sharing::Member;
use crate::sql::{Credentials, Wallet};
use crate::target::CloudTarget;
use crate::version::Version;

/// A server that does not answer for so long after its cluster runs may have been suspended by another machine.
const SUSPICION: Duration = Duration::from_secs(5);

pub(crate) struct CloudProvider {
    lifecycle: Arc<Lifecycle>,
    /// The keeper, for those of other machines.
    member: Member,
    /// The way to the leases of the cluster that was acquired last, until it is left.
    door: Mutex<Option<Door>>,
}

/// A server that answers SQL.
struct Server {
    http_url: String,
    version: Version,
}

/// Sends steps to the people who wait and intents to the journal.
struct Journalled {
    progress: Progress,
    intents: Intents,
}

/// Sends steps to the people who wait. It is for calls that create or wake nothing.
struct Told(Progress);

impl Hooks for Journalled {
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

impl Hooks for Told {
    fn step(&self, text: String) {
        self.0.step(text);
    }

    fn trouble(&self, text: String) {
        self.0.trouble(text);
    }

    fn intend(&self, _: &Intent<'_>) -> Result<()> {
        Ok(())
    }

    fn may_stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.cleaned())
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
        Ok(Self { lifecycle, member: Member::silent(""), door: Mutex::default() })
    }

    pub(super) fn shared_by(self, member: Member) -> Self {
        Self { member, ..self }
    }

    pub(super) fn want_alone(&self, wants: bool, number: u64) {
        if let Some(door) = self.door() {
            door.want_alone(wants, number);
        }
    }

    pub(super) fn quiet(&self, number: u64) {
        if let Some(door) = self.door() {
            door.quiet(number);
        }
    }

    pub(super) async fn look(&self) {
        if let Some(door) = self.door() {
            door.look().await;
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
        let hooks = Journalled { progress: progress.clone(), intents: intents.clone() };
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
                hooks: Arc::new(Journalled { progress: progress.clone(), intents: intents.clone() }),
            };
            tokio::select! {
                joined = self.join(&cluster, held, Memory::default(), entry, progress) => return joined,
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
    async fn join(
        &self,
        cluster: &ClusterInfo,
        held: HeldCluster,
        memory: Memory,
        entry: Entry,
        progress: &Progress,
    ) -> Result<Resource> {
        let late = entry.deadline;
        let (server, wallet) = self.connect(cluster, late, progress).await?;
        let door = self.door_to(cluster, wallet.clone(), memory)?;
        // Neither needs anything of the other, and each takes several statements.
        let (inside, access) = tokio::join!(
            tokio::time::timeout_at(late.into(), door.join(entry)),
            self.access(cluster, &server.http_url, &wallet, late, progress),
        );
        let inside = inside.map_err(|_| {
            Error::new(Kind::Timeout, format!("cannot use {}", named(cluster)))
                .because("the lease of this run was not written in time, since another machine suspends the cluster or its server does not answer")
        })??;
        let (clock, postgres) = match access.1.is_unanswered {
            // The cluster may have been suspended and resumed meanwhile.
            true => self.access(cluster, &server.http_url, &wallet, late, progress).await,
            false => access,
        };
        let ours = match (inside.ours, inside.touch, held.ours) {
            (false, ..) => Ours::No,
            (true, Some(touch), Ours::No) => touch.into(),
            // Another machine started it.
            (true, None, Ours::No) => Ours::Resumed,
            (true, _, ours) => ours,
        };
        Ok(Resource {
            provider: "cloud".to_owned(),
            name: named(cluster),
            http_url: server.http_url,
            pg_url: postgres.url,
            user: postgres.user,
            pg_hint: postgres.hint,
            credentials: wallet.current(),
            authority: None,
            version: server.version,
            clock,
            ours,
            console: Some(self.client().endpoint().to_owned()),
            held: Held::Cloud(HeldCluster { ours, alone: Some(inside.alone), ..held }),
            nodes: None,
        })
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

    /// Waits until the server of a running cluster answers.
    async fn connect(&self, cluster: &ClusterInfo, deadline: Instant, progress: &Progress) -> Result<(Server, Wallet)> {
        let http_url = self.lifecycle.http_url(cluster)?.to_owned();
        progress.step(format!("connecting to {}", named(cluster)));
        let (awaited, wallet) = (format!("a token for {}", named(cluster)), || self.wallet(cluster));
        let wallet = self.lifecycle.read(&awaited, deadline, &Told(progress.clone()), wallet).await?;
        let patience = Readiness::Starting;
        let version = probe::answers_sql(&http_url, &wallet, patience, deadline, |text| progress.step(text))
            .await
            .map_err(|error| error.hint(format!("{} is running, says CrateDB Cloud", named(cluster))))?;
        Ok((Server { http_url, version }, wallet))
    }

    /// Asks the server for its clock and makes a user for PostgreSQL drivers. Tests can do without both.
    async fn access(
        &self,
        cluster: &ClusterInfo,
        http_url: &str,
        wallet: &Wallet,
        deadline: Instant,
        progress: &Progress,
    ) -> (Option<ServerClock>, Postgres) {
        let clock = probe::clock(http_url, wallet).await;
        (clock, self.postgres(cluster, http_url, wallet, clock, deadline, progress).await)
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
