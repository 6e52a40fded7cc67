//! Tables: definitions, documents and refreshes.

mod identity;

use super::ast::{Ast, Check};
use super::error::{Result, duplicate_key};
use super::types::Type;
use super::value::Value;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(crate) use identity::Identity;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) not_null: bool,
    pub(crate) default: Option<Ast>,
    pub(crate) generated: Option<Ast>,
    pub(crate) position: u32,
}

/// Everything about a table except its rows. Shared, and replaced as a whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Indices of the key's columns.
    pub(crate) primary: Vec<usize>,
    pub(crate) checks: Vec<Check>,
    pub(crate) clustered_by: Option<String>,
    pub(crate) shards: i64,
    pub(crate) replicas: String,
    /// Options as given, beyond `number_of_replicas` and `column_policy`.
    pub(crate) options: BTreeMap<String, Value>,
    pub(crate) dynamic: bool,
    /// Positions given so far; those of dropped columns are not used again.
    pub(crate) last_position: u32,
    pub(crate) write_blocked: bool,
    pub(crate) closed: bool,
}

impl Definition {
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == name)
    }

    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// One state of one row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) key: Vec<u8>,
    pub(crate) values: Vec<Value>,
    pub(crate) seq_no: i64,
    /// 0 if unknown: the key was deleted and inserted again.
    pub(crate) version: i64,
    order: u64,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    newest: Option<Arc<Document>>,
    shown: Option<Arc<Document>>,
    deleted_once: bool,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) definition: Arc<Definition>,
    /// Names the table's files. A table of the same name that is made later has another.
    pub(crate) identity: Identity,
    slots: HashMap<Vec<u8>, Slot>,
    /// The documents that a search sees, in the order of writing.
    shown: BTreeMap<u64, Arc<Document>>,
    dirty: Vec<Vec<u8>>,
    writes: u64,
    seq_no: i64,
    /// Sequence numbers from here on aren't known.
    counted_until: i64,
    journal: Vec<(Vec<u8>, Option<Slot>)>,
    before: Option<(Arc<Definition>, i64, usize)>,
}

impl Table {
    pub(crate) fn new(definition: Definition) -> Table {
        Table {
            definition: Arc::new(definition),
            identity: Identity::new(),
            slots: HashMap::new(),
            shown: BTreeMap::new(),
            dirty: vec![],
            writes: 0,
            seq_no: 0,
            counted_until: i64::MAX,
            journal: vec![],
            before: None,
        }
    }

    /// Returns a copy for a rollback.
    pub(crate) fn snapshot(&self) -> Table {
        Table {
            definition: self.definition.clone(),
            slots: self.slots.clone(),
            shown: self.shown.clone(),
            dirty: self.dirty.clone(),
            journal: vec![],
            before: None,
            ..*self
        }
    }

    /// Begins a change that can be rolled back.
    pub(crate) fn begin(&mut self) {
        self.journal.clear();
        self.before = Some((self.definition.clone(), self.seq_no, self.dirty.len()));
    }

    pub(crate) fn commit(&mut self) {
        self.journal.clear();
        self.before = None;
    }

    pub(crate) fn roll_back(&mut self) {
        for (key, slot) in std::mem::take(&mut self.journal).into_iter().rev() {
            match slot {
                Some(slot) => self.slots.insert(key, slot),
                None => self.slots.remove(&key),
            };
        }
        if let Some((definition, seq_no, dirty)) = self.before.take() {
            self.definition = definition;
            self.seq_no = seq_no;
            self.dirty.truncate(dirty);
        }
    }

    /// Returns the newest state of a row, refreshed or not.
    pub(crate) fn get(&self, key: &[u8]) -> Option<&Arc<Document>> {
        self.slots.get(key)?.newest.as_ref()
    }

