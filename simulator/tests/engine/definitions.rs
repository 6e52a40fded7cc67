//! What the catalog says about definitions, so that a client notices when one has changed.

use crate::support::{engine, rows, sql};
use cratedb_cloud_simulator::engine::Connection;

fn run(connection: &mut Connection, stmt: &str) {
    let (status, text) = sql(connection, stmt);
    assert_eq!(status, 200, "{stmt}: {text}");
}

/// The path of the first shard of a table.
fn path(connection: &mut Connection, table: &str) -> String {
    rows(connection, &format!("SELECT min(path) FROM sys.shards WHERE schema_name = 's' AND table_name = '{table}'"))
}

#[test]
fn a_table_that_is_made_again_has_other_files() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    run(&mut c, "CREATE TABLE t (n INT)");
    let first = path(&mut c, "t");
    let parts: Vec<&str> = first.trim_matches(['[', ']', '"']).split('/').collect();
    assert_eq!([&parts[..5], &parts[6..]].concat(), ["", "data", "nodes", "0", "indices", "0"]);
    assert_eq!(parts[5].len(), 22, "{first}");
    run(&mut c, "INSERT INTO t (n) VALUES (1)");
    run(&mut c, "ALTER TABLE t RENAME TO u");
    assert_eq!(path(&mut c, "u"), first);
    run(&mut c, "DROP TABLE u");
    run(&mut c, "CREATE TABLE u (n INT)");
    assert_ne!(path(&mut c, "u"), first);
}

#[test]
fn only_a_query_that_reads_an_unknown_text_is_refused() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    run(&mut c, "CREATE TABLE t (n INT, m INT GENERATED ALWAYS AS CASE WHEN n > 1 THEN 2 END)");
    run(&mut c, "CREATE VIEW v AS SELECT n FROM (SELECT n FROM t) q");
    let columns = "FROM information_schema.columns WHERE table_schema = 's' AND table_name = 't'";
    assert_eq!(
        rows(&mut c, &format!("SELECT column_name, is_generated {columns}")),
        r#"[["n","NEVER"],["m","ALWAYS"]]"#
    );
    let views = "FROM information_schema.views WHERE table_schema = 's'";
    assert_eq!(rows(&mut c, &format!("SELECT table_name {views}")), r#"[["v"]]"#);
    for refused in [format!("SELECT generation_expression {columns}"), format!("SELECT view_definition {views}")] {
        let (_, text) = sql(&mut c, &refused);
        assert!(text.contains("not supported by the embedded engine"), "{refused}: {text}");
    }
}
