//! Recycled schemas: a premade schema that a test hands back is looked at, emptied, and given to another test.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::maker::{MakerOrder, may_go_on};
use super::{Input, Keeper};
use crate::error::{Error, Kind, Result};
use crate::imprint::{self, Change, Imprint};
use crate::keeper::machine::{ClientId, SessionId};
use crate::recording::RecycledCounts;
use crate::sql::{SqlClient, quoted};
use crate::wire::{Ended, Open};

/// The time that a look, or emptying a schema, may take. A slow server has better things to do.
const PATIENCE: Duration = Duration::from_secs(5);
/// After so many looks in a row that failed, schemas are dropped as if there were no looks.
const FAILURES: u32 = 3;

/// The fate of a schema that was handed back.
#[derive(Debug)]
pub(in crate::keeper) enum Recycled {
    Untouched(Imprint),
    Emptied(Imprint),
    /// It can't be used again, for this reason.
    Unfit(&'static str),
    /// The server refused to say, or took too long.
    Unseen(Error),
}

/// The loop's knowledge of schemas that are used again.
#[derive(Default)]
pub(super) struct Recycling {
    /// The imprints of schemas that were made ahead.
    imprints: BTreeMap<String, Imprint>,
    /// By checksum: the outline of all schemas with these migrations, if they leave no rows.
    outlines: BTreeMap<String, String>,
    /// Looks that failed in a row.
    failures: u32,
}

impl Recycling {
    pub(super) fn knows(&mut self, schema: &str, imprint: Imprint) {
        self.imprints.insert(schema.to_owned(), imprint);
    }

    /// Notes what all schemas with these migrations are like.
    pub(super) fn learns(&mut self, checksum: &str, schema: &str, imprint: &Imprint) {
        if imprint.relations().is_some() && !self.outlines.contains_key(checksum) {
            self.outlines.insert(checksum.to_owned(), imprint.outline(schema));
        }
    }

    /// Returns what the schema of a test is compared with.
    fn baseline(&self, schema: &str, checksum: &str) -> Option<Baseline> {
        let made = || self.imprints.get(schema).cloned().map(Baseline::Made);
        let alike = || self.outlines.get(checksum).cloned().map(Baseline::Alike);
        made().or_else(alike)
    }

    pub(super) fn forget(&mut self, schema: &str) {
        self.imprints.remove(schema);
    }

    /// Begins afresh: another cluster is there, or none any more.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }
}

impl Keeper {
    /// Takes the schema of a test that is over: one that was made ahead, or one that the test has made by the same
    /// migrations. Returns false if it has to be dropped.
    pub(super) fn take_back(&mut self, client: ClientId, open: &Open, premade: bool, ended: Ended) -> bool {
        let Some(session) = self.clients.get_mut(client).map(|client| client.session) else { return false };
        let Some(set) = open.migrations.as_ref().filter(|set| set.apart.is_none()) else { return false };
        let (now, checksum) = (self.now(), set.checksum.clone());
        let before = self.premade.recycling.baseline(&open.schema, &checksum);
        let reason = match (ended.passed, ended.settled, &before) {
            (false, ..) => Some("its test failed"),
            (_, None, _) => Some("its address was handed out, or a statement had no answer"),
            (_, _, None) => Some("the server did not tell what it was made of"),
            _ if self.premade.recycling.failures >= FAILURES => Some("the server does not tell what was changed"),
            _ => None,
        };
        if let Some(reason) = reason {
            // The first tests make their own, and nothing is known yet.
            if premade {
                self.count(session, |counts| counts.drop(reason));
            }
            return false;
        }
        if !self.premade.core.takes_back(now, &checksum, &open.schema) {
            self.count(session, |counts| counts.drop("enough are ready"));
            return false;
        }
        if !self.note_unused(&open.schema) {
            let _ = self.premade.core.returned(&open.schema, false);
            return false;
        }
        let before = match (before, ended.settled) {
            // A test that sent nothing has changed nothing.
            (Some(Baseline::Made(before)), Some(0)) => {
                self.recycled(session, open.schema.clone(), Recycled::Untouched(before));
                return true;
            }
            (Some(before), _) => before,
            (None, _) => return false,
        };
        let Some(cleaner) = self.drops.cleaner.as_ref() else { return false };
        let recycler = Recycler {
            client: cleaner.client().clone(),
            schema: open.schema.clone(),
            order: self.premade.order.subscribe(),
        };
        self.inputs.spawn(async move {
            let schema = recycler.schema.clone();
            Input::Recycled { session, schema, outcome: recycler.recycle(before).await }
        });
        true
    }

