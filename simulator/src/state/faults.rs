//! Faults of the control plane: operations that fail, hang or vanish, and operations of other clients.

use super::cluster::Cluster;
use super::operation::{Effect, Operation, Pace, Status};
use super::{Micros, State};

/// A plan for the next operation of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultPlan {
    /// It fails with this message.
    pub(crate) failure: Option<String>,
    /// It keeps its status until it is stepped.
    pub(crate) held: bool,
    /// It is accepted and lost.
    pub(crate) lost: bool,
    /// It does its work, but is not listed.
    pub(crate) hidden: bool,
}

impl State {
    /// Plans the next operation of the cluster with this id or name, which may not be deployed yet. Plans queue up.
    pub(crate) fn plan(&mut self, id_or_name: &str, plan: FaultPlan) {
        let name = self.find(id_or_name).map_or_else(|| id_or_name.to_owned(), |cluster| cluster.name.clone());
        self.plans.entry(name).or_default().push(plan);
    }

    /// Plans the next import or export job of the cluster with this id or name. It can only fail or be held.
    pub(crate) fn plan_job(&mut self, id_or_name: &str, plan: FaultPlan) {
        let name = self.find(id_or_name).map_or_else(|| id_or_name.to_owned(), |cluster| cluster.name.clone());
        self.job_plans.entry(name).or_default().push(plan);
    }

    /// Starts an operation of another client. Returns false if the cluster is unknown or busy.
    pub(crate) fn foreign(&mut self, now: Micros, id_or_name: &str, effect: Effect, pace: Pace) -> bool {
        self.advance(now);
        let id = self.new_id();
        let Some(cluster) = self.find_mut(id_or_name).filter(|cluster| cluster.pending().is_none()) else {
            return false;
        };
        cluster.begin(now, Operation { status: Status::InProgress, ..Operation::asked_for(id, effect, pace, now) });
        true
    }

    /// Lets a held operation and held jobs go on by time.
    pub(crate) fn release(&mut self, id_or_name: &str) -> bool {
        let pace = self.pace;
        let found = self.find_mut(id_or_name).map(|cluster| {
            cluster.set_pace(pace);
            cluster.id.clone()
        });
        found.is_some_and(|id| {
            self.release_jobs(&id);
            true
        })
    }

    /// Freezes the health that is shown, until it is thawed.
    pub(crate) fn freeze_health(&mut self, now: Micros, id_or_name: &str, frozen: bool) -> bool {
        self.advance(now);
        let freeze = |cluster: &mut Cluster| cluster.frozen_health = frozen.then(|| cluster.health(now));
        self.find_mut(id_or_name).map(freeze).is_some()
    }
}
