//! Faults that statements which the engine had never seen brought to light, each with its neighbours. The expected
//! answers are those of a real CrateDB 6.4.3.

use crate::support::{engine, post, rows, sql};
use cratedb_cloud_simulator::engine::Connection;

fn connection() -> Connection {
    engine("6.4.3").connect()
}

/// Runs statements and returns the rowcounts.
fn counts(c: &mut Connection, statements: &[&str]) -> Vec<i64> {
    let count = |stmt: &&str| {
        let (status, text) = sql(c, stmt);
        assert_eq!(status, 200, "{stmt}: {text}");
        serde_json::from_str::<serde_json::Value>(&text).expect("answers are JSON")["rowcount"].as_i64().unwrap_or(-9)
    };
    statements.iter().map(count).collect()
}

#[track_caller]
fn assert_error(c: &mut Connection, stmt: &str, code: u32, part: &str) {
    let (_, text) = sql(c, stmt);
    assert!(text.contains(&format!("\"code\":{code}}}")) && text.contains(part), "{stmt}: {text}");
}

#[track_caller]
fn assert_refused(c: &mut Connection, stmt: &str) {
    let (_, text) = sql(c, stmt);
    assert!(text.contains("not supported by the embedded engine"), "{stmt}: {text}");
}

#[test]
fn a_search_reads_points_as_their_index_has_them_and_a_key_as_they_were_written() {
    let mut c = connection();
    counts(&mut c, &["CREATE TABLE g (id INT PRIMARY KEY, p GEO_POINT, o OBJECT AS (p GEO_POINT))"]);
    assert_eq!(rows(&mut c, "INSERT INTO g (id, p) VALUES (1, [9.7, 47.4]) RETURNING p"), "[[[9.7,47.4]]]");
    counts(&mut c, &["INSERT INTO g (id, p) VALUES (2, 'POINT (16.3 48.2)'), (3, [180, 90])", "REFRESH TABLE g"]);
    assert_eq!(rows(&mut c, "SELECT p FROM g WHERE id = 1"), "[[[9.7,47.4]]]");
    assert_eq!(rows(&mut c, "SELECT p FROM g WHERE id > 2"), "[[[179.99999991618097,89.99999995809048]]]");
    assert_eq!(rows(&mut c, "SELECT array_agg(p) FROM g WHERE id < 2"), "[[[[9.699999941512942,47.3999999742955]]]]");
    for stmt in ["SELECT p, id FROM g ORDER BY id", "SELECT p FROM g LIMIT 1"] {
        assert_refused(&mut c, stmt);
    }
    assert_refused(&mut c, "INSERT INTO g (id, o) VALUES (4, {p = [1.5, 2.7]})");
}

#[test]
fn rows_that_fail_are_left_out_of_statements_about_several() {
    let mut c = connection();
    counts(&mut c, &["CREATE TABLE t (id INT, n INT NOT NULL, m INT CHECK (m < 100), s VARCHAR(3))"]);
    let written = counts(
        &mut c,
        &[
            "INSERT INTO t (id, n, m, s) VALUES (1, 1, 1, 'a'), (2, 2, 50, 'b')",
            "INSERT INTO t (id, n, s) VALUES (3, 3, 'cccc'), (5, 4, 'd')",
            "INSERT INTO t (id, n) VALUES (3, NULL), (5, 4)",
            "INSERT INTO t (id, n, m) VALUES (3, 1, 100), (5, 4, 99)",
            "INSERT INTO t (id, n, m) SELECT col1, 1, 400 FROM unnest([1, 2]) AS u (col1)",
            "INSERT INTO t (id) VALUES (3), (4)",
            "REFRESH TABLE t",
            "UPDATE t SET m = m * 3",
            "UPDATE t SET s = 'abcd'",
            "UPDATE t SET n = 10 / (id - 1)",
        ],
    );
    assert_eq!(written, [2, 1, 1, 1, 0, 0, 1, 3, 0, 4]);
    assert_eq!(rows(&mut c, "UPDATE t SET m = 500 RETURNING id"), "[]");
    assert_error(&mut c, "INSERT INTO t (id, n, s) VALUES (3, 3, 'cccc')", 4000, "too long");
    assert_error(&mut c, "UPDATE t SET n = NULL WHERE false", 4000, "must not be null");
}