    /// A schema that was handed back was looked at.
    pub(super) fn recycled(&mut self, session: SessionId, schema: String, outcome: Recycled) {
        tracing::debug!(schema, ?outcome, "a schema was handed back");
        if !matches!(outcome, Recycled::Unseen(_)) {
            self.premade.recycling.failures = 0;
        }
        let imprint = match outcome {
            Recycled::Untouched(imprint) => {
                self.count(session, |counts| counts.untouched += 1);
                Some(imprint)
            }
            Recycled::Emptied(imprint) => {
                self.count(session, |counts| counts.emptied += 1);
                Some(imprint)
            }
            Recycled::Unfit(reason) => {
                self.count(session, |counts| counts.drop(reason));
                None
            }
            Recycled::Unseen(error) => {
                self.count(session, |counts| counts.drop("the server does not tell what was changed"));
                self.not_seen(&error);
                None
            }
        };
        let as_made = imprint.is_some();
        match imprint {
            Some(imprint) => self.premade.recycling.knows(&schema, imprint),
            None => self.premade.recycling.forget(&schema),
        }
        if self.premade.core.returned(&schema, as_made) {
            self.remove_unused(schema);
        }
        self.premake();
        self.drops_done_if_all();
    }

    /// The server did not say what a schema is made of. If that happens again and again, people are told once.
    pub(super) fn not_seen(&mut self, error: &Error) {
        tracing::warn!(%error, "what a schema is made of is not known");
        self.premade.recycling.failures += 1;
        if self.premade.recycling.failures == FAILURES {
            self.clients.notify_any(format!("schemas with migrations are not used again: {}", error.first_line()));
        }
    }

    fn count(&mut self, session: SessionId, count: impl FnOnce(&mut RecycledCounts)) {
        if let Some(report) = self.clients.reports.get_mut(&session) {
            count(report.recycled.get_or_insert_default());
        }
    }
}

/// The state that a schema is compared with.
enum Baseline {
    /// The schema itself, before a test had it.
    Made(Imprint),
    /// The outline of all schemas with its migrations.
    Alike(String),
}

/// Looks at one schema after a test, and empties the tables that the test wrote to.
struct Recycler {
    client: SqlClient,
    schema: String,
    order: watch::Receiver<MakerOrder>,
}

impl Recycler {
    async fn recycle(mut self, before: Baseline) -> Recycled {
        match self.as_made(before).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Recycled::Unfit("the cluster was let go of"),
            Err(error) => Recycled::Unseen(error),
        }
    }

