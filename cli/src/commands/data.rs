//! `query`, `import` and `snapshots`: what is in a cluster.

use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use cratedb_test::ManagedCluster;
use cratedb_test::cloud::model::{self, ImportJob, NewImportJob, Snapshot};
use cratedb_test::types::Table;
use serde_json::json;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::{
    Compression, Import, ListSnapshots, Query, Restore, RestoreScope, Snapshots, SnapshotsCommand, word,
};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Cell, Column, Document, People, Rows, is_number};

/// The longest period for which CrateDB Cloud lists snapshots.
const WINDOW: Duration = Duration::from_secs(14 * 24 * 3600);

/// The result of a statement as JSON, with values as CrateDB wrote them.
#[derive(serde::Serialize)]
struct Answer<'a> {
    columns: Vec<serde_json::Value>,
    rows: Vec<Vec<&'a RawValue>>,
    rowcount: Option<u64>,
    seconds: f64,
}

pub(super) async fn query(context: &Context, query: Query) -> Result<Document, Failure> {
    let cluster = context.cluster()?;
    let text = text(query).await?;
    let statements = cratedb_test::cloud::statements(&text);
    if statements.is_empty() {
        return Err(Failure::usage("the statement is empty").hint("give it as an argument, with --file or on stdin"));
    }
    let mut done = Vec::new();
    for (index, statement) in statements.iter().enumerate() {
        let number = Number { this: index + 1, all: statements.len() };
        context.progress.say_in_passing(&number.doing());
        let begun = Instant::now();
        let fetched = cluster.query(*statement).fetch_table().await;
        let table = fetched.map_err(|error| number.failed(error.into()))?;
        let seconds = begun.elapsed().as_secs_f64();
        context.progress.clear();
        context.terminal.note(&summary(table.rowcount, !table.columns.is_empty(), seconds));
        done.push((table, seconds));
    }
    let answers: Vec<Answer<'_>> = done.iter().map(|(table, seconds)| Answer::new(table, *seconds)).collect();
    let rows = done.iter().zip(&answers).map(|((table, _), answer)| for_people(&table.columns, &answer.rows));
    let mut rows: Vec<Rows> = rows.collect();
    match &answers[..] {
        [one] => Document::new(one, People::Rows(rows.remove(0))),
        all => Document::new(&all, People::Tables(rows)),
    }
}

impl<'a> Answer<'a> {
    fn new(table: &'a Table, seconds: f64) -> Self {
        let columns = table.columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        // CrateDB returns one row without columns where there is nothing to return.
        let rows = table.rows.iter().filter(|row| !row.is_empty());
        let rows = rows.map(|row| row.iter().map(AsRef::as_ref).collect()).collect();
        Self { columns, rows, rowcount: table.rowcount, seconds }
    }
}

/// The place of a statement among all that are run.
struct Number {
    this: usize,
    all: usize,
}

impl Number {
    fn doing(&self) -> String {
        match self.all {
            1 => "running the statement".to_owned(),
            all => format!("running statement {} of {all}", self.this),
        }
    }

    /// Says of a failure which statement it is about.
    fn failed(&self, failure: Failure) -> Failure {
        match (self.this, self.all) {
            (_, 1) => failure,
            (1, all) => failure.hint(format!("it is statement 1 of {all}; the others were not run")),
            (this, all) => failure.hint(format!("it is statement {this} of {all}; those before it keep their effect")),
        }
    }
}

fn for_people(columns: &[(String, String)], rows: &[Vec<&RawValue>]) -> Rows {
    let head = |(name, kind): &(String, String)| Column { name: name.clone(), right: is_number(kind) };
    let cells = |row: &Vec<&RawValue>| row.iter().zip(columns).map(|(cell, (_, kind))| Cell::of(cell, kind)).collect();
    Rows { columns: columns.iter().map(head).collect(), rows: rows.iter().map(cells).collect() }
}

