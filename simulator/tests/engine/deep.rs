//! No statement, argument or stored definition exhausts the stack, and long chains of operators are no deep trees.

use crate::support::{engine, post, rows, sql};
use cratedb_cloud_simulator::engine::Connection;

/// The least that a runtime or the test harness gives a thread.
const STACK: usize = 2 << 20;

fn on_a_small_stack(work: impl FnOnce(Connection) + Send + 'static) {
    let work = move || work(engine("6.4.3").connect());
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread");
    thread.join().expect("the work ends well");
}

fn repeated(first: &str, next: &str, times: usize) -> String {
    first.to_owned() + &next.repeat(times)
}

#[test]
fn long_chains_of_operators_are_answered() {
    on_a_small_stack(|mut c| {
        for stmt in [
            "CREATE TABLE t (id INT PRIMARY KEY, n INT, v TEXT, b BOOLEAN) CLUSTERED INTO 1 SHARDS",
            "INSERT INTO t VALUES (1, 10, 'a', true), (2, 20, 'b', false)",
            "REFRESH TABLE t",
        ] {
            assert_eq!(sql(&mut c, stmt).0, 200, "{stmt}");
        }
        let mut is = |stmt: String, want: &str| {
            let got = rows(&mut c, &stmt);
            assert!(got == want, "{stmt:.80}… gives {got:.80}");
        };
        let keys = |op: &str| (1..=2000).map(|i| format!("id = {i}")).collect::<Vec<_>>().join(op);
        is(format!("SELECT n FROM t WHERE {}", repeated("id = 1", " AND n > 0", 2000)), "[[10]]");
        is(format!("SELECT count(*) FROM t WHERE {}", keys(" OR ")), "[[2]]");
        is(format!("SELECT count(*) FROM t WHERE {}", keys(" AND ")), "[[0]]");
        is(format!("SELECT {} AS x FROM t WHERE id = 2", repeated("b", " OR n = 1", 2000)), "[[false]]");
        is(format!("SELECT {} AS x", repeated("1", " + 1", 5000)), "[[5001]]");
        is(format!("SELECT {} FROM t WHERE id = 1", repeated("n", " + 1 - 2 * 3", 1000)), "[[-4990]]");
        is(format!("SELECT length({}) FROM t WHERE id = 1", repeated("v", " || 'xy'", 1000)), "[[2001]]");
        is(format!("SELECT count(*) FROM ({}) u", repeated("SELECT 1", " UNION ALL SELECT 1", 1000)), "[[1001]]");
        is(repeated("SELECT 1", " UNION SELECT 1 UNION ALL SELECT 2", 2), "[[1],[2],[2]]");
        is(format!("SELECT n + 1 + {} FROM t GROUP BY n + 1 ORDER BY 1", repeated("1", " * 1", 1000)), "[[12],[22]]");
        is("SELECT (b AND n > 0 AND true) AS x FROM t GROUP BY b AND n > 0 ORDER BY 1".into(), "[[false],[true]]");
    });
}

/// Statements with a part that can be repeated inside itself: what stands before, the part's opening, the innermost
/// part, the part's closing, and what stands after.
const NESTS: [[&str; 5]; 27] = [
    ["SELECT ", "(", "1", ")", ""],
    ["SELECT ", "NOT ", "true", "", ""],
    ["SELECT ", "- ", "1", "", ""],
    ["SELECT ", "+ ", "1", "", ""],
    ["SELECT ", "abs(", "1", ")", ""],
    ["SELECT ", "coalesce(NULL, ", "1", ")", ""],
    ["SELECT ", "[", "1", "]", ""],
    ["SELECT ", "{a = ", "1", "}", ""],
    ["SELECT ", "CASE WHEN true THEN 1 ELSE ", "1", " END", ""],
    ["SELECT ", "CASE WHEN ", "true", " THEN true END", ""],
    ["SELECT ", "CAST(", "1", " AS INT)", ""],
    ["SELECT ", "1 + (", "1", ")", ""],
    ["SELECT ", "1 = (", "1", ")", ""],
    ["SELECT ", "(SELECT ", "1", ")", ""],
    ["SELECT ", "ARRAY(SELECT ", "1", ")", ""],
    ["SELECT ", "EXISTS (SELECT ", "1", ")", ""],
    ["SELECT ", "1 IN (", "1", ")", ""],
    ["SELECT * FROM ", "(SELECT * FROM ", "(SELECT 1) a", ") a", ""],
    ["SELECT 1", "::INT", "", "", ""],
    ["SELECT NULL::INT", "[]", "", "", ""],
    ["SELECT o", "['a']", "", "", " FROM (SELECT {a = 1} AS o) t"],
    ["SELECT 1 FROM (SELECT 1) a", ", (SELECT 1) a", "", "", ""],
    ["SELECT 1 FROM (SELECT 1) a", " JOIN (SELECT 1) a ON true", "", "", ""],
    ["SELECT 1 WHERE [1]", " && [1]", "", "", ""],
    ["", "EXPLAIN ", "SELECT 1", "", ""],
    ["SELECT NULL::", "ARRAY(", "INT", ")", ""],
    ["UPDATE t SET o", "['a']", "", "", " = 1"],
];

#[test]
fn nesting_is_answered_or_refused_at_every_depth() {
    on_a_small_stack(|mut c| {
        for [before, open, middle, close, after] in NESTS {
            for n in (1..70).chain([100, 500, 20_000]) {
                let stmt = [before, &open.repeat(n), middle, &close.repeat(n), after].concat();
                let (status, text) = sql(&mut c, &stmt);
                assert!([200, 400, 404].contains(&status), "{before}{open}… × {n}: {status} {text:.200}");
            }
        }
    });
}

#[test]
fn nesting_in_several_places_is_no_deeper_than_in_one() {
    on_a_small_stack(|mut c| {
        let inner = |n: usize| format!("(SELECT 1 AS x FROM {})", vec!["(SELECT 1) a"; n].join(", "));
        let mut from = inner(40);
        for _ in 0..20 {
            from = format!("(SELECT a.x FROM {from} a{})", ", (SELECT 1) b".repeat(40));
            assert_eq!(sql(&mut c, &format!("SELECT 1 FROM {from} a")).0, 400);
        }
        let mut value = String::from("1");
        for _ in 0..25 {
            value = format!("({value}{})", "::INT".repeat(50));
            let (status, _) = sql(&mut c, &format!("SELECT {value}"));
            assert!([200, 400].contains(&status));
        }
    });
}

#[test]
fn arguments_are_answered_or_refused_at_every_depth() {
    on_a_small_stack(|mut c| {
        assert_eq!(sql(&mut c, "CREATE TABLE t (id INT, o OBJECT(DYNAMIC), i OBJECT(IGNORED), a ARRAY(INT))").0, 200);
        for n in (1..130).chain([10_000]) {
            let object = format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
            let array = format!("{}1{}", "[".repeat(n), "]".repeat(n));
            for arg in [&object, &array] {
                for stmt in ["INSERT INTO t (o) VALUES (?)", "INSERT INTO t (i) VALUES (?)", "SELECT ?, ?::TEXT"] {
                    let (status, text) = post(&mut c, &format!(r#"{{"stmt": "{stmt}", "args": [{arg}, {arg}]}}"#));
                    assert!([200, 400].contains(&status), "{stmt} × {n}: {status} {text:.200}");
                }
            }
        }
        let (status, text) = sql(&mut c, "SELECT column_name FROM information_schema.columns WHERE table_name = 't'");
        assert_eq!(status, 200, "{text}");
    });
}