    /// Returns the documents that searches see.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.shown.values()
    }

    /// Returns whether there are writes that searches don't see yet.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Notes a deletion that found nothing: it is not known whether it takes a sequence number.
    pub(crate) fn lose_count(&mut self) {
        self.counted_until = self.counted_until.min(self.seq_no);
    }

    /// Returns whether the number of sequence numbers is known.
    pub(crate) fn knows_count(&self) -> bool {
        self.counted_until == i64::MAX
    }

    /// Returns whether a document's sequence number is known.
    pub(crate) fn knows_seq_no(&self, document: &Document) -> bool {
        document.seq_no < self.counted_until
    }

    /// Returns the number of changes so far.
    pub(crate) fn writes(&self) -> u64 {
        self.writes
    }

    /// Returns the last sequence number that was given, or -1.
    pub(crate) fn last_seq_no(&self) -> i64 {
        self.seq_no - 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.values().all(|slot| slot.newest.is_none())
    }

    /// Makes a key for a row of a table without primary key.
    pub(crate) fn new_key(&self) -> Vec<u8> {
        self.writes.to_be_bytes().to_vec()
    }

    pub(crate) fn insert(&mut self, key: Vec<u8>, values: Vec<Value>) -> Result<Arc<Document>> {
        if self.get(&key).is_some() {
            return Err(duplicate_key());
        }
        let deleted_once = self.slots.get(&key).is_some_and(|slot| slot.deleted_once);
        Ok(self.write(key, values, if deleted_once { 0 } else { 1 }))
    }

    /// Replaces the newest state of an existing row.
    pub(crate) fn update(&mut self, old: &Document, values: Vec<Value>) -> Arc<Document> {
        let version = if old.version == 0 { 0 } else { old.version + 1 };
        self.write(old.key.clone(), values, version)
    }

    fn write(&mut self, key: Vec<u8>, values: Vec<Value>, version: i64) -> Arc<Document> {
        let document =
            Arc::new(Document { key: key.clone(), values, seq_no: self.seq_no, version, order: self.writes });
        self.change(key, |slot| slot.newest = Some(document.clone()));
        document
    }

    /// Deletes a row. Returns whether there was one; only then the deletion takes a sequence number.
    pub(crate) fn delete(&mut self, key: &[u8]) -> bool {
        if self.get(key).is_none() {
            return false;
        }
        self.change(key.to_vec(), |slot| {
            slot.newest = None;
            slot.deleted_once = true;
        });
        true
    }

    fn change(&mut self, key: Vec<u8>, apply: impl FnOnce(&mut Slot)) {
        if self.before.is_some() {
            self.journal.push((key.clone(), self.slots.get(&key).cloned()));
        }
        apply(self.slots.entry(key.clone()).or_default());
        self.dirty.push(key);
        self.writes += 1;
        self.seq_no += 1;
    }

    /// Makes all writes visible.
    pub(crate) fn refresh(&mut self) {
        for key in std::mem::take(&mut self.dirty) {
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            if let Some(old) = slot.shown.take() {
                self.shown.remove(&old.order);
            }
            slot.shown.clone_from(&slot.newest);
            if let Some(new) = &slot.shown {
                self.shown.insert(new.order, new.clone());
            }
        }
    }

    /// Replaces the values of every document, visible or not, after a column was added or dropped.
    pub(crate) fn rewrite(&mut self, change: impl Fn(&mut Vec<Value>)) {
        let renew = |document: &mut Option<Arc<Document>>| {
            if let Some(document) = document {
                change(&mut Arc::make_mut(document).values);
            }
        };
        for slot in self.slots.values_mut() {
            renew(&mut slot.newest);
            renew(&mut slot.shown);
        }
        self.shown = self.slots.values().filter_map(|s| s.shown.clone()).map(|d| (d.order, d)).collect();
    }
}

/// A table as it is kept in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptTable {
    definition: Definition,
    /// Files of older versions have none.
    #[serde(default = "Identity::new")]
    identity: Identity,
    rows: Vec<KeptRow>,
    dirty: Vec<Vec<u8>>,
    writes: u64,
    seq_no: i64,
    counted_until: i64,
}

/// A row in a file: its newest state, and the one that searches see if that is another.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptRow {
    key: Vec<u8>,
    newest: Option<Document>,
    /// True if searches see the newest state; else they see `shown`.
    refreshed: bool,
    shown: Option<Document>,
    deleted_once: bool,
}

impl Table {
    pub(crate) fn keep(&self) -> KeptTable {
        let document = |one: &Option<Arc<Document>>| one.as_deref().cloned();
        let row = |(key, slot): (&Vec<u8>, &Slot)| {
            let refreshed = match (&slot.newest, &slot.shown) {
                (Some(newest), Some(shown)) => newest.seq_no == shown.seq_no && newest.order == shown.order,
                (newest, shown) => newest.is_none() && shown.is_none(),
            };
            let shown = if refreshed { None } else { document(&slot.shown) };
            let newest = document(&slot.newest);
            KeptRow { key: key.clone(), newest, refreshed, shown, deleted_once: slot.deleted_once }
        };
        KeptTable {
            definition: (*self.definition).clone(),
            identity: self.identity,
            rows: self.slots.iter().map(row).collect(),
            dirty: self.dirty.clone(),
            writes: self.writes,
            seq_no: self.seq_no,
            counted_until: self.counted_until,
        }
    }

