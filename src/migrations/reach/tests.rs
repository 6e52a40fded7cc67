//! Checks which statements stay in their schema: none that reaches out may pass.

use proptest::prelude::*;

use super::beyond;

#[test]
fn ordinary_migrations_stay_within() {
    for statement in [
        "CREATE TABLE t (id INT PRIMARY KEY, at TIMESTAMP WITH TIME ZONE DEFAULT now())",
        "create table if not exists \"T\" (id int, o object(dynamic) as (a int), check (\"T\".id > 0))",
        "CREATE TABLE t (id INT) CLUSTERED BY (id) INTO 1 SHARDS PARTITIONED BY (id) WITH (number_of_replicas = 0, translog.durability = 'ASYNC', \"blocks.read_only\" = true, routing.allocation.total_shards_per_node = 3)",
        "CREATE TABLE t AS SELECT a.x, b.* FROM a, b AS bb, c cc WHERE a.id = bb.id AND cc.y = 1 AND b.z = 1",
        "CREATE TABLE t (x TEXT, INDEX f USING FULLTEXT (x) WITH (analyzer = 'english'))",
        "CREATE OR REPLACE VIEW v AS SELECT o.id, u.name FROM orders o JOIN users AS u ON o.u = u.id LEFT JOIN x ON x.a = o.b",
        "CREATE VIEW v AS WITH r AS (SELECT id FROM t) SELECT r.id, s.n FROM r, (SELECT 1 AS n) s",
        "CREATE FUNCTION f(LONG) RETURNS LONG LANGUAGE JAVASCRIPT AS 'function f(a) { return doc.x.y(a); }'",
        "CREATE OR REPLACE FUNCTION f(x TEXT) RETURNS TEXT LANGUAGE JAVASCRIPT AS $$ function f(x) { return a.b; } $$",
        "ALTER TABLE t ADD COLUMN a INT, ADD COLUMN o['b'] TEXT",
        "ALTER TABLE t RENAME TO u",
        "ALTER TABLE t SET (write.wait_for_active_shards = 1, mapping.total_fields.limit = 2000)",
        "ALTER TABLE t RESET (refresh_interval)",
        "DROP TABLE IF EXISTS t, u",
        "DROP VIEW v",
        "INSERT INTO t (id, o['a']) VALUES (1, 'doc.t'), (2.5, 'x') ON CONFLICT (id) DO UPDATE SET n = excluded.n",
        "INSERT INTO t SELECT u.id, extract(year FROM u.at), u.a IS DISTINCT FROM u.b FROM u",
        "UPDATE t SET a = t.b + 1 WHERE EXISTS (SELECT 1 FROM u WHERE u.id = t.id)",
        "DELETE FROM t WHERE t.id = 1",
        "COPY t FROM 'file:///data/x.json' WITH (format = 'json', bulk_size = 1.5)",
        "REFRESH TABLE t, u",
        "OPTIMIZE TABLE t WITH (max_num_segments = 1)",
        "SELECT pg_catalog.pg_typeof(t.a), current_schema, count(*) FROM t, generate_series(1, 2) g(n) WHERE g.n = 1",
        "-- doc.t\nCREATE TABLE t (/* x.y.z */ id INT)",
        "BEGIN",
        "COMMIT",
    ] {
        assert_eq!(beyond(statement), None, "{statement}");
    }
}

#[test]
fn what_names_a_schema_is_found() {
    for (statement, name) in [
        ("CREATE TABLE doc.t (id INT)", "doc.t"),
        ("CREATE TABLE IF NOT EXISTS \"My Schema\" . \"t\" (id INT)", "My Schema.t"),
        ("CREATE TABLE /* here */ doc\n.\nt (id INT)", "doc.t"),
        ("create view doc.v as select 1", "doc.v"),
        ("CREATE VIEW v AS SELECT * FROM a, doc.t", "doc.t"),
        ("CREATE VIEW v AS SELECT * FROM a JOIN b ON a.x = b.x, doc.t", "doc.t"),
        ("CREATE VIEW v AS SELECT * FROM a CROSS JOIN doc.t x", "doc.t"),
        ("CREATE VIEW v AS SELECT doc.t.id FROM t", "doc.t.id"),
        ("CREATE VIEW v AS SELECT doc.t.* FROM t", "doc.t.*"),
        ("CREATE VIEW v AS SELECT 1 FROM t WHERE t.x IN (SELECT y FROM other.u)", "other.u"),
        ("CREATE VIEW v AS WITH r AS (SELECT 1 FROM doc.t) SELECT r.x FROM r", "doc.t"),
        ("CREATE FUNCTION doc.f(LONG) RETURNS LONG LANGUAGE JAVASCRIPT AS ''", "doc.f"),
        ("SELECT doc.f(1)", "doc.f"),
        ("ALTER TABLE doc.t ADD COLUMN a INT", "doc.t"),
        ("ALTER TABLE ONLY doc.t ADD COLUMN a INT", "doc.t"),
        ("ALTER TABLE t RENAME TO doc.u", "doc.u"),
        ("DROP TABLE IF EXISTS t, doc.u", "doc.u"),
        ("DROP FUNCTION IF EXISTS doc.f(LONG)", "doc.f"),
        ("INSERT INTO doc.t VALUES (1)", "doc.t"),
        ("INSERT INTO t (SELECT id FROM doc.t)", "doc.t"),
        ("INSERT INTO t SELECT * FROM sys.shards", "sys.shards"),
        ("UPDATE doc.t SET a = 1", "doc.t"),
        ("DELETE FROM doc.t", "doc.t"),
        ("COPY doc.t FROM 'x'", "doc.t"),
        ("REFRESH TABLE t, doc.u", "doc.u"),
        ("OPTIMIZE TABLE doc.t", "doc.t"),
        ("EXPLAIN ANALYZE DELETE FROM doc.t", "doc.t"),
        // It may be an alias that is not understood here; a schema is as likely.
        ("SELECT x.y", "x.y"),
    ] {
        assert_eq!(beyond(statement), Some(format!("`{name}` may name a schema")), "{statement}");
    }
}

