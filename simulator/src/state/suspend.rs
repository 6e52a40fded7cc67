//! Suspend and resume (one request, one type of operation), deletion protection and deletion.

use serde_json::{Value, json};

use super::checks::Problems;
use super::cluster::Presence;
use super::faults::FaultPlan;
use super::operation::{Effect, Operation, Pace, Status};
use super::{ApiAnswer, CONFLICT, Event, Happening, Micros, State};

impl State {
    /// Answers with the cluster as it was before. The flag flips when the operation succeeds.
    pub(super) fn suspend(&mut self, now: Micros, id: &str, body: &Value) -> ApiAnswer {
        let Some(cluster) = self.by_id(id) else { return ApiAnswer::not_found() };
        let mut problems = Problems::of(body, &["suspended"]);
        let wanted = problems.boolean(body, "suspended");
        let Some(suspended) = wanted.filter(|_| !problems.any()) else { return problems.refuse() };
        if suspended && !cluster.allow_suspend {
            return ApiAnswer::refused(
                400,
                &format!("Clusters of product {} cannot be suspended.", cluster.product.name),
            );
        }
        if cluster.pending().is_some() {
            return ApiAnswer::refused(400, CONFLICT);
        }
        let effect = if suspended { Effect::Suspend } else { Effect::Resume };
        let what = if suspended { Happening::SuspendRequested } else { Happening::ResumeRequested };
        self.outbox.events.push(Event { at: now, cluster: id.into(), what });
        self.begin(now, id, effect);
        self.by_id(id).map_or_else(ApiAnswer::not_found, |cluster| ApiAnswer::ok(cluster.show(now)))
    }

    pub(super) fn protect(&mut self, now: Micros, id: &str, body: &Value) -> ApiAnswer {
        let Some(cluster) = self.by_id_mut(id) else { return ApiAnswer::not_found() };
        let mut problems = Problems::of(body, &["deletion_protected"]);
        let wanted = problems.boolean(body, "deletion_protected");
        let Some(protected) = wanted.filter(|_| !problems.any()) else { return problems.refuse() };
        cluster.protected = protected;
        cluster.modified = now;
        ApiAnswer::ok(cluster.show(now))
    }

    /// Deletes a cluster from any state, even while an operation runs.
    pub(super) fn delete(&mut self, now: Micros, id: &str) -> ApiAnswer {
        match self.by_id(id) {
            None => ApiAnswer::not_found(),
            Some(cluster) if cluster.protected => ApiAnswer::refused(400, "The cluster is protected against deletion."),
            Some(_) => {
                self.clusters.retain(|cluster| cluster.id != id);
                self.forget(id);
                self.outbox.events.push(Event { at: now, cluster: id.into(), what: Happening::Deleted });
                ApiAnswer::no_content()
            }
        }
    }

    /// Removes a cluster and its jobs. Its snapshots stay, so that another cluster can be restored from them.
    pub(super) fn forget(&mut self, cluster: &str) {
        self.jobs.retain(|job| job.cluster != cluster);
    }

    /// Registers an operation as the plans for this cluster say. None may be in flight.
    pub(super) fn begin(&mut self, now: Micros, cluster: &str, effect: Effect) {
        self.begin_with(now, cluster, effect, json!({}));
    }

    pub(super) fn begin_with(&mut self, now: Micros, cluster: &str, effect: Effect, details: Value) {
        let Some(name) = self.by_id(cluster).map(|one| one.name.clone()) else { return };
        let plan = self.plans.get_mut(&name).filter(|plans| !plans.is_empty()).map(|plans| plans.remove(0));
        self.begin_planned(now, cluster, effect, details, plan.unwrap_or_default());
    }

    /// Registers an operation of the service's own, which no plan affects.
    pub(super) fn begin_own(&mut self, now: Micros, cluster: &str, effect: Effect) {
        self.begin_planned(now, cluster, effect, json!({}), FaultPlan::default());
    }

    fn begin_planned(&mut self, now: Micros, cluster: &str, effect: Effect, details: Value, plan: FaultPlan) {
        let id = self.new_id();
        let pace = if plan.held { Pace::Explicit } else { self.pace };
        let Some(cluster) = self.clusters.iter_mut().find(|one| one.id == cluster) else { return };
        if plan.lost {
            return;
        }
        // Not documented. An operation that is over at once is one of the two plausible answers.
        let nothing_to_do = match effect {
            Effect::Suspend => cluster.presence == Presence::Suspended,
            Effect::Resume => cluster.presence == Presence::Running,
            _ => false,
        };
        // Suspension needs a healthy cluster, and a resume needs disks that once existed.
        let unborn = effect != Effect::Create && cluster.presence == Presence::Unborn;
        let failure = plan.failure.or_else(|| unborn.then(|| "The cluster was never created.".into()));
        let status = if nothing_to_do && failure.is_none() { Status::Succeeded } else { Status::Registered };
        let asked = Operation::asked_for(id, effect, pace, now);
        cluster.begin(now, Operation { status, failure, hidden: plan.hidden, details, ..asked });
    }
}
