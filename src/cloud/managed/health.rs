//! The health of a cluster, as CrateDB Cloud and as the cluster itself report it.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ManagedInner;
use crate::cloud::lifecycle::named;
use crate::cloud::model::HealthStatus;
use crate::environment::Server;
use crate::error::Result;
use crate::sql::SqlClient;

/// A cluster that answers these small queries at all answers them at once.
const LIMIT: Duration = Duration::from_secs(30);
/// The worst comes first.
const TABLES: &str = "SELECT table_schema || '.' || table_name AS \"table\", health AS status, \
                      underreplicated_shards, missing_shards FROM sys.health \
                      ORDER BY severity DESC, table_schema, table_name";

/// The health of a cluster.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The name and the id, or the URL, for display.
    pub cluster: String,
    /// True if the cluster is suspended and so answers no SQL.
    pub suspended: bool,
    /// Type of the operation that is running on the cluster, if any.
    pub operation: Option<String>,
    /// The report of CrateDB Cloud, which may be a minute old. None for a URL without Cloud credentials.
    pub cloud: Option<HealthStatus>,
    /// The report of the cluster itself, if it answered.
    pub sql: Option<SqlHealth>,
    /// The reason why the cluster did not answer, if it should have.
    pub problem: Option<String>,
}

/// The health of a cluster as it reports it itself.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SqlHealth {
    /// CrateDB's version.
    pub version: String,
    /// The number of nodes.
    pub nodes: u64,
    /// The worst health of any table: `GREEN`, `YELLOW` or `RED`.
    pub status: String,
    /// The number of tables, counting each partition.
    pub tables: u64,
    /// Shards that have fewer copies than they should have.
    pub underreplicated_shards: u64,
    /// Shards that are missing: their data can't be read.
    pub missing_shards: u64,
    /// The tables that are not `GREEN`.
    pub unhealthy: Vec<TableHealth>,
}

/// A table that is not `GREEN`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableHealth {
    /// The schema and the name.
    pub table: String,
    /// `YELLOW` or `RED`.
    pub status: String,
    /// Shards that have fewer copies than they should have.
    pub underreplicated_shards: u64,
    /// Shards that are missing.
    pub missing_shards: u64,
}

impl Health {
    /// Returns true if the cluster runs, answers and has all its data.
    pub fn is_good(&self) -> bool {
        !self.suspended && self.sql.as_ref().is_some_and(|sql| sql.status != "RED")
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cluster)?;
        if self.suspended {
            f.write_str(" is suspended")?;
        }
        if let Some(operation) = &self.operation {
            write!(f, ", operation {operation} is running")?;
        }
        if let Some(cloud) = self.cloud.as_ref().filter(|cloud| !cloud.status.is_empty()) {
            write!(f, ", CrateDB Cloud says {}", cloud.status)?;
        }
        if let Some(sql) = &self.sql {
            let SqlHealth { version, nodes, status, tables, underreplicated_shards, missing_shards, .. } = sql;
            write!(f, ", SQL says {status}: CrateDB {version}, nodes: {nodes}, tables: {tables}")?;
            if underreplicated_shards + missing_shards > 0 {
                write!(f, ", shards under-replicated: {underreplicated_shards}, missing: {missing_shards}")?;
            }
        }
        match &self.problem {
            Some(problem) => write!(f, ", and SQL fails: {problem}"),
            None => Ok(()),
        }
    }
}

impl ManagedInner {
    pub(super) async fn health(&self) -> Result<Health> {
        let mut health = self.cloud_health().await?;
        if health.suspended {
            return Ok(health);
        }
        let asked = async { asked(&self.connect().await?.client).await };
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok(sql)) => health.sql = Some(sql),
            Ok(Err(error)) => health.problem = Some(error.first_line()),
            Err(_) => health.problem = Some(format!("no answer within {}", humantime::format_duration(LIMIT))),
        }
        Ok(health)
    }

    async fn cloud_health(&self) -> Result<Health> {
        let of_url = |server: &Server| Health { cluster: format!("cluster at {}", server.url), ..Health::default() };
        if let (Some(server), Some(_)) = (&self.server, self.lifecycle.client.missing()) {
            return Ok(of_url(server));
        }
        match (self.lifecycle.look().await, &self.server) {
            (Err(error), Some(server)) if error.is_not_found() => Ok(of_url(server)),
            (cluster, _) => cluster.map(|cluster| Health {
                cluster: named(&cluster),
                suspended: cluster.suspended,
                operation: cluster.busy().map(str::to_owned),
                cloud: Some(cluster.health),
                ..Health::default()
            }),
        }
    }
}

async fn asked(client: &SqlClient) -> Result<SqlHealth> {
    let version = client.version().await?.to_string();
    let nodes: Vec<(u64,)> = client.rows("SELECT count(*) FROM sys.nodes").await?;
    let tables: Vec<TableHealth> = client.rows(TABLES).await?;
    let sum = |count: fn(&TableHealth) -> u64| tables.iter().map(count).sum();
    Ok(SqlHealth {
        version,
        nodes: nodes.first().map_or(0, |(count,)| *count),
        status: tables.first().map_or("GREEN", |worst| &worst.status).to_owned(),
        tables: tables.len() as u64,
        underreplicated_shards: sum(|table| table.underreplicated_shards),
        missing_shards: sum(|table| table.missing_shards),
        unhealthy: tables.into_iter().filter(|table| table.status != "GREEN").collect(),
    })
}