    /// Returns none if it was told to stop.
    async fn as_made(&mut self, before: Baseline) -> Result<Option<Recycled>> {
        if !may_go_on(&mut self.order).await {
            return Ok(None);
        }
        let after = self.in_time(imprint::look(&self.client, &self.schema)).await?;
        let change = match &before {
            Baseline::Made(before) => before.change(&after),
            Baseline::Alike(outline) => after.change_since(outline, &self.schema),
        };
        let tables = match change {
            Change::Nothing => {
                return Ok(Some(Recycled::Untouched(match &before {
                    Baseline::Made(before) => after.filled_as(before),
                    Baseline::Alike(_) => after,
                })));
            }
            Change::More(reason) => return Ok(Some(Recycled::Unfit(reason))),
            Change::Rows(tables) => tables,
        };
        if !may_go_on(&mut self.order).await {
            return Ok(None);
        }
        self.in_time(self.empty(&tables)).await?;
        if !may_go_on(&mut self.order).await {
            return Ok(None);
        }
        let after = self.in_time(imprint::look(&self.client, &self.schema)).await?;
        let emptied = match before {
            Baseline::Made(before) => before.emptied(after),
            Baseline::Alike(outline) => after.emptied_since(&outline, &self.schema),
        };
        Ok(Some(emptied.map_or(Recycled::Unfit("its tables could not be emptied"), Recycled::Emptied)))
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(PATIENCE);
            Err(Error::new(Kind::Timeout, format!("cannot use `{}` again", self.schema))
                .because(format!("the server took longer than {limit} for a look at it")))
        })
    }

    /// Deletes all rows, also those that no query sees yet.
    async fn empty(&self, tables: &[String]) -> Result<()> {
        let names: Vec<String> =
            tables.iter().map(|table| format!("{}.{}", quoted(&self.schema), quoted(table))).collect();
        let refresh = format!("REFRESH TABLE {}", names.join(", "));
        self.client.send(&refresh, &[]).await?;
        let mut deletions = JoinSet::new();
        for name in names {
            let client = self.client.clone();
            deletions.spawn(async move { client.send(&format!("DELETE FROM {name}"), &[]).await.map(drop) });
        }
        for deleted in deletions.join_all().await {
            deleted?;
        }
        self.client.send(&refresh, &[]).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use serde_json::json;

    use super::*;
    use crate::imprint::{CONTENTS, SHAPE, test_contents};
    use crate::sql::test_server::{Reaction, TestServer};
    use crate::sql::{Credentials, Wallet};

    const EMPTY: &str = r#"[["a", "", "/a/0", 1, -1, 0], ["b", "", "/b/0", 1, -1, 0]]"#;
    const WRITTEN: &str = r#"[["a", "", "/a/0", 1, 4, 5], ["b", "", "/b/0", 1, -1, 0]]"#;
    const EMPTIED: &str = r#"[["a", "", "/a/0", 1, 9, 0], ["b", "", "/b/0", 1, -1, 0]]"#;

    /// Returns a server whose tables are so until something is deleted, and then as after it.
    fn server(before: &'static str, after: &'static str) -> TestServer {
        let deleted = AtomicBool::new(false);
        TestServer::start(move |request| match request.stmt() {
            SHAPE => Reaction::rows(&[("k", 4.into()), ("n", 4.into()), ("w", json!([100, 4]))], "[]"),
            CONTENTS if deleted.load(Ordering::SeqCst) => test_contents(after),
            CONTENTS => test_contents(before),
            delete if delete.starts_with("DELETE") => {
                deleted.store(true, Ordering::SeqCst);
                Reaction::count(5)
            }
            _ => Reaction::count(1),
        })
    }

    fn made() -> Imprint {
        Imprint::new(Vec::new(), serde_json::from_str(EMPTY).unwrap())
    }

    async fn recycled(server: &TestServer) -> Recycled {
        recycled_since(server, Baseline::Made(made())).await
    }

    async fn recycled_since(server: &TestServer, before: Baseline) -> Recycled {
        let (sender, order) = watch::channel(MakerOrder::Go);
        let client = SqlClient::new(&server.url(), None, Wallet::new(Credentials::None)).unwrap();
        let outcome = Recycler { client, schema: "s".into(), order }.recycle(before).await;
        drop(sender);
        outcome
    }

    #[tokio::test]
    async fn what_a_test_has_made_itself_is_emptied_as_well() {
        // Another schema's name, and other directories.
        let outline = || Baseline::Alike(made().outline("another"));
        assert!(matches!(recycled_since(&server(EMPTY, EMPTY), outline()).await, Recycled::Untouched(_)));
        let Recycled::Emptied(imprint) = recycled_since(&server(WRITTEN, EMPTIED), outline()).await else { panic!() };
        let after = Imprint::new(Vec::new(), serde_json::from_str(EMPTIED).unwrap());
        assert_eq!(imprint.change(&after), Change::Nothing);
        let other = Baseline::Alike("an outline of other tables".into());
        assert!(matches!(recycled_since(&server(EMPTY, EMPTY), other).await, Recycled::Unfit(_)));
    }

    #[tokio::test]
    async fn what_was_not_written_to_costs_two_statements() {
        let server = server(EMPTY, EMPTY);
        assert!(matches!(recycled(&server).await, Recycled::Untouched(_)));
        assert_eq!(server.stmts().len(), 2);
    }

    #[tokio::test]
    async fn the_tables_that_were_written_to_are_emptied_and_no_others() {
        let server = server(WRITTEN, EMPTIED);
        assert!(matches!(recycled(&server).await, Recycled::Emptied(_)));
        let refresh = r#"REFRESH TABLE "s"."a""#;
        assert_eq!(server.stmts()[2..5], [refresh, r#"DELETE FROM "s"."a""#, refresh]);
        assert_eq!(server.stmts().len(), 7);
    }

    #[tokio::test]
    async fn what_is_not_empty_afterwards_is_not_used_again() {
        assert!(matches!(recycled(&server(WRITTEN, WRITTEN)).await, Recycled::Unfit(_)));
    }

    #[tokio::test]
    async fn a_server_that_refuses_to_say_leaves_it_unknown() {
        for refused in [SHAPE, CONTENTS] {
            let server = TestServer::start(move |request| match request.stmt() {
                stmt if stmt == refused => Reaction::error(400, 4000, "no"),
                CONTENTS => test_contents(EMPTY),
                _ => Reaction::rows(&[("k", 4.into()), ("n", 4.into()), ("w", json!([100, 4]))], "[]"),
            });
            assert!(matches!(recycled(&server).await, Recycled::Unseen(_)));
        }
    }

    #[tokio::test]
    async fn a_primary_that_is_nowhere_leaves_it_unknown() {
        let server = server(r#"[["a", "", null, 1, null, 0]]"#, EMPTY);
        assert!(matches!(recycled(&server).await, Recycled::Unseen(_)));
    }

    #[tokio::test]
    async fn nothing_is_looked_at_while_a_cluster_is_let_go_of() {
        let server = server(WRITTEN, EMPTIED);
        let (_sender, order) = watch::channel(MakerOrder::Stop);
        let client = SqlClient::new(&server.url(), None, Wallet::new(Credentials::None)).unwrap();
        let made = Imprint::new(Vec::new(), serde_json::from_str(EMPTY).unwrap());
        assert!(matches!(
            Recycler { client, schema: "s".into(), order }.recycle(Baseline::Made(made)).await,
            Recycled::Unfit(_)
        ));
        assert_eq!(server.stmts(), [""; 0]);
    }
}
