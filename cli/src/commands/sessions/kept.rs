//! `kept`: the schemas that tests left on a cluster.

use cratedb_test::ManagedCluster;
use cratedb_test::private::control::{self, Kept};
use serde_json::json;
use time::OffsetDateTime;

use crate::arguments;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Column, Document, People, Rows};

pub(super) async fn run(context: &Context, wanted: &arguments::Kept) -> Result<Document, Failure> {
    let cluster = cluster(context)?;
    match &wanted.drop {
        None => list(context, &cluster).await,
        Some(names) => {
            let names = chosen(context, &cluster, names, wanted.all).await?;
            drop_all(context, &cluster, names).await
        }
    }
}

/// Returns the cluster of the options, else of the settings. Where those name none, it is the local server that tests
/// of the working directory use.
fn cluster(context: &Context) -> Result<ManagedCluster, Failure> {
    let local = match context.global.address() {
        Some(_) => None,
        None => control::local_server()?,
    };
    let found = context.cluster_with(|builder| match local {
        Some(url) => builder.cluster_url(url),
        None => builder,
    });
    found.map_err(|failure| match failure.to_string().contains("which cluster is meant") {
        true => failure.hint("tests of this project use no local server now"),
        false => failure,
    })
}

async fn list(context: &Context, cluster: &ManagedCluster) -> Result<Document, Failure> {
    context.progress.say_in_passing("listing schemas of tests");
    let all = control::kept(cluster).await?;
    if all.is_empty() {
        context.terminal.note("no test left a schema on this cluster");
    }
    let mut columns: Vec<Column> = ["schema", "test", "since", "until"].map(Column::left).into();
    columns.extend([Column::right("tables"), Column::left("used by")]);
    let row = |one: &Kept| {
        [
            one.schema.clone(),
            one.test.clone(),
            date(one.since),
            date(one.until),
            one.tables.to_string(),
            one.used_by.clone().unwrap_or_default(),
        ]
        .map(Into::into)
        .into()
    };
    let rows = all.iter().map(row).collect();
    Document::new(&all, People::Rows(Rows { columns, rows }))
}

/// Returns the schemas that are named, or all in which no test of this machine runs.
async fn chosen(
    context: &Context,
    cluster: &ManagedCluster,
    names: &[String],
    all: bool,
) -> Result<Vec<String>, Failure> {
    match (names.is_empty(), all) {
        (true, false) => Err(Failure::usage("--drop names no schema")
            .hint("--drop NAME drops one of those that `cargo cratedb kept` lists; --drop --all drops all of them")),
        (false, true) => Err(Failure::usage("--drop with --all takes no name: it drops all schemas of tests")),
        (_, true) => {
            let (used, free): (Vec<Kept>, Vec<Kept>) =
                control::kept(cluster).await?.into_iter().partition(|one| one.used_by.is_some());
            for one in used {
                let test = one.used_by.unwrap_or_default();
                context.terminal.note(&format!("schema {} stays: `{test}` runs in it", one.schema));
            }
            Ok(free.into_iter().map(|one| one.schema).collect())
        }
        (false, false) => {
            let known = control::kept(cluster).await?;
            match names.iter().find(|name| !known.iter().any(|one| one.schema == **name)) {
                Some(name) => Err(Failure::new(Code::NotFound, format!("there is no schema of a test named `{name}`"))
                    .hint("`cargo cratedb kept` lists them")),
                None => Ok(names.to_vec()),
            }
        }
    }
}

async fn drop_all(context: &Context, cluster: &ManagedCluster, names: Vec<String>) -> Result<Document, Failure> {
    for name in &names {
        control::drop_kept(cluster, name).await?;
        context.terminal.note(&format!("schema {name} is dropped"));
    }
    if names.is_empty() {
        context.terminal.note("there was nothing to drop");
    }
    Document::new(&json!({ "dropped": names }), People::Text(String::new()))
}

/// Formats a time for people.
fn date(seconds: i64) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    format!("{} {:02}:{:02} UTC", time.date(), time.hour(), time.minute())
}
