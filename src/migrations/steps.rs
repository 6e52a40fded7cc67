//! Which statements of a file are executed at the same time: tables that are made one after another need nothing of each
//! other, and the server is faster with several than with one after another.

use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::seed;
use crate::sql::{self, Client, Statement, Token};

/// So many at most: other tests want the cluster too.
const AT_ONCE: usize = 5;

/// Statements that are executed at the same time, each with its number in the file from 0.
pub(crate) type Step<'a> = Vec<(usize, &'a str)>;

/// All statements of a file, in order.
pub(crate) fn steps(text: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut made: Vec<String> = Vec::new();
    for (index, statement) in sql::split(text).into_iter().enumerate() {
        let table = table(statement);
        let joins = table.as_ref().is_some_and(|table| (1..AT_ONCE).contains(&made.len()) && !made.contains(table));
        match steps.last_mut().filter(|_| joins) {
            Some(step) => step.push((index, statement)),
            None => {
                made.clear();
                steps.push(vec![(index, statement)]);
            }
        }
        made.extend(table);
    }
    steps
}

/// Executes one step. If several statements fail, the first of them is the error.
pub(crate) async fn execute(client: &Client, path: &str, text: &str, step: &Step<'_>) -> Result<()> {
    let count = sql::split(text).len();
    let mut sent = JoinSet::new();
    for &(index, statement) in step {
        let (client, statement) = (client.clone(), statement.to_owned());
        sent.spawn(async move {
            let numbered = Statement::numbered(&statement, index + 1, count);
            (index, client.send_one(numbered, &[]).await.map(drop))
        });
    }
    let mut outcomes = sent.join_all().await;
    outcomes.sort_by_key(|(index, _)| *index);
    for ((_, statement), (_, outcome)) in step.iter().zip(outcomes) {
        let line = seed::line_of(text, statement);
        outcome.map_err(|error: Error| error.during(format!("cannot execute {path}, line {line}")))?;
    }
    Ok(())
}

/// The name of the table, if that is all that a statement makes, and from nothing that is there.
fn table(statement: &str) -> Option<String> {
    let tokens = sql::tokens(statement);
    let after = |words: &[&str], from: usize| {
        let all = words.iter().enumerate().all(|(at, word)| tokens.get(from + at).is_some_and(|token| token.is(word)));
        all.then_some(from + words.len())
    };
    let at = after(&["CREATE", "TABLE"], 0)?;
    let at = after(&["IF", "NOT", "EXISTS"], at).unwrap_or(at);
    let plain = tokens.get(at + 1) == Some(&Token::Sign('('))
        && !tokens.iter().any(|token| token.is_one_of(&["SELECT", "LIKE"]));
    tokens.get(at)?.name().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::test_server::{Reaction, TestServer};
    use crate::sql::{Credentials, Wallet};

    fn numbers(text: &str) -> Vec<Vec<usize>> {
        steps(text).iter().map(|step| step.iter().map(|(index, _)| *index).collect()).collect()
    }

    #[test]
    fn only_tables_that_are_made_in_a_row_are_made_at_once() {
        let text = "CREATE TABLE a (x INT); create table if not exists \"B\" (x int); ALTER TABLE a ADD y INT; CREATE TABLE c (x INT); \
                    CREATE VIEW v AS SELECT 1; CREATE TABLE d (x INT); CREATE TABLE e AS SELECT * FROM d; CREATE TABLE f (x INT)";
        assert_eq!(numbers(text), [vec![0, 1], vec![2], vec![3], vec![4], vec![5], vec![6], vec![7]]);
        assert_eq!(numbers(""), [[0; 0]; 0]);
    }

    #[test]
    fn the_same_table_twice_is_made_twice_one_after_another() {
        assert_eq!(
            numbers("CREATE TABLE a (x INT); CREATE TABLE A (x INT); CREATE TABLE \"A\" (x INT)"),
            [vec![0], vec![1, 2]]
        );
    }

    #[test]
    fn no_more_than_five_are_made_at_once() {
        let text: String = (0..12).map(|number| format!("CREATE TABLE t{number} (x INT);")).collect();
        let sizes: Vec<usize> = numbers(&text).iter().map(Vec::len).collect();
        assert_eq!(sizes, [5, 5, 2]);
    }

    #[tokio::test]
    async fn the_first_that_fails_is_the_error() {
        let server = TestServer::start(|request| match request.stmt() {
            bad if bad.contains("bad") => Reaction::error(400, 4000, bad),
            _ => Reaction::count(1),
        });
        let client = Client::new(&server.url(), Some("s"), Wallet::new(Credentials::None)).unwrap();
        let text = "CREATE TABLE a (x INT);\nCREATE TABLE bad_1 (x INT);\nCREATE TABLE bad_2 (x INT)";
        let error = execute(&client, "m/1_a.sql", text, &steps(text)[0]).await.unwrap_err().to_string();
        assert!(
            error.starts_with("cannot execute m/1_a.sql, line 2: cannot execute statement 2 of 3, `CREATE TABLE bad_1"),
            "{error}"
        );
        assert_eq!(server.stmts().len(), 3);
    }
}
