//! Asks the server for the imprint of a schema.

use super::{ContentRow, Imprint, ShapeRow};
use crate::error::{Kind, Result};
use crate::sql::{SqlClient, Statement, bind};

/// Everything that a statement can change without making a table again. Sent with the schema for each parameter.
pub(crate) const SHAPE: &str = "\
    SELECT 'table', table_name, [table_type, column_policy, number_of_replicas, closed::TEXT, settings::TEXT] \
    FROM information_schema.tables WHERE table_schema = ? \
    UNION ALL SELECT 'column', table_name || '.' || column_name, [ordinal_position::TEXT, data_type, is_nullable, \
    column_default, generation_expression, character_maximum_length::TEXT, column_details::TEXT] \
    FROM information_schema.columns WHERE table_schema = ? \
    UNION ALL SELECT 'constraint', table_name, [constraint_name, constraint_type] \
    FROM information_schema.table_constraints WHERE table_schema = ? \
    UNION ALL SELECT 'view', table_name, [view_definition] FROM information_schema.views WHERE table_schema = ? \
    UNION ALL SELECT 'function', specific_name, [data_type, routine_body, routine_definition] \
    FROM information_schema.routines WHERE routine_schema = ? \
    UNION ALL SELECT 'partition', table_name, [partition_ident, number_of_replicas, closed::TEXT, settings::TEXT] \
    FROM information_schema.table_partitions WHERE table_schema = ?";
const SHAPES: usize = 6;
/// One shard's directory names the table as it was made: another one of its name has another.
pub(crate) const CONTENTS: &str = "\
    SELECT table_name, partition_ident, min(path), count(*), sum(seq_no_stats['max_seq_no']), sum(num_docs) \
    FROM sys.shards WHERE schema_name = ? AND \"primary\" GROUP BY table_name, partition_ident";

/// Asks the server for the imprint of a schema, with two statements at a time.
pub(crate) async fn look(client: &SqlClient, schema: &str) -> Result<Imprint> {
    let (shape, contents) =
        tokio::join!(rows::<ShapeRow>(client, SHAPE, schema, SHAPES), rows::<ContentRow>(client, CONTENTS, schema, 1),);
    Ok(Imprint::new(shape?, contents?))
}

async fn rows<T: serde::de::DeserializeOwned>(
    client: &SqlClient,
    stmt: &str,
    schema: &str,
    times: usize,
) -> Result<Vec<T>> {
    let statement = Statement::new(stmt);
    let name = bind(schema).map_err(|error| statement.failed(Kind::Usage).because(error))?;
    client.send_one(statement, &vec![name; times]).await?.rows(statement)
}

/// An answer to [`CONTENTS`].
#[cfg(test)]
pub(crate) fn test_contents(rows: &str) -> crate::sql::test_server::Reaction {
    let columns = [("t", 4), ("i", 4), ("p", 4), ("n", 10), ("w", 10), ("r", 10)];
    crate::sql::test_server::Reaction::rows(&columns.map(|(name, kind)| (name, kind.into())), rows)
}
