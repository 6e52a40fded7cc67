//! The answer to a bulk request: a row count for each row of arguments, or what failed.

use serde::Deserialize;

use super::failure::{ErrorObject, Statement, excerpt};
use crate::error::{Error, Kind, Refusal, Result};

/// More than anybody reads; the first failures tell what is wrong.
const FAILURES_SHOWN: usize = 5;
const MESSAGE_CHARS: usize = 300;

/// What the server answers per row when the row failed.
const FAILED: i64 = -2;

/// One result per row of arguments, in their order.
#[derive(Debug, Deserialize)]
pub(crate) struct BulkAnswer {
    results: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    rowcount: i64,
    /// From 5.10; at most ten per shard carry one.
    #[serde(default)]
    error: Option<ErrorObject>,
    /// Up to 5.9.
    #[serde(default)]
    error_message: Option<String>,
}

impl BulkAnswer {
    pub(crate) fn read(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

/// The row counts, or an error that names the rows that failed.
pub(crate) fn counts(answer: BulkAnswer, statement: Statement<'_>, sent: usize, status: u16) -> Result<Vec<u64>> {
    let results = answer.results;
    if results.len() != sent {
        return Err(statement
            .failed(Kind::Decode)
            .because(format!("{sent} rows were sent, and {} answered for", results.len())));
    }
    let failed: Vec<(usize, &Item)> = results
        .iter()
        .enumerate()
        .filter(|(_, item)| item.rowcount == FAILED)
        .map(|(index, item)| (index + 1, item))
        .collect();
    if failed.is_empty() {
        return Ok(results.iter().map(|item| u64::try_from(item.rowcount).unwrap_or(0)).collect());
    }
    Err(some_failed(&failed, statement, sent, status))
}

fn some_failed(failed: &[(usize, &Item)], statement: Statement<'_>, sent: usize, status: u16) -> Error {
    let listed: Vec<String> =
        failed.iter().take(FAILURES_SHOWN).map(|(row, item)| format!("row {row}: {}", item.reason())).collect();
    let more = match failed.len().saturating_sub(FAILURES_SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let first = failed.iter().find_map(|(_, item)| item.error.as_ref());
    let refusal = Refusal {
        status,
        code: first.map(|error| error.code),
        message: failed
            .iter()
            .map(|(row, item)| format!("row {row}: {}", item.reason()))
            .collect::<Vec<_>>()
            .join("\n"),
        request: statement.text.into(),
        errors: None,
    };
    statement
        .failed_to(Kind::Server, "execute", &format!(" for {} of {sent} rows", failed.len()))
        .because(format!("{}{more}", listed.join("; ")))
        .hint("the other rows are written: CrateDB has no transactions")
        .refused(refusal)
}

impl Item {
    fn reason(&self) -> String {
        match (&self.error, &self.error_message) {
            (Some(error), _) => format!("{} (code {})", excerpt(&error.message, MESSAGE_CHARS), error.code),
            (None, Some(message)) => excerpt(message, MESSAGE_CHARS),
            (None, None) => "no reason given".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts_of(json: &str, sent: usize) -> Result<Vec<u64>> {
        counts(BulkAnswer::read(json.as_bytes()).unwrap(), Statement::new("INSERT INTO t VALUES (?)"), sent, 200)
    }

    #[test]
    fn come_in_the_order_of_the_rows() {
        assert_eq!(
            counts_of(r#"{"results": [{"rowcount": 1}, {"rowcount": 0}, {"rowcount": -1}]}"#, 3).unwrap(),
            [1, 0, 0]
        );
    }

    #[test]
    fn name_the_rows_that_failed_and_why() {
        let error = counts_of(
            r#"{"results": [{"rowcount": 1}, {"rowcount": -2, "error": {"code": 4091, "message": "DuplicateKeyException[a]"}}, {"rowcount": -2}]}"#,
            3,
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot execute `INSERT INTO t VALUES (?)` for 2 of 3 rows: row 2: DuplicateKeyException[a] (code 4091); \
             row 3: no reason given\n  the other rows are written: CrateDB has no transactions"
        );
        assert_eq!((error.code(), error.statement()), (Some(4091), Some("INSERT INTO t VALUES (?)")));
    }

    #[test]
    fn understand_servers_before_5_10() {
        let error = counts_of(r#"{"results": [{"rowcount": -2, "error_message": "DuplicateKeyException[a]"}]}"#, 1)
            .unwrap_err();
        assert!(error.to_string().contains("row 1: DuplicateKeyException[a]"), "{error}");
    }

    #[test]
    fn show_some_failures_and_keep_all_in_the_message() {
        let items = [r#"{"rowcount": -2, "error_message": "no"}"#; 8].join(",");
        let error = counts_of(&format!(r#"{{"results": [{items}]}}"#), 8).unwrap_err();
        assert!(error.to_string().contains("row 5: no; and 3 more"), "{error}");
        assert_eq!(error.message().unwrap().lines().count(), 8);
    }

    #[test]
    fn are_not_guessed_when_some_are_missing() {
        let error = counts_of(r#"{"results": [{"rowcount": 1}]}"#, 2).unwrap_err();
        assert!(error.to_string().contains("2 rows were sent, and 1 answered for"), "{error}");
    }
}
