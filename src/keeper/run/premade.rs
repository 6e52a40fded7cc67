//! Premade schemas: when they are made for tests with migrations, and what is written down of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::maker::{Made, MakerOrder, PremadeMaker, Way};
use super::recycle::Recycling;
use super::{Input, Keeper};
use crate::keeper::machine::{ClientId, MachineState, SessionId};
use crate::keeper::premade::{Handout, Premade, PremadeOutcome};
use crate::keeper::replay::Replay;
use crate::wire::{AttemptId, FromKeeper, MigrationFile, MigrationSet, Mode, Open};
use crate::{clock, migrations, schema};

/// Stands in place of a test's name in the names of premade schemas.
const SLUG: &str = "migrated";
/// The loop's knowledge of premade schemas, beside what [`Premade`] decides.
#[derive(Default)]
pub(super) struct PremadeTasks {
    pub(super) core: Premade,
    /// By checksum.
    texts: BTreeMap<String, Arc<[MigrationFile]>>,
    /// The number of shards that one schema of a set has, by checksum.
    shards: BTreeMap<String, u64>,
    /// By checksum: the replay of a long history; none if its migrations have to be applied.
    replays: BTreeMap<String, Option<Arc<Replay>>>,
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
        self.premade.replays.clear();
        self.premade.core.open();
        let old: Vec<String> = self.premade.names.iter().cloned().collect();
        old.into_iter().for_each(|schema| self.remove(schema));
    }

    /// Returns a schema for an attempt that is about to be granted, if one is ready, and whether the text of its
    /// migrations is wanted. Returns nothing if the attempt waits for a schema.
    pub(super) fn hand_out(&mut self, id: ClientId, attempt: AttemptId) -> Option<Handout> {
        let now = self.now();
        let Some(client) = self.clients.get_mut(id) else { return Some(Handout::default()) };
        let Some(Open { migrations: Some(wanted), mode, .. }) =
            client.attempts.get(&attempt).map(|known| known.open.clone())
        else {
            return Some(Handout::default());
        };
        if let Some(text) = wanted.apart {
            if self.premade.told.insert((client.session, wanted.checksum)) {
                tracing::info!(text, "nothing is made ahead");
                self.clients.notify(id, text);
            }
            return Some(Handout::default());
        }
        let handout = self.premade.core.begin(now, id, attempt, &wanted.checksum, wanted.fresh);
        let MigrationSet { checksum, fresh, long, .. } = wanted;
        // While an exclusive one is alone, nothing is made, for what begins inside it neither.
        let may_wait = mode == Mode::Shared && !self.machine.is_exclusive() && handout.schema.is_none();
        if may_wait && self.premade.core.waits(now, (id, attempt), &checksum, fresh, long) {
            if handout.wants {
                self.clients.send(id, &FromKeeper::Wants { id: attempt });
            }
            return None;
        }
        Some(Handout { schema: handout.schema.and_then(|schema| self.note_used(schema)), ..handout })
    }

    /// Grants what has waited for a schema and need not wait any more.
    fn serve(&mut self) {
        while let Some((client, attempt, schema)) = self.premade.core.served() {
            let schema = schema.and_then(|schema| self.note_used(schema));
            self.granted(client, attempt, Handout { schema, wants: false });
        }
    }

    /// Notes that a test has a schema; none if the journal can't have it. A successor drops what is noted, and must not
    /// drop what a test has.
    fn note_used(&mut self, schema: String) -> Option<String> {
        self.premade.names.remove(&schema);
        if self.note_premade() {
            return Some(schema);
        }
        self.remove(schema);
        None
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
            return self.serve();
        }
        self.premade.core.dropping(self.drops.in_flight.len());
        let clock = self.supply.resource.as_ref().and_then(|resource| resource.clock);
        let name = || schema::name(SLUG, clock::now(clock));
        while let Some((checksum, schema)) = self.premade.core.next(now, name) {
            self.make(checksum, schema);
        }
        self.serve();
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
        let way = match self.premade.replays.get(&checksum) {
            Some(Some(replay)) => Way::Replay(replay.clone()),
            Some(None) => Way::History,
            None => Way::FirstHistory,
        };
        let (order, shards) = (self.premade.order.subscribe(), self.premade.shards.get(&checksum).copied());
        let maker = PremadeMaker { client, schema: schema.clone(), files, order, shards, way };
        self.inputs.spawn(async move { Input::Premade { checksum, schema, made: maker.make().await } });
    }

    /// A maker has ended.
    pub(super) fn made(&mut self, checksum: String, schema: String, made: Made) {
        let Made { outcome, imprint, replay } = made;
        tracing::debug!(schema, ?outcome, "a schema was made ahead");
        if let Some(replay) = replay {
            let statements = replay.as_ref().map(|replay| replay.statements(&schema).count());
            tracing::info!(checksum, statements, "what migrations make is known");
            self.premade.replays.insert(checksum.clone(), replay.map(Arc::new));
        }
        match imprint {
            Some(Ok(imprint)) => {
                self.premade.recycling.learns(&checksum, &schema, &imprint);
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
