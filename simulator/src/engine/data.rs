//! All the data of an engine: as it is kept in a file, and as copies that snapshots hold and restores bring back.

use super::instance::{Engine, EngineOptions};
use super::persist::intern;
use super::state::{Relation, State, User, View};
use super::store::{Kept, Table};
use super::value::Value;
use crate::state::snapshots::{Restore, Tables};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything of one engine, or of one snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Data {
    tables: Vec<(String, String, Kept)>,
    views: Vec<(String, String, View)>,
    schemas: BTreeSet<String>,
    users: BTreeMap<String, User>,
    settings: Vec<(String, Value)>,
}

type Relations = BTreeMap<String, BTreeMap<String, Relation>>;

impl Data {
    fn of(
        relations: &Relations,
        schemas: &BTreeSet<String>,
        users: &BTreeMap<String, User>,
        settings: &BTreeMap<&'static str, Value>,
    ) -> Self {
        let mut data = Self { schemas: schemas.clone(), users: users.clone(), ..Self::default() };
        data.settings = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        for (schema, all) in relations {
            for (name, relation) in all {
                let (schema, name) = (schema.clone(), name.clone());
                match relation {
                    Relation::Table(table) => data.tables.push((schema, name, table.keep())),
                    Relation::View(view) => data.views.push((schema, name, (**view).clone())),
                }
            }
        }
        data
    }

    fn into_state(self) -> State {
        let mut state = State { schemas: self.schemas, users: self.users, ..State::default() };
        state.settings = self.settings.into_iter().map(|(name, value)| (intern(&name), value)).collect();
        for (schema, name, kept) in self.tables {
            state.add(&schema, &name, Relation::Table(Box::new(Table::of(kept))));
        }
        for (schema, name, view) in self.views {
            state.add(&schema, &name, Relation::View(Box::new(view)));
        }
        state
    }
}

impl Engine {
    pub(crate) fn keep(&self) -> Data {
        let state = self.state();
        Data::of(&state.relations, &state.schemas, &state.users, &state.settings)
    }

    /// An engine with what was kept of another one.
    pub(crate) fn with(options: EngineOptions, data: Data) -> Arc<Self> {
        Self::of(options, data.into_state())
    }
}

impl Copy {
    pub(crate) fn keep(&self) -> Data {
        Data::of(&self.relations, &self.schemas, &self.users, &self.settings)
    }

    pub(crate) fn of(data: Data) -> Self {
        let State { relations, schemas, users, settings, .. } = data.into_state();
        Self { relations, schemas, users, settings }
    }
}

/// Everything that was there at a moment, refreshed or not.
#[derive(Debug)]
pub(crate) struct Copy {
    relations: BTreeMap<String, BTreeMap<String, Relation>>,
    schemas: BTreeSet<String>,
    users: BTreeMap<String, User>,
    settings: BTreeMap<&'static str, Value>,
}

/// A backup flushes first, so that searches in what is restored see all of it.
fn copied(table: &Table) -> Table {
    let mut copy = table.snapshot();
    copy.refresh();
    copy
}

fn copied_relation(relation: &Relation) -> Relation {
    match relation {
        Relation::Table(table) => Relation::Table(Box::new(copied(table))),
        Relation::View(view) => Relation::View(view.clone()),
    }
}

impl Engine {
    /// A copy of everything.
    pub(crate) fn copy(&self) -> Copy {
        let state = self.state();
        let copied = |relations: &BTreeMap<String, Relation>| {
            relations.iter().map(|(name, relation)| (name.clone(), copied_relation(relation))).collect()
        };
        Copy {
            relations: state.relations.iter().map(|(schema, all)| (schema.clone(), copied(all))).collect(),
            schemas: state.schemas.clone(),
            users: state.users.clone(),
            settings: state.settings.clone(),
        }
    }

    /// Brings back what is wanted of a copy, all or nothing. Relations that are there are not replaced.
    pub(crate) fn restore(&self, copy: &Copy, wanted: &Restore) -> Result<(), String> {
        let found = copy.wanted(wanted)?;
        let mut state = self.state();
        let there = found.iter().find(|(schema, name, _)| state.relation(schema, name).is_some());
        if let Some((schema, name, _)) = there {
            return Err(format!("Relation '{schema}.{name}' already exists."));
        }
        if wanted.views {
            state.schemas.extend(copy.schemas.iter().cloned());
        }
        for (schema, name, relation) in found {
            state.add(&schema, &name, relation);
        }
        copy.restore_cluster(&mut state, wanted);
        Ok(())
    }
}

impl Copy {
    /// Full names of its tables.
    pub(crate) fn tables(&self) -> Vec<String> {
        let all =
            self.relations.iter().flat_map(|(schema, all)| all.iter().map(move |(name, one)| (schema, name, one)));
        let tables = all.filter(|(.., relation)| matches!(relation, Relation::Table(_)));
        tables.map(|(schema, name, _)| format!("{schema}.{name}")).collect()
    }

    fn wanted(&self, wanted: &Restore) -> Result<Vec<(String, String, Relation)>, String> {
        if let Tables::These(names) = &wanted.tables {
            let known = |schema: &str, name: &str| self.relations.get(schema).and_then(|all| all.get(name));
            let is_table = |schema: &str, name: &str| matches!(known(schema, name), Some(Relation::Table(_)));
            if let Some((schema, name)) = names.iter().find(|(schema, name)| !is_table(schema, name)) {
                return Err(format!("The snapshot has no table '{schema}.{name}'."));
            }
        }
        let is_wanted = |schema: &String, name: &String, relation: &Relation| match (relation, &wanted.tables) {
            (Relation::View(_), _) => wanted.views,
            (Relation::Table(_), Tables::None) => false,
            (Relation::Table(_), Tables::All) => true,
            (Relation::Table(_), Tables::These(names)) => names.iter().any(|(s, n)| s == schema && n == name),
        };
        let all =
            self.relations.iter().flat_map(|(schema, all)| all.iter().map(move |(name, one)| (schema, name, one)));
        let found = all.filter(|(schema, name, relation)| is_wanted(schema, name, relation));
        Ok(found.map(|(schema, name, one)| (schema.clone(), name.clone(), copied_relation(one))).collect())
    }

    /// Users that are there stay as they are.
    fn restore_cluster(&self, state: &mut State, wanted: &Restore) {
        if wanted.users {
            for (name, user) in &self.users {
                state.users.entry(name.clone()).or_insert_with(|| user.clone());
            }
        }
        if wanted.settings {
            state.settings.extend(self.settings.iter().map(|(name, value)| (*name, value.clone())));
        }
    }
}
