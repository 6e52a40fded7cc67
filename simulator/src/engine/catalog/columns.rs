//! `information_schema.columns`: columns of tables, inner ones too.

use super::{CatalogTable, PARTIAL, UNKNOWN, UNNAMED, definitions, generated, partial, texts};
use crate::engine::ast::Ast;
use crate::engine::context::Context;
use crate::engine::error::{Result, refuse};
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

/// The parts of a column's row that only columns of tables have.
struct Shown {
    nullable: bool,
    default: Value,
    generated: Value,
    has_oid: bool,
}

impl Shown {
    fn plain() -> Self {
        Self { nullable: true, default: Value::Null, generated: Value::Null, has_oid: false }
    }

    fn of(definition: &Definition, path: &[String]) -> Self {
        let Some(index) = definition.column(&path[0]).filter(|_| path.len() == 1) else {
            return Self { has_oid: true, ..Self::plain() };
        };
        let column = &definition.columns[index];
        let known = |text: Result<String>| Value::Text(text.unwrap_or_else(|_| UNKNOWN.into()));
        Self {
            nullable: !column.not_null && !definition.primary.contains(&index),
            default: column.default.as_ref().map_or(Value::Null, |ast| known(default_text(ast))),
            generated: column.generated.as_ref().map_or(Value::Null, |ast| known(generated::text(definition, ast))),
            has_oid: true,
        }
    }
}

/// Returns the text of a default as CrateDB shows it: constants are computed, of which only plain ones are known here.
fn default_text(ast: &Ast) -> Result<String> {
    match ast {
        Ast::Null | Ast::Bool(_) | Ast::Int(_) | Ast::Double(_) | Ast::Text(_) => expression(ast),
        Ast::Special(word @ ("current_timestamp" | "current_user")) => Ok(word.to_uppercase()),
        Ast::Special("current_schema") => expression(ast),
        Ast::Negate(number) if matches!(**number, Ast::Int(_)) => Ok(format!("-{}", expression(number)?)),
        Ast::Call(call) if call.args.is_empty() => expression(ast),
        _ => Err(refuse("the text of this default")),
    }
}

/// Returns the policy of an object, or of objects in an array. CrateDB calls all other columns strict.
fn policy(ty: &Type) -> &'static str {
    match ty {
        Type::Array(of) => policy(of),
        Type::Object(object) => match object.policy {
            Policy::Dynamic => "dynamic",
            Policy::Ignored => "ignored",
            Policy::Strict => "strict",
        },
        _ => "strict",
    }
}

fn has_fields(ty: &Type) -> bool {
    match ty {
        Type::Array(of) => has_fields(of),
        Type::Object(object) => !object.fields.is_empty(),
        _ => false,
    }
}

pub(super) fn information(context: &Context) -> CatalogTable {
    let details = Object {
        policy: Policy::Strict,
        fields: vec![
            Field { name: "name".into(), ty: TEXT, position: 0 },
            Field { name: "path".into(), ty: Type::array(TEXT), position: 0 },
            Field { name: "oid".into(), ty: Type::BigInt, position: 0 },
            Field { name: "policy".into(), ty: TEXT, position: 0 },
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
        "is_generated",
        "generation_expression",
    ]);
    columns.extend([
        ("ordinal_position", Type::Integer),
        ("character_maximum_length", Type::Integer),
        ("numeric_precision", Type::Integer),
        ("numeric_scale", Type::Integer),
        ("column_details", Type::Object(details)),
    ]);
    let mut rows = vec![];
    let mut push = |schema: &str, table: &str, path: &[String], ty: &Type, position: u32, shown_as: Shown| {
        let (length, precision) = sizes(ty);
        let rest: Vec<Value> = path[1..].iter().map(Value::text).collect();
        let details = [
            ("name", Value::text(&path[0])),
            ("path", Value::Array(rest)),
            ("oid", Value::Int(if shown_as.has_oid { position.into() } else { 0 })),
            ("policy", Value::text(policy(ty))),
        ];
        rows.push(vec![
            Value::text("crate"),
            Value::text(schema),
            Value::text(table),
            Value::Text(shown(path)),
            Value::Text(ty.name()),
            Value::text(if shown_as.nullable { "YES" } else { "NO" }),
            shown_as.default,
            Value::text(if shown_as.generated.is_null() { "NEVER" } else { "ALWAYS" }),
            shown_as.generated,
            Value::Int(position.into()),
            length,
            precision,
            Value::Null,
            Value::Object(details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]);
    };
    for d in definitions(context) {
        for (path, ty, position) in flat_columns(d) {
            push(&d.schema, &d.name, &path, &ty, position, Shown::of(d, &path));
        }
    }
    for (schema, name, relation) in super::relations(context) {
        if let Relation::View(view) = relation {
            for (i, (column, ty)) in view.columns.iter().enumerate() {
                push(schema, name, std::slice::from_ref(column), ty, i as u32 + 1, Shown::plain());
            }
            if view.columns.iter().any(|(_, ty)| has_fields(ty)) {
                // CrateDB lists the inner columns too, in an order of its own.
                push(schema, name, &[UNNAMED.to_owned()], &TEXT, 1, Shown::plain());
            }
        }
    }
    let mut own = |table: &str, names: &[(&'static str, Type)]| {
        for (i, (name, ty)) in names.iter().enumerate() {
            let (schema, table) = table.split_once('.').unwrap_or(("sys", table));
            push(schema, table, &[(*name).to_owned()], ty, i as u32 + 1, Shown::plain());
        }
    };
    own("information_schema.schemata", &texts(&["catalog_name", "schema_name"]));
    own("sys.summits", &super::summits::columns());
    // Columns of the other catalog tables are missing here.
    for (schema, names) in [("information_schema", &super::INFORMATION[..]), ("sys", &super::SYS[..])] {
        for name in names.iter().filter(|n| !["schemata", "summits"].contains(n)) {
            push(schema, name, &[UNNAMED.to_owned()], &TEXT, 1, Shown::plain());
        }
    }
    push("pg_catalog", PARTIAL, &[PARTIAL.to_owned()], &TEXT, 1, Shown::plain());
    (partial(columns), rows)
}
