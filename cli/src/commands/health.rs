//! `health`.

use cratedb_test::cloud::Health;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};

/// Prints how the cluster is. The exit code says whether it is well, for scripts that go on only then.
pub(super) fn run(context: &Context) -> Result<u8, Failure> {
    let health = context.wait(async {
        let cluster = context.cluster()?;
        context.progress.say_in_passing("asking how the cluster is");
        Ok(cluster.health().await?)
    })?;
    Document::new(&health, People::Facts(facts(&health)))?.print(&context.terminal)?;
    Ok(if health.is_good() { 0 } else { Code::Failed as u8 })
}

fn facts(health: &Health) -> Vec<(&'static str, String)> {
    let cloud = health.cloud.as_ref();
    let mut facts = vec![
        ("cluster", health.cluster.clone()),
        ("state", if health.suspended { "suspended".into() } else { String::new() }),
        ("operation", health.operation.clone().unwrap_or_default()),
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