#[test]
fn what_is_not_of_a_schema_is_found_by_its_kind() {
    for (statement, kind) in [
        ("CREATE USER u", "CREATE USER"),
        ("CREATE ROLE r", "CREATE ROLE"),
        ("GRANT DQL ON TABLE t TO u", "GRANT DQL"),
        ("DENY DQL TO u", "DENY DQL"),
        ("REVOKE DQL FROM u", "REVOKE DQL"),
        ("CREATE REPOSITORY r TYPE fs", "CREATE REPOSITORY"),
        ("CREATE SNAPSHOT r.s ALL", "CREATE SNAPSHOT"),
        ("RESTORE SNAPSHOT r.s ALL", "RESTORE SNAPSHOT"),
        ("CREATE ANALYZER a (TOKENIZER whitespace)", "CREATE ANALYZER"),
        ("SET GLOBAL stats.enabled = true", "SET GLOBAL"),
        ("RESET GLOBAL stats.enabled", "RESET GLOBAL"),
        ("SET SESSION search_path TO 'doc'", "SET SESSION"),
        ("set search_path = doc", "SET SEARCH_PATH"),
        ("CREATE BLOB TABLE b", "CREATE BLOB"),
        ("ALTER BLOB TABLE b SET (number_of_replicas = 0)", "ALTER BLOB"),
        ("DROP BLOB TABLE b", "DROP BLOB"),
        ("CREATE SERVER s FOREIGN DATA WRAPPER jdbc", "CREATE SERVER"),
        ("CREATE FOREIGN TABLE t (id INT) SERVER s", "CREATE FOREIGN"),
        ("CREATE USER MAPPING FOR u SERVER s", "CREATE USER"),
        ("CREATE PUBLICATION p FOR TABLE t", "CREATE PUBLICATION"),
        ("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "CREATE SUBSCRIPTION"),
        ("CREATE SCHEMA s", "CREATE SCHEMA"),
        ("DROP SCHEMA s CASCADE", "DROP SCHEMA"),
        ("ALTER CLUSTER SWAP TABLE a TO b", "ALTER CLUSTER"),
        ("ALTER CLUSTER REROUTE RETRY FAILED", "ALTER CLUSTER"),
        ("KILL ALL", "KILL ALL"),
        ("ANALYZE", "ANALYZE"),
        ("SOMETHING new", "SOMETHING NEW"),
        ("\"quoted\"", ""),
    ] {
        assert_eq!(beyond(statement), Some(format!("`{kind}` may reach beyond the schema")), "{statement}");
    }
    assert_eq!(beyond("COPY t TO DIRECTORY '/tmp'").unwrap(), "`COPY TO` writes outside the schema");
    assert!(beyond("CREATE TABLE ö.t (id INT)").is_some());
}

/// Statements with one hole for the name of a relation.
const HOLES: [&str; 14] = [
    "CREATE TABLE {} (id INT)",
    "CREATE TABLE IF NOT EXISTS {} (id INT)",
    "CREATE TABLE n AS SELECT a.x FROM a, {}",
    "CREATE VIEW v AS SELECT x FROM {} WHERE y = 1",
    "CREATE VIEW v AS SELECT x FROM a JOIN {} ON true",
    "CREATE VIEW v AS SELECT x FROM (SELECT 1 FROM b, {}) AS s",
    "CREATE VIEW v AS SELECT x, (SELECT max(y) FROM {}) FROM a",
    "CREATE VIEW v AS SELECT 1 FROM a UNION ALL SELECT 2 FROM {}",
    "INSERT INTO {} (a) VALUES (1)",
    "INSERT INTO t (SELECT a FROM b, c, {})",
    "UPDATE {} SET a = 1",
    "DELETE FROM {} WHERE a = 1",
    "DROP TABLE a, b, {}",
    "ALTER TABLE {} DROP COLUMN x",
];

proptest! {
    #[test]
    fn no_schema_goes_unseen_wherever_a_relation_stands(
        hole in 0..HOLES.len(),
        schema in "[a-z_][a-z0-9_]{0,6}|\"[A-Za-z. ]{1,6}\"",
        table in "[a-z_][a-z0-9_]{0,6}|\"[A-Za-z. ]{1,6}\"",
        blank in "( |\n|/\\*x\\*/|--y\n){0,2}",
    ) {
        let statement = HOLES[hole].replace("{}", &format!("{schema}{blank}.{blank}{table}"));
        prop_assert!(beyond(&statement).is_some(), "{}", statement);
    }

    #[test]
    fn any_text_is_judged(text in "(CREATE TABLE |SELECT |FROM |WITH |[a-c.,()'\"$ö ]|x\\.y){0,30}") {
        beyond(&text);
    }
}
