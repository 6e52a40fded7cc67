//! Makes a schema ahead of the test that will take it: executes migrations in it, one statement after another.

use std::sync::Arc;

use tokio::sync::watch;

use super::prepared::Made;
use crate::error::Result;
use crate::migrations;
use crate::seed;
use crate::sql::{self, SqlClient};
use crate::wire::MigrationFile;

/// What the makers are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Go,
    /// A test is alone on the cluster.
    Pause,
    /// The cluster is let go of.
    Stop,
}

/// A cluster takes so many shards on each of its nodes, and these are how many it has. A half of them is left to tests.
const ROOM: &str = "SELECT (SELECT count(*) FROM sys.shards), (SELECT count(*) FROM sys.nodes), \
                    settings['cluster']['max_shards_per_node'] FROM sys.cluster";

/// One schema to be made.
#[derive(Clone)]
pub(super) struct Maker {
    /// Of the schema.
    pub(super) client: SqlClient,
    pub(super) schema: String,
    pub(super) files: Arc<[MigrationFile]>,
    pub(super) phase: watch::Receiver<Phase>,
    /// How many shards one of these schemas has, if that is known.
    pub(super) shards: Option<u64>,
}

impl Maker {
    /// Everything, to the end or until it is told to stop; with how many shards it took, if that was not known.
    pub(super) async fn make(mut self) -> (Made, Option<u64>) {
        let room = self.room().await;
        if room == Some(false) {
            return (Made::Full, None);
        }
        match self.apply().await {
            Ok(true) => {
                let shards = if self.shards.is_none() { self.count().await } else { self.shards };
                (Made::Ready { measured: room.is_some() && shards.is_some() }, shards)
            }
            Ok(false) => (Made::Stopped, None),
            Err(error) => {
                tracing::warn!(%error, schema = self.schema, "migrations were not applied ahead");
                (Made::Failed, None)
            }
        }
    }

    /// Whether there is room for one more; none if the cluster does not say.
    async fn room(&self) -> Option<bool> {
        let rows = self.client.rows::<(u64, u64, u64)>(ROOM).await;
        let (used, nodes, limit) = *rows
            .inspect_err(|error| tracing::debug!(%error, "the cluster does not say how many shards it takes"))
            .ok()?
            .first()?;
        Some(fits(used, nodes.saturating_mul(limit), self.shards.unwrap_or(0)))
    }

    async fn count(&self) -> Option<u64> {
        let count = format!("SELECT count(*) FROM sys.shards WHERE schema_name = '{}'", self.schema);
        self.client.rows::<(u64,)>(&count).await.ok()?.first().map(|(count,)| *count)
    }

    /// False if it was told to stop.
    async fn apply(&mut self) -> Result<bool> {
        let files = self.files.clone();
        let mut writes = false;
        for MigrationFile { name, text } in files.iter() {
            let text = seed::without_mark(text);
            let statements = sql::split(text);
            for index in 0..statements.len() {
                let told = self.phase.wait_for(|phase| *phase != Phase::Pause).await;
                if told.map_or(Phase::Stop, |phase| *phase) == Phase::Stop {
                    return Ok(false);
                }
                seed::execute_one(&self.client, name, text, &statements, index).await?;
            }
            writes |= migrations::writes(text);
        }
        if writes {
            sql::refresh(&self.client, &self.schema).await?;
        }
        Ok(true)
    }
}

/// Schemas that nobody uses yet must not bring the cluster beyond half of what it takes.
fn fits(used: u64, limit: u64, more: u64) -> bool {
    used.saturating_add(more) <= limit / 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::sql::test_server::{Reaction, TestServer};
    use crate::sql::{Credentials, Wallet};

    fn maker(server: &TestServer, texts: &[&str]) -> (Maker, watch::Sender<Phase>) {
        let (sender, phase) = watch::channel(Phase::Go);
        let client = SqlClient::new(&server.url(), Some("s"), Wallet::new(Credentials::None)).unwrap();
        let files = texts.iter().map(|text| MigrationFile { name: String::new(), text: (*text).to_owned() }).collect();
        (Maker { client, schema: "s".into(), files, phase, shards: None }, sender)
    }

    /// A server with so many shards, of 100.
    fn server(shards: u64) -> TestServer {
        TestServer::start(move |request| {
            let rows = |cells: &[u64]| {
                let (names, types) = (vec!["a"; cells.len()], vec![10; cells.len()]);
                Reaction::json(200, &json!({"cols": names, "col_types": types, "rows": [cells], "rowcount": 1}))
            };
            match request.stmt() {
                ROOM => rows(&[shards, 1, 100]),
                count if count.starts_with("SELECT count(*)") => rows(&[7]),
                bad if bad.starts_with("BAD") => Reaction::error(400, 4000, "no"),
                _ => Reaction::count(1),
            }
        })
    }

    #[tokio::test]
    async fn one_statement_after_another_is_executed() {
        let server = server(3);
        let (maker, _phase) =
            maker(&server, &["\u{feff}CREATE TABLE a (x INT); CREATE TABLE b (x INT)", "ALTER TABLE a ADD y INT"]);
        assert_eq!(maker.make().await, (Made::Ready { measured: true }, Some(7)));
        let stmts = server.stmts();
        assert_eq!(stmts[1..4], ["CREATE TABLE a (x INT)", "CREATE TABLE b (x INT)", "ALTER TABLE a ADD y INT"]);
        assert_eq!(stmts.len(), 5);
    }

    #[tokio::test]
    async fn a_statement_that_fails_ends_it() {
        let server = server(3);
        let (maker, _phase) = maker(&server, &["CREATE TABLE a (x INT); BAD; CREATE TABLE b (x INT)"]);
        assert_eq!(maker.make().await, (Made::Failed, None));
        assert_eq!(server.stmts().len(), 3);
    }

    #[tokio::test]
    async fn nothing_is_made_on_a_cluster_that_is_half_full() {
        let server = server(48);
        let (mut maker, _phase) = maker(&server, &["CREATE TABLE a (x INT)"]);
        maker.shards = Some(3);
        assert_eq!(maker.make().await, (Made::Full, None));
        assert_eq!(server.stmts().len(), 1);
    }

    #[tokio::test]
    async fn it_stops_between_statements() {
        let server = server(3);
        let (maker, phase) = maker(&server, &["CREATE TABLE a (x INT)"]);
        phase.send_replace(Phase::Stop);
        assert_eq!(maker.make().await, (Made::Stopped, None));
        assert_eq!(server.stmts(), [ROOM]);
    }

    #[tokio::test]
    async fn it_pauses_while_a_test_is_alone() {
        let server = server(3);
        let (maker, phase) = maker(&server, &["CREATE TABLE a (x INT)"]);
        phase.send_replace(Phase::Pause);
        let mut made = tokio::spawn(maker.make());
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut made).await.is_err());
        assert_eq!(server.stmts(), [ROOM]);
        phase.send_replace(Phase::Go);
        assert_eq!(made.await.unwrap().0, Made::Ready { measured: true });
    }

    #[test]
    fn half_of_the_room_is_left_to_tests() {
        assert!(fits(460, 1000, 40) && !fits(461, 1000, 40) && !fits(u64::MAX, 1000, 40));
    }
}
