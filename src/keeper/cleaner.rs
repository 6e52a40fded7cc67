//! Drops the schemas of attempts that are over, and users of acquisitions, in the background and many at once.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::run::Input;
use crate::error::Result;
use crate::sql::{SqlClient, Wallet, code, quoted};
use crate::version::{Capabilities, Version};
use crate::{schema, user};

/// Statements under way at a time. CrateDB executes drops that wait together in one batch, so more at once is cheaper;
/// connections are what they cost.
const AT_ONCE: usize = 16;

/// Cleans one cluster.
#[derive(Clone)]
pub(super) struct Cleaner {
    client: SqlClient,
    url: String,
    wallet: Wallet,
    able: Capabilities,
    permits: Arc<Semaphore>,
    done: UnboundedSender<Input>,
}

impl Cleaner {
    pub(super) fn new(url: &str, version: Version, wallet: Wallet, done: UnboundedSender<Input>) -> Result<Self> {
        let client = SqlClient::new(url, None, wallet.clone())?;
        Ok(Self {
            client,
            url: url.to_owned(),
            wallet,
            able: Capabilities::of(version),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            done,
        })
    }

    /// For statements of the keeper that concern no schema.
    pub(super) fn client(&self) -> &SqlClient {
        &self.client
    }

    /// For statements whose names mean what is in `schema`.
    pub(super) fn within(&self, schema: &str) -> Result<SqlClient> {
        SqlClient::new(&self.url, Some(schema), self.wallet.clone())
    }

    /// Begins to drop a schema, or a user, of this name; [`Input::Cleaned`] says how it went.
    pub(super) fn remove(&self, name: String) {
        let this = self.clone();
        tokio::spawn(async move {
            // A user is dropped in a moment, and there are few.
            let permit = if user::is_ours(&name) { None } else { Some(this.permits.acquire().await) };
            let outcome = this.dropped(&name).await;
            drop(permit);
            let _ = this.done.send(Input::Cleaned { name, outcome });
        });
    }

    async fn dropped(&self, name: &str) -> Result<()> {
        loop {
            let outcome = match user::is_ours(name) {
                true => self.client.send(&format!("DROP USER IF EXISTS {}", quoted(name)), &[]).await.map(drop),
                false => drop_schema(&self.client, self.able, name).await,
            };
            match outcome {
                Err(error) if error.code() == Some(code::NOT_ITS_TURN) => tracing::info!(%error, name, "trying again"),
                outcome => return outcome,
            }
        }
    }

    /// Begins to look for what dead runs left behind; [`Input::LeftOvers`] says what there is.
    pub(super) fn find_left_overs(&self) {
        let this = self.clone();
        tokio::spawn(async move {
            let (schemas, users) = tokio::join!(
                this.names("SELECT schema_name FROM information_schema.schemata"),
                this.names("SELECT name FROM sys.users"),
            );
            let now = SystemTime::now();
            let schemas = schemas.into_iter().filter(|name| schema::is_left_over(name, now));
            let users = users.into_iter().filter(|name| user::is_left_over(name, now));
            let _ = this.done.send(Input::LeftOvers(schemas.chain(users).collect()));
        });
    }

    async fn names(&self, list: &str) -> Vec<String> {
        let found = self.client.rows::<(String,)>(list).await;
        let rows = found.unwrap_or_else(|error| {
            tracing::warn!(%error, list, "left-overs were not looked for");
            Vec::new()
        });
        rows.into_iter().map(|(name,)| name).collect()
    }
}

/// Drops a schema with all that is in it; nothing to do if it was never made.
pub(crate) async fn drop_schema(client: &SqlClient, able: Capabilities, schema: &str) -> Result<()> {
    let own = quoted(schema);
    if able.drop_schema_cascade {
        client.send(&format!("DROP SCHEMA IF EXISTS {own} CASCADE"), &[]).await?;
        return Ok(());
    }
    // Object by object: views first, since tables that they use can't be dropped under them.
    for (types, statement) in
        [("'VIEW'", "DROP VIEW"), ("'FOREIGN'", "DROP FOREIGN TABLE"), ("'BASE TABLE'", "DROP TABLE")]
    {
        let list = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_type = {types}",
            literal(schema)
        );
        let mut drops = JoinSet::new();
        for (name,) in client.rows::<(String,)>(&list).await? {
            let (client, stmt) = (client.clone(), format!("{statement} IF EXISTS {own}.{}", quoted(&name)));
            drops.spawn(async move { client.send(&stmt, &[]).await.map(drop) });
        }
        for outcome in drops.join_all().await {
            outcome?;
        }
    }
    drop_functions(client, schema).await?;
    if able.drop_schema {
        client.send(&format!("DROP SCHEMA IF EXISTS {own}"), &[]).await?;
    }
    Ok(())
}

/// `specific_name` is the name with its types in parentheses, as `DROP FUNCTION` wants them.
async fn drop_functions(client: &SqlClient, schema: &str) -> Result<()> {
    let list = format!(
        "SELECT routine_name, specific_name FROM information_schema.routines WHERE routine_schema = {} AND routine_type = 'FUNCTION'",
        literal(schema)
    );
    for (name, specific) in client.rows::<(String, String)>(&list).await? {
        let types = specific.split_once('(').map_or(")", |(_, types)| types);
        client.send(&format!("DROP FUNCTION IF EXISTS {}.{}({types}", quoted(schema), quoted(&name)), &[]).await?;
    }
    Ok(())
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::sql::Credentials;
    use crate::sql::test_server::{Reaction, TestServer};

    async fn dropped(server: &TestServer, name: &str) -> Result<()> {
        let (done, mut inputs) = unbounded_channel();
        let version = Version { major: 6, minor: 4, patch: 3 };
        let cleaner = Cleaner::new(&server.url(), version, Wallet::new(Credentials::None), done).unwrap();
        cleaner.remove(name.to_owned());
        let Some(Input::Cleaned { name: cleaned, outcome }) = inputs.recv().await else { panic!() };
        assert_eq!(cleaned, name);
        outcome
    }

    #[tokio::test]
    async fn what_a_busy_server_did_not_get_to_is_tried_again() {
        let tries = AtomicU32::new(0);
        let server = TestServer::start(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Reaction::error(503, 5034, "ProcessClusterEventTimeoutException[failed to process cluster event]"),
            _ => Reaction::count(1),
        });
        dropped(&server, "cratedb_test_hrfjq_abcdefgh_t").await.unwrap();
        assert_eq!(server.stmts(), [r#"DROP SCHEMA IF EXISTS "cratedb_test_hrfjq_abcdefgh_t" CASCADE"#; 3]);
    }

    #[tokio::test]
    async fn what_is_refused_is_not() {
        let server = TestServer::start(|_| Reaction::error(400, 4004, "UnsupportedFeatureException[no]"));
        assert!(dropped(&server, "cratedb_test_user_hrfjq_abcdefgh").await.is_err());
        assert_eq!(server.stmts(), [r#"DROP USER IF EXISTS "cratedb_test_user_hrfjq_abcdefgh""#]);
    }
}
