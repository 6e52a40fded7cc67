//! Rules that random and systematic statements against a real CrateDB 6.4.3 showed.

use crate::support::{body, engine, post, rows, sql};
use cratedb_cloud_simulator::engine::Connection;

/// Runs a statement and returns the code and the text of its error.
fn error(connection: &mut Connection, stmt: &str) -> (i64, String) {
    let (_, text) = sql(connection, stmt);
    let doc: serde_json::Value = serde_json::from_str(&text).expect("answers are JSON");
    let message = doc["error"]["message"].as_str().unwrap_or_else(|| panic!("{stmt} succeeds: {text}"));
    (doc["error"]["code"].as_i64().unwrap_or_default(), message.to_owned())
}

fn assert_errors(connection: &mut Connection, cases: &[(&str, i64, &str)]) {
    for (stmt, code, part) in cases {
        let (found, message) = error(connection, stmt);
        assert!(found == *code && message.contains(part), "{stmt}: {found} {message}");
    }
}

fn assert_refused(connection: &mut Connection, statements: &[&str]) {
    for stmt in statements {
        let (_, message) = error(connection, stmt);
        assert!(message.contains("not supported by the embedded engine"), "{stmt}: {message}");
    }
}

fn run(connection: &mut Connection, statements: &[&str]) {
    for stmt in statements {
        let (status, text) = sql(connection, stmt);
        assert_eq!(status, 200, "{stmt}: {text}");
    }
}

#[test]
fn a_name_stands_once_in_from_and_with() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    run(&mut c, &["CREATE TABLE a (n INT)", "CREATE TABLE b (n INT)"]);
    let twice = "specified more than once in the FROM clause";
    assert_errors(
        &mut c,
        &[
            ("SELECT 1 FROM a, a", 4000, "\"s.a\" specified more than once"),
            ("SELECT 1 FROM a x JOIN b x ON true", 4000, twice),
            ("SELECT 1 FROM a x JOIN b y ON true JOIN a x ON true", 4000, twice),
            ("SELECT 1 FROM unnest([1]), unnest([1])", 4000, "\"unnest\" specified"),
            ("WITH c AS (SELECT 1), c AS (SELECT 2) SELECT 1", 4000, "\"c\" specified"),
            ("SELECT x.* FROM a", 4000, "The relation \"x\" is not in the FROM clause."),
            ("SELECT a.n FROM a z", 4041, "Relation 's.a' unknown"),
            ("SELECT n FROM a, b", 4006, "Column \"n\" is ambiguous"),
        ],
    );
    assert_eq!(rows(&mut c, "SELECT count(*) FROM a x, a y"), "[[0]]");
}

#[test]
fn definitions_name_only_what_they_may() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    let (default, check) = ("Cannot reference columns in DEFAULT", "cannot refer to column");
    assert_errors(
        &mut c,
        &[
            ("CREATE TABLE t (a INT DEFAULT b + 1, b INT)", 4004, default),
            ("CREATE TABLE t (a INT DEFAULT nosuch)", 4043, "Column nosuch unknown"),
            ("CREATE TABLE t (a INT DEFAULT (SELECT 1))", 4004, "Subquery not supported"),
            ("CREATE TABLE t (a INT CHECK (a > (SELECT 1)))", 4004, "Subquery not supported"),
            ("CREATE TABLE t (a INT CHECK (a > b), b INT)", 4004, check),
            ("CREATE TABLE t (a INT CHECK (nosuch > 1))", 4004, check),
            ("CREATE TABLE t (o OBJECT AS (x INT) CHECK (o['x'] > 0))", 4004, "`o['x']`"),
            ("CREATE TABLE t (a INT, CHECK (nosuch > 1))", 4043, "Column nosuch unknown"),
            (
                "CREATE TABLE t (a INT, CONSTRAINT x CHECK (a > 0), CONSTRAINT x CHECK (a > 1))",
                4000,
                "already declared [x]",
            ),
            ("CREATE TABLE t (a INT, a TEXT)", 4000, "column \"a\" specified more than once"),
            ("CREATE TABLE t (a INT, PRIMARY KEY (a, a))", 4000, "appears twice in primary key"),
            ("CREATE TABLE t (a OBJECT PRIMARY KEY)", 4004, "Cannot use columns of type \"object\""),
            ("CREATE TABLE t (a INT, b INT PRIMARY KEY) CLUSTERED BY (a)", 4000, "must be part of primary keys: [b]"),
        ],
    );
    assert_refused(&mut c, &["CREATE TABLE t (a INT DEFAULT sum(1))", "CREATE TABLE t (a INT CHECK (t.a > 0))"]);
    run(&mut c, &["CREATE TABLE t (a INT DEFAULT 1 NOT NULL, b TIMESTAMP DEFAULT now() NOT NULL)"]);
    // Other faults count before the name.
    assert_errors(
        &mut c,
        &[
            ("CREATE TABLE t (a INT, PRIMARY KEY (b))", 4043, "Column b unknown"),
            ("CREATE TABLE IF NOT EXISTS t (a INT, a INT)", 4000, "more than once"),
            ("CREATE TABLE t (a INT)", 4093, "already exists"),
            ("CREATE VIEW t AS SELECT nosuch", 4004, "Invalid query used in CREATE VIEW"),
        ],
    );
}

