//! The engine never panics, never hangs, and a refused statement changes nothing.

use crate::support::{body, engine, post, rows, sql};
use cratedb_cloud_simulator::engine::{Connection, Request};
use std::time::{Duration, Instant};

/// A linear congruential generator: enough to mutate, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

fn statements() -> Vec<String> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cratedb-6.4.3-answers.ndjson");
    let corpus = std::fs::read_to_string(file).expect("the recorded answers are there");
    let stmt = |line: &str| {
        let step: serde_json::Value = serde_json::from_str(line).expect("the recording is JSON");
        let stmt = step["stmt"].as_str().unwrap_or_default();
        stmt.replace("{{schema}}", "s").replace("{{schema2}}", "t").replace("{{user}}", "u")
    };
    corpus.lines().map(stmt).collect()
}

#[test]
fn mutated_statements_never_panic_or_hang() {
    const PIECES: [&str; 24] = [
        "(",
        ")",
        "'",
        "\"",
        ",",
        " NULL ",
        "-1",
        "9223372036854775807",
        "1e308",
        "*",
        " FROM ",
        "::INT",
        "[1]",
        "{a = 1}",
        " ORDER BY 1",
        " LIMIT 1",
        "$1",
        "é",
        "||",
        " AND ",
        "''",
        " NOT ",
        "0",
        ";",
    ];
    let statements = statements();
    let engine = engine("6.4.3");
    let mut connection = engine.connect();
    let mut dice = Dice(42);
    let rounds = std::env::var("ENGINE_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    for round in 0..rounds {
        let mut chars: Vec<char> = statements[dice.below(statements.len())].chars().collect();
        for _ in 0..dice.below(4) {
            let at = dice.below(chars.len() + 1);
            match dice.below(4) {
                0 => {
                    chars.truncate(at);
                }
                1 => {
                    let end = (at + dice.below(8)).min(chars.len());
                    chars.drain(at..end);
                }
                2 => {
                    let other: Vec<char> = statements[dice.below(statements.len())].chars().collect();
                    let from = dice.below(other.len() + 1);
                    chars.splice(at..at, other[from..(from + 12).min(other.len())].iter().copied());
                }
                _ => {
                    chars.splice(at..at, PIECES[dice.below(PIECES.len())].chars());
                }
            }
        }
        let stmt: String = chars.into_iter().collect();
        let started = Instant::now();
        let (status, text) = match dice.below(4) {
            0 => {
                post(&mut connection, &serde_json::json!({ "stmt": stmt, "args": [1, "a", null, [1, 2]] }).to_string())
            }
            1 => post(
                &mut connection,
                &serde_json::json!({ "stmt": stmt, "bulk_args": [[1, "a"], [2, null]] }).to_string(),
            ),
            _ => sql(&mut connection, &stmt),
        };
        assert!([200, 400, 401, 403, 404, 409, 500].contains(&status), "{status} for {stmt}: {text}");
        assert!(started.elapsed() < Duration::from_secs(10), "{stmt} took {:?}", started.elapsed());
        if round % 500 == 0 {
            for table in ["s", "t"] {
                sql(&mut connection, &format!("DROP SCHEMA IF EXISTS {table} CASCADE"));
            }
        }
    }
}

#[test]
fn deep_nesting_is_refused() {
    let engine = engine("6.4.3");
    let mut connection = engine.connect();
    for open in ["(", "[", "NOT ", "-", "CASE WHEN ", "{a = ", "(SELECT ", "+", "abs(", "SELECT * FROM ("] {
        let stmt = format!("SELECT {}", open.repeat(50_000));
        let (status, _) = sql(&mut connection, &stmt);
        assert_eq!(status, 400, "{open}");
    }
    let (status, _) = post(&mut connection, &"[".repeat(1_000_000));
    assert_eq!(status, 400);
}