#[test]
fn a_row_that_a_key_names_fails_its_statement() {
    let mut c = connection();
    counts(&mut c, &["CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL, m INT CHECK (m < 100))"]);
    counts(&mut c, &["INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)", "REFRESH TABLE t"]);
    assert_error(&mut c, "UPDATE t SET m = 500 WHERE id = 1", 4000, "CHECK");
    assert_error(&mut c, "UPDATE t SET n = nullif(n, 1) WHERE id = 1", 4000, "must not be null");
    assert_error(&mut c, "UPDATE t SET n = 10 / (id - 1) WHERE id = 1", 4000, "/ by zero");
    assert_error(&mut c, "INSERT INTO t (id, n) VALUES (8, 8), (NULL, 5)", 4000, "primary key value must not be NULL");
    assert_eq!(rows(&mut c, "SELECT n FROM t WHERE id = 8"), "[]");
    // CrateDB keeps the rows before the one that fails.
    assert_refused(&mut c, "UPDATE t SET m = m * 60 WHERE id IN (1, 2)");
}

#[test]
fn a_value_for_a_generated_column_has_to_be_the_calculated_one() {
    let mut c = connection();
    counts(&mut c, &["CREATE TABLE t (id INT PRIMARY KEY, a INT, g INT GENERATED ALWAYS AS a * 2)"]);
    let written = counts(
        &mut c,
        &[
            "INSERT INTO t (id, a, g) VALUES (1, 2, 4)",
            "INSERT INTO t VALUES (6, 3, 6)",
            "INSERT INTO t (id, a, g) VALUES (2, 2, 5), (3, 2, 4)",
            "UPDATE t SET a = 5, g = 10 WHERE id = 1",
        ],
    );
    assert_eq!(written, [1, 1, 1, 1]);
    for stmt in [
        "INSERT INTO t (id, a, g) VALUES (2, 2, 5)",
        "INSERT INTO t VALUES (4, 2, NULL)",
        "UPDATE t SET g = 4 WHERE id = 1",
    ] {
        assert_error(&mut c, stmt, 4000, "does not match calculation");
    }
    assert_eq!(rows(&mut c, "SELECT a, g FROM t WHERE id = 1"), "[[5,10]]");
}

/// With this key, CrateDB computes generated columns of updated rows from the wrong parts of the key.
#[test]
fn an_update_of_a_table_clustered_by_a_later_column_of_its_key_is_refused_if_columns_are_computed() {
    let mut c = connection();
    let columns = "ts TIMESTAMP, d TEXT, n INT, PRIMARY KEY (ts, d)";
    let generated = "h TIMESTAMP GENERATED ALWAYS AS date_trunc('hour', ts)";
    counts(
        &mut c,
        &[
            &format!("CREATE TABLE a ({columns}, {generated}) CLUSTERED BY (d)"),
            &format!("CREATE TABLE b ({columns}, {generated}) CLUSTERED BY (ts)"),
            &format!("CREATE TABLE e ({columns}) CLUSTERED BY (d)"),
        ],
    );
    for (table, fine) in [("a", false), ("b", true), ("e", true)] {
        let insert = format!("INSERT INTO {table} (ts, d, n) VALUES ('2024-05-01', 'x', 1)");
        counts(&mut c, &[&insert]);
        for change in [
            format!("{insert} ON CONFLICT (ts, d) DO UPDATE SET n = 2"),
            format!("UPDATE {table} SET n = 3 WHERE ts = '2024-05-01' AND d = 'x'"),
        ] {
            if fine { assert_eq!(counts(&mut c, &[&change]), [1], "{change}") } else { assert_refused(&mut c, &change) }
        }
    }
}

