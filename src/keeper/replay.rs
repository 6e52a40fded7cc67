//! Replays: the statements that make a schema as its migrations leave it, without the way there.
//!
//! Pure. Two hundred files of migrations that end in twelve tables cost what the twelve tables cost. What they end in
//! is read from the catalog once; a schema that was made from it counts only if the catalog then says the same of it.

use crate::imprint::{Imprint, Relations};
use crate::sql::quoted;

/// A history is replayed if it has so many times more statements than its replay.
const WORTH: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replay {
    /// The schema that was read. No other text in the statements is equal to its name.
    schema: String,
    statements: Vec<String>,
    outline: String,
}

impl Replay {
    /// Returns the tables whose definitions are needed; none if a replay would be impossible, or not worth it.
    pub(super) fn wants(made: &Imprint, history: usize) -> Option<Vec<String>> {
        let Relations { tables, views } = made.relations()?;
        let fewer = history >= WORTH * (tables.len() + views.len());
        (fewer && !tables.is_empty()).then_some(tables)
    }

    /// Takes what the migrations have made, and the definitions of its tables, which name the schema.
    pub(super) fn new(schema: &str, made: &Imprint, definitions: Vec<String>) -> Option<Self> {
        let Relations { views, .. } = made.relations()?;
        let mut statements = definitions;
        for (view, definition) in in_order(views) {
            statements.push(format!("CREATE VIEW {}.{} AS {definition}", quoted(schema), quoted(&view)));
        }
        Some(Self { schema: schema.to_owned(), statements, outline: made.outline(schema) })
    }

    /// Returns the statements for another schema.
    pub(super) fn statements(&self, schema: &str) -> impl Iterator<Item = String> {
        self.statements.iter().map(move |statement| statement.replace(&self.schema, schema))
    }

    /// Returns whether a schema that was made by these statements is what the migrations make.
    pub(super) fn is_equal(&self, schema: &str, made: &Imprint) -> bool {
        made.relations().is_some() && made.outline(schema) == self.outline
    }
}

/// Puts views behind those that they read. CrateDB quotes every name in a definition.
fn in_order(mut views: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut ordered = Vec::new();
    while !views.is_empty() {
        let names: Vec<String> = views.iter().map(|(name, _)| quoted(name)).collect();
        let waits = |(name, definition): &(String, String)| {
            names.iter().any(|other| *other != quoted(name) && definition.contains(other.as_str()))
        };
        let (later, now): (Vec<_>, Vec<_>) = views.into_iter().partition(waits);
        if now.is_empty() {
            // A column has the name of a view. The server decides.
            ordered.extend(later);
            break;
        }
        ordered.extend(now);
        views = later;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imprint::{ContentRow, ShapeRow};

    const SCHEMA: &str = "cratedb_test_a";

    fn row(kind: &str, name: &str, what: &[&str]) -> ShapeRow {
        (kind.into(), name.into(), what.iter().map(|word| Some((*word).to_owned())).collect())
    }

    fn column(name: &str, place: &str, oid: u32) -> ShapeRow {
        row("column", name, &[place, "integer", "YES", "", "", "", &format!("{{\"name\":\"x\",\"oid\":{oid}}}")])
    }

    fn table(name: &str) -> ShapeRow {
        row("table", name, &["BASE TABLE", "strict", "0", "f", "{}"])
    }

    fn contents(written: i64) -> Vec<ContentRow> {
        vec![("t".into(), String::new(), "/t/0".into(), 1, written, 0)]
    }

    /// A table whose second column was dropped, and one constraint that has the name of its schema.
    fn shape() -> Vec<ShapeRow> {
        let constraint = row("constraint", "t", &["cratedb_test_a_t_id_not_null", "CHECK"]);
        vec![table("t"), column("t.id", "1", 1), column("t.last", "3", 3), constraint]
    }

    fn made() -> Imprint {
        Imprint::new(shape(), contents(-1))
    }

    fn replay() -> Replay {
        let definition = r#"CREATE TABLE IF NOT EXISTS "cratedb_test_a"."t" ("id" INTEGER, "last" INTEGER)"#;
        Replay::new(SCHEMA, &made(), vec![definition.into()]).unwrap()
    }

    #[test]
    fn a_long_history_is_asked_for_its_tables() {
        assert_eq!(Replay::wants(&made(), 2), Some(vec!["t".to_owned()]));
        assert_eq!(Replay::wants(&made(), 1), None);
        assert_eq!(Replay::wants(&Imprint::new(vec![], vec![]), 200), None);
    }

    #[test]
    fn what_statements_alone_do_not_make_is_not_replayed() {
        let with = |row: ShapeRow| {
            let mut shape = shape();
            shape.push(row);
            Imprint::new(shape, contents(-1))
        };
        let odd = [
            row("function", "f(integer)", &["integer", "javascript", "…"]),
            row("partition", "t", &["04132", "0", "f", "{}"]),
            row("table", "far", &["FOREIGN", "strict", "0", "f", "{}"]),
            row("table", "shut", &["BASE TABLE", "strict", "0", "t", "{}"]),
        ];
        for row in odd {
            assert_eq!(Replay::wants(&with(row.clone()), 200), None, "{row:?}");
        }
        assert_eq!(Replay::wants(&Imprint::new(shape(), contents(0)), 200), None, "it has, or had, rows");
    }

    #[test]
    fn the_statements_name_the_new_schema_and_nothing_else_changes() {
        let statements: Vec<String> = replay().statements("cratedb_test_b").collect();
        assert_eq!(statements, [r#"CREATE TABLE IF NOT EXISTS "cratedb_test_b"."t" ("id" INTEGER, "last" INTEGER)"#]);
    }

    #[test]
    fn the_same_tables_are_equal_whatever_was_dropped_on_the_way() {
        let constraint = |name: &str| row("constraint", "t", &[name, "CHECK"]);
        let own = constraint("cratedb_test_b_t_id_not_null");
        let columns = [column("t.id", "1", 1), column("t.last", "2", 2)];
        let same = |rows: Vec<ShapeRow>, contents| replay().is_equal("cratedb_test_b", &Imprint::new(rows, contents));
        let [id, last] = columns.clone();
        assert!(same(vec![table("t"), id.clone(), last.clone(), own.clone()], contents(-1)));
        // In another order, without one, of another kind, with another name, with rows.
        let swapped = [column("t.id", "2", 2), column("t.last", "1", 1)];
        assert!(!same([&[table("t"), own.clone()], &swapped[..]].concat(), contents(-1)));
        assert!(!same(vec![table("t"), id.clone(), own.clone()], contents(-1)));
        assert!(!same(vec![table("t"), id.clone(), last.clone(), constraint("mine")], contents(-1)));
        assert!(!same(vec![table("t"), id.clone(), last.clone(), own.clone()], contents(0)));
        let open = row("table", "t", &["BASE TABLE", "dynamic", "0", "f", "{}"]);
        assert!(!same(vec![open, id, last, own], contents(-1)));
    }

    #[test]
    fn views_come_behind_those_that_they_read() {
        let view = |name: &str, definition: &str| (name.to_owned(), definition.to_owned());
        let views = vec![view("a", "SELECT * FROM \"b\""), view("b", "SELECT * FROM \"c\""), view("c", "SELECT 1")];
        let names: Vec<String> = in_order(views).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["c", "b", "a"]);
        let circle = vec![view("a", "SELECT \"b\""), view("b", "SELECT \"a\"")];
        assert_eq!(in_order(circle).len(), 2);
    }
}
