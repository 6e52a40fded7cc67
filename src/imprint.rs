//! The imprint of a schema: what the catalog says of it. Two of them tell whether a test changed or wrote anything.
//!
//! Pure, but for [`look`]. The shape has all that a statement can change without making a table again: columns,
//! settings, constraints, views, functions, partitions. A table that was made again has another directory on its node,
//! and one that was written to has a higher sequence number: CrateDB numbers every write, those that fail too, in each
//! shard.

mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub(crate) use self::look::look;
#[cfg(test)]
pub(crate) use self::look::{CONTENTS, SHAPE, test_contents};

/// One row of the shape: its kind, its name, and what may change.
pub(crate) type ShapeRow = (String, String, Vec<Option<String>>);
/// One row about a table or a partition of it: both names, a directory, shards, the sum of their newest sequence
/// numbers, rows.
pub(crate) type ContentRow = (String, String, String, u64, i64, u64);

/// The kind of the rows of the shape that come and go with rows of a table.
pub(crate) const PARTITION: &str = "partition";

/// The contents of a table, or of a partition of one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    directory: String,
    shards: u64,
    /// The sum of the newest sequence numbers of all shards. It only grows.
    written: i64,
    rows: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Imprint {
    shape: BTreeSet<ShapeRow>,
    /// By table and partition.
    contents: BTreeMap<(String, String), Contents>,
    /// Tables with rows that every test finds in them.
    filled: BTreeSet<String>,
}

/// The change of a schema by a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Nothing,
    /// Rows were written to these tables, which were empty before.
    Rows(Vec<String>),
    /// Something that is not undone; the reason.
    More(&'static str),
}

/// The tables of a schema, and its views with their definitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Relations {
    pub(crate) tables: Vec<String>,
    pub(crate) views: Vec<(String, String)>,
}

/// Takes the number of a column out of its details.
fn without_oid(word: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(word) {
        Ok(serde_json::Value::Object(mut details)) => {
            details.remove("oid");
            serde_json::Value::Object(details).to_string()
        }
        _ => word.to_owned(),
    }
}

/// A table with more rows is dropped sooner than emptied.
const MANY_ROWS: u64 = 10_000;

impl Imprint {
    /// Takes what the catalog says right after the schema was made.
    pub(crate) fn new(shape: Vec<ShapeRow>, contents: Vec<ContentRow>) -> Self {
        let mut this = Self { shape: shape.into_iter().collect(), contents: BTreeMap::new(), filled: BTreeSet::new() };
        for (table, partition, directory, shards, written, rows) in contents {
            // A shard that was never written to has the number -1.
            if i64::try_from(shards).is_ok_and(|shards| written > -shards) {
                this.filled.insert(table.clone());
            }
            this.contents.insert((table, partition), Contents { directory, shards, written, rows });
        }
        this
    }

    /// Returns how many shards the schema has.
    pub(crate) fn shards(&self) -> u64 {
        self.contents.values().map(|contents| contents.shards).sum()
    }