#[test]
fn operands_become_booleans_but_a_whole_condition_has_to_be_one() {
    let mut c = connection();
    counts(&mut c, &["CREATE TABLE t (id INT, n INT, s TEXT, b BOOLEAN)"]);
    counts(&mut c, &["INSERT INTO t VALUES (1, 10, 'x', true), (2, 0, 'true', false)", "REFRESH TABLE t"]);
    let selected = rows(&mut c, "SELECT n AND true, NOT n, CASE WHEN n THEN 1 ELSE 0 END FROM t ORDER BY id");
    assert_eq!(selected, "[[true,false,1],[false,true,0]]");
    assert_eq!(rows(&mut c, "SELECT id FROM t WHERE n AND b"), "[[1]]");
    assert_eq!(rows(&mut c, "SELECT NOT 1, 5 OR false, 1 AND 0"), "[[false,true,false]]");
    for column in ["n", "s", "id"] {
        assert_error(&mut c, &format!("SELECT id FROM t WHERE {column}"), 4004, "Can't build query");
    }
    assert_error(&mut c, "SELECT id FROM t WHERE NOT s", 4000, "Cannot cast value `x` to type `boolean`");
}

#[test]
fn texts_and_numbers_become_what_an_operator_needs() {
    let mut c = connection();
    counts(&mut c, &["CREATE TABLE t (s TEXT, n INT, d DOUBLE PRECISION, m NUMERIC(10, 2), b BOOLEAN, a ARRAY(INT))"]);
    counts(&mut c, &["INSERT INTO t VALUES ('5', 10, 2.5, 5.00, true, [1])", "REFRESH TABLE t"]);
    assert_eq!(rows(&mut c, "SELECT s + 1, s * 2, s + 1.5, s + s FROM t"), "[[6,10,6.5,10]]");
    assert_eq!(
        rows(&mut c, "SELECT n LIKE '1%', b LIKE 't%', d || 'x', upper(m) FROM t"),
        r#"[[true,true,"2.5x","5.00"]]"#
    );
    assert_eq!(rows(&mut c, "SELECT m * 1.2 = 6, m - d = 2.5::NUMERIC FROM t"), "[[true,true]]");
    for stmt in ["SELECT a = 1 FROM t", "SELECT n = a FROM t", "SELECT a * 2 FROM t", "SELECT b - 1 FROM t"] {
        assert_error(&mut c, stmt, 4004, "Invalid arguments");
    }
    for stmt in ["SELECT b::INT FROM t", "SELECT a::TEXT FROM t", "SELECT s::ARRAY(INT) FROM t", "SELECT true::INT"] {
        assert_error(&mut c, stmt, 4000, "Cannot cast expressions from type");
    }
}

#[test]
fn columns_have_types_that_are_stored() {
    let mut c = connection();
    for (ty, part) in [
        ("NUMERIC", "only supported if precision and scale"),
        ("ARRAY(DECIMAL)", "only supported if precision and scale"),
        ("NUMERIC(39, 1)", "Only up to 38"),
        ("DATE", "`date` does not support storage"),
        ("OBJECT AS (i INTERVAL)", "`interval` does not support storage"),
        ("ARRAY(INTERVAL)", "`interval_array` does not support storage"),
        ("TIMETZ", "`time with time zone` does not support storage"),
    ] {
        assert_error(&mut c, &format!("CREATE TABLE t (a {ty})"), 4004, part);
    }
    counts(&mut c, &["CREATE TABLE t (a NUMERIC(5))", "INSERT INTO t VALUES (12.5)", "REFRESH TABLE t"]);
    assert_eq!(rows(&mut c, "SELECT a = 13 FROM t"), "[[true]]");
}

#[test]
fn what_needs_a_relation_whose_create_was_refused_is_refused_too() {
    let mut c = connection();
    assert_refused(&mut c, "CREATE TABLE IF NOT EXISTS p (a INT) PARTITIONED BY (a)");
    assert_refused(&mut c, "CREATE TABLE s.q (a GEO_SHAPE)");
    for stmt in ["INSERT INTO p VALUES (1)", "SELECT * FROM s.p", "REFRESH TABLE q", "SELECT 1 FROM q WHERE false"] {
        assert_refused(&mut c, stmt);
    }
    // Others are just unknown.
    assert_error(&mut c, "SELECT * FROM other", 4041, "unknown");
    assert_refused(&mut c, "DROP TABLE IF EXISTS p");
    assert_error(&mut c, "SELECT * FROM p", 4041, "unknown");
    counts(&mut c, &["CREATE TABLE q (a INT)", "INSERT INTO q VALUES (1)"]);
}

