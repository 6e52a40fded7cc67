//! `sys`: nodes, cluster, health, users.

use super::shape::{self, object};
use super::{Table, definitions, nodes, partial, shards, summits, texts};
use crate::engine::error::{Result, refuse};
use crate::engine::session::Context;
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

/// Settings of the cluster this engine knows: name, default, type.
pub(crate) const SETTINGS: [(&str, i64, Type); 6] = [
    ("stats.enabled", 1, Type::Boolean),
    ("stats.jobs_log_size", 10_000, Type::Integer),
    ("stats.operations_log_size", 10_000, Type::Integer),
    ("cluster.max_shards_per_node", 1000, Type::Integer),
    ("cluster.routing.allocation.node_initial_primaries_recoveries", 4, Type::Integer),
    ("cluster.routing.allocation.node_concurrent_recoveries", 2, Type::Integer),
];

fn value(fields: &[(&str, Value)]) -> Value {
    Value::Object(fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
}

pub(super) fn rows(context: &Context, name: &str) -> Result<Table> {
    Ok(match name {
        "allocations" => shards::allocations(context),
        "nodes" => nodes::table(context),
        "cluster" => cluster(context),
        "cluster_health" => {
            let columns = vec![
                ("description", TEXT),
                ("health", TEXT),
                ("missing_shards", Type::BigInt),
                ("pending_tasks", Type::BigInt),
                ("severity", Type::SmallInt),
                ("underreplicated_shards", Type::BigInt),
            ];
            let row =
                vec![Value::text(""), Value::text("GREEN"), Value::Int(0), Value::Int(0), Value::Int(1), Value::Int(0)];
            (columns, vec![row])
        }
        "health" => health(context),
        "shards" => shards::shards(context),
        "users" => users(context),
        "privileges" => privileges(context),
        "roles" => (partial(texts(&["name"])), vec![]),
        "snapshots" => shards::snapshots(),
        "repositories" => (partial(texts(&["name"])), vec![]),
        "summits" => summits::table(),
        _ => return Err(refuse(format!("sys.{name}"))),
    })
}

/// The value of a known setting.
fn setting(context: &Context, index: usize) -> Value {
    let (name, default, ty) = &SETTINGS[index];
    context.state.settings.get(name).cloned().unwrap_or(match ty {
        Type::Boolean => Value::Bool(*default != 0),
        _ => Value::Int(*default),
    })
}

fn cluster(context: &Context) -> Table {
    let options = context.options;
    let mut types: Vec<(&str, Type)> = vec![];
    let mut values: Vec<(&str, Value)> = vec![];
    for (i, (name, _, ty)) in SETTINGS.iter().enumerate() {
        if let Some(inner) = name.strip_prefix("stats.") {
            types.push((inner, ty.clone()));
            values.push((inner, setting(context, i)));
        }
    }
    let max_shards = ("max_shards_per_node", Type::Integer);
    let settings = object(&[("stats", object(&types)), ("cluster", object(&[max_shards]))]);
    let columns =
        vec![("id", TEXT), ("name", TEXT), ("master_node", TEXT), ("license", object(&[])), ("settings", settings)];
    let shown =
        value(&[("stats", value(&values)), ("cluster", value(&[("max_shards_per_node", setting(context, 3))]))]);
    let row = vec![
        Value::text(&options.cluster_id),
        Value::text(&options.cluster_name),
        Value::text(&options.cluster_id),
        Value::Null,
        shown,
    ];
    (partial(columns), vec![row])
}

fn health(context: &Context) -> Table {
    let columns = shape::columns(
        "health TEXT, missing_shards BIGINT, partition_ident TEXT, severity SMALLINT, table_name TEXT, table_schema TEXT, \
         underreplicated_shards BIGINT",
    );
    let row = |d: &crate::engine::store::Definition| {
        let (name, schema) = (Value::text(&d.name), Value::text(&d.schema));
        vec![Value::text("GREEN"), Value::Int(0), Value::Null, Value::Int(1), name, schema, Value::Int(0)]
    };
    (columns, definitions(context).map(row).collect())
}

fn users(context: &Context) -> Table {
    let columns = vec![("name", TEXT), ("superuser", Type::Boolean), ("password", TEXT)];
    let mut rows = vec![vec![Value::text("crate"), Value::Bool(true), Value::Null]];
    rows.extend(context.state.users.iter().map(|(name, user)| {
        let password = if user.has_password { Value::text("********") } else { Value::Null };
        vec![Value::text(name), Value::Bool(false), password]
    }));
    (partial(columns), rows)
}

fn privileges(context: &Context) -> Table {
    let rows = context.state.users.iter().flat_map(|(name, user)| {
        user.privileges.iter().map(move |p| {
            let ident = p.ident.as_ref().map_or(Value::Null, Value::text);
            let state = if p.granted { "GRANT" } else { "DENY" };
            vec![Value::text(name), Value::text(p.class), Value::text(p.kind), ident, Value::text(state)]
        })
    });
    (partial(texts(&["grantee", "class", "type", "ident", "state"])), rows.collect())
}
