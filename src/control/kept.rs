//! Lists and drops the schemas of tests on a cluster: those that were kept, and those in use.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::status::{TestStatus, keys};
use crate::background;
use crate::cloud::ManagedCluster;
use crate::error::{Error, Kind, Result};
use crate::version::Capabilities;
use crate::{keeper, schema};

/// A schema whose name has the form of tests' schemas.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// The name of the schema.
    pub schema: String,
    /// The part of the test's name that the schema's name contains.
    pub test: String,
    /// The time at which the test began, in Unix seconds.
    pub since: i64,
    /// The time from which on the next run on this cluster drops the schema, in Unix seconds.
    pub until: i64,
    /// The number of tables and views.
    pub tables: u64,
    /// The test that runs in it now, if its keeper is on this machine.
    pub used_by: Option<String>,
}

const TABLES: &str = "SELECT table_schema, count(*) FROM information_schema.tables \
                      WHERE table_schema LIKE 'cratedb_test_%' GROUP BY table_schema";

/// Lists the schemas of tests on a cluster, oldest first.
///
/// # Errors
///
/// When the cluster does not answer.
pub async fn kept(cluster: &ManagedCluster) -> Result<Vec<Kept>> {
    // As statements of the cluster, whose errors say why it does not answer.
    let schemas: Vec<String> = cluster.query("SELECT schema_name FROM information_schema.schemata").fetch_all().await?;
    let tables: Vec<(String, u64)> = cluster.query(TABLES).fetch_all().await?;
    let (tables, used) = (tables.into_iter().collect(), background::run(used()).await?);
    let mut kept: Vec<Kept> = schemas.into_iter().filter_map(|name| Kept::of(name, &tables, &used)).collect();
    kept.sort_by(|one, other| (one.since, &one.schema).cmp(&(other.since, &other.schema)));
    Ok(kept)
}

/// Drops a schema of a test with its content. It is no error if the schema does not exist.
///
/// # Errors
///
/// When the name is not one that the harness makes, when a test of this machine runs in the schema, and when the
/// cluster refuses.
pub async fn drop_kept(cluster: &ManagedCluster, name: &str) -> Result<()> {
    let (cluster, name) = (cluster.clone(), name.to_owned());
    background::run(async move {
        let refused = || Error::new(Kind::Usage, format!("will not drop the schema `{name}`"));
        if schema::born(&name).is_none() {
            return Err(refused()
                .because("its name is not of the form that tests' schemas have")
                .hint("`cargo cratedb kept` lists those that are"));
        }
        if let Some(test) = used().await?.get(&name) {
            return Err(refused().because(format!("`{test}` runs in it")));
        }
        let client = cluster.sql_client().await?;
        let able = Capabilities::of(client.version().await?);
        keeper::drop_schema(&client, able, &name).await
    })
    .await
}

impl Kept {
    fn of(schema: String, tables: &BTreeMap<String, u64>, used: &BTreeMap<String, String>) -> Option<Self> {
        let born = schema::born(&schema)?;
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        Some(Self {
            test: schema.splitn(5, '_').nth(4).unwrap_or_default().to_owned(),
            since: seconds(born),
            until: seconds(born + schema::LEFT_OVER_AGE),
            tables: tables.get(&schema).copied().unwrap_or_default(),
            used_by: used.get(&schema).cloned(),
            schema,
        })
    }
}

/// Maps the schemas in which tests of this machine run to these tests.
async fn used() -> Result<BTreeMap<String, String>> {
    let keys = background::blocking(keys).await?;
    let tests = keys.into_iter().flat_map(|key| key.sessions).flat_map(|session| session.tests);
    Ok(tests.filter(|test| test.runs).map(|TestStatus { schema, test, .. }| (schema, test)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_schemas_of_tests_are_listed_with_what_their_names_say() {
        let name = schema::name("m::sees_its_own_rows", UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_040));
        let tables = BTreeMap::from([(name.clone(), 3)]);
        let kept = Kept::of(name.clone(), &tables, &BTreeMap::from([(name, "m::t".to_owned())])).unwrap();
        assert_eq!((&*kept.test, kept.since, kept.tables), ("sees_its_own_rows", 1_790_000_040, 3));
        assert_eq!(kept.until - kept.since, 24 * 60 * 60);
        assert_eq!(kept.used_by.as_deref(), Some("m::t"));
        for other in ["doc", "cratedb_test_data", "cratedb_test_orders_2024_backup"] {
            assert!(Kept::of(other.into(), &tables, &BTreeMap::new()).is_none(), "{other}");
        }
    }
}