fn summary(count: Option<u64>, returned: bool, seconds: f64) -> String {
    let what = match (count, returned) {
        (Some(1), true) => "1 row".to_owned(),
        (Some(count), true) => format!("{count} rows"),
        (Some(1), false) => "1 row affected".to_owned(),
        (Some(count), false) => format!("{count} rows affected"),
        (None, _) => "done".to_owned(),
    };
    format!("{what} ({seconds:.3} s)")
}

/// Reads the statements: the argument, a file or stdin.
async fn text(query: Query) -> Result<String, Failure> {
    let is_named = |path: &std::path::PathBuf| path != Path::new("-");
    match (query.statement.filter(|text| text != "-"), query.file.filter(is_named)) {
        (Some(text), _) => Ok(text),
        (None, Some(path)) => std::fs::read_to_string(&path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display()))),
        (None, None) => from_stdin().await,
    }
}

async fn from_stdin() -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::usage("there is no statement")
            .hint("for example: cargo cratedb query 'SELECT * FROM sys.summits LIMIT 3'"));
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    });
    let read = read.await.map_err(io::Error::other).and_then(|read| read);
    read.map_err(|error| Failure::usage(format!("cannot read the statement from stdin: {error}")))
}

pub(super) async fn import(context: &Context, import: Import) -> Result<Document, Failure> {
    let (format, compression) = import.kind();
    let format = format.map(word).ok_or_else(|| {
        Failure::usage(format!("cannot tell the format of `{}` from its name", import.source))
            .hint("--format says it: csv, json or parquet")
    })?;
    let cluster = context.cluster()?;
    let table = import.table.as_str();
    let mut job = match is_url(&import.source) {
        true => NewImportJob::from_url(&import.source, format, table),
        false => {
            let path = readable(&import.source)?;
            context.progress.say(&format!("uploading {}", path.display()));
            NewImportJob::from_file(cluster.upload(path).await?.id, format, table)
        }
    };
    if compression == Some(Compression::Gzip) {
        job = job.gzip();
    }
    context.goes_on("the import");
    let done = cluster.import(&job.create_table(!import.no_create_table)).await?;
    let records = done.progress.records.map(|records| format!("{records} records ")).unwrap_or_default();
    context.note_done(&format!("{records}imported into {table}"));
    imported(&done)
}

fn is_url(source: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| source.to_ascii_lowercase().starts_with(scheme))
}

/// Checks that a file can be read, before anything is sent to CrateDB Cloud.
fn readable(source: &str) -> Result<&Path, Failure> {
    let path = Path::new(source);
    let metadata = std::fs::metadata(path).map_err(|error| {
        Failure::usage(format!("cannot read {source}: {error}"))
            .hint("accepted: a file, or a URL that begins with http:// or https://")
    })?;
    match metadata.is_file() {
        true => Ok(path),
        false => Err(Failure::usage(format!("cannot import {source}: it is not a file"))),
    }
}

fn imported(job: &ImportJob) -> Result<Document, Failure> {
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

pub(super) async fn snapshots(context: &Context, snapshots: Snapshots) -> Result<Document, Failure> {
    match snapshots.command {
        None => list(context, &ListSnapshots::default()).await,
        Some(SnapshotsCommand::List(wanted)) => list(context, &wanted).await,
        Some(SnapshotsCommand::Restore(wanted)) => restore(context, wanted).await,
    }
}

async fn list(context: &Context, wanted: &ListSnapshots) -> Result<Document, Failure> {
    let since = humantime::format_duration(wanted.since);
    if wanted.since > WINDOW {
        return Err(Failure::usage(format!("cannot look back {since}: CrateDB Cloud lists 14 days at most")));
    }
    let cluster = context.cluster()?;
    context.progress.say_in_passing("listing snapshots");
    let mut all = made_since(&cluster, wanted.since).await?;
    all.sort_by(|one, other| other.created.cmp(&one.created));
    if all.is_empty() {
        context.terminal.note(&format!("there is no snapshot of the last {since}; --since looks further back"));
    }
    let columns = ["created", "snapshot", "repository", "tables"].map(Column::left).into();
    let row = |one: &Snapshot| {
        [&one.created, &one.snapshot, &one.repository, &one.tables.join(", ")].map(|text| text.as_str().into())
    };
    let rows = all.iter().map(|one| row(one).into()).collect();
    Document::new(&all, People::Rows(Rows { columns, rows }))
}

async fn made_since(cluster: &ManagedCluster, since: Duration) -> Result<Vec<Snapshot>, Failure> {
    let id = cluster.info().await?.id;
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("cannot tell the time: {error}"));
    let now = OffsetDateTime::from_unix_timestamp(cluster.client().now()).map_err(|error| failed(&error))?;
    let start = (now - since).format(&Rfc3339).map_err(|error| failed(&error))?;
    Ok(cluster.client().snapshots(&id, Some(&start), None).await?)
}

