//! What a test finds in its schema: statements and rows of files that are a part of the test binary.

mod rows;

use std::path::Path;

use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result};
use crate::sql::{self, SqlClient, Statement};

/// A file that the attribute names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    /// Relative to the file in which the test is written.
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    pub(crate) content: Content,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Content {
    /// Statements, separated by semicolons.
    Sql,
    /// One JSON object a line, for this table.
    Ndjson(&'static str),
    /// Columns in the first line, for this table.
    Csv(&'static str),
}

/// Executes and inserts what the files hold, one after another, and makes it visible. `source` is the file of the test.
pub(crate) async fn plant(cluster: &Cluster, source: &str, files: &[File]) -> Result<()> {
    let client = cluster.client()?;
    for file in files {
        let name = named(source, file.path);
        let text = without_mark(file.text);
        match file.content {
            Content::Sql => execute(client, &name, text).await?,
            Content::Ndjson(table) => rows::insert(client, &name, table, rows::ndjson(text)).await?,
            Content::Csv(table) => rows::insert(client, &name, table, rows::csv(text)).await?,
        }
    }
    sql::refresh(client, cluster.schema()).await
}

/// An editor of Windows may have put one there.
pub(crate) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// As people find the file from the root of their workspace.
fn named(source: &str, path: &str) -> String {
    let dir = Path::new(source).parent().unwrap_or(Path::new(""));
    dir.join(path).components().collect::<std::path::PathBuf>().display().to_string()
}

/// Executes the statements of a file, one after another.
pub(crate) async fn execute(client: &SqlClient, name: &str, text: &str) -> Result<()> {
    let statements = sql::split(text);
    for index in 0..statements.len() {
        execute_one(client, name, text, &statements, index).await?;
    }
    Ok(())
}

/// Executes one of the statements of a file.
pub(crate) async fn execute_one(
    client: &SqlClient,
    name: &str,
    text: &str,
    statements: &[&str],
    index: usize,
) -> Result<()> {
    let statement = statements[index];
    let numbered = Statement::numbered(statement, index + 1, statements.len());
    let failed = |error: Error| error.during(format!("cannot execute {name}, line {}", line_of(text, statement)));
    client.send_one(numbered, &[]).await.map(drop).map_err(failed)
}

/// The number of the line on which `part`, which lies in `text`, begins.
pub(crate) fn line_of(text: &str, part: &str) -> usize {
    let before = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    text.as_bytes()[..before].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn unreadable(name: &str, line: usize, cause: impl std::fmt::Display) -> Error {
    Error::new(Kind::Usage, format!("cannot read {name}, line {line}")).because(cause)
}

#[cfg(test)]
mod tests {
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
        let error = rows::insert(&client(&server), "a.csv", "t", rows::csv(&text)).await.unwrap_err().to_string();
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
}