#[test]
fn a_refused_statement_leaves_everything_as_it_was() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    let setup = [
        "CREATE TABLE t (id INT PRIMARY KEY, n INT, o OBJECT(DYNAMIC), g TEXT) CLUSTERED INTO 1 SHARDS",
        "INSERT INTO t (id, n) VALUES (1, 10), (2, 20)",
        "REFRESH TABLE t",
    ];
    for stmt in setup {
        assert_eq!(sql(&mut c, stmt).0, 200, "{stmt}");
    }
    let state = |c: &mut Connection| {
        let all = [
            "SELECT id, n, g, _seq_no FROM t ORDER BY id",
            "SELECT n FROM t WHERE id IN (1, 2, 3, 4)",
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 's' ORDER BY ordinal_position",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 's'",
            "SELECT settings['stats']['jobs_log_size'] FROM sys.cluster",
            "SHOW search_path",
        ];
        all.map(|stmt| rows(c, stmt))
    };
    let before = state(&mut c);
    let refused = [
        body("INSERT INTO t (id, o) VALUES (3, {a = []})"),
        body("ALTER TABLE t ADD COLUMN x INT, ADD COLUMN y GEO_SHAPE"),
        body("SET GLOBAL stats.jobs_log_size = 7, stats.unknown_here = 1"),
        body("CREATE TABLE v (a INT) PARTITIONED BY (a)"),
        body("DELETE FROM t WHERE g ~ 'a'"),
        body("SET search_path TO 'a,b'"),
        r#"{"stmt": "INSERT INTO t (id, o) VALUES (?, ?)", "bulk_args": [[3, {"k": 1}], [4, {"l": []}]]}"#.into(),
    ];
    for request in refused {
        let (status, text) = post(&mut c, &request);
        assert_eq!((status, text.contains("not supported by the embedded engine")), (400, true), "{request}: {text}");
        assert_eq!(state(&mut c), before, "{request}");
    }
    sql(&mut c, "REFRESH TABLE t");
    assert_eq!(state(&mut c), before);
}

#[test]
fn what_the_grammar_rejects_is_no_refusal() {
    let mut c = engine("6.4.3").connect();
    for stmt in [
        "SELECT 1 SELECT 2",
        "SELECT 1; SELECT 2",
        "SELECT 1 +",
        "SELECT (1",
        "SELECT 'a",
        "SELECT CASE END",
        "SELECT 1abc",
        "ROLLBACK",
        "(SELECT 1)",
        "TRUNCATE TABLE t",
        "SELECT * FROM t LIMIT -1",
        "CREATE TABLE select (a INT)",
        "INSERT INTO t DEFAULT VALUES",
        "UPDATE t SET a = DEFAULT",
        "CREATE USER IF NOT EXISTS u",
        "RESET search_path",
        "SELECT 1 IN ()",
        "SELECT FROM t",
        "CREATE TABLE t (a INT UNIQUE)",
        "CREATE TABLE t (a INT) ENGINE = x",
        "CREATE TABLE t ()",
        "CREATE INDEX i ON t (a)",
        "CREATE TEMPORARY TABLE t (a INT)",
        "ALTER SCHEMA a RENAME TO b",
        "DROP TABLE a, b",
        "DROP DATABASE a",
        "INSERT t VALUES (1)",
        "DELETE t",
        "SET ROLE x",
        "SELECT 1 GROUP x",
        "SELECT count(DISTINCT)",
        "SELECT 1::2",
        ";;",
    ] {
        let (status, text) = sql(&mut c, stmt);
        assert!(status == 400 && text.contains("\"code\":4000"), "{stmt}: {text}");
    }
    for stmt in [
        "SELECT",
        "SELECT 'a' LIKE ANY(['a'])",
        "CREATE FUNCTION f()",
        "CREATE SERVER s FOREIGN DATA WRAPPER jdbc",
        "ALTER CLUSTER REROUTE RETRY FAILED",
        "SELECT 1_000",
    ] {
        let (status, text) = sql(&mut c, stmt);
        assert!(status == 400 && text.contains("not supported by the embedded engine"), "{stmt}: {text}");
    }
}

