//! The options of a table, as `settings` shows them: with the defaults of a node of two processors.

use serde_json::json;

use super::shape;
use crate::engine::store::Definition;
use crate::engine::types::Type;
use crate::engine::value::Value;

const SHAPE: &str = "codec TEXT, \
    routing(allocation(include OBJECT, require OBJECT, exclude OBJECT, enable TEXT, total_shards_per_node INTEGER)), \
    mapping(total_fields(limit INTEGER), depth(limit INTEGER)), refresh_interval BIGINT, \
    translog(flush_threshold_size BIGINT, sync_interval BIGINT, durability TEXT), \
    blocks(metadata BOOLEAN, read BOOLEAN, read_only_allow_delete BOOLEAN, read_only BOOLEAN, write BOOLEAN), \
    merge(scheduler(max_thread_count INTEGER, max_merge_count INTEGER)), store(type TEXT), \
    unassigned(node_left(delayed_timeout BIGINT)), write(wait_for_active_shards TEXT)";

pub(super) fn ty() -> Type {
    shape::complete(shape::object(&shape::columns(SHAPE)))
}

pub(super) fn value(definition: &Definition) -> Value {
    let interval = match definition.options.get("refresh_interval") {
        Some(Value::Int(n)) => *n,
        _ => 1000,
    };
    let durability = match definition.options.get("translog.durability") {
        Some(Value::Text(text)) => text.to_ascii_uppercase(),
        _ => "REQUEST".into(),
    };
    let shown = json!({
        "codec": "default",
        "routing": { "allocation": {
            "include": {}, "require": {}, "exclude": {}, "enable": "all", "total_shards_per_node": -1,
        } },
        "mapping": { "total_fields": { "limit": 1000 }, "depth": { "limit": 100 } },
        "refresh_interval": interval,
        "translog": { "flush_threshold_size": 536_870_912, "sync_interval": 5000, "durability": durability },
        "blocks": {
            "metadata": false, "read": false, "read_only_allow_delete": false, "read_only": false,
            "write": definition.write_blocked,
        },
        "merge": { "scheduler": { "max_thread_count": 1, "max_merge_count": 6 } },
        "store": { "type": "fs" },
        "unassigned": { "node_left": { "delayed_timeout": 60_000 } },
        "write": { "wait_for_active_shards": "1" },
    });
    shape::value(&ty(), &shown)
}
