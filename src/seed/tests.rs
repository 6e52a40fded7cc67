//! Statements and rows of files: what is read, what is refused, and how rows go together.

use super::*;
use crate::sql::test_server::{Reaction, TestServer};
use crate::sql::{Credentials, Wallet};

fn client(server: &TestServer) -> SqlClient {
    SqlClient::new(&server.url(), Some("s"), Wallet::new(Credentials::None)).unwrap()
}

#[tokio::test]
async fn a_statement_that_fails_is_named_by_file_and_line_and_ends_the_file() {
    let server = TestServer::start(|request| match request.stmt() {
        bad if bad.starts_with("INSERT") => Reaction::error(400, 4000, "SQLParseException[line 2:3: no]"),
        _ => Reaction::count(1),
    });
    let text = "CREATE TABLE a (x INT);\n-- then\nINSERT INTO a\n  VALUES (1;2);\nDROP TABLE a";
    let error = execute(&client(&server), "tests/fixtures/a.sql", text).await.unwrap_err();
    assert_eq!(
        error.to_string().lines().next().unwrap(),
        "cannot execute tests/fixtures/a.sql, line 3: cannot execute statement 2 of 4, `INSERT INTO a VALUES (1`: \
         SQLParseException[line 2:3: no] (code 4000)"
    );
    assert_eq!((error.code(), server.stmts().len()), (Some(4000), 2));
}

#[tokio::test]
async fn rows_are_inserted_in_batches_and_the_one_that_fails_is_found() {
    let server = TestServer::start(|request| {
        let rows = request.body["bulk_args"].as_array().unwrap();
        let item = |row: &serde_json::Value| match row[0] == "1500" {
            true => r#"{"rowcount": -2, "error": {"code": 4000, "message": "no"}}"#,
            false => r#"{"rowcount": 1}"#,
        };
        let items: Vec<&str> = rows.iter().map(item).collect();
        Reaction::Answer {
            status: 200,
            content_type: "application/json",
            body: format!(r#"{{"results": [{}]}}"#, items.join(",")),
        }
    });
    let text = (1..=2500).fold("id\n".to_owned(), |text, id| format!("{text}{id}\n"));
    let error = insert(&client(&server), "a.csv", "t", csv(&text)).await.unwrap_err().to_string();
    for word in ["cannot insert a.csv, lines 1002 to 2001, into t", "row 500: no", "row 1 is line 1002"] {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
    assert_eq!(server.stmts(), [r#"INSERT INTO t ("id") VALUES (?)"#; 2]);
}

#[test]
fn a_statement_is_found_by_its_line_and_not_by_its_words() {
    let text = "-- SELECT 1;\n\nSELECT 1; SELECT 1;\n/* two\nlines */ SELECT\n1;\r\nSELECT ';\n';SELECT 2";
    let lines: Vec<usize> = sql::split(text).iter().map(|statement| line_of(text, statement)).collect();
    assert_eq!(lines, [3, 3, 5, 7, 8]);
}

#[test]
fn a_file_is_called_as_people_find_it() {
    assert_eq!(named("tests/orders.rs", "fixtures/users.sql"), "tests/fixtures/users.sql");
    assert_eq!(named("tests/orders.rs", "./users.sql"), "tests/users.sql");
    assert_eq!(named("crates/a/src/b/mod.rs", "../data/x.csv"), "crates/a/src/b/../data/x.csv");
    assert_eq!(named("lib.rs", "/data/x.csv"), "/data/x.csv");
}

fn read(rows: impl Iterator<Item = Result<FileRow, (usize, String)>>) -> Vec<(usize, String, String)> {
    let told = |row: Result<FileRow, (usize, String)>| match row {
        Ok(FileRow { line, columns, values }) => {
            let values: Vec<&str> = values.iter().map(|value| value.get()).collect();
            (line, columns.join("|"), values.join("|"))
        }
        Err((line, why)) => (line, "error".to_owned(), why),
    };
    rows.map(told).collect()
}

fn row(line: usize, columns: &str, values: &str) -> (usize, String, String) {
    (line, columns.to_owned(), values.to_owned())
}

#[test]
fn objects_keep_their_values_as_they_are_written() {
    let text = "{\"b\": 9007199254740993, \"a\": \"x\\ny\"}\r\n\n  \n{\"o\": {\"z\": [1.50, null]}, \"e\": true}";
    assert_eq!(
        read(ndjson(text)),
        [row(1, "a|b", "\"x\\ny\"|9007199254740993"), row(4, "e|o", "true|{\"z\": [1.50, null]}")]
    );
    assert_eq!(read(ndjson("")), []);
}

#[test]
fn what_is_no_object_is_refused_with_its_line() {
    for (text, line, word) in [
        ("{\"a\": 1}\n[1]", 2, "a JSON object"),
        ("\n\n{\"a\": 1", 3, "EOF"),
        ("{\"a\": 1} {\"a\": 2}", 1, "trailing"),
        ("{\n\"a\": 1}", 1, "EOF"),
    ] {
        let found = read(ndjson(text)).into_iter().find(|(_, kind, _)| kind == "error").expect(text);
        assert!(found.0 == line && found.2.contains(word), "{text}: {found:?}");
    }
}

#[test]
fn fields_may_have_commas_quotes_and_lines_and_may_be_empty() {
    let text = "id,name\n1,\"Lyon, \"\"Part-Dieu\"\"\"\n2,\n3,\"two\nlines\"\r\n\n4,\u{e9}\n";
    assert_eq!(
        read(csv(text)),
        [
            row(2, "id|name", r#""1"|"Lyon, \"Part-Dieu\"""#),
            row(3, "id|name", r#""2"|null"#),
            row(4, "id|name", r#""3"|"two\nlines""#),
            row(7, "id|name", "\"4\"|\"\u{e9}\""),
        ]
    );
    assert_eq!((read(csv("")), read(csv("id,name\n"))), (vec![], vec![]));
}

#[test]
fn a_row_with_more_or_fewer_fields_than_columns_is_refused_with_both_numbers() {
    let found = read(csv("id,name\n1,a\n2,b,c\n3,d\n4"));
    assert_eq!(found[1], row(3, "error", "it has 3 fields, and the first line names 2 columns"));
    assert_eq!(found[3], row(5, "error", "it has 1 fields, and the first line names 2 columns"));
}

#[test]
fn columns_are_named_as_they_are() {
    let columns = ["id".to_owned(), "Odd \"name\"".to_owned()];
    assert_eq!(statement("doc.t", &columns), r#"INSERT INTO doc.t ("id", "Odd ""name""") VALUES (?, ?)"#);
}

#[test]
fn a_batch_ends_with_other_columns_and_when_it_is_full() {
    let row = |column: &str, value: &str| FileRow {
        line: 1,
        columns: vec![column.to_owned()],
        values: vec![RawValue::from_string(value.to_owned()).unwrap()],
    };
    let mut batch = Batch::default();
    assert!(batch.takes(&row("a", "1")));
    batch.add(row("a", "1"));
    assert!(batch.takes(&row("a", "2")) && !batch.takes(&row("b", "2")));
    batch.add(row("a", &format!("\"{}\"", "x".repeat(BYTES))));
    assert!(!batch.takes(&row("a", "3")));
    let mut many = Batch::default();
    (0..ROWS).for_each(|_| many.add(row("a", "1")));
    assert!(!many.takes(&row("a", "1")));
}