/// The text of a client in a message decides nothing.
#[test]
fn no_error_is_judged_by_its_words() {
    let mut c = connection();
    counts(&mut c, &["CREATE TABLE t (id INT, n INT)", "INSERT INTO t VALUES (1, 1), (2, 2)", "REFRESH TABLE t"]);
    let words = "x is not supported by the embedded engine";
    assert_eq!(rows(&mut c, &format!("SELECT TRY_CAST('{words}' AS INT)")), "[[null]]");
    assert_eq!(counts(&mut c, &[&format!("UPDATE t SET n = concat('{words}', id)::INT")]), [0]);
    assert_error(&mut c, "SELECT '[count can''t be handled here]'::INT", 4000, "Cannot cast");
}

/// Java's results, to the last digit. The system's library gives others.
#[test]
fn arcs_and_logarithms_are_those_of_java() {
    let mut c = connection();
    for (expression, want) in [
        ("asin(0.3)", "0.3046926540153975"),
        ("acos(0.9)", "0.45102681179626236"),
        ("atan(0.3)", "0.2914567944778671"),
        ("atan2(0.1, 0.3)", "0.32175055439664224"),
        ("log(7)", "0.8450980400142568"),
        ("log(50)", "1.6989700043360187"),
    ] {
        let (_, text) = sql(&mut c, &format!("SELECT {expression}"));
        assert!(text.contains(&format!("[[{want}]]")), "{expression}: {text}");
    }
}

#[test]
fn arguments_are_left_out_and_converted_in_rows_of_arguments_too() {
    let mut c = connection();
    counts(&mut c, &["CREATE TABLE t (s VARCHAR(2), n INT NOT NULL)"]);
    let insert = r#"{"stmt": "INSERT INTO t VALUES (?, ?)", "bulk_args": [["abc", 1], ["ab", 2], ["a", null]]}"#;
    let (_, text) = post(&mut c, insert);
    assert!(text.contains("\"rowcount\":1") && text.matches("\"rowcount\":-2").count() == 2, "{text}");
    counts(&mut c, &["REFRESH TABLE t"]);
    let (_, text) = post(&mut c, r#"{"stmt": "UPDATE t SET s = ?", "args": ["abc"]}"#);
    assert!(text.contains("\"rowcount\":0"), "{text}");
    let (_, text) = post(&mut c, r#"{"stmt": "UPDATE t SET n = ?", "args": [null]}"#);
    assert!(text.contains("must not be null"), "{text}");
}

/// CrateDB computes constants before it shows them.
#[test]
fn defaults_are_shown_as_cratedb_keeps_them() {
    let mut c = connection();
    let shown = |c: &mut Connection, default: &str| {
        counts(c, &["DROP TABLE IF EXISTS t", &format!("CREATE TABLE t (a {default})")]);
        sql(c, "SELECT column_default FROM information_schema.columns WHERE table_name = 't'").1
    };
    for (default, want) in [
        ("TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
        ("TIMESTAMP DEFAULT now()", "now()"),
        ("TEXT DEFAULT current_user", "CURRENT_USER"),
        ("INT DEFAULT -1", "-1"),
        ("INT DEFAULT '5'", "'5'"),
    ] {
        let text = shown(&mut c, default);
        assert!(text.contains(&format!("[[\"{want}\"]]")), "{default}: {text}");
    }
    for default in ["INT DEFAULT 1 + 2", "TEXT DEFAULT upper('x')", "TIMESTAMP DEFAULT now() - INTERVAL '1' DAY"] {
        let text = shown(&mut c, default);
        assert!(text.contains("not supported by the embedded engine"), "{default}: {text}");
    }
}
