//! Letting go: suspending or deleting what was resumed or deployed, and saying so where that can't be.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::find::Found;
use super::held::Held;
use super::{Cloud, WRITES};
use crate::cloud::is_conflict;
use crate::cloud::model::Cluster;
use crate::cloud::operation::{Ended, Known, Which, passing};
use crate::error::{Error, Result};
use crate::provider::{OnExit, Ours, Progress, Released};
use crate::wait::{self, Look};

/// For one release. Suspensions take minutes; what takes longer than this is an error, and the keeper tries again.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long the cluster's flag may trail the operation before the operation counts as somebody else's.
const FLAG: Duration = Duration::from_secs(30);

enum Goal {
    Suspend,
    Delete,
    Leave(String),
}

/// One release and what it needs at every pass.
struct Release<'a> {
    held: &'a Held,
    id: String,
    deadline: Instant,
    progress: &'a Progress,
    writes: AtomicUsize,
}

impl Release<'_> {
    /// A write of which nothing is known: the next pass looks what became of it, but not for ever.
    fn lost(&self, error: Error) -> Result<Look<Released>> {
        let again = self.writes.load(Ordering::Relaxed) < WRITES;
        if again { Ok(Look::not_yet(&error)) } else { Err(error) }
    }
}

impl Cloud {
    pub(in crate::provider) async fn release(
        &self,
        held: &serde_json::Value,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
        let held = Held::read(held)?;
        let goal = self.goal(&held, on_exit);
        if let Goal::Leave(line) = goal {
            return Ok(Released::Left(line));
        }
        let (doing, delete) = if matches!(goal, Goal::Delete) { ("deleting", true) } else { ("suspending", false) };
        let awaited = format!("{doing} {}", held.told());
        progress.step(&awaited);
        let Some(id) = self.id(&held).await? else { return Ok(Released::Deleted) };
        let deadline = Instant::now() + LIMIT;
        let release = Release { held: &held, id, deadline, progress, writes: AtomicUsize::new(0) };
        wait::until(&awaited, wait::OPERATION, deadline, |_| (), || self.let_go(&release, delete)).await
    }

    fn goal(&self, held: &Held, on_exit: OnExit) -> Goal {
        match (on_exit, held.ours) {
            (OnExit::Keep, _) => Goal::Leave(self.left(held, "CRATEDB_TEST_ON_EXIT=keep")),
            (OnExit::Delete, Ours::Deployed) => Goal::Delete,
            (OnExit::Auto | OnExit::Delete, Ours::No) => {
                Goal::Leave(format!("{} was running before and is left running", held.told()))
            }
            _ if held.allow_suspend == Some(false) => Goal::Leave(self.not_allowed(held)),
            _ => Goal::Suspend,
        }
    }

    /// What may cost something is named, with the place where it can be ended.
    pub(super) fn left(&self, held: &Held, why: &str) -> String {
        format!("{} is left running ({why}); suspend or delete it at {}", held.told(), self.client.endpoint())
    }

    fn not_allowed(&self, held: &Held) -> String {
        format!("{} is left running: its product can't be suspended (allow_suspend is false)", held.told())
    }

    /// Without a request where the journal knows it.
    async fn id(&self, held: &Held) -> Result<Option<String>> {
        match &held.id {
            Some(id) => Ok(Some(id.clone())),
            None => match self.by_name(&held.name).await? {
                Found::One(cluster) => Ok(Some(cluster.id)),
                Found::None { .. } => Ok(None),
            },
        }
    }

