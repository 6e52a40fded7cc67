//! Tables about shards, which are all started: `sys.shards`, `sys.allocations`, `sys.snapshots`,
//! `information_schema.table_partitions`.

use serde_json::json;

use super::{CatalogTable, definitions, partial, shape};
use crate::engine::context::Context;
use crate::engine::value::Row;
use crate::engine::value::Value;

const SHARDS: &str = "closed BOOLEAN, id INTEGER, node(id TEXT, name TEXT), orphan_partition BOOLEAN, partition_ident TEXT, \
    primary BOOLEAN, recovery(size(percent REAL), stage TEXT), relocating_node TEXT, routing_state TEXT, schema_name TEXT, \
    seq_no_stats(global_checkpoint BIGINT, local_checkpoint BIGINT, max_seq_no BIGINT), state TEXT, table_name TEXT, \
    translog_stats(number_of_operations INTEGER, size BIGINT, uncommitted_operations INTEGER, uncommitted_size BIGINT)";

const ALLOCATIONS: &str = "current_state TEXT, decisions[](explanations TEXTS, node_id TEXT, node_name TEXT), explanation TEXT, \
    node_id TEXT, partition_ident TEXT, primary BOOLEAN, shard_id INTEGER, table_name TEXT, table_schema TEXT";

const SNAPSHOTS: &str = "concrete_indices TEXTS, failures TEXTS, finished TIMESTAMP, id TEXT, include_global_state BOOLEAN, \
    name TEXT, reason TEXT, repository TEXT, started TIMESTAMP, state TEXT, tables TEXTS, total_shards INTEGER, version TEXT";

const PARTITIONS: &str = "closed BOOLEAN, number_of_replicas TEXT, number_of_shards INTEGER, partition_ident TEXT, \
    routing_hash_function TEXT, settings(translog(durability TEXT, flush_threshold_size BIGINT, sync_interval BIGINT)), \
    table_name TEXT, table_schema TEXT, values OBJECT";

pub(super) fn shards(context: &Context) -> CatalogTable {
    let options = context.options;
    let shown = |schema: &str, table: &str, closed: bool, id: i64| {
        json!({
            "closed": closed,
            "id": id,
            "node": { "id": options.cluster_id, "name": options.node_name },
            "orphan_partition": false,
            "partition_ident": "",
            "primary": true,
            // Every shard here began empty.
            "recovery": { "size": { "percent": 0.0 }, "stage": "DONE" },
            "relocating_node": null,
            "routing_state": "STARTED",
            "schema_name": schema,
            "seq_no_stats": { "global_checkpoint": -1, "local_checkpoint": -1, "max_seq_no": -1 },
            "state": "STARTED",
            "table_name": table,
            "translog_stats": {
                "number_of_operations": 0, "size": 55, "uncommitted_operations": 0, "uncommitted_size": 55,
            },
        })
    };
    let (columns, rows) = table(context, SHARDS, shown);
    // Sizes and statistics are missing here.
    (partial(columns), rows)
}

pub(super) fn allocations(context: &Context) -> CatalogTable {
    let options = context.options;
    let shown = |schema: &str, table: &str, _: bool, id: i64| {
        json!({
            "current_state": "STARTED",
            "decisions": null,
            "explanation": "cannot rebalance as no target node exists that can both allocate this shard and improve the cluster balance",
            "node_id": options.cluster_id,
            "partition_ident": null,
            "primary": true,
            "shard_id": id,
            "table_name": table,
            "table_schema": schema,
        })
    };
    table(context, ALLOCATIONS, shown)
}

/// One row for each shard of each table.
fn table(
    context: &Context,
    described: &'static str,
    shown: impl Fn(&str, &str, bool, i64) -> serde_json::Value,
) -> CatalogTable {
    let columns = shape::columns(described);
    let row = |schema: &str, table: &str, closed: bool, id: i64| -> Row {
        let shown = shown(schema, table, closed, id);
        columns.iter().map(|(name, ty)| shape::value(ty, &shown[*name])).collect()
    };
    let rows = definitions(context)
        .flat_map(|d| (0..d.shards).map(|id| row(&d.schema, &d.name, d.closed, id)).collect::<Vec<Row>>())
        .collect::<Vec<Vec<Value>>>();
    (columns, rows)
}

/// There are no repositories, so there are no snapshots.
pub(super) fn snapshots() -> CatalogTable {
    (partial(shape::columns(SNAPSHOTS)), vec![])
}

/// There are no partitioned tables.
pub(super) fn partitions() -> CatalogTable {
    (partial(shape::columns(PARTITIONS)), vec![])
}