    pub(crate) fn of(kept: KeptTable) -> Table {
        let mut table = Table::new(kept.definition);
        for KeptRow { key, newest, refreshed, shown, deleted_once } in kept.rows {
            let newest = newest.map(Arc::new);
            let shown = if refreshed { newest.clone() } else { shown.map(Arc::new) };
            if let Some(shown) = &shown {
                table.shown.insert(shown.order, shown.clone());
            }
            table.slots.insert(key, Slot { newest, shown, deleted_once });
        }
        Table {
            identity: kept.identity,
            dirty: kept.dirty,
            writes: kept.writes,
            seq_no: kept.seq_no,
            counted_until: kept.counted_until,
            ..table
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let definition = Definition {
            schema: "s".into(),
            name: "t".into(),
            columns: vec![],
            primary: vec![],
            checks: vec![],
            clustered_by: None,
            shards: 1,
            replicas: "0".into(),
            options: BTreeMap::new(),
            dynamic: false,
            last_position: 0,
            write_blocked: false,
            closed: false,
        };
        Table::new(definition)
    }

    #[test]
    fn writes_are_seen_by_key_at_once_and_by_searches_after_a_refresh() {
        let mut t = table();
        t.insert(vec![1], vec![Value::Int(1)]).unwrap();
        assert!(t.get(&[1]).is_some());
        assert_eq!(t.visible().count(), 0);
        t.refresh();
        assert!(t.delete(&[1]));
        assert!(t.get(&[1]).is_none());
        assert_eq!(t.visible().count(), 1);
        t.refresh();
        assert_eq!(t.visible().count(), 0);
    }

    #[test]
    fn a_kept_table_is_the_same_again_refreshed_or_not() {
        let mut t = table();
        let old = t.insert(vec![1], vec![Value::Double(f64::NAN), Value::Real(0.1)]).unwrap();
        t.insert(vec![2], vec![Value::Double(1e-300), Value::Null]).unwrap();
        t.refresh();
        t.update(&old, vec![Value::Double(f64::INFINITY), Value::Null]);
        t.delete(&[2]);
        t.insert(vec![3], vec![]).unwrap();
        let text = serde_json::to_string(&t.keep()).unwrap();
        let mut again = Table::of(serde_json::from_str(&text).unwrap());
        let shown = |t: &Table| t.visible().map(|d| format!("{d:?}")).collect::<Vec<_>>();
        assert_eq!((shown(&again), again.is_dirty()), (shown(&t), true));
        assert_eq!(shown(&again).len(), 2, "as before the refresh");
        t.refresh();
        again.refresh();
        assert_eq!((shown(&again), again.seq_no), (shown(&t), t.seq_no));
        assert_eq!(again.insert(vec![2], vec![]).unwrap().version, 0, "it was deleted once");
    }

    #[test]
    fn what_is_rolled_back_never_was() {
        let mut t = table();
        let old = t.insert(vec![1], vec![Value::Int(1)]).unwrap();
        t.begin();
        t.update(&old, vec![Value::Int(2)]);
        t.insert(vec![2], vec![Value::Int(3)]).unwrap();
        t.roll_back();
        t.refresh();
        assert_eq!(t.visible().map(|d| d.values[0].clone()).collect::<Vec<_>>(), [Value::Int(1)]);
        assert_eq!(t.insert(vec![2], vec![]).unwrap().seq_no, 1);
    }

    #[test]
    fn a_kept_table_has_the_same_identity_and_one_of_an_older_file_gets_one() {
        let t = table();
        let mut kept = serde_json::to_value(t.keep()).unwrap();
        let read = |kept: &serde_json::Value| Table::of(serde_json::from_value(kept.clone()).unwrap());
        assert_eq!(read(&kept).identity, t.identity);
        kept.as_object_mut().unwrap().remove("identity").unwrap();
        assert_ne!(read(&kept).identity, t.identity);
    }
}
