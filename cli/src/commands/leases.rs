//! `status --account` and `sweep --account`: all clusters of the account, whatever machine uses them.

use std::future::Future;

use cratedb_test::ManagedCluster;
use cratedb_test::cloud::model::ClusterInfo;
use cratedb_test::cloud::{LeaseInfo, Leases, LeasesState, Swept};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::arguments::Sweep;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, Document, People, Rows};

/// A cluster of the account, and what was found out about it.
#[derive(Debug, Serialize)]
struct Of<T> {
    name: String,
    id: String,
    #[serde(flatten)]
    found: T,
}

/// The leases of one cluster, or the reason why they can't be read.
#[derive(Debug, Serialize)]
struct Shown {
    leases: Option<Leases>,
    problem: Option<String>,
}

/// Shows every lease of every cluster.
pub(super) async fn status(context: &Context) -> Result<Document, Failure> {
    context.progress.say_in_passing("reading the leases of the account's clusters");
    let all = each(context, |cluster| async move {
        match cluster.leases().await {
            Ok(leases) => Shown { leases: Some(leases), problem: None },
            Err(error) => Shown { leases: None, problem: Some(error.to_string()) },
        }
    })
    .await?;
    let columns = ["cluster", "state", "host", "user", "session", "version"].map(Column::left).into_iter();
    let columns = columns.chain(["used for", "renewed"].map(Column::right)).chain([Column::left("lease")]).collect();
    let rows = all.iter().flat_map(rows).collect();
    Document::new(&all, People::Rows(Rows { columns, rows }))
}

/// Returns a row for each lease of a cluster; one for a cluster without any.
fn rows(one: &Of<Shown>) -> Vec<Vec<Cell>> {
    let row = |state: &str, rest: [String; 7]| {
        [one.name.clone(), state.to_owned()].into_iter().chain(rest).map(Cell::from).collect()
    };
    let Some(leases) = &one.found.leases else {
        let first = one.found.problem.as_deref().and_then(|problem| problem.lines().next()).unwrap_or_default();
        return vec![row(&format!("unknown: {first}"), Default::default())];
    };
    let state = state(leases);
    if leases.leases.is_empty() {
        return vec![row(state, Default::default())];
    }
    leases.leases.iter().map(|lease| row(state, facts(lease))).collect()
}

fn facts(lease: &LeaseInfo) -> [String; 7] {
    let seconds = |millis: u64| {
        let time = std::time::Duration::from_secs(millis / 1000);
        humantime::format_duration(time).to_string()
    };
    let life = match (lease.is_alive, lease.is_overdue) {
        (false, _) => "dead",
        (true, true) => "overdue",
        (true, false) => "alive",
    };
    [
        if lease.host.is_empty() { "unknown".to_owned() } else { lease.host.clone() },
        lease.user.clone(),
        lease.session.clone(),
        lease.version.clone(),
        seconds((lease.renewed + lease.age).saturating_sub(lease.joined)),
        format!("{} ago", seconds(lease.age)),
        life.to_owned(),
    ]
}

fn state(leases: &Leases) -> &'static str {
    match leases.state {
        LeasesState::Suspended => "suspended",
        LeasesState::Closing => "about to be suspended",
        LeasesState::Open if leases.ours => "started by tests",
        LeasesState::Open => "found running",
        _ => "never used by tests",
    }
}

/// The outcome of sweeping one cluster.
#[derive(Debug, Serialize)]
struct Outcome {
    outcome: &'static str,
    detail: String,
}

/// Suspends what nobody uses any more. Fails if something is still owed after that.
pub(super) async fn sweep(context: &Context, wanted: &Sweep) -> Result<Document, Failure> {
    context.goes_on("a suspension that has begun");
    let (idle, dry_run) = (wanted.older_than.unwrap_or_default(), wanted.dry_run);
    let swept = each(context, move |cluster| async move {
        match cluster.sweep(idle, dry_run).await {
            Ok(Swept { outcome, detail }) => Outcome { outcome, detail },
            Err(error) => Outcome { outcome: "failed", detail: error.to_string() },
        }
    })
    .await?;
    let columns = ["cluster", "id", "outcome", "detail"].map(Column::left).into();
    let row = |one: &Of<Outcome>| {
        let detail = one.found.detail.lines().map(str::trim).collect::<Vec<_>>().join("; ");
        [one.name.as_str(), &one.id, one.found.outcome, &detail].map(Cell::from).into()
    };
    let rows = swept.iter().map(row).collect();
    let failed = swept.iter().any(|one| one.found.outcome == "failed");
    Ok(Document::new(&swept, People::Rows(Rows { columns, rows }))?.failed_if(failed))
}

/// Does the same for all clusters of the account, at the same time. Returns the results sorted by the clusters' names.
async fn each<T, F>(context: &Context, work: impl Fn(ManagedCluster) -> F) -> Result<Vec<Of<T>>, Failure>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let client = context.client()?;
    let clusters = client.clusters().await?;
    if clusters.is_empty() {
        context.terminal.note("the account has no cluster");
    }
    let mut running = JoinSet::new();
    for ClusterInfo { name, id, .. } in clusters {
        let progress = context.progress.clone();
        let mut builder = ManagedCluster::builder().client(client.clone()).cluster_id(&id);
        builder = builder.on_progress(move |text| progress.say(text));
        if let Some(timeout) = context.global.timeout {
            builder = builder.start_timeout(timeout);
        }
        let found = work(builder.build()?);
        running.spawn(async move { Of { name, id, found: found.await } });
    }
    let mut all = Vec::new();
    while let Some(one) = running.join_next().await {
        all.push(one.map_err(|error| Failure::failed(format!("a look at a cluster broke off: {error}")))?);
    }
    all.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(all)
}
