//! Jobs that move data into or out of a cluster: their statuses and JSON. The data is moved outside of the state
//! machine, and the result is reported here.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::exports::Export;
use super::faults::FaultPlan;
use super::imports::Import;
use super::operation::{Effect, Moved, Operation, Pace, Status};
use super::read::parameter;
use super::{ApiAnswer, Micros, Outbox, QueryPairs, State, Work, stamp};

/// The order of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum JobOrder {
    Import(Import),
    Export(Export),
}

/// One job of a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) cluster: String,
    pub(crate) order: JobOrder,
    pub(crate) progress: Progress,
    pub(super) operation: Operation,
}

/// The progress of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) records: u64,
    pub(crate) failed_records: u64,
    /// Known after the data was read.
    pub(crate) total_records: Option<u64>,
    pub(crate) bytes: u64,
}

impl Progress {
    fn percent(&self, status: Status) -> f64 {
        match (status, self.total_records) {
            (Status::Succeeded, _) => 100.0,
            (_, Some(total)) if total > 0 => 100.0 * (self.records + self.failed_records) as f64 / total as f64,
            _ => 0.0,
        }
    }
}

impl Job {
    fn step(&mut self, at: Micros, outbox: &mut Outbox) -> Option<()> {
        if self.operation.move_on(at)? == Moved::ToWork {
            outbox.works.push(self.work());
        }
        Some(())
    }

    fn work(&self) -> Work {
        match &self.order {
            JobOrder::Import(_) => Work::Import { job: self.id.clone() },
            JobOrder::Export(_) => Work::Export { job: self.id.clone() },
        }
    }

    pub(super) fn advance(&mut self, now: Micros, outbox: &mut Outbox) {
        while let Some(due) = self.operation.ripe(now) {
            self.step(due, outbox);
        }
    }

    pub(super) fn next_due(&self) -> Option<Micros> {
        self.operation.next_due()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.operation.status.is_final()
    }

    /// Returns whether it waits for a step.
    pub(crate) fn is_held(&self) -> bool {
        self.operation.pace == Pace::Explicit
    }

    fn figures(&self) -> Value {
        let (done, failed) = (self.is_over(), self.operation.status == Status::Failed);
        json!({
            "records": self.progress.records,
            "bytes": self.progress.bytes,
            "percent": self.progress.percent(self.operation.status),
            "failed_records": self.progress.failed_records,
            "total_records": self.progress.total_records.unwrap_or_default(),
            "processed_files": u8::from(done),
            "total_files": 1,
            "failed_files": u8::from(failed),
        })
    }

    /// Shows the fields of both kinds of jobs.
    pub(super) fn show(&self, mut order: Value) -> Value {
        let mut progress = self.figures();
        progress["message"] = self.operation.message().into();
        progress["details"] = json!({});
        order["id"] = self.id.clone().into();
        order["cluster_id"] = self.cluster.clone().into();
        order["status"] = self.operation.status.word().into();
        order["progress"] = progress;
        order["dc"] = stamp::dc(self.operation.created, self.operation.modified);
        order
    }

    /// Shows the page of files; a job here has one.
    fn show_progress(&self, name: String, query: &QueryPairs) -> Value {
        let file = json!({
            "name": name,
            "status": self.operation.status.word(),
            "message": self.operation.message(),
            "records": self.progress.records,
            "failed_records": self.progress.failed_records,
            "total_records": self.progress.total_records,
            "bytes": self.progress.bytes,
            "percent": self.progress.percent(self.operation.status),
        });
        let number = |name: &str| parameter(query, name).and_then(|text| text.parse::<usize>().ok());
        let beyond = number("offset").unwrap_or(0) > 0 || number("limit") == Some(0);
        let mut progress = self.figures();
        progress["files"] = if beyond { json!([]) } else { json!([file]) };
        json!({
            "job_id": self.id,
            "message": self.operation.message(),
            "progress": progress,
            "details": {},
        })
    }
}

