//! Premade schemas: the tasks that make them for tests with migrations, and what is written down of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::recycle::Recycling;
use super::{Input, Keeper};
use crate::error::Result;
use crate::imprint::{self, Imprint};
use crate::keeper::machine::{ClientId, MachineState, SessionId};
use crate::keeper::premade::{Handout, Premade, PremadeOutcome};
use crate::sql::{self, SqlClient, Statement};
use crate::wire::{AttemptId, MigrationFile};
use crate::{clock, migrations, schema, seed};

/// Stands in place of a test's name in the names of premade schemas.
const SLUG: &str = "migrated";
/// Lists how many shards the cluster has, on how many nodes, and how many it takes on each of them.
const ROOM: &str = "SELECT (SELECT count(*) FROM sys.shards), (SELECT count(*) FROM sys.nodes), \
                    settings['cluster']['max_shards_per_node'] FROM sys.cluster";

/// The loop's knowledge of premade schemas, beside what [`Premade`] decides.
#[derive(Default)]
pub(super) struct PremadeTasks {
    pub(super) core: Premade,
    /// By checksum.
    texts: BTreeMap<String, Arc<[MigrationFile]>>,
    /// The number of shards that one schema of a set has, by checksum.
    shards: BTreeMap<String, u64>,
    pub(super) order: watch::Sender<MakerOrder>,
    pub(super) recycling: Recycling,
    /// Schemas that may exist, of this keeper or of a killed one, and that no test has. The journal names them.
    names: BTreeSet<String>,
    /// Which sessions know why a set is applied in each test.
    told: BTreeSet<(SessionId, String)>,
}

impl PremadeTasks {
    /// Begins with what a killed keeper had noted.
    pub(super) fn of_a_predecessor(names: Vec<String>) -> Self {
        Self { names: names.into_iter().collect(), ..Self::default() }
    }
}

impl Keeper {
    /// The cluster is there. What was made before, by this keeper or by a killed one, is of no use any more.
    pub(super) fn open_premade(&mut self) {
        let _ = self.premade.core.close();
        self.premade.order = watch::Sender::default();
        self.premade.recycling.begin();
        self.premade.core.open();
        let old: Vec<String> = self.premade.names.iter().cloned().collect();
        old.into_iter().for_each(|schema| self.remove(schema));
    }

    /// Returns a schema for an attempt that is about to be granted, if one is ready, and whether the text of its
    /// migrations is wanted.
    pub(super) fn hand_out(&mut self, id: ClientId, attempt: AttemptId) -> Handout {
        let now = self.now();
        let Some(client) = self.clients.get_mut(id) else { return Handout::default() };
        let Some(wanted) = client.attempts.get(&attempt).and_then(|known| known.open.migrations.clone()) else {
            return Handout::default();
        };
        if let Some(text) = wanted.apart {
            if self.premade.told.insert((client.session, wanted.checksum)) {
                tracing::info!(text, "nothing is made ahead");
                self.clients.notify(id, text);
            }
            return Handout::default();
        }
        let mut handout = self.premade.core.begin(now, id, attempt, &wanted.checksum, wanted.fresh);
        if let Some(schema) = &handout.schema {
            self.premade.names.remove(schema);
        }
        // Noted first: a successor drops what is noted, and must not drop what a test has.
        if handout.schema.is_some() && !self.note_premade() {
            handout.schema.take().into_iter().for_each(|schema| self.remove(schema));
        }
        handout
    }

    /// Takes the text that a client was asked for.
    pub(super) fn learn(&mut self, checksum: String, files: Vec<MigrationFile>) {
        let own = migrations::checksum(files.iter().map(|file| (&*file.name, &*file.text)));
        if own != checksum {
            return tracing::warn!(checksum, own, "migrations that are not what they are said to be");
        }
        tracing::info!(checksum, files = files.len(), "migrations were sent");
        if self.premade.core.knows(&checksum) {
            self.premade.texts.insert(checksum, files.into());
        }
        self.premake();
    }

    pub(super) fn premade_ended(&mut self, client: ClientId, attempt: AttemptId) {
        self.premade.core.end(self.now(), client, attempt);
    }

    pub(super) fn premade_left(&mut self, client: ClientId) {
        self.premade.core.leave(self.now(), client);
    }

    /// Makes what should be there and drops what should not. Does nothing while a test is alone on the cluster.
    pub(super) fn premake(&mut self) {
        let now = self.now();
        let alone = self.machine.is_exclusive();
        let order = if alone { MakerOrder::Pause } else { MakerOrder::Go };
        self.premade
            .order
            .send_if_modified(|known| *known != MakerOrder::Stop && std::mem::replace(known, order) != order);
        if alone {
            return;
        }
        for schema in self.premade.core.expired(now) {
            self.remove(schema);
        }
        if self.machine.state() != MachineState::Up {
            return;
        }
        self.premade.core.dropping(self.drops.in_flight.len());
        let clock = self.supply.resource.as_ref().and_then(|resource| resource.clock);
        let name = || schema::name(SLUG, clock::now(clock));
        while let Some((checksum, schema)) = self.premade.core.next(now, name) {
            self.make(checksum, schema);
        }
    }

    fn make(&mut self, checksum: String, schema: String) {
        let client = self.drops.cleaner.as_ref().and_then(|cleaner| cleaner.within(&schema).ok());
        let files = self.premade.texts.get(&checksum).cloned();
        self.premade.names.insert(schema.clone());
        let (Some(client), Some(files), true) = (client, files, self.note_premade()) else {
            self.premade.names.remove(&schema);
            let _ = self.premade.core.made(self.now(), &schema, PremadeOutcome::Failed);
            return;
        };
        let (order, shards) = (self.premade.order.subscribe(), self.premade.shards.get(&checksum).copied());
        let maker = PremadeMaker { client, schema: schema.clone(), files, order, shards };
        self.inputs.spawn(async move {
            let (outcome, imprint) = maker.make().await;
            Input::Premade { checksum, schema, outcome, imprint }
        });
    }

