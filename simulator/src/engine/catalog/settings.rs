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

/// Reads a setting with which a node is started. Returns none if `sys.cluster` shows no setting of this name.
pub(crate) fn at_start(name: &str, text: &str) -> Option<Result<Value, String>> {
    let ty = name.split('.').try_fold(ty(), |ty, part| match ty {
        Type::Object(object) => Some(object.fields.into_iter().find(|field| field.name == part)?.ty),
        _ => None,
    })?;
    let failed = || format!("Failed to parse value [{text}] for setting [{name}]");
    let refused = || Err(format!("setting [{name}] with value [{text}] is not supported by the embedded engine"));
    Some(match ty {
        // The engine accepts statements of any length.
        _ if name == "statement_max_length" => refused(),
        Type::Boolean => text
            .parse()
            .map(Value::Bool)
            .map_err(|_| format!("Failed to parse value [{text}] as only [true] or [false] are allowed.")),
        Type::Integer => match text.parse::<i32>() {
            Ok(number) if number >= 0 => Ok(Value::Int(number.into())),
            Ok(_) => refused(),
            Err(_) => Err(failed()),
        },
        Type::Real => text.parse().map(Value::Real).map_err(|_| failed()),
        // CrateDB shows times and sizes in a form of its own.
        _ => refused(),
    })
}

/// Returns its value with the settings from the start and, above them, those that were changed since.
pub(super) fn value(at_start: &BTreeMap<String, Value>, changed: &BTreeMap<&'static str, Value>) -> Value {
    let defaults: serde_json::Value = serde_json::from_str(DEFAULTS).expect("the defaults are JSON");
    let mut all = shape::value(&ty(), &defaults);
    let at_start = at_start.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in at_start.chain(changed.iter().map(|(name, value)| (*name, value))) {
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
        let none = BTreeMap::new();
        let defaults = value(&none, &BTreeMap::new());
        for (name, default, ty) in &SETTINGS {
            let expected = if *ty == Type::Boolean { Value::Bool(*default != 0) } else { Value::Int(*default) };
            assert_eq!(*at(&defaults, name), expected, "{name}");
            let changed = value(&none, &BTreeMap::from([(*name, Value::Int(77))]));
            assert_eq!(*at(&changed, name), Value::Int(77), "{name}");
            let started = BTreeMap::from([((*name).to_owned(), Value::Int(5))]);
            assert_eq!(*at(&value(&started, &BTreeMap::new()), name), Value::Int(5), "{name}");
            let both = value(&started, &BTreeMap::from([(*name, Value::Int(77))]));
            assert_eq!(*at(&both, name), Value::Int(77), "{name}");
        }
    }

    #[test]
    fn reads_what_a_node_is_started_with() {
        assert_eq!(at_start("stats.jobs_log_size", "100"), Some(Ok(Value::Int(100))));
        assert_eq!(at_start("stats.enabled", "false"), Some(Ok(Value::Bool(false))));
        assert_eq!(at_start("cluster.routing.allocation.balance.shard", "0.5"), Some(Ok(Value::Real(0.5))));
        for unknown in ["stats", "stats.nothing", "nothing", "", "stats.enabled.x", "lang.js.enabled"] {
            assert!(!matches!(at_start(unknown, "1"), Some(Ok(_))), "{unknown}");
        }
        for unknown in ["stats.nothing", "nothing", "lang.js.enabled"] {
            assert_eq!(at_start(unknown, "1"), None, "{unknown}");
        }
        for (name, value, problem) in [
            ("stats.jobs_log_size", "many", "Failed to parse value [many] for setting [stats.jobs_log_size]"),
            ("stats.enabled", "yes", "Failed to parse value [yes] as only [true] or [false] are allowed."),
            ("bulk.request_timeout", "1s", "not supported by the embedded engine"),
            ("stats.jobs_log_size", "-1", "not supported by the embedded engine"),
            ("statement_max_length", "9", "not supported by the embedded engine"),
        ] {
            let refused = at_start(name, value).unwrap().unwrap_err();
            assert!(refused.contains(problem), "{refused}");
        }
    }
}
