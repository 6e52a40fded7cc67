//! Schemas made ahead for tests with migrations: the calls, what is written down of them, and who is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::watch;

use super::effects::lives_on;
use super::{Input, Keeper};
use crate::keeper::machine::{ClientId, SessionId, State};
use crate::keeper::maker::{Maker, Phase};
use crate::keeper::prepared::{Made, Prepared, Turn};
use crate::migrations;
use crate::schema;
use crate::wire::FromKeeper;
use crate::wire::MigrationFile;
use crate::wire::{AttemptId, Millis};

/// In place of a test's name in those of schemas that no test has yet.
const SLUG: &str = "migrated";

/// What the loop knows of them.
#[derive(Default)]
pub(super) struct Stock {
    prepared: Prepared,
    /// By checksum.
    texts: BTreeMap<String, Arc<[MigrationFile]>>,
    /// How many shards one schema of a set has.
    shards: BTreeMap<String, u64>,
    phase: watch::Sender<Phase>,
    /// What has a maker.
    making: BTreeSet<String>,
    /// What there may be, of this keeper or of a killed one, and no test has: these the journal names.
    names: BTreeSet<String>,
    /// Whom it was said why a set is applied in each test.
    told: BTreeSet<(SessionId, String)>,
}

impl Stock {
    /// What a keeper that was killed had noted.
    pub(super) fn of_a_predecessor(names: &[String]) -> Self {
        Self { names: names.iter().cloned().collect(), ..Self::default() }
    }

    pub(super) fn deadline(&self) -> Option<Millis> {
        self.prepared.deadline()
    }
}

impl Keeper {
    /// The cluster is there: what was prepared before, by whomever, is of no use any more.
    pub(super) fn open_stock(&mut self) {
        let _ = self.stock.prepared.close();
        self.stock.phase = watch::Sender::default();
        self.stock.making.clear();
        self.stock.prepared.open();
        let old: Vec<String> = self.stock.names.iter().cloned().collect();
        old.into_iter().for_each(|schema| self.remove(schema));
    }

    pub(super) fn granted(&mut self, id: ClientId, attempt: AttemptId) {
        let Turn { schema, wants } = self.hand_out(id, attempt);
        let Some(client) = self.clients.get_mut(id) else { return };
        if let Some(asked) = client.attempts.get_mut(&attempt) {
            asked.grant();
        }
        client.outbox.send(&FromKeeper::Granted { id: attempt, schema, wants });
    }

    /// Before a test is told that it is its turn: a schema for it, if one is ready, and whether its text is wanted.
    fn hand_out(&mut self, id: ClientId, attempt: AttemptId) -> Turn {
        let now = self.now();
        let Some(client) = self.clients.get_mut(id) else { return Turn::default() };
        let Some(wanted) = client.attempts.get(&attempt).and_then(|asked| asked.open.migrations.clone()) else {
            return Turn::default();
        };
        if let Some(text) = wanted.apart {
            if self.stock.told.insert((client.session, wanted.checksum)) {
                tracing::info!(text, "nothing is made ahead");
                client.outbox.send(&FromKeeper::Notice { text });
            }
            return Turn::default();
        }
        let mut turn = self.stock.prepared.begin(now, id, attempt, &wanted.checksum);
        if let Some(schema) = turn.schema.take() {
            self.stock.names.remove(&schema);
            // First: a successor drops what is noted, and must not drop what a test has.
            if self.note_stock() {
                let asked = self.clients.get_mut(id).and_then(|client| client.attempts.get_mut(&attempt));
                if let Some(asked) = asked {
                    asked.open.schema.clone_from(&schema);
                    asked.prepared = true;
                }
                turn.schema = Some(schema);
            } else {
                self.remove(schema);
            }
        }
        turn
    }

    /// The text that a client was asked for.
    pub(super) fn learn(&mut self, checksum: String, files: Vec<MigrationFile>) {
        let own = migrations::checksum(files.iter().map(|file| (&*file.name, &*file.text)));
        if own != checksum {
            return tracing::warn!(checksum, own, "migrations that are not what they are said to be");
        }
        tracing::info!(checksum, files = files.len(), "migrations were sent");
        if self.stock.prepared.knows(&checksum) {
            self.stock.texts.insert(checksum, files.into());
        }
        self.prepare();
    }

    pub(super) fn ended(&mut self, client: ClientId, attempt: AttemptId) {
        let now = self.now();
        self.stock.prepared.end(now, client, attempt);
    }