#[test]
fn tables_and_views_get_free_names() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    run(&mut c, &["CREATE TABLE a (n INT)", "CREATE VIEW v AS SELECT 1 AS x", "CREATE VIEW w AS SELECT x FROM v"]);
    assert_errors(
        &mut c,
        &[
            ("ALTER TABLE a RENAME TO v", 4000, "Cannot rename table s.a to s.v, view s.v already exists"),
            ("ALTER TABLE v RENAME TO a", 4000, "Cannot rename view s.v to s.a, table s.a already exists"),
        ],
    );
    run(&mut c, &["ALTER TABLE v RENAME TO v2"]);
    assert_eq!(rows(&mut c, "SELECT x FROM v2"), "[[1]]");
    assert_errors(&mut c, &[("SELECT x FROM w", 4041, "Relation 'v' unknown")]);
    run(&mut c, &["CREATE USER u", "GRANT DQL ON VIEW v2 TO u"]);
    assert_refused(&mut c, &["ALTER TABLE v2 RENAME TO v3"]);
}

#[test]
fn show_finds_tables_of_all_schemas_and_columns_of_one() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    run(&mut c, &["CREATE TABLE b (n INT, o OBJECT AS (k TEXT), a INT)", "CREATE TABLE other.a (n INT)"]);
    assert_eq!(rows(&mut c, "SHOW TABLES"), r#"[["a"],["b"]]"#);
    assert_eq!(rows(&mut c, "SHOW TABLES FROM other"), r#"[["a"]]"#);
    let columns = r#"[["a","integer"],["n","integer"],["o","object"],["o['k']","text"]]"#;
    assert_eq!(rows(&mut c, "SHOW COLUMNS FROM b"), columns);
    for nothing in ["SHOW COLUMNS FROM s.b", "SHOW COLUMNS FROM a", "SHOW COLUMNS FROM nosuch"] {
        assert_eq!(rows(&mut c, nothing), "[]", "{nothing}");
    }
}

#[test]
fn parameters_have_no_gaps() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    for stmt in ["SELECT $2", "SELECT $1, $3", "SELECT 1 LIMIT $2"] {
        let (status, text) = post(&mut c, &serde_json::json!({ "stmt": stmt, "args": [1, 2, 3] }).to_string());
        assert!(status == 500 && text.contains("Missing parameters."), "{stmt}: {text}");
    }
    assert_errors(&mut c, &[("SELECT nosuch, $2", 4043, "nosuch")]);
    let (status, text) = post(&mut c, &serde_json::json!({ "stmt": "SELECT ?, $1, $2", "args": [1, 2] }).to_string());
    assert_eq!(status, 200, "{text}");
}

#[test]
fn a_query_in_bulk_spoils_its_connection() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    let (_, text) = post(&mut c, r#"{"stmt":"SELECT 1 WHERE 1 = ?","bulk_args":[[1]]}"#);
    assert!(text.contains("4004"), "{text}");
    assert_refused(&mut c, &["SELECT 1"]);
    assert_eq!(post(&mut engine.connect(), &body("SELECT 1")).0, 200);
}

