//! Tests the hint by what a test sent. Each line is a statement that was sent so many milliseconds after the one before
//! it was answered, and the rows that its answer told of. Every statement takes one millisecond.

use super::*;

/// Returns what a failed test that sent this is told.
fn told(sent: &[(u64, &str, u64)]) -> Option<String> {
    let (mut unseen, mut now) = (Unseen::default(), 0);
    for (after, stmt, rows) in sent {
        let at = Duration::from_millis(now + after);
        now += after + 1;
        unseen.note(stmt, at, Duration::from_millis(now), *rows);
    }
    unseen.told()
}

const MAKE: (u64, &str, u64) = (0, "CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)", 1);
const WRITE: (u64, &str, u64) = (0, "INSERT INTO readings (id, value) VALUES (1, 2.5)", 1);
const REFRESH: (u64, &str, u64) = (0, "REFRESH TABLE readings", 1);

/// The statements of a test, and a part of the hint.
type Case<'a> = (&'a [(u64, &'a str, u64)], &'a str);

#[test]
fn a_read_that_missed_rows_is_named() {
    let cases: [Case<'_>; 24] = [
        (
            &[MAKE, WRITE, (3, "SELECT * FROM readings", 0)],
            "`readings` was written 3 ms before the SELECT that found nothing",
        ),
        // However late: an empty answer says that nothing is visible yet.
        (&[MAKE, WRITE, (3000, "SELECT value FROM readings", 0)], "3000 ms before the SELECT that found nothing"),
        (
            &[WRITE, (2, "SELECT * FROM readings", 0)],
            "`readings` was written 2 ms before the SELECT that found nothing",
        ),
        (&[MAKE, WRITE, (0, "SELECT count(*) FROM readings", 1)], "`readings` was written 0 ms before the SELECT,"),
        (&[MAKE, WRITE, (0, "select MAX(value) from Readings", 1)], "`readings` was written"),
        (&[MAKE, WRITE, (1, "SELECT * FROM readings WHERE value > 1", 0)], "found nothing"),
        (&[MAKE, WRITE, (1, "SELECT count(*) FROM readings GROUP BY value", 0)], "found nothing"),
        // Not the key of this table.
        (
            &[
                (0, "CREATE TABLE readings (id INT, value INT)", 1),
                WRITE,
                (1, "SELECT * FROM readings WHERE id = 1", 0),
            ],
            "found nothing",
        ),
        (&[MAKE, WRITE, (1, "SELECT * FROM readings WHERE id = 1 OR value = 2.5", 0)], "found nothing"),
        (
            &[MAKE, WRITE, REFRESH, WRITE, (4, "SELECT * FROM readings", 1)],
            "`readings` was written 4 ms before the SELECT,",
        ),
        (
            &[
                MAKE,
                WRITE,
                REFRESH,
                (0, "UPDATE readings SET value = 3 WHERE id = 1", 1),
                (5, "SELECT value FROM readings WHERE value = 3", 0),
            ],
            "5 ms before the SELECT that found nothing",
        ),
        (
            &[MAKE, WRITE, REFRESH, (0, "DELETE FROM readings WHERE id = 1", 1), (0, "SELECT * FROM readings", 1)],
            "`readings` was written",
        ),
        (
            &[MAKE, WRITE, (1, "UPDATE readings SET value = 3 WHERE value = 2.5", 0)],
            "before the UPDATE that changed nothing",
        ),
        (&[MAKE, WRITE, (1, "DELETE FROM readings", 0)], "before the DELETE that changed nothing"),
        (
            &[MAKE, WRITE, (1, "INSERT INTO copy (SELECT * FROM readings)", 0)],
            "before the INSERT that inserted nothing",
        ),
        (&[MAKE, WRITE, (1, "COPY readings TO DIRECTORY '/tmp/x'", 0)], "before the COPY that exported nothing"),
        (&[MAKE, (0, "COPY readings FROM '/tmp/x'", 20), (9, "SELECT * FROM readings", 0)], "9 ms before"),
        (
            &[
                MAKE,
                (0, "INSERT INTO readings (id) (SELECT i FROM generate_series(1, 9) AS g(i))", 9),
                (0, "SELECT * FROM readings", 0),
            ],
            "`readings`",
        ),
        (&[MAKE, WRITE, (0, "SELECT * FROM devices d JOIN doc.readings r ON r.id = d.id", 0)], "`readings`"),
        (&[MAKE, WRITE, (0, "SELECT (SELECT count(*) FROM readings), 1", 1)], "`readings`"),
        (&[MAKE, WRITE, (0, "WITH r AS (SELECT * FROM readings) SELECT * FROM r", 0)], "`readings`"),
        (&[MAKE, WRITE, (0, "SELECT extract(day FROM now()), value FROM devices, readings", 0)], "`readings`"),
        (
            &[
                (0, "CREATE TABLE \"My \"\"T\"\"\" (a INT)", 1),
                (0, "INSERT INTO \"My \"\"T\"\"\" VALUES (1)", 1),
                (0, "SELECT * FROM \"My \"\"T\"\"\"", 0),
            ],
            "`My \"T\"` was written",
        ),
        // A refresh of another table is none.
        (&[MAKE, WRITE, (0, "REFRESH TABLE devices, doc.other", 1), (0, "SELECT * FROM readings", 0)], "`readings`"),
    ];
    for (sent, part) in cases {
        let told = told(sent);
        assert!(told.as_ref().is_some_and(|told| told.contains(part)), "{sent:?}: {told:?}");
    }
}

#[test]
fn a_test_that_failed_for_another_reason_is_told_nothing() {
    let cases: [&[(u64, &str, u64)]; 27] = [
        &[],
        &[(0, "SELECT 1", 1)],
        &[MAKE, WRITE],
        &[MAKE, (0, "SELECT * FROM readings", 0)],
        &[MAKE, (0, "SELECT * FROM readings", 0), WRITE],
        &[MAKE, WRITE, REFRESH, (0, "SELECT * FROM readings", 0)],
        &[MAKE, WRITE, (0, "REFRESH of all tables", 0), (0, "SELECT * FROM readings", 0)],
        &[MAKE, WRITE, (0, "refresh table devices, doc.\"readings\"", 2), (0, "SELECT * FROM readings", 0)],
        &[MAKE, WRITE, (0, "REFRESH TABLE readings PARTITION (day = 1), devices", 2), (0, "SELECT * FROM readings", 0)],
        &[MAKE, WRITE, (0, "OPTIMIZE TABLE readings", 1), (0, "SELECT * FROM readings", 0)],
        // Refreshed as soon as the test saw what it meant.
        &[MAKE, WRITE, (0, "SELECT * FROM readings", 0), REFRESH, (0, "SELECT * FROM readings", 1)],
        // The server refreshed it by itself.
        &[MAKE, WRITE, (0, "SELECT * FROM readings", 0), (900, "SELECT * FROM readings", 1)],
        &[WRITE, (900, "SELECT count(*) FROM readings", 1)],
        &[MAKE, WRITE, REFRESH, WRITE, (900, "SELECT * FROM readings", 1)],
        // Keys need no refresh.
        &[MAKE, WRITE, (0, "SELECT value FROM readings WHERE id = 2", 0)],
        &[MAKE, WRITE, (0, "SELECT value FROM readings AS r WHERE r.id IN (2, 3)", 0)],
        &[MAKE, WRITE, (0, "SELECT count(*) FROM readings WHERE value > 1 AND id = 1 LIMIT 1", 1)],
        &[WRITE, (0, "SELECT value FROM readings WHERE \"id\" = ?", 0)],
        &[WRITE, (0, "SELECT value FROM readings WHERE _id = ?", 0)],
        &[MAKE, WRITE, (0, "UPDATE readings SET value = 3 WHERE id = 2", 0)],
        &[MAKE, WRITE, (0, "DELETE FROM readings WHERE id = 2", 0)],
        &[
            (0, "CREATE TABLE t (a INT, b INT, PRIMARY KEY (a, b))", 1),
            (0, "INSERT INTO t VALUES (1, 2)", 1),
            (0, "SELECT * FROM t WHERE b = 2 AND a = 3", 0),
        ],
        // Nothing was written.
        &[MAKE, (0, "UPDATE readings SET value = 3", 0), (0, "SELECT * FROM readings", 0)],
        &[MAKE, (0, "INSERT INTO readings (id) SELECT id FROM devices", 0), (0, "SELECT * FROM readings", 0)],
        // Other tables.
        &[
            MAKE,
            WRITE,
            (0, "SELECT * FROM information_schema.readings", 0),
            (0, "SELECT * FROM devices WHERE note = 'FROM readings'", 0),
        ],
        &[MAKE, WRITE, (0, "DROP TABLE IF EXISTS readings", 1), MAKE, (0, "SELECT * FROM readings", 0)],
        &[MAKE, WRITE, (0, "ALTER CLUSTER SWAP TABLE other TO readings", 1), (0, "SELECT * FROM readings", 0)],
    ];
    for sent in cases {
        assert_eq!(told(sent), None, "{sent:?}");
    }
}

#[test]
fn a_read_beside_a_write_is_not_expected_to_see_it() {
    let mut unseen = Unseen::default();
    let at = Duration::from_millis;
    unseen.note("INSERT INTO t VALUES (1)", at(0), at(20), 1);
    unseen.note("SELECT * FROM t", at(10), at(30), 0);
    assert_eq!(unseen.told(), None);
}

#[test]
fn the_last_three_tables_are_named() {
    let mut unseen = Unseen::default();
    for table in ["a", "b", "c", "d"] {
        unseen.note(&format!("INSERT INTO {table} VALUES (1)"), Duration::ZERO, Duration::ZERO, 1);
        unseen.note(&format!("SELECT * FROM {table}"), Duration::ZERO, Duration::ZERO, 0);
    }
    let told = unseen.told().unwrap();
    assert!(!told.contains("`a`") && told.starts_with("`d` was written 0 ms"), "{told}");
    assert!(told.ends_with("or the table's refresh interval"), "{told}");
}

#[test]
fn of_a_very_long_statement_only_what_it_writes_counts() {
    let many = "(1), ".repeat(10_000);
    let insert = format!("INSERT INTO readings (id) VALUES {many}(2)");
    let select = format!("SELECT * FROM readings WHERE value IN ({many} 3) AND id = 3");
    assert_eq!(told(&[MAKE, (0, &insert, 10_001), (0, &select, 0)]), None);
    assert!(told(&[MAKE, (0, &insert, 10_001), (0, "SELECT * FROM readings", 0)]).is_some());
}

#[test]
fn statements_that_make_no_sense_are_no_trouble() {
    for stmt in [
        "",
        "(",
        "SELECT",
        "FROM",
        "INSERT INTO",
        "UPDATE",
        "CREATE TABLE t (",
        "CREATE TABLE",
        "COPY",
        "REFRESH TABLE",
        "SELECT FROM a.",
        "))",
        "DELETE FROM t WHERE",
        "WITH",
        "CREATE TABLE t (PRIMARY KEY",
    ] {
        Unseen::default().note(stmt, Duration::ZERO, Duration::ZERO, 1);
    }
}
