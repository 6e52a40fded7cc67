//! `sys`: nodes, cluster, health, users.

use super::shape::{self, object};
use super::{CatalogTable, definitions, nodes, partial, settings, shards, summits, texts};
use crate::engine::context::Context;
use crate::engine::error::{Result, refuse};
use crate::engine::state::{GrantedRole, User};
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
            let all = context.state.tables().map(|table| shards::underreplicated(context, &table.definition));
            let missing: i64 = all.sum();
            let (health, severity) = health_of(missing);
            let text = if missing > 0 { "One or more tables have underreplicated shards" } else { "" };
            let row = vec![Value::text(text), health, Value::Int(0), Value::Int(0), severity, Value::Int(missing)];
            (columns, vec![row])
        }
        "health" => health(context),
        "shards" => shards::shards(context),
        "users" => users(context),
        "privileges" => privileges(context),
        "roles" => roles(context),
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
        settings::value(&context.state.at_start, &context.state.settings),
    ];
    (partial(columns), vec![row])
}

/// Returns health and severity, by the number of shard copies that no node holds. Primaries are never missing.
fn health_of(underreplicated: i64) -> (Value, Value) {
    let (health, severity) = if underreplicated > 0 { ("YELLOW", 2) } else { ("GREEN", 1) };
    (Value::text(health), Value::Int(severity))
}

fn health(context: &Context) -> CatalogTable {
    let columns = shape::columns(
        "health TEXT, missing_shards BIGINT, partition_ident TEXT, severity SMALLINT, table_name TEXT, table_schema TEXT, \
         underreplicated_shards BIGINT",
    );
    let row = |d: &crate::engine::store::Definition| {
        let (name, schema) = (Value::text(&d.name), Value::text(&d.schema));
        let missing = shards::underreplicated(context, d);
        let (health, severity) = health_of(missing);
        vec![health, Value::Int(0), Value::Null, severity, name, schema, Value::Int(missing)]
    };
    (columns, definitions(context).map(row).collect())
}

fn users(context: &Context) -> CatalogTable {
    let columns = shape::columns(
        "granted_roles[](grantor TEXT, role TEXT), jwt(aud TEXT, iss TEXT, username TEXT), name TEXT, password TEXT, \
         session_settings OBJECT, superuser BOOLEAN",
    );
    let none = || Value::Array(vec![]);
    let row = |name: &str, roles: Value, password: Value, path: Option<&Vec<String>>| {
        let settings = path.map(|path| vec![("search_path".into(), Value::text(path.join(",")))]).unwrap_or_default();
        let superuser = Value::Bool(crate::engine::users::is_superuser(name));
        vec![roles, Value::Null, Value::text(name), password, Value::Object(settings), superuser]
    };
    let mut rows = vec![row("crate", none(), Value::Null, None)];
    rows.extend(context.state.users.iter().filter(|(_, user)| !user.is_role).map(|(name, user)| {
        let password = if user.password.is_some() { Value::text("********") } else { Value::Null };
        row(name, granted(user), password, user.search_path.as_ref())
    }));
    (columns, rows)
}

fn granted(user: &User) -> Value {
    let role = |granted: &GrantedRole| {
        Value::Object(vec![
            ("grantor".into(), Value::text(&granted.grantor)),
            ("role".into(), Value::text(&granted.role)),
        ])
    };
    Value::Array(user.roles.iter().map(role).collect())
}

fn roles(context: &Context) -> CatalogTable {
    let columns = shape::columns("granted_roles[](grantor TEXT, role TEXT), name TEXT");
    let roles = context.state.users.iter().filter(|(_, user)| user.is_role);
    (columns, roles.map(|(name, role)| vec![granted(role), Value::text(name)]).collect())
}

fn privileges(context: &Context) -> CatalogTable {
    let rows = context.state.users.iter().flat_map(|(name, user)| {
        user.privileges.iter().map(move |p| {
            let ident = p.ident.as_ref().map_or(Value::Null, Value::text);
            let state = if p.granted { "GRANT" } else { "DENY" };
            let texts = [p.class, name.as_str(), p.grantor.as_str()].map(Value::text);
            texts.into_iter().chain([ident, Value::text(state), Value::text(p.kind)]).collect()
        })
    });
    (texts(&["class", "grantee", "grantor", "ident", "state", "type"]), rows.collect())
}
