//! `import`.

use std::path::Path;

use cratedb_test::cloud::model::{ImportJob, NewImportJob};

use crate::arguments::{Import, guess};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Document, People};

pub(super) async fn run(context: &Context, import: Import) -> Result<Document, Failure> {
    let (format, compression) = guess(&import.source);
    let format = import.format.or(format).ok_or_else(|| {
        Failure::usage(format!("cannot tell the format of `{}` from its name", import.source))
            .hint("--format says it: csv, json or parquet")
    })?;
    let cluster = context.cluster()?;
    let (format, table) = (format.word(), import.table.as_str());
    let mut job = match is_url(&import.source) {
        true => NewImportJob::from_url(&import.source, format, table),
        false => {
            let path = readable(&import.source)?;
            context.progress.say(&format!("uploading {}", path.display()));
            NewImportJob::from_file(cluster.upload(path).await?.id, format, table)
        }
    };
    if import.compression.or(compression).and_then(|compression| compression.word()).is_some() {
        job = job.gzip();
    }
    context.goes_on("the import");
    let done = cluster.import(&job.create_table(!import.no_create_table)).await?;
    let records = done.progress.records.map(|records| format!("{records} records ")).unwrap_or_default();
    context.note_done(&format!("{records}imported into {table}"));
    shown(&done)
}

fn is_url(source: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| source.to_ascii_lowercase().starts_with(scheme))
}

/// Says what is wrong with a file before anything is asked of the Cloud.
fn readable(source: &str) -> Result<&Path, Failure> {
    let path = Path::new(source);
    let metadata = std::fs::metadata(path).map_err(|error| {
        Failure::usage(format!("cannot read {source}: {error}"))
            .hint("accepted: a file, or an address that begins with http:// or https://")
    })?;
    match metadata.is_file() {
        true => Ok(path),
        false => Err(Failure::usage(format!("cannot import {source}: it is no file"))),
    }
}

fn shown(job: &ImportJob) -> Result<Document, Failure> {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let facts = vec![
        ("table", job.destination.table.clone()),
        ("status", job.status.to_string()),
        ("records", number(job.progress.records)),
        ("failed records", number(job.progress.failed_records.filter(|failed| *failed > 0))),
        ("bytes", number(job.progress.bytes)),
        ("job", job.id.clone()),
    ];
    Document::new(job, People::Facts(facts))
}
