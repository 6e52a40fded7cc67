//! Refreshes all tables of a schema with one statement.

use super::bind::bind;
use super::client::Client;
use super::failure::{Statement, code};
use crate::error::{Kind, Result};

/// A table may be dropped between the moment when it is listed and the one when it is refreshed. Whoever drops tables that
/// fast, beside a refresh, gets the error.
const TRIES: usize = 3;

/// Views can't be refreshed, and neither can closed tables. A partitioned table stands for all its partitions.
const LIST: &str = "SELECT table_name FROM information_schema.tables \
                    WHERE table_schema = ? AND table_type = 'BASE TABLE' AND closed = false";

/// Makes what was written to any table of `schema` visible.
pub(crate) async fn refresh(client: &Client, schema: &str) -> Result<()> {
    let mut tries = 1;
    loop {
        let Some(stmt) = refresh_of(schema, &tables(client, schema).await?) else { return Ok(()) };
        match client.send(&stmt, &[]).await {
            Err(error) if error.code() == Some(code::RELATION_UNKNOWN) && tries < TRIES => tries += 1,
            outcome => return outcome.map(drop),
        }
    }
}

async fn tables(client: &Client, schema: &str) -> Result<Vec<String>> {
    let statement = Statement::new(LIST);
    let schema = bind(schema).map_err(|error| statement.failed(Kind::Usage).because(error))?;
    client.send(LIST, &[schema]).await?.rows(statement)
}

fn refresh_of(schema: &str, tables: &[String]) -> Option<String> {
    let names: Vec<String> = tables.iter().map(|table| format!("{}.{}", quoted(schema), quoted(table))).collect();
    (!names.is_empty()).then(|| format!("REFRESH TABLE {}", names.join(", ")))
}

/// A name as a statement has it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_statement_for_all_tables_and_none_for_none() {
        assert_eq!(refresh_of("s", &[]), None);
        assert_eq!(refresh_of("s", &["a".into(), "B\"c".into()]).unwrap(), r#"REFRESH TABLE "s"."a", "s"."B""c""#);
    }
}
