//! Releases a cluster of CrateDB Cloud, and takes over what a killed keeper left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{CloudProvider, Journalled, Told};
use crate::cloud::is_conflict;
use crate::cloud::leases::{AtEnd, Departure, Door, Entry, Exit};
use crate::cloud::lifecycle::{NameLookup, StopRequest, Stopped, Tell, is_unclear, named};
use crate::cloud::model::ClusterInfo;
use crate::error::Result;
use crate::provider::held::HeldCluster;
use crate::provider::{Held, Intents, Ours, Progress, Released, Resource};
use crate::target::OnExit;
use crate::wait::{self, Look};

/// The deadline of one release. Suspensions take minutes. One that takes longer than this is an error, and the keeper
/// tries again.
const RELEASE: Duration = Duration::from_secs(15 * 60);
/// A release whose request had no effect sends it again this often.
const REQUESTS: usize = 3;

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

impl CloudProvider {
    /// Takes over the cluster that a killed keeper's journal names, with what is owed for it. Returns none if it is
    /// suspended or gone.
    pub(in crate::provider) async fn recover(
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
                let hooks = Arc::new(Journalled { progress: progress.clone(), intents: intents.clone() });
                let entry = Entry { woken: false, deadline, hooks };
                self.join(&cluster, known, held.memory(), entry, progress).await.map(Some)
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
        let (told, doing) = (Told(progress.clone()), format!("looking at {}", held.describe()));
        let tell = Tell::only_trouble(&told, &doing);
        wait::until_told(&awaited, wait::OPERATION, deadline, tell, look).await
    }

    async fn left_behind(&self, held: &HeldCluster, deadline: Instant, progress: &Progress) -> Result<Look<Left>> {
        let Some(cluster) = self.again(held, deadline, progress).await? else { return Ok(Look::Ready(Left::Gone)) };
        if let Some(kind) = cluster.busy() {
            self.lifecycle.sit_out(&cluster, kind, deadline, &Told(progress.clone())).await?;
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
        Ok(match self.lifecycle.by_name_at_last(&held.name, deadline, &Told(progress.clone())).await? {
            NameLookup::One(cluster) => Some(*cluster),
            NameLookup::None { .. } => None,
        })
    }

    pub(in crate::provider) async fn release(
        &self,
        held: &Held,
        on_exit: OnExit,
        progress: &Progress,
    ) -> Result<Released> {
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
            (Departure::InUse(others), Goal::Leave(line)) => Released::Left(format!("{line}; in use by {others}")),
            (Departure::InUse(others), _) => {
                Released::Left(format!("{} is left running: it is in use by {others}", held.describe()))
            }
            (Departure::Newer, _) => {
                Released::Left(self.left(held, "a newer version of cratedb-test shares it with other machines"))
            }
            (Departure::Running, Goal::Leave(line)) => Released::Left(line),
            (Departure::Running, _) => Released::Left(self.left(held, "it was started anew, and not by a test run")),
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
            let exit = Exit { at_end, delete, known: held.known.clone(), hooks: Arc::new(Told(progress.clone())) };
            match door.leave(exit).await {
                Departure::Owed(error, true) => {
                    let again = tries.fetch_add(1, Ordering::Relaxed) + 1 < REQUESTS || is_conflict(&error);
                    if again { Ok(Look::trouble(&error)) } else { Err(error) }
                }
                Departure::Owed(error, false) => Err(error),
                departure => Ok(Look::Ready(departure)),
            }
        };
        let (told, doing) = (Told(progress.clone()), format!("releasing {}", held.describe()));
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
        progress.cleaned().await;
        let (named, known, hooks) = (held.describe(), held.known.clone(), Told(progress.clone()));
        let writes = AtomicUsize::new(0);
        let wanted =
            StopRequest { id, named, delete, known, at_once: false, once: None, deadline, hooks: &hooks, writes };
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
                self.lifecycle.delete_project(made, &held.name, deadline, &Told(progress.clone())).await
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
}
