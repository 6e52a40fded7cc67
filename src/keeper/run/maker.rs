//! Makes one schema ahead of the test that will take it: by the migrations, or by a replay of what they make.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::Result;
use crate::imprint::{self, Imprint};
use crate::keeper::premade::PremadeOutcome;
use crate::keeper::replay::Replay;
use crate::sql::{self, SqlClient, Statement, quoted};
use crate::wire::MigrationFile;
use crate::{migrations, seed};

/// Lists how many shards the cluster has, on how many nodes, and how many it takes on each of them.
const ROOM: &str = "SELECT (SELECT count(*) FROM sys.shards), (SELECT count(*) FROM sys.nodes), \
                    settings['cluster']['max_shards_per_node'] FROM sys.cluster";

/// The order that all makers follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MakerOrder {
    #[default]
    Go,
    /// A test is alone on the cluster.
    Pause,
    /// The cluster is released.
    Stop,
}

/// Waits while a test is alone on the cluster. Returns false once the cluster is let go of.
pub(super) async fn may_go_on(order: &mut watch::Receiver<MakerOrder>) -> bool {
    let order = order.wait_for(|order| *order != MakerOrder::Pause).await;
    order.is_ok_and(|order| *order == MakerOrder::Go)
}

/// The way to the tables of a set of migrations.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// All statements, and a look at whether there is a shorter way.
    FirstHistory,
    /// All statements.
    History,
    /// The statements for the tables that they end in.
    Replay(Arc<Replay>),
}

/// The result of a maker.
#[derive(Debug)]
pub(in crate::keeper) struct Made {
    pub(super) outcome: PremadeOutcome,
    /// The imprint of the schema, or why there is none.
    pub(super) imprint: Option<Result<Imprint>>,
    /// Set if the maker has learned whether there is a replay.
    pub(super) replay: Option<Option<Replay>>,
}

impl Made {
    fn nothing(outcome: PremadeOutcome) -> Self {
        Self { outcome, imprint: None, replay: None }
    }
}

/// Makes one schema: executes statements in it, one after another.
#[derive(Clone)]
pub(super) struct PremadeMaker {
    /// A client whose default schema is the new one.
    pub(super) client: SqlClient,
    pub(super) schema: String,
    pub(super) files: Arc<[MigrationFile]>,
    pub(super) order: watch::Receiver<MakerOrder>,
    /// The number of shards that one of these schemas has, if it is known.
    pub(super) shards: Option<u64>,
    pub(super) way: Way,
}

impl PremadeMaker {
    /// Executes everything, to the end or until it is told to stop.
    pub(super) async fn make(mut self) -> Made {
        let room = self.room().await;
        if room == Some(false) {
            return Made::nothing(PremadeOutcome::Full);
        }
        let applied = match self.way.clone() {
            Way::Replay(replay) => self.replay(&replay).await,
            Way::FirstHistory | Way::History => self.apply().await,
        };
        match (applied, &self.way) {
            (Ok(true), _) => self.made(room.is_some()).await,
            (Ok(false), _) => Made::nothing(PremadeOutcome::Stopped),
            (Err(error), Way::Replay(_)) => self.not_replayed(&error),
            (Err(error), _) => {
                tracing::warn!(%error, schema = self.schema, "migrations were not applied ahead");
                Made::nothing(PremadeOutcome::Failed)
            }
        }
    }

    /// Looks at what was made.
    async fn made(&self, measured: bool) -> Made {
        let imprint = imprint::look(&self.client, &self.schema).await;
        let replay = match (&self.way, &imprint) {
            (Way::Replay(replay), Ok(imprint)) if !replay.is_equal(&self.schema, imprint) => {
                return self.not_replayed("it would not be equal to what the migrations make");
            }
            (Way::Replay(_), Err(error)) => return self.not_replayed(error),
            (Way::FirstHistory, Ok(imprint)) => Some(self.found(imprint).await),
            _ => None,
        };
        Made {
            outcome: PremadeOutcome::Ready { measured: measured && imprint.is_ok() },
            imprint: Some(imprint),
            replay,
        }
    }

    /// Gives up on replays. The schema is dropped, and the next one is made by the migrations.
    fn not_replayed(&self, why: impl std::fmt::Display) -> Made {
        tracing::info!(%why, schema = self.schema, "a schema was not made by a replay");
        Made { replay: Some(None), ..Made::nothing(PremadeOutcome::Stopped) }
    }

    /// Reads what the migrations have made, if that is shorter than they are.
    async fn found(&self, made: &Imprint) -> Option<Replay> {
        let history = self.files.iter().map(|file| Statement::all(seed::without_mark(&file.text)).len()).sum();
        let mut definitions = Vec::new();
        for table in Replay::wants(made, history)? {
            let stmt = format!("SHOW CREATE TABLE {}.{}", quoted(&self.schema), quoted(&table));
            let rows = self.client.rows::<(String,)>(&stmt).await;
            let rows = rows.inspect_err(|error| tracing::info!(%error, "a table's definition can't be read")).ok()?;
            definitions.extend(rows.into_iter().map(|(definition,)| definition));
        }
        Replay::new(&self.schema, made, definitions)
    }

