//! All the data of an engine: in the form of the file, and as copies for snapshots and restores.

use super::instance::{Engine, EngineOptions};
use super::persist::intern;
use super::state::{EngineState, Relation, User, View};
use super::store::{Identity, KeptTable, Table};
use super::value::Value;
use crate::state::snapshots::{Restore, Tables};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything of one engine, or of one snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Data {
    tables: Vec<(String, String, KeptTable)>,
    views: Vec<(String, String, View)>,
    schemas: BTreeSet<String>,
    users: BTreeMap<String, User>,
    settings: Vec<(String, Value)>,
    /// Relations that refused statements would have made. Files of older versions have none.
    #[serde(default)]
    withheld: BTreeSet<(String, String)>,
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

    fn into_state(self) -> EngineState {
        let Self { schemas, users, withheld, .. } = self;
        let mut state = EngineState { schemas, users, withheld, ..EngineState::default() };
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
        let data = Data::of(&state.relations, &state.schemas, &state.users, &state.settings);
        Data { withheld: state.withheld.clone(), ..data }
    }

    /// Makes an engine with the kept data of another one.
    pub(crate) fn with(options: EngineOptions, data: Data) -> Arc<Self> {
        Self::of(options, data.into_state())
    }
}

impl Copy {
    pub(crate) fn keep(&self) -> Data {
        Data::of(&self.relations, &self.schemas, &self.users, &self.settings)
    }

    pub(crate) fn of(data: Data) -> Self {
        let EngineState { relations, schemas, users, settings, .. } = data.into_state();
        Self { relations, schemas, users, settings }
    }
}

/// All data at one moment, refreshed or not.
#[derive(Debug)]
pub(crate) struct Copy {
    relations: BTreeMap<String, BTreeMap<String, Relation>>,
    schemas: BTreeSet<String>,
    users: BTreeMap<String, User>,
    settings: BTreeMap<&'static str, Value>,
}

/// Copies a table. A backup flushes first, so that searches in restored tables see all rows.
fn copied(table: &Table) -> Table {
    let mut copy = table.snapshot();
    copy.refresh();
    // A restore makes a new table.
    copy.identity = Identity::new();
    copy
}

fn copied_relation(relation: &Relation) -> Relation {
    match relation {
        Relation::Table(table) => Relation::Table(Box::new(copied(table))),
        Relation::View(view) => Relation::View(view.clone()),
    }
}

impl Engine {
    /// Copies everything.
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

    /// Restores parts of a copy, all or nothing. Existing relations are not replaced.
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
    /// Returns the full names of its tables.
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

    /// Restores users and settings. Existing users stay as they are.
    fn restore_cluster(&self, state: &mut EngineState, wanted: &Restore) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Request;

    fn answer(engine: &Arc<Engine>, stmt: &str) -> (u16, String) {
        let body = serde_json::json!({ "stmt": stmt }).to_string();
        let request =
            Request { method: "POST", path: "/_sql", user: None, default_schema: None, body: body.as_bytes() };
        let answer = engine.connect().handle(&request);
        let text = String::from_utf8(answer.body).unwrap();
        (answer.status, text.split("\"duration\"").next().unwrap_or_default().to_owned())
    }

    /// Everything that is stored can be read from the file, or it is refused when it is made.
    #[test]
    fn what_is_nested_or_long_is_the_same_after_it_was_kept() {
        let options = EngineOptions {
            version: "6.4.3".into(),
            cluster_name: String::new(),
            cluster_id: String::new(),
            node_name: String::new(),
            http_address: String::new(),
            psql_port: None,
        };
        let engine = Engine::new(options.clone());
        let nested = |open: &str, middle: &str, close: &str, n: usize| open.repeat(n) + middle + &close.repeat(n);
        let mut made = 0;
        for n in (1..30).chain([50, 1000]) {
            for stmt in [
                format!("CREATE VIEW long{n} AS SELECT 1 AS x WHERE true{}", " AND true".repeat(n)),
                format!("CREATE VIEW sum{n} AS SELECT 1{} AS x", " + 1".repeat(n)),
                format!("CREATE VIEW all{n} AS SELECT 1 AS x{}", " UNION ALL SELECT 2".repeat(n)),
                format!("CREATE VIEW calls{n} AS SELECT {} AS x", nested("abs(", "1", ")", n)),
                format!(
                    "CREATE VIEW cases{n} AS SELECT {} AS x",
                    nested("CASE WHEN false THEN 2 ELSE ", "1", " END", n)
                ),
                format!("CREATE VIEW queries{n} AS SELECT {} AS x", nested("(SELECT ", "1", ")", n)),
                format!("CREATE TABLE objects{n} (o {})", nested("OBJECT AS (a ", "INT", ")", n)),
                format!("CREATE TABLE defaults{n} (a INT DEFAULT {}, b INT)", nested("abs(", "1", ")", n)),
                format!("CREATE TABLE values{n} (o OBJECT)"),
                format!("INSERT INTO values{n} (o) VALUES ({})", nested("{a = ", "1", "}", n)),
            ] {
                let (status, text) = answer(&engine, &stmt);
                assert!(status == 200 || text.contains(crate::engine::error::REFUSAL), "{stmt:.80}: {text:.200}");
                made += usize::from(status == 200);
            }
            assert_eq!(answer(&engine, &format!("REFRESH TABLE values{n}")).0, 200);
        }
        assert!(made > 200, "{made} were made");
        // As deep as in the file of a simulator.
        let text = serde_json::to_string(&serde_json::json!({ "engines": { "id": engine.keep() } })).unwrap();
        let mut kept: BTreeMap<String, BTreeMap<String, Data>> = serde_json::from_str(&text).unwrap();
        let again = Engine::with(options, kept.remove("engines").unwrap().remove("id").unwrap());
        for stmt in (1..30).chain([50, 1000]).flat_map(|n| {
            ["long", "sum", "all", "calls", "cases", "queries", "values", "objects", "defaults"]
                .map(|name| format!("SELECT * FROM {name}{n}"))
        }) {
            assert_eq!(answer(&again, &stmt), answer(&engine, &stmt), "{stmt}");
        }
    }
}
