//! How the cluster is: what CrateDB Cloud says, and what the cluster itself says.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Inner;
use crate::cloud::lifecycle::named;
use crate::cloud::model::HealthStatus;
use crate::environment::Server;
use crate::error::{Error, Result};
use crate::sql::SqlClient;

/// A cluster that answers these small questions at all does so at once.
const LIMIT: Duration = Duration::from_secs(30);

/// How a cluster is.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// For people: the name and the id, or the URL.
    pub cluster: String,
    /// Whether it is suspended: then it answers no SQL.
    pub suspended: bool,
    /// Type of the operation that runs on it, if one does.
    pub operation: Option<String>,
    /// What CrateDB Cloud says; may be a minute old. None for a URL that is asked without Cloud credentials.
    pub cloud: Option<HealthStatus>,
    /// What the cluster itself says, if it answered.
    pub sql: Option<SqlHealth>,
    /// Why it did not answer, if it should have.
    pub problem: Option<String>,
}

/// What a cluster says of itself.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SqlHealth {
    /// CrateDB's version.
    pub version: String,
    /// How many nodes there are.
    pub nodes: u64,
    /// The worst health of any table: `GREEN`, `YELLOW` or `RED`.
    pub status: String,
    /// How many tables there are, each partition counted.
    pub tables: u64,
    /// Shards that have fewer copies than they should have.
    pub underreplicated_shards: u64,
    /// Shards that are not there: their data can't be read.
    pub missing_shards: u64,
    /// The tables that are not `GREEN`.
    pub unhealthy: Vec<TableHealth>,
}

/// A table that is not as it should be.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct TableHealth {
    /// Schema and name.
    pub table: String,
    /// `YELLOW` or `RED`.
    pub status: String,
    /// Shards that have fewer copies than they should have.
    pub underreplicated_shards: u64,
    /// Shards that are not there.
    pub missing_shards: u64,
}

impl Health {
    /// Whether the cluster runs, answers, and misses no data.
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
            write!(
                f,
                ", SQL says {}: CrateDB {}, nodes: {}, tables: {}",
                sql.status, sql.version, sql.nodes, sql.tables
            )?;
            if sql.underreplicated_shards + sql.missing_shards > 0 {
                write!(
                    f,
                    ", shards under-replicated: {}, missing: {}",
                    sql.underreplicated_shards, sql.missing_shards
                )?;
            }
        }
        match &self.problem {
            Some(problem) => write!(f, ", and SQL fails: {problem}"),
            None => Ok(()),
        }
    }
}

impl Inner {
    pub(super) async fn health(&self) -> Result<Health> {
        let mut health = self.cloud_health().await?;
        if health.suspended {
            return Ok(health);
        }
        let asked = async {
            let connection = self.connect().await?;
            asked(connection.client()).await
        };
        match tokio::time::timeout(LIMIT, asked).await {
            Ok(Ok(sql)) => health.sql = Some(sql),
            Ok(Err(error)) => health.problem = Some(first_line(&error)),
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
            (cluster, _) => {
                let cluster = cluster?;
                Ok(Health {
                    cluster: named(&cluster),
                    suspended: cluster.suspended,
                    operation: cluster.busy().map(str::to_owned),
                    cloud: Some(cluster.health),
                    sql: None,
                    problem: None,
                })
            }
        }
    }
}

async fn asked(client: &SqlClient) -> Result<SqlHealth> {
    let version = client.version().await?.to_string();
    let nodes: Vec<(u64,)> = client.rows("SELECT count(*) FROM sys.nodes").await?;
    let tables: Vec<(String, String, String, u64, u64)> = client
        .rows(
            "SELECT table_schema, table_name, health, underreplicated_shards, missing_shards FROM sys.health \
             ORDER BY severity DESC, table_schema, table_name",
        )
        .await?;
    let worst = tables.first().map_or("GREEN", |(_, _, health, _, _)| health);
    Ok(SqlHealth {
        version,
        nodes: nodes.first().map_or(0, |(count,)| *count),
        status: worst.to_owned(),
        tables: tables.len() as u64,
        underreplicated_shards: tables.iter().map(|table| table.3).sum(),
        missing_shards: tables.iter().map(|table| table.4).sum(),
        unhealthy: tables
            .into_iter()
            .filter(|(_, _, health, _, _)| health != "GREEN")
            .map(|(schema, name, status, underreplicated_shards, missing_shards)| TableHealth {
                table: format!("{schema}.{name}"),
                status,
                underreplicated_shards,
                missing_shards,
            })
            .collect(),
    })
}

fn first_line(error: &Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