    /// Returns a SHA-256 of everything that a test can change. It is the same for two schemas that were made in the
    /// same way, and for one whose shards were moved to other nodes.
    pub(crate) fn digest(&self, schema: &str) -> String {
        let mut text = String::new();
        for row in &self.shape {
            let _ = writeln!(text, "{row:?}");
        }
        for ((table, partition), Contents { shards, written, .. }) in &self.contents {
            let _ = writeln!(text, "{table:?} {partition:?} {shards} {written}");
        }
        let digest = ring::digest::digest(&ring::digest::SHA256, text.replace(schema, "").as_bytes());
        digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Returns the tables, and the views with their definitions; none if there is more than statements that define them
    /// can make: rows, partitions, functions, foreign or closed tables.
    pub(crate) fn relations(&self) -> Option<Relations> {
        let mut found = Relations::default();
        for (kind, name, what) in &self.shape {
            let word = |at: usize| what.get(at).cloned().flatten();
            match (kind.as_str(), word(0).as_deref(), word(3).as_deref()) {
                ("table", Some("BASE TABLE"), Some("f")) => found.tables.push(name.clone()),
                ("view", Some(definition), _) => found.views.push((name.clone(), definition.to_owned())),
                ("table", Some("VIEW"), _) | ("column" | "constraint", ..) => {}
                _ => return None,
            }
        }
        self.filled.is_empty().then_some(found)
    }

    /// Returns a SHA-256 of the shape alone, which is the same for all schemas that are made in the same way. The
    /// columns of a table have an order in it, but no numbers: those of dropped ones are not given again.
    pub(crate) fn outline(&self, schema: &str) -> String {
        let mut columns: BTreeMap<&str, Vec<(u64, &ShapeRow)>> = BTreeMap::new();
        let mut shape = BTreeSet::new();
        for row in &self.shape {
            match (row.0.as_str(), row.1.split_once('.')) {
                ("column", Some((table, _))) => {
                    let place = row.2.first().cloned().flatten().and_then(|place| place.parse().ok());
                    columns.entry(table).or_default().push((place.unwrap_or(0), row));
                }
                (PARTITION, _) => {}
                _ => drop(shape.insert(row.clone())),
            }
        }
        for mut columns in columns.into_values() {
            columns.sort();
            for (place, (_, (kind, name, what))) in columns.into_iter().enumerate() {
                let mut what: Vec<Option<String>> = what.iter().map(|word| word.as_deref().map(without_oid)).collect();
                what[0] = Some(place.to_string());
                shape.insert((kind.clone(), name.clone(), what));
            }
        }
        let own = self.contents.iter().filter(|((_, partition), _)| partition.is_empty());
        let contents = own.map(|(key, one)| (key.clone(), Contents { written: 0, ..one.clone() })).collect();
        Self { shape, contents, filled: BTreeSet::new() }.digest(schema)
    }

    /// Compares with another schema that was made in the same way, and of which nothing was written to. It does not
    /// matter which of the tables were made again.
    pub(crate) fn change_since(&self, outline: &str, schema: &str) -> Change {
        if self.outline(schema) != outline {
            return Change::More("its tables, views or functions were changed");
        }
        let written = |((_, partition), one): &(&(String, String), &Contents)| {
            !partition.is_empty() || !i64::try_from(one.shards).is_ok_and(|shards| one.written == -shards)
        };
        let written: BTreeSet<String> = self.contents.iter().filter(written).map(|(key, _)| key.0.clone()).collect();
        self.rows_in(written)
    }

    /// Returns the imprint of a schema that was emptied, to compare with after the next test; none if it is not what
    /// its migrations make.
    pub(crate) fn emptied_since(self, outline: &str, schema: &str) -> Option<Self> {
        let empty = self.contents.iter().all(|((_, partition), one)| partition.is_empty() && one.rows == 0);
        (empty && self.outline(schema) == outline).then_some(Self { filled: BTreeSet::new(), ..self })
    }

    fn rows_in(&self, written: BTreeSet<String>) -> Change {
        let rows = |table: &String| -> u64 {
            self.contents.iter().filter(|((name, _), _)| name == table).map(|(_, contents)| contents.rows).sum()
        };
        match written.iter().map(rows).sum::<u64>() {
            _ if written.is_empty() => Change::Nothing,
            0..=MANY_ROWS => Change::Rows(written.into_iter().collect()),
            _ => Change::More("it has too many rows to be emptied"),
        }
    }

    /// Compares with what the catalog says after a test.
    pub(crate) fn change(&self, after: &Self) -> Change {
        let lasting = |imprint: &Self| -> BTreeSet<ShapeRow> {
            imprint.shape.iter().filter(|(kind, ..)| kind != PARTITION).cloned().collect()
        };
        if lasting(self) != lasting(after) {
            return Change::More("its tables, views or functions were changed");
        }
        let mut written = BTreeSet::new();
        for (key, contents) in &after.contents {
            match self.contents.get(key) {
                Some(known) if known.directory != contents.directory || known.shards != contents.shards => {
                    return Change::More("a table was made again");
                }
                Some(known) if known.written == contents.written => {}
                _ => drop(written.insert(key.0.clone())),
            }
        }
        if self.contents.keys().any(|key| !after.contents.contains_key(key)) {
            return Change::More("a table or partition is gone");
        }
        if written.iter().any(|table| self.filled.contains(table)) {
            return Change::More("a table was written to that the migrations had filled");
        }
        match written.is_empty() && self.shape != after.shape {
            true => Change::More("a partition was changed"),
            false => after.rows_in(written),
        }
    }

    /// Returns the same imprint, with the tables that the migrations had filled as `before` knows them.
    pub(crate) fn filled_as(self, before: &Self) -> Self {
        Self { filled: before.filled.clone(), ..self }
    }

    /// Returns the imprint to compare with after the next test, if the schema was emptied.
    pub(crate) fn emptied(&self, after: Self) -> Option<Self> {
        let place = |contents: &BTreeMap<(String, String), Contents>| -> BTreeMap<(String, String), (String, u64)> {
            contents.iter().map(|(key, one)| (key.clone(), (one.directory.clone(), one.shards))).collect()
        };
        let same = self.shape == after.shape && place(&self.contents) == place(&after.contents);
        let rows = |(key, one): (&(String, String), &Contents)| one.rows == 0 || self.filled.contains(&key.0);
        (same && after.contents.iter().all(rows)).then(|| after.filled_as(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kind: &str, name: &str, what: &str) -> ShapeRow {
        (kind.into(), name.into(), vec![Some(what.into()), None])
    }

    fn table(name: &str, written: i64, rows: u64) -> ContentRow {
        (name.into(), String::new(), format!("/data/{name}/0"), 2, written, rows)
    }

    /// Two empty tables, one with rows of the migrations, and one without partitions.
    fn made() -> Imprint {
        Imprint::new(shapes(), vec![table("a", -2, 0), table("b", -2, 0), table("stations", 0, 2)])
    }

    fn shapes() -> Vec<ShapeRow> {
        vec![shape("column", "a.id", "integer"), shape("table", "a", "strict"), shape("view", "v", "SELECT 1")]
    }

    fn change(shape: Vec<ShapeRow>, contents: Vec<ContentRow>) -> Change {
        made().change(&Imprint::new(shape, contents))
    }

    fn is_more(change: &Change) -> bool {
        matches!(change, Change::More(_))
    }

    #[test]
    fn what_no_test_touched_is_as_it_was() {
        assert_eq!(
            change(shapes(), vec![table("b", -2, 0), table("a", -2, 0), table("stations", 0, 2)]),
            Change::Nothing
        );
        assert_eq!(made().shards(), 6);
    }

    #[test]
    fn a_table_that_was_written_to_is_named_whether_rows_are_seen_or_not() {
        for rows in [0, 7, MANY_ROWS] {
            let after = vec![table("a", 5, rows), table("b", -2, 0), table("stations", 0, 2)];
            assert_eq!(change(shapes(), after), Change::Rows(vec!["a".into()]));
        }
        let after = vec![table("a", 9000, MANY_ROWS), table("b", 0, 1), table("stations", 0, 2)];
        assert!(is_more(&change(shapes(), after)));
    }

    #[test]
    fn rows_of_the_migrations_can_not_be_brought_back() {
        let after = vec![table("a", -2, 0), table("b", -2, 0), table("stations", 1, 2)];
        assert!(is_more(&change(shapes(), after)));
    }

    #[test]
    fn a_changed_shape_is_more_than_rows() {
        let contents = || vec![table("a", -2, 0), table("b", -2, 0), table("stations", 0, 2)];
        for changed in [shape("column", "a.x", "text"), shape("view", "w", "SELECT 1"), shape("constraint", "a", "x")] {
            let mut more = shapes();
            more.push(changed);
            assert!(is_more(&change(more, contents())));
        }
        assert!(is_more(&change(shapes()[1..].to_vec(), contents())));
        let mut other = shapes();
        other[0] = shape("column", "a.id", "bigint");
        assert!(is_more(&change(other, contents())));
    }

    #[test]
    fn a_table_that_was_made_again_is_not_the_same_whatever_it_says() {
        let mut again = table("a", -2, 0);
        again.2 = "/data/another/0".into();
        assert!(is_more(&change(shapes(), vec![again, table("b", -2, 0), table("stations", 0, 2)])));
        assert!(is_more(&change(shapes(), vec![table("b", -2, 0), table("stations", 0, 2)])));
    }

    #[test]
    fn partitions_come_and_go_with_rows() {
        let one =
            |ident: &str, written| (String::from("b"), ident.to_owned(), format!("/data/{ident}/0"), 1, written, 1);
        let before = Imprint::new(shapes(), vec![table("a", -2, 0)]);
        let mut with = shapes();
        with.push(shape(PARTITION, "b", "{\"d\":1}"));
        let after = Imprint::new(with.clone(), vec![table("a", -2, 0), one("041", 0)]);
        assert_eq!(before.change(&after), Change::Rows(vec!["b".into()]));
        assert_eq!(before.emptied(after.clone()), None);
        let emptied = before.emptied(Imprint::new(shapes(), vec![table("a", -2, 0)])).unwrap();
        assert_eq!(emptied.change(&after), Change::Rows(vec!["b".into()]));
        // A partition of the migrations, with another setting.
        let filled = Imprint::new(with.clone(), vec![one("041", 0)]);
        let mut other = shapes();
        other.push(shape(PARTITION, "b", "other"));
        assert!(is_more(&filled.change(&Imprint::new(other, vec![one("041", 0)]))));
        assert!(is_more(&filled.change(&Imprint::new(with, vec![one("041", 1)]))));
    }

    /// Two tables without rows, as any test with the same migrations makes them.
    fn alike(schema: &str, contents: Vec<ContentRow>) -> Imprint {
        let named = shape("constraint", "a", &format!("{schema}_a_id_not_null"));
        Imprint::new([shapes(), vec![named]].concat(), contents)
    }

    #[test]
    fn a_schema_that_a_test_has_made_is_like_all_others_until_it_is_written_to() {
        let empty = || vec![table("a", -2, 0), table("b", -2, 0)];
        let outline = alike("schema_one", empty()).outline("schema_one");
        let change = |contents| alike("schema_two", contents).change_since(&outline, "schema_two");
        assert_eq!(change(empty()), Change::Nothing);
        // Made again in the same way, it is as good.
        let mut again = empty();
        again[0].2 = "/data/another/0".into();
        assert_eq!(change(again), Change::Nothing);
        assert_eq!(change(vec![table("a", -1, 0), table("b", -2, 0)]), Change::Rows(vec!["a".into()]));
        assert!(is_more(&change(vec![table("a", 9, MANY_ROWS + 1), table("b", -2, 0)])));
        assert!(is_more(&change(vec![table("a", -2, 0)])), "one is gone");
        let mut other = empty();
        other[1].3 = 4;
        assert!(is_more(&change(other)), "it has more shards");
        assert!(
            is_more(&alike("schema_two", empty()).change_since(&outline, "schema_three")),
            "it names another schema"
        );
    }

    #[test]
    fn rows_of_a_partition_are_rows_of_its_table_and_gone_with_it() {
        let empty = || vec![table("a", -2, 0)];
        let outline = alike("schema_one", empty()).outline("schema_one");
        let partition = (String::from("a"), String::from("04132"), String::from("/data/p/0"), 1, 0, 1);
        let mut with = alike("schema_two", [empty(), vec![partition]].concat());
        with.shape.insert(shape(PARTITION, "a", "04132"));
        assert_eq!(with.change_since(&outline, "schema_two"), Change::Rows(vec!["a".into()]));
        assert_eq!(with.clone().emptied_since(&outline, "schema_two"), None);
        let emptied = alike("schema_two", vec![table("a", 7, 0)]).emptied_since(&outline, "schema_two").unwrap();
        assert_eq!(emptied.change(&alike("schema_two", vec![table("a", 7, 0)])), Change::Nothing);
        assert_eq!(emptied.change(&alike("schema_two", vec![table("a", 8, 0)])), Change::Rows(vec!["a".into()]));
        assert_eq!(alike("schema_two", vec![table("a", 7, 1)]).emptied_since(&outline, "schema_two"), None);
    }

    #[test]
    fn what_was_emptied_counts_from_its_new_numbers() {
        let after = Imprint::new(shapes(), vec![table("a", 11, 0), table("b", -2, 0), table("stations", 0, 2)]);
        let emptied = made().emptied(after.clone()).unwrap();
        assert_eq!(emptied.change(&after), Change::Nothing);
        let again = Imprint::new(shapes(), vec![table("a", 12, 0), table("b", -2, 0), table("stations", 0, 2)]);
        assert_eq!(emptied.change(&again), Change::Rows(vec!["a".into()]));
        // The rows of the migrations are still those of the migrations.
        let stations = Imprint::new(shapes(), vec![table("a", 11, 0), table("b", -2, 0), table("stations", 1, 2)]);
        assert!(is_more(&emptied.change(&stations)));
        let rest = Imprint::new(shapes(), vec![table("a", 11, 1), table("b", -2, 0), table("stations", 0, 2)]);
        assert_eq!(made().emptied(rest), None);
    }
}