    /// One pass. The first one asks without looking, since the cluster costs money until the request is there; every
    /// later one looks first.
    async fn let_go(&self, release: &Release<'_>, delete: bool) -> Result<Look<Released>> {
        let mut known = release.held.known.clone();
        if release.writes.fetch_add(1, Ordering::Relaxed) > 0 {
            let now = match self.now(release).await? {
                Look::Ready(Some(now)) => now,
                Look::Ready(None) => return Ok(Look::Ready(Released::Deleted)),
                Look::NotYet(status) => return Ok(Look::NotYet(status)),
            };
            if let Some(kind) = now.busy() {
                self.sit_out(&now, kind, release.deadline, release.progress).await?;
                return Ok(Look::NotYet(format!("operation {kind} has ended")));
            }
            if now.suspended && !delete {
                return Ok(Look::Ready(Released::Suspended));
            }
            known = now.last_async_operation.as_ref().map(Known::from);
        }
        if delete {
            return match self.client.delete_cluster(&release.id).await {
                Ok(()) => Ok(Look::Ready(Released::Deleted)),
                Err(error) => self.refused(release, error).await,
            };
        }
        match self.client.set_suspended(&release.id, true).await {
            Ok(answer) => self.suspended(release, &answer, known.as_ref()).await,
            Err(error) => self.refused(release, error).await,
        }
    }

    /// The cluster, or none if somebody deleted it.
    async fn now(&self, release: &Release<'_>) -> Result<Look<Option<Cluster>>> {
        match self.client.cluster(&release.id).await {
            Ok(now) => Ok(Look::Ready(Some(now))),
            Err(error) if error.status() == Some(404) => Ok(Look::Ready(None)),
            Err(error) if passing(&error) => Ok(Look::not_yet(&error)),
            Err(error) => Err(error),
        }
    }

    async fn suspended(
        &self,
        release: &Release<'_>,
        answer: &Cluster,
        known: Option<&Known>,
    ) -> Result<Look<Released>> {
        if answer.suspended && answer.busy().is_none() {
            return Ok(Look::Ready(Released::Suspended));
        }
        let cluster = Cluster { id: release.id.clone(), name: release.held.name.clone(), ..Cluster::default() };
        let which = Which::started("SUSPEND", answer, known);
        let doing = format!("suspending {}", release.held.told());
        let told = |status: &str| release.progress.step(format!("{doing}: {status}"));
        match self.client.follow(&cluster, &which, &doing, |now| now.suspended, release.deadline, told).await? {
            Ended::Failed(error) => {
                match self.now(release).await? {
                    Look::Ready(Some(now)) if now.suspended => Ok(Look::Ready(Released::Suspended)),
                    _ => Err(error
                        .hint(format!("the cluster may be running still; suspend it at {}", self.client.endpoint()))),
                }
            }
            Ended::Lost(error) => release.lost(error),
            Ended::Succeeded => {
                let deadline = release.deadline.min(Instant::now() + FLAG);
                let flag = self.until(&cluster, &doing, deadline, |now| match now.suspended {
                    true => Look::Ready(Look::Ready(Released::Suspended)),
                    false => Look::NotYet("suspended, says the operation; running, says the cluster".to_owned()),
                });
                match flag.await {
                    Err(error) if error.is_timeout() => Ok(Look::not_yet(&error)),
                    Err(error) if error.status() == Some(404) => Ok(Look::Ready(Released::Deleted)),
                    done => done,
                }
            }
        }
    }

    /// What a refusal means depends on how the cluster is.
    async fn refused(&self, release: &Release<'_>, error: Error) -> Result<Look<Released>> {
        if error.status() == Some(404) {
            return Ok(Look::Ready(Released::Deleted));
        }
        if is_conflict(&error) {
            return Ok(Look::not_yet(&error));
        }
        if passing(&error) {
            return release.lost(error);
        }
        match self.now(release).await? {
            Look::Ready(None) => Ok(Look::Ready(Released::Deleted)),
            Look::Ready(Some(now)) if now.suspended => Ok(Look::Ready(Released::Suspended)),
            Look::Ready(Some(now)) if now.allow_suspend == Some(false) => {
                Ok(Look::Ready(Released::Left(self.not_allowed(release.held))))
            }
            Look::Ready(Some(now)) if now.never_deployed().is_some() => {
                Ok(Look::Ready(Released::Left(self.left(release.held, "its deployment failed"))))
            }
            _ => Err(error.hint(format!("suspend or delete {} at {}", release.held.told(), self.client.endpoint()))),
        }
    }
}