    /// A maker has ended.
    pub(super) fn made(
        &mut self,
        checksum: String,
        schema: String,
        outcome: PremadeOutcome,
        imprint: Option<Result<Imprint>>,
    ) {
        tracing::debug!(schema, ?outcome, "a schema was made ahead");
        match imprint {
            Some(Ok(imprint)) => {
                self.premade.shards.insert(checksum, imprint.shards());
                self.premade.recycling.knows(&schema, imprint);
            }
            Some(Err(error)) => self.not_seen(&error),
            None => {}
        }
        if self.premade.core.made(self.now(), &schema, outcome) {
            self.remove_unused(schema);
        } else if outcome == PremadeOutcome::Full {
            self.drops.end(&schema);
            self.forget_premade(&schema);
        }
        self.premake();
        self.drops_done_if_all();
    }

    /// Drops a schema that no test has. Also while a release waits for it, where it is counted already; but not on a
    /// server that ends with its data.
    pub(super) fn remove_unused(&mut self, schema: String) {
        let awaited = self.drops.then.is_some() && self.supply.lives_on() == Some(true);
        match &self.drops.cleaner {
            Some(cleaner) if awaited => cleaner.remove(schema),
            _ => self.remove(schema),
        }
    }

    /// Notes a schema that no test has any more. Returns false if the journal does not have it.
    pub(super) fn note_unused(&mut self, schema: &str) -> bool {
        self.premade.names.insert(schema.to_owned());
        self.note_premade()
    }

    /// Forgets a schema that is not there, or not any more.
    pub(super) fn forget_premade(&mut self, schema: &str) {
        self.premade.recycling.forget(schema);
        if self.premade.names.remove(schema) {
            self.note_premade();
        }
    }

    /// The cluster goes, and if its data survives, so would schemas: all that no test has are dropped. What is being
    /// made counts as being dropped from now on.
    pub(super) fn close_premade(&mut self) {
        self.premade.order.send_replace(MakerOrder::Stop);
        let (ready, making) = self.premade.core.close();
        match self.supply.lives_on() {
            // What others noted of a cluster that was not here stays.
            None => {}
            Some(false) => {
                self.premade.names.clear();
                self.note_premade();
            }
            Some(true) => {
                if let Some(cleaner) = &self.drops.cleaner {
                    ready.iter().for_each(|schema| cleaner.remove(schema.clone()));
                    self.drops.in_flight.extend(ready.into_iter().chain(making));
                }
            }
        }
    }

    /// Returns true if the journal names what there is now.
    fn note_premade(&self) -> bool {
        let names = self.premade.names.iter().cloned().collect();
        self.journal.note("schemas that are made ahead", |record| record.premade = names)
    }
}

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

/// Makes one schema ahead of the test that will take it: executes migrations in it, one statement after another.
#[derive(Clone)]
struct PremadeMaker {
    /// A client whose default schema is the new one.
    client: SqlClient,
    schema: String,
    files: Arc<[MigrationFile]>,
    order: watch::Receiver<MakerOrder>,
    /// The number of shards that one of these schemas has, if it is known.
    shards: Option<u64>,
}

impl PremadeMaker {
    /// Executes everything, to the end or until it is told to stop. Returns the imprint of what was made, too.
    async fn make(mut self) -> (PremadeOutcome, Option<Result<Imprint>>) {
        let room = self.room().await;
        if room == Some(false) {
            return (PremadeOutcome::Full, None);
        }
        match self.apply().await {
            Ok(true) => {
                let imprint = imprint::look(&self.client, &self.schema).await;
                (PremadeOutcome::Ready { measured: room.is_some() && imprint.is_ok() }, Some(imprint))
            }
            Ok(false) => (PremadeOutcome::Stopped, None),
            Err(error) => {
                tracing::warn!(%error, schema = self.schema, "migrations were not applied ahead");
                (PremadeOutcome::Failed, None)
            }
        }
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

    /// Applies all migrations. Returns false if it was told to stop.
    async fn apply(&mut self) -> Result<bool> {
        let files = self.files.clone();
        let mut writes = false;
        for MigrationFile { name, text } in files.iter() {
            let text = seed::without_mark(text);
            for statement in Statement::all(text) {
                let told = self.order.wait_for(|order| *order != MakerOrder::Pause).await;
                if told.map_or(MakerOrder::Stop, |order| *order) == MakerOrder::Stop {
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
        (PremadeMaker { client, schema: "s".into(), files, order, shards: None }, sender)
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
        let (outcome, imprint) = maker.make().await;
        assert!(imprint.is_none());
        outcome
    }

    #[tokio::test]
    async fn one_statement_after_another_is_executed() {
        let server = server(3);
        let (maker, _order) =
            maker(&server, &["\u{feff}CREATE TABLE a (x INT); CREATE TABLE b (x INT)", "ALTER TABLE a ADD y INT"]);
        let (outcome, imprint) = maker.make().await;
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
        assert_eq!(made.await.unwrap().0, PremadeOutcome::Ready { measured: true });
    }

    #[test]
    fn half_of_the_room_is_left_to_tests() {
        assert!(fits(460, 1000, 40) && !fits(461, 1000, 40) && !fits(u64::MAX, 1000, 40));
    }
}
