//! `sys`: nodes, cluster, health, users.

use super::shape::{self, object};
use super::{CatalogTable, definitions, nodes, partial, settings, shards, summits, texts};
use crate::engine::context::Context;
use crate::engine::error::{Result, refuse};
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

pub(super) fn rows(context: &Context, name: &str) -> Result<CatalogTable> {
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

fn cluster(context: &Context) -> CatalogTable {
    let options = context.options;
    let columns = vec![
        ("id", TEXT),
        ("name", TEXT),
        ("master_node", TEXT),
        ("license", object(&[])),
        ("settings", settings::ty()),
    ];
    let row = vec![
        Value::text(&options.cluster_id),
        Value::text(&options.cluster_name),
        Value::text(&options.cluster_id),
        Value::Null,
        settings::value(&context.state.settings),
    ];
    (partial(columns), vec![row])
}

fn health(context: &Context) -> CatalogTable {
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

fn users(context: &Context) -> CatalogTable {
    let columns = vec![("name", TEXT), ("superuser", Type::Boolean), ("password", TEXT)];
    let mut rows = vec![vec![Value::text("crate"), Value::Bool(true), Value::Null]];
    rows.extend(context.state.users.iter().map(|(name, user)| {
        let password = if user.password.is_some() { Value::text("********") } else { Value::Null };
        vec![Value::text(name), Value::Bool(false), password]
    }));
    (partial(columns), rows)
}

fn privileges(context: &Context) -> CatalogTable {
    let rows = context.state.users.iter().flat_map(|(name, user)| {
        user.privileges.iter().map(move |p| {
            let ident = p.ident.as_ref().map_or(Value::Null, Value::text);
            let state = if p.granted { "GRANT" } else { "DENY" };
            vec![Value::text(name), Value::text(p.class), Value::text(p.kind), ident, Value::text(state)]
        })
    });
    (partial(texts(&["grantee", "class", "type", "ident", "state"])), rows.collect())
}
