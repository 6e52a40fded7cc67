//! `list`, `info`, `start`, `stop`, `deploy`, `delete` and `health`, and how a cluster is shown.

use cratedb_test::cloud::Health;
use cratedb_test::cloud::model::{ClusterInfo, Status};
use serde_json::json;

use crate::arguments::{Delete, Deploy, List, Start, Stop};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, Document, People, Rows};
use crate::terminal;

pub(super) async fn list(context: &Context, list: &List) -> Result<Document, Failure> {
    let client = context.client()?;
    context.progress.say_in_passing("listing clusters");
    let mut clusters = match &list.project_id {
        Some(project) => client.clusters_in(project).await?,
        None => client.clusters().await?,
    };
    clusters.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    if clusters.is_empty() {
        context.terminal.note("there is no cluster; `cargo cratedb deploy --cluster-name NAME` makes one");
    }
    let columns = ["name", "state", "health", "version", "product"].map(Column::left).into_iter();
    let columns = columns.chain([Column::right("nodes")]).chain(["id", "url"].map(Column::left)).collect();
    Document::new(&clusters, People::Rows(Rows { columns, rows: clusters.iter().map(row).collect() }))
}

fn row(cluster: &ClusterInfo) -> Vec<Cell> {
    [
        &cluster.name,
        &state(cluster),
        health_of(cluster),
        &cluster.crate_version,
        &cluster.product_name,
        &cluster.num_nodes.to_string(),
        &cluster.id,
        &cluster.url,
    ]
    .map(Cell::from)
    .into()
}

pub(super) async fn info(context: &Context) -> Result<Document, Failure> {
    let cluster = context.cluster()?;
    context.progress.say_in_passing("asking about the cluster");
    shown(&cluster.info().await?)
}

pub(super) async fn start(context: &Context, start: &Start) -> Result<Document, Failure> {
    let cluster = context.cluster_with(|builder| match start.no_deploy {
        true => builder.deploy(false),
        false => builder,
    })?;
    context.goes_on("the operation");
    answers(context, &cluster.start().await?)
}

pub(super) async fn deploy(context: &Context, deploy: Deploy) -> Result<Document, Failure> {
    let cluster = context.cluster_with(|mut builder| {
        macro_rules! told {
            ($($option:ident)*) => {$(
                if let Some(value) = deploy.$option {
                    builder = builder.$option(value);
                }
            )*};
        }
        told!(product tier region organization_id project_id subscription_id version channel nodes username);
        builder
    })?;
    context.goes_on("the deployment, if it has begun,");
    answers(context, &cluster.deploy().await?)
}

/// Shows a cluster that was started.
fn answers(context: &Context, cluster: &ClusterInfo) -> Result<Document, Failure> {
    context.note_done(&format!("cluster `{}` answers at {}", cluster.name, cluster.url));
    shown(cluster)
}

pub(super) async fn stop(context: &Context, stop: &Stop) -> Result<Document, Failure> {
    let cluster = context.cluster_with(|builder| builder.stop_although_in_use(stop.force))?;
    context.goes_on("the operation");
    let now = cluster.stop().await?;
    context.note_done(&format!("cluster `{}` is suspended", now.name));
    shown(&now)
}

/// Deletes the cluster, after asking on the terminal.
pub(super) async fn delete(context: &Context, delete: &Delete) -> Result<Document, Failure> {
    let managed = context.cluster_with(|builder| builder.stop_although_in_use(delete.force))?;
    if !delete.yes && !terminal::is_interactive() {
        return Err(Failure::usage("cannot ask whether to delete the cluster: stdin and stderr are not a terminal")
            .hint("--yes deletes it without asking"));
    }
    let cluster = managed.info().await?;
    let named = format!("cluster `{}` ({})", cluster.name, cluster.id);
    if !delete.yes {
        let question = format!("Delete {named}, {}, and all its data?", cluster.product_name);
        if !terminal::confirmed(question).await? {
            return Err(Failure::failed("nothing was deleted"));
        }
    }
    managed.delete().await?;
    context.terminal.note(&format!("{named} is deleted"));
    Document::new(&json!({ "deleted": cluster }), People::Text(String::new()))
}

/// Shows how the cluster is. The exit code says so too, for scripts that continue only if it is well.
pub(super) async fn health(context: &Context) -> Result<Document, Failure> {
    let cluster = context.cluster()?;
    context.progress.say_in_passing("checking the health of the cluster");
    let health = cluster.health().await?;
    Ok(Document::new(&health, People::Facts(facts(&health)))?.failed_if(!health.is_good()))
}