#[test]
fn functions_keep_to_their_edges() {
    let mut c = engine("6.4.3").connect();
    for (expression, want) in [
        ("left('abc', -1)", "[[\"ab\"]]"),
        ("substr('abc', -1, 2)", "[[\"ab\"]]"),
        ("split_part('a', ',', 3)", "[[\"\"]]"),
        ("'a' || NULL", "[[null]]"),
        ("concat('a', NULL)", "[[\"a\"]]"),
        ("round(-1.5)", "[[-1]]"),
        ("1.0 / 0", "[[\"Infinity\"]]"),
        ("-7 / 2", "[[-3]]"),
        ("2.5::INT", "[[2]]"),
        ("NULL IN (1)", "[[null]]"),
        ("1 = ANY([NULL, 2])", "[[null]]"),
        ("1 = ALL([])", "[[true]]"),
        ("[1, 2][0]", "[[null]]"),
        ("'2024-01-31'::TIMESTAMP + '1 month'::INTERVAL", "[[1709164800000]]"),
        ("extract(WEEK FROM '2021-01-03'::TIMESTAMP)", "[[53]]"),
    ] {
        assert_eq!(rows(&mut c, &format!("SELECT {expression} AS x")), want, "{expression}");
    }
}

#[test]
fn sessions_belong_to_connections_and_users() {
    let engine = engine("6.4.3");
    let mut c = engine.connect();
    let ask = |c: &mut Connection, user: Option<&str>, schema: &str, stmt: &str| {
        let body = body(stmt);
        let request =
            Request { method: "POST", path: "/_sql", user, default_schema: Some(schema), body: body.as_bytes() };
        let answer = c.handle(&request);
        (answer.status, String::from_utf8(answer.body).expect("answers are UTF-8"))
    };
    assert!(ask(&mut c, None, "one", "SELECT current_schema").1.contains("\"one\""));
    assert!(ask(&mut c, None, "two", "SELECT current_schema").1.contains("\"one\""), "the header counts only once");
    assert_eq!(ask(&mut c, Some("ann"), "two", "SELECT 1").0, 401);
    assert_eq!(ask(&mut c, None, "two", "CREATE USER ann").0, 200);
    assert!(ask(&mut c, Some("ann"), "two", "SELECT current_schema, current_user").1.contains("[\"two\",\"ann\"]"));
    assert!(ask(&mut c, None, "three", "SELECT current_schema").1.contains("\"three\""), "a new session");
}

#[test]
fn older_servers_know_less() {
    let mut old = engine("5.10.16").connect();
    assert_eq!(sql(&mut old, "CREATE SCHEMA x").0, 400);
    assert!(sql(&mut old, "DROP SCHEMA IF EXISTS x CASCADE").1.contains("\"code\":4000"));
    let mut middle = engine("6.2.3").connect();
    assert_eq!(sql(&mut middle, "CREATE SCHEMA x").0, 200);
    assert!(sql(&mut middle, "DROP SCHEMA IF EXISTS x CASCADE").1.contains("\"code\":4000"));
    assert_eq!(sql(&mut middle, "DROP SCHEMA IF EXISTS x").0, 200);
}

#[test]
fn the_root_says_who_it_is() {
    let mut connection = engine("6.1.2").connect();
    let request = Request { method: "GET", path: "/", user: None, default_schema: None, body: b"" };
    let answer = connection.handle(&request);
    let doc: serde_json::Value = serde_json::from_slice(&answer.body).expect("a JSON document");
    assert_eq!((answer.status, &doc["version"]["number"], &doc["ok"]), (200, &"6.1.2".into(), &true.into()));
}

