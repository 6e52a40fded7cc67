//! `information_schema.columns`: columns of tables, inner ones too.

use super::{CatalogTable, PARTIAL, UNNAMED, definitions, partial, texts};
use crate::engine::context::Context;
use crate::engine::print::expression;
use crate::engine::state::Relation;
use crate::engine::store::Definition;
use crate::engine::types::{Field, Object, Policy, TEXT, Type};
use crate::engine::value::Value;

/// Returns path, type and position of every column of a table, by position.
pub(crate) fn flat_columns(definition: &Definition) -> Vec<(Vec<String>, Type, u32)> {
    let mut out = vec![];
    for column in &definition.columns {
        add(vec![column.name.clone()], &column.ty, column.position, &mut out);
    }
    out.sort_by_key(|c| c.2);
    out
}

fn add(path: Vec<String>, ty: &Type, position: u32, out: &mut Vec<(Vec<String>, Type, u32)>) {
    let mut inner = ty;
    while let Type::Array(of) = inner {
        inner = of;
    }
    if let Type::Object(object) = inner {
        for field in &object.fields {
            let mut path = path.clone();
            path.push(field.name.clone());
            add(path, &field.ty, field.position, out);
        }
    }
    out.push((path, ty.clone(), position));
}

fn shown(path: &[String]) -> String {
    let inner: String = path[1..].iter().map(|p| format!("['{p}']")).collect();
    path[0].clone() + &inner
}

/// Returns name and type of every column of a table, inner ones too.
pub(crate) fn named_columns(definition: &Definition) -> Vec<(String, Type)> {
    flat_columns(definition).into_iter().map(|(path, ty, _)| (shown(&path), ty)).collect()
}

/// Returns the length of a text type, or the bits or digits of a number type. A scale is not shown.
fn sizes(ty: &Type) -> (Value, Value) {
    let number = |n: u32| (Value::Null, Value::Int(n.into()));
    match ty {
        Type::Byte => number(8),
        Type::SmallInt => number(16),
        Type::Integer => number(32),
        Type::BigInt => number(64),
        Type::Real => number(24),
        Type::Double => number(53),
        Type::Numeric(Some((precision, _))) => number(*precision),
        Type::Text(Some(n)) | Type::Char(n) => (Value::Int((*n).into()), Value::Null),
        _ => (Value::Null, Value::Null),
    }
}

pub(super) fn information(context: &Context) -> CatalogTable {
    let details = Object {
        policy: Policy::Dynamic,
        fields: vec![
            Field { name: "name".into(), ty: TEXT, position: 0 },
            Field { name: "path".into(), ty: Type::array(TEXT), position: 0 },
        ],
    };
    let mut columns = texts(&[
        "table_catalog",
        "table_schema",
        "table_name",
        "column_name",
        "data_type",
        "is_nullable",
        "column_default",
    ]);
    columns.extend([
        ("ordinal_position", Type::Integer),
        ("character_maximum_length", Type::Integer),
        ("numeric_precision", Type::Integer),
        ("numeric_scale", Type::Integer),
        ("column_details", Type::Object(details)),
    ]);
    let mut rows = vec![];
    let mut push =
        |schema: &str, table: &str, path: &[String], ty: &Type, position: u32, nullable: bool, default: Value| {
            let (length, precision) = sizes(ty);
            let rest: Vec<Value> = path[1..].iter().map(Value::text).collect();
            rows.push(vec![
                Value::text("crate"),
                Value::text(schema),
                Value::text(table),
                Value::Text(shown(path)),
                Value::Text(ty.name()),
                Value::text(if nullable { "YES" } else { "NO" }),
                default,
                Value::Int(position.into()),
                length,
                precision,
                Value::Null,
                Value::Object(vec![("name".into(), Value::text(&path[0])), ("path".into(), Value::Array(rest))]),
            ]);
        };
    for d in definitions(context) {
        for (path, ty, position) in flat_columns(d) {
            let column = d.column(&path[0]).filter(|_| path.len() == 1);
            let not_null = column.is_some_and(|c| d.columns[c].not_null || d.primary.contains(&c));
            let default = column.and_then(|c| d.columns[c].default.as_ref()).and_then(|a| expression(a).ok());
            push(&d.schema, &d.name, &path, &ty, position, !not_null, default.map_or(Value::Null, Value::Text));
        }
    }
    for (schema, name, relation) in super::relations(context) {
        if let Relation::View(view) = relation {
            for (i, (column, ty)) in view.columns.iter().enumerate() {
                push(schema, name, std::slice::from_ref(column), ty, i as u32 + 1, true, Value::Null);
            }
        }
    }
    let mut own = |table: &str, names: &[(&'static str, Type)]| {
        for (i, (name, ty)) in names.iter().enumerate() {
            let (schema, table) = table.split_once('.').unwrap_or(("sys", table));
            push(schema, table, &[(*name).to_owned()], ty, i as u32 + 1, true, Value::Null);
        }
    };
    own("information_schema.schemata", &texts(&["catalog_name", "schema_name"]));
    own("sys.summits", &super::summits::columns());
    // Columns of the other catalog tables are missing here.
    for (schema, names) in [("information_schema", &super::INFORMATION[..]), ("sys", &super::SYS[..])] {
        for name in names.iter().filter(|n| !["schemata", "summits"].contains(n)) {
            push(schema, name, &[UNNAMED.to_owned()], &TEXT, 1, true, Value::Null);
        }
    }
    push("pg_catalog", PARTIAL, &[PARTIAL.to_owned()], &TEXT, 1, true, Value::Null);
    (partial(columns), rows)
}