fn facts(health: &Health) -> Vec<(&'static str, String)> {
    let cloud = health.cloud.as_ref();
    let mut facts = vec![
        ("cluster", health.cluster.clone()),
        ("state", if health.suspended { "suspended".into() } else { String::new() }),
        (
            "operation",
            health.operation.as_deref().map(|kind| operation(kind, false, health.suspended)).unwrap_or_default(),
        ),
        ("cloud says", cloud.map(|cloud| cloud.status.clone()).unwrap_or_default()),
        ("last seen", cloud.map(|cloud| cloud.last_seen.clone()).unwrap_or_default()),
        ("problem", health.problem.clone().unwrap_or_default()),
    ];
    if let Some(sql) = &health.sql {
        let unhealthy = sql.unhealthy.iter().map(|table| format!("{} {}", table.table, table.status));
        facts.extend([
            ("sql says", sql.status.clone()),
            ("version", sql.version.clone()),
            ("nodes", sql.nodes.to_string()),
            ("tables", sql.tables.to_string()),
            ("underreplicated shards", sql.underreplicated_shards.to_string()),
            ("missing shards", sql.missing_shards.to_string()),
            ("unhealthy tables", unhealthy.collect::<Vec<_>>().join(", ")),
        ]);
    }
    facts
}

fn shown(cluster: &ClusterInfo) -> Result<Document, Failure> {
    let last = cluster.last_async_operation.as_ref().map(|last| {
        let done = last.status == Status::Succeeded;
        format!("{} {}", operation(&last.kind, done, cluster.suspended), last.status)
    });
    let facts = vec![
        ("name", cluster.name.clone()),
        ("id", cluster.id.clone()),
        ("state", state(cluster)),
        ("health", health_of(cluster).to_owned()),
        ("url", cluster.url.clone()),
        ("version", cluster.crate_version.clone()),
        ("product", format!("{} {}", cluster.product_name, cluster.product_tier).trim().to_owned()),
        ("nodes", cluster.num_nodes.to_string()),
        ("user", cluster.username.clone()),
        ("project", cluster.project_id.clone()),
        ("last operation", last.unwrap_or_default()),
        ("protected", if cluster.deletion_protected { "yes, from deletion".into() } else { String::new() }),
    ];
    Document::new(cluster, People::Facts(facts))
}

/// Names an operation for people. Suspending and resuming are one type, and the cluster's flag flips at the end of it.
fn operation(kind: &str, done: bool, suspended: bool) -> String {
    if kind == "SUSPEND" && done != suspended { "RESUME".to_owned() } else { kind.to_owned() }
}

/// Says in one or two words what a cluster is doing.
fn state(cluster: &ClusterInfo) -> String {
    match (cluster.busy(), cluster.suspended) {
        (Some("SUSPEND"), true) => "resuming".to_owned(),
        (Some("SUSPEND"), false) => "suspending".to_owned(),
        (Some("CREATE"), _) => "being deployed".to_owned(),
        (Some(other), _) => format!("busy with {other}"),
        (None, true) => "suspended".to_owned(),
        (None, false) => "running".to_owned(),
    }
}

/// Returns the health that CrateDB Cloud reports for a running cluster. It lags behind operations by up to a minute.
fn health_of(cluster: &ClusterInfo) -> &str {
    match (cluster.suspended, cluster.health.status.as_str()) {
        (true, _) | (_, "SUSPENDED") => "",
        (false, health) => health,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_by_what_it_does() {
        let named = |kind: &str, status: &str, suspended: bool| {
            let last = json!({ "id": "1", "type": kind, "status": status });
            let cluster = json!({ "suspended": suspended, "last_async_operation": last });
            let cluster: ClusterInfo = serde_json::from_value(cluster).unwrap();
            let last = cluster.last_async_operation.unwrap();
            operation(&last.kind, last.status == Status::Succeeded, cluster.suspended)
        };
        assert_eq!(named("SUSPEND", "SUCCEEDED", false), "RESUME");
        assert_eq!(named("SUSPEND", "SUCCEEDED", true), "SUSPEND");
        assert_eq!(named("SUSPEND", "IN_PROGRESS", true), "RESUME");
        assert_eq!(named("SUSPEND", "IN_PROGRESS", false), "SUSPEND");
        // The flag is as it was before.
        assert_eq!(named("SUSPEND", "FAILED", true), "RESUME");
        assert_eq!(named("SUSPEND", "FAILED", false), "SUSPEND");
        assert_eq!(named("SCALE", "SUCCEEDED", false), "SCALE");
    }

    #[test]
    fn the_state_is_what_a_cluster_is_doing() {
        let state = |suspended: bool, health: &str, operation: Option<(&str, &str)>| {
            let last = operation.map(|(kind, status)| json!({ "id": "1", "type": kind, "status": status }));
            let cluster =
                json!({ "suspended": suspended, "health": { "status": health }, "last_async_operation": last });
            state(&serde_json::from_value(cluster).unwrap())
        };
        assert_eq!(state(false, "GREEN", Some(("CREATE", "SUCCEEDED"))), "running");
        assert_eq!(state(false, "SUSPENDED", Some(("SUSPEND", "SUCCEEDED"))), "running");
        assert_eq!(state(true, "SUSPENDED", Some(("SUSPEND", "SUCCEEDED"))), "suspended");
        assert_eq!(state(true, "SUSPENDED", Some(("SUSPEND", "IN_PROGRESS"))), "resuming");
        assert_eq!(state(false, "GREEN", Some(("SUSPEND", "SENT"))), "suspending");
        assert_eq!(state(false, "UNREACHABLE", Some(("CREATE", "REGISTERED"))), "being deployed");
        assert_eq!(state(false, "GREEN", Some(("SCALE", "IN_PROGRESS"))), "busy with SCALE");
    }
}