#[test]
fn null_arrays_count_as_empty_and_elements_get_one_type() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    for (stmt, want) in [
        ("array_append(NULL::int[], 7)", "[7]"),
        ("array_prepend(7, NULL::int[])", "[7]"),
        ("array_unique(NULL::int[])", "[]"),
        ("array_difference([1], NULL::int[])", "[1]"),
        ("array_difference(NULL::int[], [1])", "null"),
        ("array_cat(NULL::int[], [1])", "[1]"),
        ("array_cat(NULL::int[], NULL::int[])", "null"),
        ("array_slice(NULL::int[], 1, 2)", "[]"),
        ("[1] || [2.5]", "[1.0,2.5]"),
        ("array_cat([1], [3000000000])", "[1,3000000000]"),
    ] {
        assert_eq!(rows(&mut c, &format!("SELECT {stmt}")), format!("[[{want}]]"), "{stmt}");
    }
}

#[test]
fn every_part_of_an_interval_has_its_sign() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    for (until, want) in [
        ("2024-01-01T12:30:15.5", "-02:-30:-15.500"),
        ("2024-01-01T10:30:00", "00:-30:00"),
        ("2024-01-01T10:00:00.5", "00:00:-00.500"),
        ("2024-01-03T10:00:00", "-2 days 00:00:00"),
    ] {
        let stmt = format!("SELECT '2024-01-01T10:00:00'::timestamp - '{until}'::timestamp");
        assert_eq!(rows(&mut c, &stmt), format!(r#"[["{want}"]]"#));
    }
}

#[test]
fn literals_and_expressions_meet_null_and_numbers_differently() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    run(&mut c, &["CREATE TABLE t (s TEXT)", "INSERT INTO t VALUES ('1')", "REFRESH TABLE t"]);
    assert_eq!(rows(&mut c, "SELECT 2 * NULL, 1.5 * NULL, (1 + 1) + NULL"), "[[null,null,null]]");
    assert_errors(&mut c, &[("SELECT (1 + 2) * NULL", 4004, "(integer, undefined)")]);
    assert_eq!(rows(&mut c, "SELECT s FROM t WHERE s = 1"), r#"[["1"]]"#);
    assert_refused(
        &mut c,
        &[
            "SELECT s = 1 FROM t",
            "SELECT s FROM t WHERE upper(s) IN (1, 2)",
            "SELECT max(s) > 1 FROM t",
            "SELECT x FROM unnest(['a']) t(x) WHERE x = 1",
            "SELECT {a = 1} = {a = {b = 2}}",
            "SELECT ['2'] || [1]",
            "SELECT s FROM t WHERE count(*) > 1",
            "UPDATE t SET s = max(s)",
        ],
    );
    // A number is read as a double here, so the text is looked at.
    let (_, text) = sql(&mut c, "SELECT 1e30::bigint, avg(x) FROM unnest(['1.50'::numeric]) t(x)");
    assert!(text.contains("[[9223372036854775807,1.50]]"), "{text}");
    assert_errors(
        &mut c,
        &[
            ("SELECT 'x'::int", 4000, "Cannot cast `'x'` of type `text` to type `integer`"),
            ("SELECT 70000::smallint", 4000, "Cannot cast `70000` of type `integer` to type `smallint`"),
        ],
    );
}

#[test]
fn quoted_subscripts_and_odd_settings_are_not_misread() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    run(&mut c, &["CREATE TABLE t (o OBJECT AS (a INT))", "SET standard_conforming_strings = 'on'"]);
    assert_refused(&mut c, &["SELECT \"o['a']\" FROM t"]);
    assert_errors(&mut c, &[("SET standard_conforming_strings = 'off'", 4004, "cannot be changed")]);
    run(&mut c, &["RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT"]);
    let highest = "SELECT mountain, range FROM sys.summits ORDER BY height DESC LIMIT 2";
    assert_eq!(rows(&mut c, highest), r#"[["Mont Blanc","U-Savoy/Aosta"],["Monte Rosa","Valais"]]"#);
}