#[test]
fn two_hundred_connections_at_once_are_quick() {
    let engine = engine("6.4.3");
    let started = Instant::now();
    let work = |i: usize| {
        let mut c = engine.connect();
        for stmt in [
            format!("CREATE TABLE s{i}.t (id INT PRIMARY KEY, v TEXT) CLUSTERED INTO 1 SHARDS"),
            format!("INSERT INTO s{i}.t VALUES (1, 'a'), (2, 'b')"),
            format!("REFRESH TABLE s{i}.t"),
            format!("SELECT count(*) FROM s{i}.t WHERE v = 'a'"),
            format!("DROP SCHEMA IF EXISTS s{i} CASCADE"),
        ] {
            assert_eq!(sql(&mut c, &stmt).0, 200, "{stmt}");
        }
    };
    std::thread::scope(|scope| {
        for i in 0..200 {
            let work = &work;
            scope.spawn(move || work(i));
        }
    });
    let each = started.elapsed() / 1000;
    println!("{each:?} a statement");
    assert!(each < Duration::from_millis(2), "{each:?} a statement");
}

#[test]
fn statistics_of_shards_are_answered_where_the_shards_of_rows_make_no_difference() {
    let engine = engine("6.4.3");
    let mut connection = engine.connect();
    for statement in [
        "CREATE TABLE s.several (a INT) CLUSTERED INTO 4 SHARDS WITH (number_of_replicas = 0)",
        "CREATE TABLE s.single (a INT) CLUSTERED INTO 1 SHARDS WITH (number_of_replicas = 0)",
        "INSERT INTO s.several VALUES (1), (2), (3)",
        "INSERT INTO s.single VALUES (1), (2)",
        "REFRESH TABLE s.several, s.single",
    ] {
        assert_eq!(sql(&mut connection, statement).0, 200, "{statement}");
    }
    let delta = "MAX(seq_no_stats['local_checkpoint'] - seq_no_stats['global_checkpoint'])";
    for (expression, expected) in [
        (delta, "0"),
        ("SUM(num_docs)", "5"),
        ("COUNT(*)", "5"),
        // An estimate.
        ("COALESCE(SUM(translog_stats['uncommitted_size']), 0) > 5 * 55", "true"),
        ("MAX(CASE WHEN table_name = 'single' THEN seq_no_stats['max_seq_no'] END)", "1"),
    ] {
        let answer = rows(&mut connection, &format!("SELECT {expression} FROM sys.shards"));
        assert_eq!(answer, format!("[[{expected}]]"), "{expression}");
    }
    for statement in [
        "SELECT MAX(num_docs) FROM sys.shards WHERE table_name = 'several'",
        "SELECT COUNT(*) FROM sys.shards WHERE num_docs > 0",
        "SELECT translog_stats['size'] FROM sys.shards WHERE table_name = 'single'",
        "SELECT MAX(translog_stats['size'] - translog_stats['uncommitted_size']) FROM sys.shards WHERE id = 0",
        "SELECT MAX(translog_stats['size']) FROM sys.shards",
        "SELECT SUM(translog_stats['size']) FROM sys.shards GROUP BY table_name",
        "SELECT id FROM sys.shards WHERE table_name = 'several' AND seq_no_stats['max_seq_no'] = -1 ORDER BY id",
        "SELECT * FROM (SELECT num_docs AS n, id FROM sys.shards WHERE table_name = 'several') t ORDER BY id",
        "CREATE TABLE s.copy AS SELECT num_docs FROM sys.shards",
        "INSERT INTO s.single SELECT num_docs FROM sys.shards WHERE table_name = 'single'",
    ] {
        let (status, text) = sql(&mut connection, statement);
        assert!(status == 400 && text.contains("embedded engine"), "{statement}: {status} {text}");
    }
    sql(&mut connection, "DROP TABLE s.several");
    assert_eq!(rows(&mut connection, "SELECT num_docs, seq_no_stats['max_seq_no'] FROM sys.shards"), "[[2,1]]");
}
