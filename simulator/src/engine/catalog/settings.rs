//! All settings of a cluster: their types, and the defaults of a server with a heap of 512 MiB.

use std::collections::BTreeMap;

use super::shape;
use crate::engine::types::Type;
use crate::engine::value::Value;

/// Settings that can be changed here: name, default, type.
pub(crate) const SETTINGS: [(&str, i64, Type); 6] = [
    ("stats.enabled", 1, Type::Boolean),
    ("stats.jobs_log_size", 10_000, Type::Integer),
    ("stats.operations_log_size", 10_000, Type::Integer),
    ("cluster.max_shards_per_node", 1000, Type::Integer),
    ("cluster.routing.allocation.node_initial_primaries_recoveries", 4, Type::Integer),
    ("cluster.routing.allocation.node_concurrent_recoveries", 2, Type::Integer),
];

const SHAPE: &str = "bulk(request_timeout TEXT), \
    cluster(graceful_stop(force BOOLEAN, min_availability TEXT, timeout TEXT), info(update(interval TEXT)), \
        max_shards_per_node INTEGER, routing(allocation(allow_rebalance TEXT, awareness(attributes TEXTS, force OBJECT), \
            balance(index REAL, shard REAL, threshold REAL), cluster_concurrent_rebalance INTEGER, \
            disk(threshold_enabled BOOLEAN, watermark(flood_stage TEXT, high TEXT, low TEXT)), enable TEXT, \
            exclude(_host TEXT, _id TEXT, _ip TEXT, _name TEXT), include(_host TEXT, _id TEXT, _ip TEXT, _name TEXT), \
            node_concurrent_recoveries INTEGER, node_initial_primaries_recoveries INTEGER, \
            require(_host TEXT, _id TEXT, _ip TEXT, _name TEXT), total_shards_per_node INTEGER), rebalance(enable TEXT))), \
    fdw(allow_local BOOLEAN), \
    gateway(expected_data_nodes INTEGER, expected_nodes INTEGER, recover_after_data_nodes INTEGER, \
        recover_after_nodes INTEGER, recover_after_time TEXT), \
    indices(breaker(policy TEXT, query(limit TEXT), request(limit TEXT), total(limit TEXT)), \
        recovery(internal_action_long_timeout TEXT, internal_action_timeout TEXT, max_bytes_per_sec TEXT, \
            max_concurrent_file_chunks INTEGER, recovery_activity_timeout TEXT, retry_delay_network TEXT, \
            retry_delay_state_sync TEXT), replication(retry_timeout TEXT)), \
    logger[](level TEXT, name TEXT), memory(allocation(type TEXT), operation_limit INTEGER), \
    overload_protection(dml(initial_concurrency INTEGER, max_concurrency INTEGER, min_concurrency INTEGER, \
        queue_size INTEGER)), \
    replication(logical(ops_batch_size INTEGER, reads_poll_duration TEXT, recovery(chunk_size TEXT, \
        max_concurrent_file_chunks INTEGER))), \
    statement_max_length INTEGER, statement_timeout TEXT, \
    stats(breaker(log(jobs(limit TEXT), operations(limit TEXT))), enabled BOOLEAN, jobs_log_expiration TEXT, \
        jobs_log_filter TEXT, jobs_log_persistent_filter TEXT, jobs_log_size INTEGER, operations_log_expiration TEXT, \
        operations_log_size INTEGER, service(interval TEXT, max_bytes_per_sec TEXT)), \
    udc(enabled BOOLEAN, initial_delay TEXT, interval TEXT, url TEXT)";

const DEFAULTS: &str = include_str!("settings.json");

/// The column `settings` of `sys.cluster`.
pub(super) fn ty() -> Type {
    shape::complete(shape::object(&shape::columns(SHAPE)))
}

/// Returns its value with the changed settings.
pub(super) fn value(changed: &BTreeMap<&'static str, Value>) -> Value {
    let defaults: serde_json::Value = serde_json::from_str(DEFAULTS).expect("the defaults are JSON");
    let mut all = shape::value(&ty(), &defaults);
    for (name, value) in changed {
        set(&mut all, name, value);
    }
    all
}

fn set(at: &mut Value, path: &str, new: &Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let Value::Object(fields) = at else { return };
    if let Some((_, field)) = fields.iter_mut().find(|(name, _)| name == first) {
        match rest {
            Some(rest) => set(field, rest, new),
            None => *field = new.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
        path.split('.').fold(value, |value, key| match value {
            Value::Object(fields) => &fields.iter().find(|(name, _)| name == key).expect(key).1,
            other => panic!("{other:?} has no {key}"),
        })
    }

    #[test]
    fn shows_what_was_changed_and_the_defaults_of_all_others() {
        let defaults = value(&BTreeMap::new());
        for (name, default, ty) in &SETTINGS {
            let expected = if *ty == Type::Boolean { Value::Bool(*default != 0) } else { Value::Int(*default) };
            assert_eq!(*at(&defaults, name), expected, "{name}");
            let changed = value(&BTreeMap::from([(*name, Value::Int(77))]));
            assert_eq!(*at(&changed, name), Value::Int(77), "{name}");
        }
    }
}
