//! Tables about shards: `sys.shards`, `sys.allocations`, `sys.snapshots`,
//! `information_schema.table_partitions`.

use serde_json::{Value as Json, json};

use super::{CatalogTable, UNKNOWN, options, partial, shape, tables_seen as tables};
use crate::engine::context::{Context, Placement};
use crate::engine::store::{Definition, Table};
use crate::engine::value::{Row, Value};

const SHARDS: &str = "closed BOOLEAN, id INTEGER, node(id TEXT, name TEXT), num_docs BIGINT, orphan_partition BOOLEAN, \
    partition_ident TEXT, path TEXT, primary BOOLEAN, recovery(size(percent REAL), stage TEXT, type TEXT), relocating_node TEXT, \
    routing_state TEXT, schema_name TEXT, \
    seq_no_stats(global_checkpoint BIGINT, local_checkpoint BIGINT, max_seq_no BIGINT), state TEXT, table_name TEXT, \
    translog_stats(number_of_operations INTEGER, size BIGINT, uncommitted_operations INTEGER, uncommitted_size BIGINT)";

const ALLOCATIONS: &str = "current_state TEXT, decisions[](explanations TEXTS, node_id TEXT, node_name TEXT), explanation TEXT, \
    node_id TEXT, partition_ident TEXT, primary BOOLEAN, shard_id INTEGER, table_name TEXT, table_schema TEXT";

const SNAPSHOTS: &str = "concrete_indices TEXTS, failures TEXTS, finished TIMESTAMP, id TEXT, include_global_state BOOLEAN, \
    name TEXT, reason TEXT, repository TEXT, started TIMESTAMP, state TEXT, tables TEXTS, total_shards INTEGER, version TEXT";

const PARTITIONS: &str = "closed BOOLEAN, number_of_replicas TEXT, number_of_shards INTEGER, partition_ident TEXT, \
    routing_hash_function TEXT, table_name TEXT, table_schema TEXT, values OBJECT";

/// One copy of a shard, and where it is: 0 is the node that holds everything, none no node at all.
struct Copy<'a> {
    table: &'a Table,
    id: i64,
    is_primary: bool,
    node: Option<usize>,
}

impl Copy<'_> {
    fn state(&self) -> &'static str {
        if self.node.is_some() { "STARTED" } else { "UNASSIGNED" }
    }

    /// Returns id and name of its node.
    fn place(&self, context: &Context) -> (Option<String>, Option<String>) {
        match self.node {
            None => (None, None),
            Some(0) => (Some(context.options.cluster_id.clone()), Some(context.options.node_name.clone())),
            Some(n) => {
                let name = context.state.peers.keys().nth(n - 1).cloned();
                (name.clone(), name)
            }
        }
    }
}

/// Returns how many copies of each shard CrateDB wants beside the primary, on this many nodes.
fn wanted_replicas(definition: &Definition, nodes: usize) -> usize {
    let others = nodes.saturating_sub(1);
    match definition.replicas.split_once('-') {
        None => definition.replicas.parse().unwrap_or(0),
        // A range adapts to the nodes that are there, even below its lower end.
        Some((_, "all")) => others,
        Some((_, most)) => others.min(most.parse().unwrap_or(usize::MAX)),
    }
}

/// Returns the number of shard copies of a table that no node can hold.
pub(super) fn underreplicated(context: &Context, definition: &Definition) -> i64 {
    let nodes = context.state.peers.len() + 1;
    (wanted_replicas(definition, nodes) + 1).saturating_sub(nodes) as i64 * definition.shards
}

fn copies<'a>(context: &'a Context) -> impl Iterator<Item = Copy<'a>> {
    let nodes = context.state.peers.len() + 1;
    tables(context).flat_map(move |table| {
        let copies = wanted_replicas(&table.definition, nodes) + 1;
        (0..table.definition.shards).flat_map(move |id| {
            (0..copies).map(move |n| Copy { table, id, is_primary: n == 0, node: (n < nodes).then_some(n) })
        })
    })
}

