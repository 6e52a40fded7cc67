//! `list`, `info`, `start`, `stop`, and how a cluster is shown.

use cratedb_test::cloud::model::ClusterInfo;

use crate::arguments::{List, Start};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, Document, People, Rows};

pub(super) async fn list(context: &Context, list: &List) -> Result<Document, Failure> {
    let client = context.client()?;
    context.progress.say_in_passing("asking which clusters there are");
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
    let text = |text: &String| Cell::Text(text.clone());
    vec![
        text(&cluster.name),
        state(cluster).into(),
        health(cluster).into(),
        text(&cluster.crate_version),
        text(&cluster.product_name),
        cluster.num_nodes.to_string().into(),
        text(&cluster.id),
        text(&cluster.url),
    ]
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
    context.goes_on("what has begun");
    let now = cluster.start().await?;
    context.note_done(&format!("cluster `{}` answers at {}", now.name, now.url));
    shown(&now)
}

pub(super) async fn stop(context: &Context) -> Result<Document, Failure> {
    let cluster = context.cluster()?;
    context.goes_on("what has begun");
    let now = cluster.stop().await?;
    context.note_done(&format!("cluster `{}` is suspended", now.name));
    shown(&now)
}

/// A cluster as a result.
pub(super) fn shown(cluster: &ClusterInfo) -> Result<Document, Failure> {
    let last = cluster.last_async_operation.as_ref();
    let facts = vec![
        ("name", cluster.name.clone()),
        ("id", cluster.id.clone()),
        ("state", state(cluster)),
        ("health", health(cluster).to_owned()),
        ("url", cluster.url.clone()),
        ("version", cluster.crate_version.clone()),
        ("product", format!("{} {}", cluster.product_name, cluster.product_tier).trim().to_owned()),
        ("nodes", cluster.num_nodes.to_string()),
        ("user", cluster.username.clone()),
        ("project", cluster.project_id.clone()),
        ("last operation", last.map(|last| format!("{} {}", last.kind, last.status)).unwrap_or_default()),
        ("protected", if cluster.deletion_protected { "yes, from deletion".into() } else { String::new() }),
    ];
    Document::new(cluster, People::Facts(facts))
}

/// What a cluster is doing, in one or two words.
pub(super) fn state(cluster: &ClusterInfo) -> String {
    match (cluster.busy(), cluster.suspended) {
        // Suspending and resuming are the same operation; the flag flips at its end.
        (Some("SUSPEND"), true) => "resuming".to_owned(),
        (Some("SUSPEND"), false) => "suspending".to_owned(),
        (Some("CREATE"), _) => "being deployed".to_owned(),
        (Some(other), _) => format!("busy with {other}"),
        (None, true) => "suspended".to_owned(),
        (None, false) => "running".to_owned(),
    }
}

/// What the service says of a cluster that runs. It trails the operations by up to a minute.
fn health(cluster: &ClusterInfo) -> &str {
    match (cluster.suspended, cluster.health.status.as_str()) {
        (true, _) | (_, "SUSPENDED") => "",
        (false, health) => health,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
