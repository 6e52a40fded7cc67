//! What tests make the control plane do: operations that fail, hang, vanish, or belong to somebody else.

use super::cluster::Cluster;
use super::operation::{Effect, Operation, Pace, Status};
use super::{Micros, State};

/// What happens to the next operation of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// It fails with this message.
    pub(crate) failure: Option<String>,
    /// It stays where it is until it is stepped.
    pub(crate) held: bool,
    /// It is accepted and never heard of again.
    pub(crate) lost: bool,
    /// It does its work, and no list names it.
    pub(crate) hidden: bool,
}

impl State {
    /// For the next operation of the cluster with this id or name, which may be one that is not deployed yet. Plans queue.
    pub(crate) fn plan(&mut self, id_or_name: &str, plan: Plan) {
        let name = self.find(id_or_name).map_or_else(|| id_or_name.to_owned(), |cluster| cluster.name.clone());
        self.plans.entry(name).or_default().push(plan);
    }

    /// For the next import or export job of the cluster with this id or name; only failing and holding mean something.
    pub(crate) fn plan_job(&mut self, id_or_name: &str, plan: Plan) {
        let name = self.find(id_or_name).map_or_else(|| id_or_name.to_owned(), |cluster| cluster.name.clone());
        self.job_plans.entry(name).or_default().push(plan);
    }

    /// An operation that somebody else began. False if the cluster is unknown or busy.
    pub(crate) fn foreign(&mut self, now: Micros, id_or_name: &str, effect: Effect, pace: Pace) -> bool {
        self.advance(now);
        let id = self.new_id();
        let Some(cluster) = self.find_mut(id_or_name).filter(|cluster| cluster.pending().is_none()) else {
            return false;
        };
        cluster.begin(now, Operation { status: Status::InProgress, ..Operation::asked_for(id, effect, pace, now) });
        true
    }

    /// Lets an operation and jobs that were held go on by time.
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

    /// Shows the health of this moment until it is thawed.
    pub(crate) fn freeze_health(&mut self, now: Micros, id_or_name: &str, frozen: bool) -> bool {
        self.advance(now);
        let freeze = |cluster: &mut Cluster| cluster.frozen_health = frozen.then(|| cluster.health(now));
        self.find_mut(id_or_name).map(freeze).is_some()
    }
}
