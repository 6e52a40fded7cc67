//! Checks how migrations are described to the keeper, and the error when they can't be applied.

use super::*;
use crate::sql::test_server::{Reaction, TestServer};
use crate::sql::{Credentials, Wallet};

const FILES: &[(&str, &str)] = &[
    ("0001_a.sql", "\u{feff}CREATE TABLE a (id INT);\nCREATE TABLE b (id INT)"),
    ("0002_b.sql", "-- more\nALTER TABLE a ADD COLUMN x INT;\n\nINSERT INTO a (id)\n VALUES (1)"),
];

const MIGRATIONS: Migrations = Migrations::new("db/migrations/", FILES);

#[test]
fn the_checksum_is_of_names_and_texts_and_of_nothing_else() {
    let of = |files: &[(&str, &str)]| checksum(files.iter().copied());
    assert_eq!(MIGRATIONS.described().checksum, of(FILES));
    assert_eq!(Migrations { directory: "other", ..MIGRATIONS }.described().checksum, of(FILES));
    assert_eq!(of(FILES).len(), 64);
    let others: [&[(&str, &str)]; 6] = [
        &[("1", "ab")],
        &[("1a", "b")],
        &[("1", "a"), ("b", "")],
        &[("1", ""), ("ab", "")],
        &[("1", "ab"), ("", "")],
        &[],
    ];
    for (index, one) in others.iter().enumerate() {
        assert!(others[index + 1..].iter().all(|other| of(one) != of(other)), "{one:?}");
    }
    // As `sha256sum` says of nothing.
    assert_eq!(of(&[]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn a_failure_is_told_whole_once_and_then_by_its_test() {
    let failure = |schema: &str, line: u32, why: &str| {
        let error = Error::new(crate::error::Kind::Server, "cannot execute statement 1");
        error.because(format!("{schema}.t {why}")).during(format!("cannot execute m/1.sql, line {line}")).hint("help")
    };
    let mut told = Told::new();
    let first = in_short(&mut told, failure("s_1", 4, "exists"), "s_1", "m::a").to_string();
    assert_eq!(first, failure("s_1", 4, "exists").to_string());
    let second = in_short(&mut told, failure("s_2", 4, "exists"), "s_2", "m::b").to_string();
    assert_eq!(second, "cannot execute m/1.sql, line 4: it fails as in `m::a`, which tells why");
    // Another reason and another place are news.
    for (line, why) in [(4, "is gone"), (5, "exists")] {
        let other = in_short(&mut told, failure("s_3", line, why), "s_3", "m::c").to_string();
        assert_eq!(other, failure("s_3", line, why).to_string());
    }
}

#[test]
fn what_reaches_out_is_named_by_file_and_line() {
    const OUT: &[(&str, &str)] = &[("1_a.sql", "CREATE TABLE a (id INT)"), ("2_b.sql", "SELECT 1;\n\nCREATE USER u")];
    let apart = Migrations::new("m", OUT).described().apart.unwrap();
    assert_eq!(
        apart,
        "the migrations in `m` are applied in each test: m/2_b.sql, line 3: `CREATE USER` may reach beyond the schema"
    );
    assert_eq!(MIGRATIONS.described().apart, None);
}

#[test]
fn what_does_not_fit_into_a_message_is_applied_in_each_test() {
    let text = |bytes: usize| format!("CREATE TABLE a (id INT); -- {}", "x".repeat(bytes));
    let set = |bytes: usize| {
        let files: &'static [(&str, &str)] = vec![("1.sql", &*text(bytes).leak())].leak();
        Migrations::new("m", files).described().apart
    };
    assert_eq!(set(1_000_000), None);
    assert!(set(1 << 20).unwrap().contains("more than 1 MiB as JSON"));
}

#[test]
fn only_statements_that_write_rows_need_a_refresh() {
    assert!(!writes(
        "CREATE TABLE a (x INT); alter table a add column y int; DROP TABLE a; CREATE VIEW v AS VALUES (1)"
    ));
    for text in ["INSERT INTO a VALUES (1)", "CREATE TABLE b AS SELECT * FROM a", "COPY a FROM 'x'", "DELETE FROM a"] {
        assert!(writes(text), "{text}");
    }
}

#[tokio::test]
async fn an_error_names_file_line_statement_and_what_the_server_said() {
    let server = TestServer::start(|request| match request.stmt() {
        bad if bad.starts_with("INSERT") => Reaction::error(400, 4000, "SQLParseException[no]"),
        _ => Reaction::count(1),
    });
    let client = SqlClient::new(&server.url(), Some("s"), Wallet::new(Credentials::None)).unwrap();
    let error = MIGRATIONS.execute(&client).await.unwrap_err().to_string();
    assert_eq!(
        error.lines().next().unwrap(),
        "cannot execute db/migrations/0002_b.sql, line 4: cannot execute statement 2 of 2, `INSERT INTO a (id) VALUES (1)`: \
         SQLParseException[no] (code 4000)"
    );
    assert_eq!(server.stmts().len(), 4);
}