async fn restore(context: &Context, wanted: Restore) -> Result<Document, Failure> {
    check(&wanted)?;
    let cluster = context.cluster()?;
    let repository = match wanted.repository.clone() {
        Some(repository) => repository,
        None => repository_of(&cluster, &wanted.snapshot).await?,
    };
    let (snapshot, tables) = (wanted.snapshot.clone(), wanted.tables.clone());
    let mut restore = match wanted.scope {
        RestoreScope::All => model::Restore::all(&repository, &snapshot),
        RestoreScope::Metadata => model::Restore::metadata(&repository, &snapshot),
        RestoreScope::Tables => model::Restore::tables(&repository, &snapshot, tables),
        RestoreScope::Sections => model::Restore::sections(&repository, &snapshot, wanted.sections),
    };
    if let Some(id) = wanted.source_cluster_id {
        restore = restore.from_cluster(id);
    }
    context.goes_on("the restoration");
    cluster.restore(&restore).await?;
    context.note_done(&format!("snapshot {snapshot} is restored"));
    let facts = vec![("snapshot", snapshot), ("repository", repository), ("tables", restore.tables.join(", "))];
    Document::new(&json!({ "restored": restore }), People::Facts(facts))
}

/// Refuses combinations that CrateDB Cloud would understand otherwise than they are meant.
fn check(wanted: &Restore) -> Result<(), Failure> {
    let scope = word(wanted.scope);
    if !wanted.tables.is_empty() && wanted.scope != RestoreScope::Tables {
        return Err(Failure::usage(format!("--table is for --type tables, not for --type {scope}")));
    }
    match (wanted.scope, wanted.sections.is_empty()) {
        (RestoreScope::Sections, true) => Err(Failure::usage("--type sections needs at least one --section")),
        (RestoreScope::Sections, false) | (_, true) => Ok(()),
        (_, false) => Err(Failure::usage(format!("--section is for --type sections, not for --type {scope}"))),
    }
}

async fn repository_of(cluster: &ManagedCluster, snapshot: &str) -> Result<String, Failure> {
    let all = made_since(cluster, WINDOW).await?;
    let mut repositories: Vec<_> =
        all.into_iter().filter(|one| one.snapshot == snapshot).map(|one| one.repository).collect();
    repositories.sort();
    repositories.dedup();
    match repositories.len() {
        1 => Ok(repositories.remove(0)),
        0 => Err(Failure::new(Code::NotFound, format!("there is no snapshot `{snapshot}` of the last 14 days"))
            .hint("`cargo cratedb snapshots list --since 14d` lists them; an older one needs --repository")),
        _ => Err(Failure::usage(format!("several repositories have a snapshot `{snapshot}`"))
            .hint(format!("--repository says which: {}", repositories.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_many_rows_there_were_or_are() {
        assert_eq!(summary(Some(1), true, 0.0123), "1 row (0.012 s)");
        assert_eq!(summary(Some(0), true, 0.0), "0 rows (0.000 s)");
        assert_eq!(summary(Some(2), false, 1.0), "2 rows affected (1.000 s)");
        assert_eq!(summary(None, false, 1.0), "done (1.000 s)");
    }
}
