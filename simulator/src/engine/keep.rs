//! The form in which data is kept in a file, and how the parts of it are read again that are no plain data.

use super::copy::Copy;
use super::state::{Relation, State, User, View};
use super::store::{Kept, Table};
use super::value::Value;
use super::{Engine, EngineOptions};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};

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
        Arc::new(Self { options, state: Mutex::new(data.into_state()) })
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

/// A word of the grammar. Behind a name, since derived code takes a reference for one into what it reads.
pub(crate) type Word = &'static str;

/// Words of the grammar are constants in the code. There are few, and each is leaked once.
fn intern(word: &str) -> &'static str {
    static KNOWN: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(known) = known.get(word) {
        return known;
    }
    let leaked: &'static str = Box::leak(word.to_owned().into_boxed_str());
    known.insert(leaked);
    leaked
}

pub(crate) fn word<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
    Ok(intern(&String::deserialize(from)?))
}

/// JSON has no infinities, and decimal digits would lose the last bits.
macro_rules! bits {
    ($name:ident, $float:ty, $bits:ty) => {
        pub(crate) mod $name {
            use serde::{Deserialize, Deserializer, Serializer};

            pub(crate) fn serialize<S: Serializer>(value: &$float, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_u64(value.to_bits().into())
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<$float, D::Error> {
                <$bits>::deserialize(from).map(<$float>::from_bits)
            }
        }
    };
}

bits!(double, f64, u64);
bits!(real, f32, u32);

/// Wider than the numbers of most readers of JSON.
pub(crate) mod digits {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &i128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<i128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
