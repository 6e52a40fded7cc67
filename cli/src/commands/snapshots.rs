//! `snapshots`.

use std::time::Duration;

use cratedb_test::ManagedCluster;
use cratedb_test::cloud::model::{self, Snapshot};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::{ListSnapshots, Restore, Snapshots, SnapshotsCommand, What};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Column, Document, People, Rows};

/// What one answer of the service covers at most.
const WINDOW: Duration = Duration::from_secs(14 * 24 * 3600);

pub(super) async fn run(context: &Context, snapshots: Snapshots) -> Result<Document, Failure> {
    match snapshots.command {
        None => list(context, &ListSnapshots::default()).await,
        Some(SnapshotsCommand::List(wanted)) => list(context, &wanted).await,
        Some(SnapshotsCommand::Restore(wanted)) => restore(context, wanted).await,
    }
}

async fn list(context: &Context, wanted: &ListSnapshots) -> Result<Document, Failure> {
    let since = humantime::format_duration(wanted.since);
    if wanted.since > WINDOW {
        return Err(Failure::usage(format!("cannot look back {since}: CrateDB Cloud tells of 14 days at most")));
    }
    let cluster = context.cluster()?;
    context.progress.say_in_passing("asking for snapshots");
    let mut all = made_since(&cluster, wanted.since).await?;
    all.sort_by(|one, other| other.created.cmp(&one.created));
    if all.is_empty() {
        context.terminal.note(&format!("there is no snapshot of the last {since}; --since looks further back"));
    }
    let columns = ["created", "snapshot", "repository", "tables"].map(Column::left).into();
    let row = |one: &Snapshot| {
        [&one.created, &one.snapshot, &one.repository, &one.tables.join(", ")].map(|text| text.clone().into())
    };
    let rows = all.iter().map(|one| row(one).into()).collect();
    Document::new(&all, People::Rows(Rows { columns, rows }))
}

async fn made_since(cluster: &ManagedCluster, since: Duration) -> Result<Vec<Snapshot>, Failure> {
    let id = cluster.info().await?.id;
    let start = (OffsetDateTime::now_utc() - since).format(&Rfc3339);
    let start = start.map_err(|error| Failure::failed(format!("cannot tell the time: {error}")))?;
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
    let mut restore = match wanted.what {
        What::All => model::Restore::all(&repository, &snapshot),
        What::Metadata => model::Restore::metadata(&repository, &snapshot),
        What::Tables => model::Restore::tables(&repository, &snapshot, tables),
        What::Sections => model::Restore::sections(&repository, &snapshot, wanted.sections),
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

/// What the service would not understand as it was meant.
fn check(wanted: &Restore) -> Result<(), Failure> {
    if !wanted.tables.is_empty() && wanted.what != What::Tables {
        return Err(Failure::usage(format!("--table is for --type tables, not for --type {}", wanted.what.word())));
    }
    match (wanted.what, wanted.sections.is_empty()) {
        (What::Sections, true) => Err(Failure::usage("--type sections needs at least one --section")),
        (What::Sections, false) | (_, true) => Ok(()),
        (what, false) => {
            Err(Failure::usage(format!("--section is for --type sections, not for --type {}", what.word())))
        }
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