pub(super) fn shards(context: &Context) -> CatalogTable {
    let mut columns = shape::columns(SHARDS);
    let placement = context.placement.get();
    if tables(context).any(|table| table.writes() > 0) {
        context.placed.set(true);
        if placement.is_none() {
            columns.retain(|c| !["num_docs", "seq_no_stats", "translog_stats"].contains(&c.0));
        }
    }
    let placement = placement.unwrap_or(Placement::First);
    let row = |copy: Copy<'_>| -> Row {
        let (table, (node, name)) = (copy.table, copy.place(context));
        let is_there = copy.node.is_some();
        let share = |rows| placement.share(rows, copy.id, table.definition.shards);
        let last = share(table.last_seq_no() + 1) - 1;
        let shown = json!({
            "closed": is_there.then_some(table.definition.closed),
            "id": copy.id,
            "node": { "id": node, "name": name },
            "num_docs": if is_there { share(table.visible().count() as i64) } else { 0 },
            "orphan_partition": false,
            "partition_ident": "",
            "path": is_there.then(|| format!("/data/nodes/0/indices/{}/{}", table.identity, copy.id)),
            "primary": copy.is_primary,
            // Every shard here began empty.
            "recovery": match is_there {
                true => json!({ "size": { "percent": 0.0 }, "stage": "DONE", "type": "EMPTY_STORE" }),
                false => Json::Null,
            },
            "relocating_node": null,
            "routing_state": copy.state(),
            "schema_name": table.definition.schema,
            "seq_no_stats": match is_there {
                true => json!({ "global_checkpoint": last, "local_checkpoint": last, "max_seq_no": last }),
                false => Json::Null,
            },
            "state": copy.state(),
            "table_name": table.definition.name,
            "translog_stats": match is_there {
                true => {
                    let operations = last + 1;
                    let (all, uncommitted) = match context.estimates.get() {
                        true => (100 * operations, 100 * operations),
                        false => (2 * placement.log_size(operations), placement.log_size(operations)),
                    };
                    json!({
                        "number_of_operations": operations, "size": 55 + all,
                        "uncommitted_operations": operations, "uncommitted_size": 55 + uncommitted,
                    })
                }
                false => Json::Null,
            },
        });
        // A closed table has other numbers for a while.
        let is_unknown = |name: &str| match name {
            "seq_no_stats" | "translog_stats" => !table.knows_count() || table.definition.closed,
            "num_docs" => table.definition.closed,
            _ => false,
        };
        let cell = |(name, ty): &(&str, _)| match is_unknown(name) {
            true => Value::text(UNKNOWN),
            false => shape::value(ty, &shown[*name]),
        };
        columns.iter().map(cell).collect()
    };
    let rows = copies(context).map(row).collect();
    // Sizes and further statistics are missing here.
    (partial(columns), rows)
}

pub(super) fn allocations(context: &Context) -> CatalogTable {
    const STAYS: &str =
        "cannot rebalance as no target node exists that can both allocate this shard and improve the cluster balance";
    const NOWHERE: &str = "cannot allocate because allocation is not permitted to any of the nodes";
    let columns = shape::columns(ALLOCATIONS);
    let row = |copy: Copy<'_>| -> Row {
        let shown = json!({
            "current_state": copy.state(),
            "decisions": null,
            "explanation": if copy.node.is_some() { STAYS } else { NOWHERE },
            "node_id": copy.place(context).0,
            "partition_ident": null,
            "primary": copy.is_primary,
            "shard_id": copy.id,
            "table_name": copy.table.definition.name,
            "table_schema": copy.table.definition.schema,
        });
        columns.iter().map(|(name, ty)| shape::value(ty, &shown[*name])).collect()
    };
    let rows = copies(context).map(row).collect();
    (columns, rows)
}

/// There are no repositories, so there are no snapshots.
pub(super) fn snapshots() -> CatalogTable {
    (partial(shape::columns(SNAPSHOTS)), vec![])
}

/// There are no partitioned tables.
pub(super) fn partitions() -> CatalogTable {
    let mut columns = shape::columns(PARTITIONS);
    columns.push(("settings", options::ty()));
    (partial(columns), vec![])
}