impl State {
    /// Registers a job as the plans for the cluster's jobs say.
    pub(super) fn begin_job(&mut self, now: Micros, cluster: &str, order: JobOrder) -> String {
        let (id, operation) = (self.new_id(), self.new_id());
        let name = self.by_id(cluster).map(|one| one.name.clone()).unwrap_or_default();
        let plan = self.job_plans.get_mut(&name).filter(|plans| !plans.is_empty()).map(|plans| plans.remove(0));
        let FaultPlan { failure, held, .. } = plan.unwrap_or_default();
        let pace = if held { Pace::Explicit } else { self.pace };
        let effect = match &order {
            JobOrder::Import(_) => Effect::Import,
            JobOrder::Export(_) => Effect::Export,
        };
        let operation = Operation { failure, ..Operation::asked_for(operation, effect, pace, now) };
        let cluster = cluster.to_owned();
        self.jobs.push(Job { id: id.clone(), cluster, order, progress: Progress::default(), operation });
        id
    }

    pub(crate) fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.id == id)
    }

    pub(super) fn job_of(&self, cluster: &str, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.cluster == cluster && job.id == id)
    }

    /// Notes the progress of a job's work.
    pub(crate) fn job_progress(&mut self, id: &str, progress: Progress) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.progress = progress;
        }
    }

    /// Ends a job whose work is done. A job that was deleted meanwhile is ignored.
    pub(crate) fn job_done(&mut self, now: Micros, id: &str, progress: Progress, failure: Option<String>) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) {
            job.progress = progress;
            job.operation.worked(now, failure);
        }
    }

    pub(super) fn move_jobs(&mut self, now: Micros) {
        for job in &mut self.jobs {
            job.advance(now, &mut self.outbox);
        }
    }

    pub(super) fn step_jobs(&mut self, now: Micros) -> usize {
        let outbox = &mut self.outbox;
        self.jobs.iter_mut().filter_map(|job| job.step(now, outbox)).count()
    }

    /// Lets held jobs of a cluster go on by time.
    pub(super) fn release_jobs(&mut self, cluster: &str) {
        let pace = self.pace;
        for job in self.jobs.iter_mut().filter(|job| job.cluster == cluster && !job.is_over()) {
            job.operation.pace = pace;
        }
    }

    /// Restarts work that was under way when the state was written.
    pub(crate) fn resume_work(&mut self) {
        let waiting = self.jobs.iter().filter(|job| job.operation.awaiting).map(Job::work);
        self.outbox.works.extend(waiting);
        for cluster in &self.clusters {
            let waiting = cluster.pending().filter(|operation| operation.awaiting);
            let work = |one: &Operation| Work::Restore { cluster: cluster.id.clone(), operation: one.id.clone() };
            self.outbox.works.extend(waiting.map(work));
        }
    }

    pub(super) fn delete_job(&mut self, cluster: &str, id: &str, is_import: bool) -> ApiAnswer {
        let mine =
            |job: &Job| job.cluster == cluster && job.id == id && matches!(job.order, JobOrder::Import(_)) == is_import;
        let before = self.jobs.len();
        self.jobs.retain(|job| !mine(job));
        if self.jobs.len() < before { ApiAnswer::no_content() } else { ApiAnswer::not_found() }
    }

    pub(super) fn job_files(&self, cluster: &str, id: &str, query: &QueryPairs) -> ApiAnswer {
        let Some(job) = self.job_of(cluster, id) else { return ApiAnswer::not_found() };
        let name = match &job.order {
            JobOrder::Import(import) => self.import_file(import),
            JobOrder::Export(export) => export.file_name(),
        };
        ApiAnswer::ok(job.show_progress(name, query))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::World;
    use super::*;
    use crate::state::ApiCall;

    const SECOND: Micros = 1_000_000;

    fn begin(pace: Pace) -> (World, String, String) {
        let (mut world, cluster) = World::with_cluster(false, pace);
        let body =
            json!({ "type": "url", "format": "csv", "destination": { "table": "t" }, "url": { "url": "http://x/" } });
        let made = world.ask(ApiCall::CreateImportJob(cluster.clone(), body));
        assert_eq!(made.status, 201, "{made:?}");
        let job = made.body.unwrap()["id"].as_str().unwrap().to_owned();
        (world, cluster, job)
    }

    fn status(world: &mut World, cluster: &str, job: &str) -> String {
        let shown = world.ask(ApiCall::ImportJob(cluster.into(), job.into())).body.unwrap();
        shown["status"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_job_waits_for_its_work_and_takes_no_less_time_than_operations_do() {
        let (mut world, cluster, job) = begin(Pace::Auto(Duration::from_secs(4)));
        world.now += SECOND;
        assert_eq!(status(&mut world, &cluster, &job), "IN_PROGRESS");
        assert_eq!(world.state.take_works(), [Work::Import { job: job.clone() }]);
        world.now += 9 * SECOND;
        assert_eq!((status(&mut world, &cluster, &job).as_str(), world.state.step(world.now)), ("IN_PROGRESS", 0));
        let progress = Progress { records: 5, total_records: Some(5), ..Progress::default() };
        world.state.job_done(world.now, &job, progress, None);
        assert_eq!(status(&mut world, &cluster, &job), "SUCCEEDED");
        assert_eq!(world.state.take_works(), [], "only once");
    }

    #[test]
    fn work_that_is_done_early_is_told_in_time() {
        let (mut world, cluster, job) = begin(Pace::Auto(Duration::from_secs(4)));
        world.now += SECOND;
        world.state.advance(world.now);
        world.state.job_done(world.now, &job, Progress::default(), Some("no".into()));
        assert_eq!(status(&mut world, &cluster, &job), "IN_PROGRESS");
        world.now += 3 * SECOND;
        assert_eq!(status(&mut world, &cluster, &job), "FAILED");
    }

    #[test]
    fn a_planned_failure_needs_no_work() {
        let (mut world, cluster) = World::with_cluster(false, Pace::Auto(Duration::ZERO));
        world.state.plan_job("ci", FaultPlan { failure: Some("planned".into()), ..FaultPlan::default() });
        let body = json!({ "source": { "table": "t" }, "destination": { "format": "csv" } });
        let made = world.ask(ApiCall::CreateExportJob(cluster.clone(), body)).body.unwrap();
        let job = made["id"].as_str().unwrap().to_owned();
        let shown = world.ask(ApiCall::ExportJob(cluster, job)).body.unwrap();
        assert_eq!((&shown["status"], &shown["progress"]["message"]), (&json!("FAILED"), &json!("planned")));
        assert_eq!(world.state.take_works(), []);
    }

    #[test]
    fn work_under_way_begins_anew_after_a_restart() {
        let (mut world, cluster, job) = begin(Pace::Explicit);
        world.state.step(world.now);
        world.state.step(world.now);
        world.state.take_works();
        let kept = serde_json::to_string(&world.state).unwrap();
        world.state = serde_json::from_str(&kept).unwrap();
        world.state.resume_work();
        assert_eq!(world.state.take_works(), [Work::Import { job: job.clone() }]);
        assert_eq!(status(&mut world, &cluster, &job), "IN_PROGRESS");
    }

    #[test]
    fn a_deleted_job_is_not_missed_by_its_work() {
        let (mut world, cluster, job) = begin(Pace::Auto(Duration::ZERO));
        world.state.advance(world.now);
        assert_eq!(world.ask(ApiCall::DeleteExportJob(cluster.clone(), job.clone())).status, 404, "it is an import");
        assert_eq!(world.ask(ApiCall::DeleteImportJob(cluster.clone(), job.clone())).status, 204);
        world.state.job_done(world.now, &job, Progress::default(), None);
        assert_eq!(world.ask(ApiCall::ImportJobs(cluster)).body, Some(json!([])));
    }
}