    pub(super) fn left(&mut self, client: ClientId) {
        let now = self.now();
        self.stock.prepared.leave(now, client);
    }

    /// Makes what should be there and drops what should not. While a test is alone on the cluster, nothing happens there.
    pub(super) fn prepare(&mut self) {
        let now = self.now();
        let alone = self.machine.is_exclusive();
        let phase = if alone { Phase::Pause } else { Phase::Go };
        self.stock.phase.send_if_modified(|told| {
            let changes = *told != phase && *told != Phase::Stop;
            if changes {
                *told = phase;
            }
            changes
        });
        if alone {
            return;
        }
        for schema in self.stock.prepared.expired(now) {
            self.remove(schema);
        }
        if self.machine.state() != State::Up {
            return;
        }
        self.stock.prepared.dropping(self.drops_in_flight.len());
        let name = || schema::name(SLUG, SystemTime::now());
        while let Some((checksum, schema)) = self.stock.prepared.next(now, name) {
            self.make(checksum, schema);
        }
    }

    fn make(&mut self, checksum: String, schema: String) {
        let client = self.cleaner.as_ref().and_then(|cleaner| cleaner.within(&schema).ok());
        let files = self.stock.texts.get(&checksum).cloned();
        self.stock.names.insert(schema.clone());
        let (Some(client), Some(files), true) = (client, files, self.note_stock()) else {
            self.stock.names.remove(&schema);
            let _ = self.stock.prepared.made(self.now(), &schema, Made::Failed);
            return;
        };
        let (phase, shards) = (self.stock.phase.subscribe(), self.stock.shards.get(&checksum).copied());
        self.stock.making.insert(schema.clone());
        let maker = Maker { client, schema: schema.clone(), files, phase, shards };
        let inputs = self.inputs.clone();
        tokio::spawn(async move {
            let (made, shards) = maker.make().await;
            let _ = inputs.send(Input::Made { checksum, schema, made, shards });
        });
    }

    pub(super) fn made(&mut self, checksum: String, schema: String, made: Made, shards: Option<u64>) {
        tracing::debug!(schema, ?made, "a schema was made ahead");
        self.stock.making.remove(&schema);
        if let Some(shards) = shards {
            self.stock.shards.insert(checksum, shards);
        }
        if self.stock.prepared.made(self.now(), &schema, made) {
            self.drop_made(schema);
        } else if made == Made::Full {
            self.drops_in_flight.retain(|name| *name != schema);
            self.unmake(&schema);
        }
        self.prepare();
        self.drops_done_if_all();
    }

    /// Also while a release waits for it; but not on a server that ends with all that is on it.
    fn drop_made(&mut self, schema: String) {
        let awaited = self.after_drops.is_some() && self.resource.as_ref().is_some_and(lives_on);
        match &self.cleaner {
            // It counts as under way already.
            Some(cleaner) if awaited => cleaner.remove(schema),
            _ => self.remove(schema),
        }
    }

    /// It is not there, or not any more.
    pub(super) fn unmake(&mut self, schema: &str) {
        if self.stock.names.remove(schema) {
            self.note_stock();
        }
    }

    /// The cluster goes, and what is on it stays if the cluster does: so all that no test has is dropped. What is being
    /// made counts as being dropped from now on.
    pub(super) fn close_stock(&mut self, fate: Option<bool>) {
        self.stock.phase.send_replace(Phase::Stop);
        let ready = self.stock.prepared.close();
        match fate {
            // What others noted of a cluster that was not here stays.
            None => return,
            Some(false) => {
                self.stock.names.clear();
                self.note_stock();
                return;
            }
            Some(true) => {}
        }
        if let Some(cleaner) = &self.cleaner {
            ready.iter().for_each(|schema| cleaner.remove(schema.clone()));
            self.drops_in_flight.extend(ready);
            self.drops_in_flight.extend(self.stock.making.iter().cloned());
        }
    }

    /// Whether the journal names what there is now.
    fn note_stock(&self) -> bool {
        let names: Vec<String> = self.stock.names.iter().cloned().collect();
        let noted = self.with_journal(|journal| match journal.record.prepared == names {
            true => Ok(()),
            false => journal.write(|record| record.prepared = names),
        });
        noted.inspect_err(|error| tracing::warn!(%error, "schemas that are made ahead were not noted")).is_ok()
    }
}