    /// Returns whether there is room for one more schema; `None` if the cluster does not say.
    async fn room(&self) -> Option<bool> {
        let rows = self.client.rows::<(u64, u64, u64)>(ROOM).await;
        let (used, nodes, limit) = *rows
            .inspect_err(|error| tracing::debug!(%error, "the cluster does not say how many shards it takes"))
            .ok()?
            .first()?;
        Some(fits(used, nodes.saturating_mul(limit), self.shards.unwrap_or(0)))
    }

    /// Executes a replay. Returns false if it was told to stop.
    async fn replay(&mut self, replay: &Replay) -> Result<bool> {
        let schema = self.schema.clone();
        for statement in replay.statements(&schema) {
            if !may_go_on(&mut self.order).await {
                return Ok(false);
            }
            self.client.send(&statement, &[]).await?;
        }
        Ok(true)
    }

    /// Applies all migrations. Returns false if it was told to stop.
    async fn apply(&mut self) -> Result<bool> {
        let files = self.files.clone();
        let mut writes = false;
        for MigrationFile { name, text } in files.iter() {
            let text = seed::without_mark(text);
            for statement in Statement::all(text) {
                if !may_go_on(&mut self.order).await {
                    return Ok(false);
                }
                seed::execute_one(&self.client, name, text, statement).await?;
            }
            writes |= migrations::writes(text);
        }
        if writes {
            sql::refresh(&self.client, &self.schema).await?;
        }
        Ok(true)
    }
}

