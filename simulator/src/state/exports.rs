//! Export jobs: the checks of a request, and the JSON of a job.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks::Problems;
use super::imports::{Format, TableName, read_compression, read_format, read_table};
use super::jobs::{Job, JobOrder};
use super::{ApiAnswer, Micros, State};

/// The order of an export job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Export {
    pub(crate) table: TableName,
    pub(crate) format: Format,
    pub(crate) gzip: bool,
    /// The file it wrote.
    file: Option<String>,
    /// Shows the parts of the request that a job repeats.
    shown: Value,
}

impl Export {
    pub(super) fn file_name(&self) -> String {
        let ending = match self.format {
            Format::Csv => "csv",
            Format::Json => "json",
        };
        format!("{}.{ending}{}", self.table.name, if self.gzip { ".gz" } else { "" })
    }
}

impl State {
    pub(super) fn create_export_job(&mut self, now: Micros, cluster: &str, body: &Value) -> ApiAnswer {
        if self.by_id(cluster).is_none() {
            return ApiAnswer::not_found();
        }
        let mut problems = Problems::of(body, &["source", "destination", "compression"]);
        let part = |problems: &mut Problems, name: &str, known: &[&str]| {
            let found = body.get(name);
            if found.is_none() {
                problems.add(name, "Missing data for required field.");
            }
            found.map(|found| (found, Problems::of(found, known)))
        };
        let table = part(&mut problems, "source", &["table"]).and_then(|(source, mut inner)| {
            let table = read_table(source, &mut inner);
            problems.nest("source", inner);
            table
        });
        let format = part(&mut problems, "destination", &["format", "file"]).and_then(|(destination, mut inner)| {
            let format = if destination.is_object() { read_format(destination, &mut inner) } else { None };
            problems.nest("destination", inner);
            format
        });
        let gzip = read_compression(body, &mut problems);
        let (Some(table), Some(format), false) = (table, format, problems.any()) else { return problems.refuse() };
        let mut shown = json!({ "source": body["source"], "destination": { "format": body["destination"]["format"] } });
        if let Some(compression) = body.get("compression").filter(|value| *value != "") {
            shown["compression"] = compression.clone();
        }
        let id = self.begin_job(now, cluster, JobOrder::Export(Export { table, format, gzip, file: None, shown }));
        self.job(&id).map_or_else(ApiAnswer::not_found, |job| ApiAnswer::created(self.show_export(job)))
    }

    /// Makes the file that a job is about to write; none if the job is gone.
    pub(crate) fn export_file(&mut self, now: Micros, job: &str, size: u64) -> Option<String> {
        let found = self.jobs.iter().find(|one| one.id == job)?;
        let JobOrder::Export(export) = &found.order else { return None };
        let organization = self.by_id(&found.cluster).and_then(|one| self.organization_of(one)).cloned()?;
        let name = export.file_name();
        let id = self.add_file(now, &organization, &name).id.clone();
        self.uploaded(now, &id, size);
        let found = self.jobs.iter_mut().find(|one| one.id == job)?;
        if let JobOrder::Export(export) = &mut found.order {
            export.file = Some(id.clone());
        }
        Some(id)
    }

    /// Newest first.
    pub(super) fn export_jobs(&self, cluster: &str) -> ApiAnswer {
        // The vendor's document has no 404 here.
        let mine =
            self.jobs.iter().rev().filter(|job| job.cluster == cluster && matches!(job.order, JobOrder::Export(_)));
        ApiAnswer::ok(mine.map(|job| self.show_export(job)).collect())
    }

    pub(super) fn export_job(&self, cluster: &str, id: &str) -> ApiAnswer {
        let found = self.job_of(cluster, id).filter(|job| matches!(job.order, JobOrder::Export(_)));
        found.map_or_else(ApiAnswer::not_found, |job| ApiAnswer::ok(self.show_export(job)))
    }

    fn show_export(&self, job: &Job) -> Value {
        let JobOrder::Export(export) = &job.order else { return Value::Null };
        let mut shown = export.shown.clone();
        let file = export.file.as_ref().and_then(|id| self.files.iter().find(|file| file.id == *id));
        if let Some(file) = file {
            let mut told = self.show_file(file);
            if let Some(told) = told.as_object_mut() {
                told.retain(|key, _| key != "organization_id" && key != "dc");
            }
            shown["destination"]["file"] = told;
        }
        job.show(shown)
    }
}
