//! Types of columns of system tables, written down as text: `id TEXT, port(http INTEGER), disks[](dev TEXT)`.

use crate::engine::types::{Field, Object, Policy, TEXT, Type};
use crate::engine::value::Value;

/// Returns the columns that a text names, in its order. A mistake in the text, which is part of this program, panics.
pub(super) fn columns(text: &'static str) -> Vec<(&'static str, Type)> {
    let mut rest = text;
    let fields = fields(&mut rest);
    assert!(rest.is_empty(), "`{rest}` is left of a description of columns");
    fields
}

fn fields(rest: &mut &'static str) -> Vec<(&'static str, Type)> {
    let mut out = vec![];
    loop {
        let name = word(rest);
        let array = take(rest, "[]");
        let ty = match take(rest, "(") {
            true => {
                let inner = fields(rest);
                assert!(take(rest, ")"), "a parenthesis is missing before `{rest}`");
                object(&inner)
            }
            false => scalar(word(rest)),
        };
        out.push((name, if array { Type::array(ty) } else { ty }));
        if !take(rest, ",") {
            return out;
        }
    }
}

pub(super) fn object(fields: &[(&'static str, Type)]) -> Type {
    let field = |(name, ty): &(&'static str, Type)| Field { name: (*name).into(), ty: ty.clone(), position: 0 };
    Type::Object(Object { policy: Policy::Dynamic, fields: fields.iter().map(field).collect() })
}

/// Marks an object as complete: the whole object may be shown, and other keys are errors.
pub(super) fn complete(ty: Type) -> Type {
    match ty {
        Type::Object(mut object) if !object.fields.is_empty() => {
            object.policy = Policy::Strict;
            for field in &mut object.fields {
                field.ty = complete(field.ty.clone());
            }
            Type::Object(object)
        }
        other => other,
    }
}

fn word(rest: &mut &'static str) -> &'static str {
    let text = rest.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    *rest = text[end..].trim_start();
    &text[..end]
}

fn take(rest: &mut &'static str, token: &str) -> bool {
    let stripped = rest.trim_start().strip_prefix(token);
    stripped.inspect(|stripped| *rest = stripped).is_some()
}

fn scalar(name: &str) -> Type {
    match name {
        "TEXT" => TEXT,
        "TEXTS" => Type::array(TEXT),
        "BOOLEAN" => Type::Boolean,
        "SMALLINT" => Type::SmallInt,
        "INTEGER" => Type::Integer,
        "BIGINT" => Type::BigInt,
        "REAL" => Type::Real,
        "DOUBLE" => Type::Double,
        "TIMESTAMP" => Type::TimestampTz,
        "OBJECT" => object(&[]),
        other => panic!("`{other}` is no type in a description of columns"),
    }
}

/// Makes a value of a type from JSON that has every field of the type. Times are in milliseconds.
pub(super) fn value(ty: &Type, json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match (ty, json) {
        (_, Json::Null) => Value::Null,
        (_, Json::Bool(b)) => Value::Bool(*b),
        (Type::Double, number @ Json::Number(_)) => Value::Double(number.as_f64().unwrap_or_default()),
        (Type::Real, number @ Json::Number(_)) => Value::Real(number.as_f64().unwrap_or_default() as f32),
        (_, number @ Json::Number(_)) => Value::Int(number.as_i64().unwrap_or_default()),
        (_, Json::String(text)) => Value::text(text),
        (Type::Array(inner), Json::Array(all)) => Value::Array(all.iter().map(|json| value(inner, json)).collect()),
        (Type::Object(object), Json::Object(map)) => {
            let field = |field: &Field| Some((field.name.clone(), value(&field.ty, map.get(&field.name)?)));
            Value::Object(object.fields.iter().filter_map(field).collect())
        }
        (ty, json) => panic!("{json} is no {}", ty.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nested_columns() {
        let read = columns("id TEXT, port(http INTEGER, psql INTEGER), disks[](dev TEXT, size BIGINT), roles TEXTS");
        let names: Vec<_> = read.iter().map(|(name, ty)| format!("{name} {}", ty.name())).collect();
        assert_eq!(names, ["id text", "port object", "disks object_array", "roles text_array"]);
    }

    #[test]
    #[should_panic = "`NUMBER` is no type"]
    fn refuses_types_it_does_not_know() {
        columns("id NUMBER");
    }
}
