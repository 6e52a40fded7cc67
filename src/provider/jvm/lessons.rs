//! What a server does while it notes for its JVM's cache what it loads.

use std::time::Instant;

use crate::error::Result;
use crate::probe::{self, Readiness};
use crate::sql::{Credentials, SqlClient, Wallet};
use crate::version::Capabilities;

/// What tests do: the classes behind it are in the cache, too.
const STATEMENTS: [&str; 8] = [
    "CREATE TABLE training.t (id INTEGER PRIMARY KEY, name TEXT, o OBJECT, ts TIMESTAMP) \
     CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0)",
    "INSERT INTO training.t (id, name, o, ts) VALUES (1, 'a', {n = 1}, now()), (2, 'b', {n = 2}, now())",
    "REFRESH TABLE training.t",
    "SELECT id, name, o['n'] FROM training.t WHERE name LIKE 'a%' ORDER BY id LIMIT 10",
    "SELECT name, count(*), max(ts) FROM training.t GROUP BY name ORDER BY 1",
    "UPDATE training.t SET name = 'c' WHERE id = 2",
    "DELETE FROM training.t WHERE id = 1",
    "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 'train%'",
];

/// Waits until the server at `url` answers, and uses it as tests do.
pub(in crate::provider) async fn practise(url: &str, deadline: Instant) -> Result<()> {
    let wallet = Wallet::new(Credentials::None);
    let version = probe::answers_sql(url, &wallet, Readiness::Empty, deadline, |_| ()).await?;
    let client = SqlClient::new(url, Some("training"), wallet)?;
    let able = Capabilities::of(version).drop_schema_cascade;
    let last = if able { "DROP SCHEMA training CASCADE" } else { "DROP TABLE training.t" };
    for stmt in STATEMENTS.into_iter().chain([last]) {
        client.send(stmt, &[]).await?;
    }
    Ok(())
}