/// Returns whether `more` shards leave half of what the cluster takes to tests.
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

    fn maker(server: &TestServer, texts: &[&str]) -> (PremadeMaker, watch::Sender<MakerOrder>) {
        let (sender, order) = watch::channel(MakerOrder::Go);
        let client = SqlClient::new(&server.url(), Some("s"), Wallet::new(Credentials::None)).unwrap();
        let files = texts.iter().map(|text| MigrationFile { name: String::new(), text: (*text).to_owned() }).collect();
        (PremadeMaker { client, schema: "s".into(), files, order, shards: None, way: Way::History }, sender)
    }

    /// Returns a server that has so many shards and takes 100.
    fn server(shards: u64) -> TestServer {
        TestServer::start(move |request| {
            let rows = |cells: &[u64]| {
                let (names, types) = (vec!["a"; cells.len()], vec![10; cells.len()]);
                Reaction::json(200, &json!({"cols": names, "col_types": types, "rows": [cells], "rowcount": 1}))
            };
            match request.stmt() {
                ROOM => rows(&[shards, 1, 100]),
                imprint::SHAPE => Reaction::rows(&[("k", 4.into()), ("n", 4.into()), ("w", json!([100, 4]))], "[]"),
                imprint::CONTENTS => {
                    imprint::test_contents(r#"[["a", "", "/a/0", 4, -4, 0], ["b", "", "/b/0", 3, -3, 0]]"#)
                }
                bad if bad.starts_with("BAD") => Reaction::error(400, 4000, "no"),
                _ => Reaction::count(1),
            }
        })
    }

    async fn outcome_of(maker: PremadeMaker) -> PremadeOutcome {
        let made = maker.make().await;
        assert!(made.imprint.is_none() && made.replay.is_none());
        made.outcome
    }

    #[tokio::test]
    async fn one_statement_after_another_is_executed() {
        let server = server(3);
        let (maker, _order) =
            maker(&server, &["\u{feff}CREATE TABLE a (x INT); CREATE TABLE b (x INT)", "ALTER TABLE a ADD y INT"]);
        let Made { outcome, imprint, .. } = maker.make().await;
        assert_eq!((outcome, imprint.unwrap().unwrap().shards()), (PremadeOutcome::Ready { measured: true }, 7));
        let stmts = server.stmts();
        assert_eq!(stmts[1..4], ["CREATE TABLE a (x INT)", "CREATE TABLE b (x INT)", "ALTER TABLE a ADD y INT"]);
        assert_eq!(stmts.len(), 6);
    }

    #[tokio::test]
    async fn a_statement_that_fails_ends_it() {
        let server = server(3);
        let (maker, _order) = maker(&server, &["CREATE TABLE a (x INT); BAD; CREATE TABLE b (x INT)"]);
        assert_eq!(outcome_of(maker).await, PremadeOutcome::Failed);
        assert_eq!(server.stmts().len(), 3);
    }

    #[tokio::test]
    async fn nothing_is_made_on_a_cluster_that_is_half_full() {
        let server = server(48);
        let (mut maker, _order) = maker(&server, &["CREATE TABLE a (x INT)"]);
        maker.shards = Some(3);
        assert_eq!(outcome_of(maker).await, PremadeOutcome::Full);
        assert_eq!(server.stmts().len(), 1);
    }

    #[tokio::test]
    async fn it_stops_between_statements() {
        let server = server(3);
        let (maker, order) = maker(&server, &["CREATE TABLE a (x INT)"]);
        order.send_replace(MakerOrder::Stop);
        assert_eq!(outcome_of(maker).await, PremadeOutcome::Stopped);
        assert_eq!(server.stmts(), [ROOM]);
    }

    #[tokio::test]
    async fn it_pauses_while_a_test_is_alone() {
        let server = server(3);
        let (maker, order) = maker(&server, &["CREATE TABLE a (x INT)"]);
        order.send_replace(MakerOrder::Pause);
        let mut made = tokio::spawn(maker.make());
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut made).await.is_err());
        assert_eq!(server.stmts(), [ROOM]);
        order.send_replace(MakerOrder::Go);
        assert_eq!(made.await.unwrap().outcome, PremadeOutcome::Ready { measured: true });
    }

    const HISTORY: &[&str] = &["CREATE TABLE a (x INT)", "ALTER TABLE a ADD y INT; ALTER TABLE a DROP COLUMN x"];

    /// Returns a server whose schemas have the table `a`, with this setting in those that a replay makes.
    fn replaying(policy: &'static str) -> TestServer {
        TestServer::start(move |request| match request.stmt() {
            ROOM => Reaction::rows(&[("a", 10.into()), ("b", 10.into()), ("c", 10.into())], "[[1, 1, 100]]"),
            imprint::SHAPE => {
                let policy = if request.body.to_string().contains("schema_one") { "strict" } else { policy };
                let rows = format!(r#"[["table", "a", ["BASE TABLE", "{policy}", "0", "f", "{{}}"]]]"#);
                Reaction::rows(&[("k", 4.into()), ("n", 4.into()), ("w", json!([100, 4]))], &rows)
            }
            imprint::CONTENTS => imprint::test_contents(r#"[["a", "", "/a/0", 1, -1, 0]]"#),
            show if show.starts_with("SHOW CREATE") => {
                Reaction::rows(&[("d", 4.into())], r#"[["CREATE TABLE \"schema_one\".\"a\" (y INT)"]]"#)
            }
            bad if bad.starts_with("BAD") => Reaction::error(400, 4000, "no"),
            _ => Reaction::count(1),
        })
    }

    async fn replay_of(server: &TestServer) -> Arc<Replay> {
        let (mut maker, _order) = maker(server, HISTORY);
        (maker.way, maker.schema) = (Way::FirstHistory, "schema_one".into());
        let made = maker.make().await;
        assert_eq!(made.outcome, PremadeOutcome::Ready { measured: true });
        Arc::new(made.replay.unwrap().unwrap())
    }

    /// Makes one schema by the replay of another.
    async fn replayed(server: &TestServer) -> (Made, Vec<String>) {
        let replay = replay_of(server).await;
        let before = server.stmts().len();
        let (mut maker, _order) = maker(server, HISTORY);
        (maker.way, maker.schema) = (Way::Replay(replay), "schema_two".into());
        (maker.make().await, server.stmts().split_off(before))
    }

    #[tokio::test]
    async fn a_long_history_is_replayed_by_what_it_ends_in() {
        let (made, stmts) = replayed(&replaying("strict")).await;
        assert_eq!((made.outcome, made.replay), (PremadeOutcome::Ready { measured: true }, None));
        assert_eq!((stmts[1].as_str(), stmts.len()), (r#"CREATE TABLE "schema_two"."a" (y INT)"#, 4));
    }

    #[tokio::test]
    async fn a_replay_that_makes_something_else_is_dropped_and_not_tried_again() {
        let (made, _) = replayed(&replaying("dynamic")).await;
        assert_eq!((made.outcome, made.replay), (PremadeOutcome::Stopped, Some(None)));
        assert!(made.imprint.is_none());
    }

    #[tokio::test]
    async fn a_short_history_and_one_that_is_refused_have_no_replay() {
        let server = replaying("strict");
        let (mut short, _order) = maker(&server, &HISTORY[..1]);
        short.way = Way::FirstHistory;
        assert_eq!(short.make().await.replay, Some(None));
        assert!(server.stmts().iter().all(|stmt| !stmt.starts_with("SHOW")));
        let (mut failing, _order) = maker(&server, &["BAD"]);
        failing.way = Way::FirstHistory;
        let made = failing.make().await;
        assert_eq!((made.outcome, made.replay), (PremadeOutcome::Failed, None));
    }

    #[test]
    fn half_of_the_room_is_left_to_tests() {
        assert!(fits(460, 1000, 40) && !fits(461, 1000, 40) && !fits(u64::MAX, 1000, 40));
    }
}
