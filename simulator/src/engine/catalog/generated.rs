//! The texts of generated columns. CrateDB prints what it understood, with literals in the type that they have there.
//! Expressions that it may print otherwise are refused.

use crate::engine::ast::{Ast, FunctionCall, Step};
use crate::engine::error::{Result, SqlError, refuse};
use crate::engine::print::{quoted_if_needed, text as quoted_text};
use crate::engine::store::Definition;
use crate::engine::types::{TEXT, Type};
use crate::engine::value::java_double;

/// A printed part: its type if it is sure.
struct Part {
    text: String,
    ty: Option<Type>,
}

fn unknown() -> SqlError {
    refuse("the text of this generated column")
}

/// Returns the text of a generated column.
pub(super) fn text(definition: &Definition, ast: &Ast) -> Result<String> {
    part(definition, ast).map(|part| part.text)
}

fn sure(text: String, ty: Type) -> Result<Part> {
    Ok(Part { text, ty: Some(ty) })
}

fn is_literal(ast: &Ast) -> bool {
    matches!(ast, Ast::Int(_) | Ast::Double(_) | Ast::Text(_))
}

fn part(definition: &Definition, ast: &Ast) -> Result<Part> {
    let of = |ast: &Ast| part(definition, ast);
    match ast {
        Ast::Column(name) => match name.as_slice() {
            [name] => {
                let column = definition.columns.iter().find(|column| column.name == *name).ok_or_else(unknown)?;
                sure(quoted_if_needed(name), column.ty.clone())
            }
            _ => Err(unknown()),
        },
        Ast::Subscript(base, key) => match (of(base)?, &**key) {
            (Part { text, ty: Some(Type::Object(object)) }, Ast::Text(key)) if !key.contains('\'') => {
                let field = object.field(key).ok_or_else(unknown)?;
                sure(format!("{text}['{key}']"), field.ty.clone())
            }
            _ => Err(unknown()),
        },
        Ast::Negate(value) if matches!(**value, Ast::Column(_)) => {
            let Part { text, ty } = of(value)?;
            Ok(Part { text: format!("- {text}"), ty })
        }
        Ast::Binary(op, left, right) => {
            let left = if is_literal(left) { literal(definition, left, right)? } else { of(left)? };
            binary(definition, left, op, right)
        }
        Ast::Chain(first, steps) => {
            let [Step(_, second), ..] = steps.as_slice() else { return Err(unknown()) };
            let first = if is_literal(first) { literal(definition, first, second)? } else { of(first)? };
            steps.iter().try_fold(first, |left, Step(op, right)| binary(definition, left, op, right))
        }
        Ast::IsNull(value, negated) if !is_literal(value) => {
            let text = format!("({} IS NULL)", of(value)?.text);
            sure(if *negated { format!("(NOT {text})") } else { text }, Type::Boolean)
        }
        Ast::Not(value) if !matches!(**value, Ast::Not(_) | Ast::IsNull(_, true) | Ast::Binary("<>", ..)) => {
            let value = of(value)?;
            match value.ty {
                Some(Type::Boolean) => sure(format!("(NOT {})", value.text), Type::Boolean),
                _ => Err(unknown()),
            }
        }
        Ast::Like { value, pattern, escape: None, fold } => match (of(value)?, &**pattern) {
            (Part { text, ty: Some(ty) }, Ast::Text(pattern)) if ty == TEXT => {
                let word = if *fold { "ILIKE" } else { "LIKE" };
                sure(format!("({text} {word} {})", quoted_text(pattern)), Type::Boolean)
            }
            _ => Err(unknown()),
        },
        Ast::Extract(field, value)
            if matches!(field.as_str(), "year" | "month" | "day" | "hour" | "minute" | "second") =>
        {
            let value = of(value)?;
            match value.ty {
                Some(Type::Timestamp | Type::TimestampTz) => {
                    sure(format!("extract({} FROM {})", field.to_uppercase(), value.text), Type::Integer)
                }
                _ => Err(unknown()),
            }
        }
        Ast::Call(call) => self::call(definition, call),
        _ => Err(unknown()),
    }
}

/// Prints a literal beside an operand, whose type it takes.
fn literal(definition: &Definition, literal: &Ast, beside: &Ast) -> Result<Part> {
    if is_literal(beside) {
        return Err(unknown());
    }
    as_type(literal, part(definition, beside)?.ty)
}

fn as_type(literal: &Ast, ty: Option<Type>) -> Result<Part> {
    match (literal, ty) {
        (Ast::Int(digits), Some(Type::Double)) => {
            let value: f64 = digits.parse().map_err(|_| unknown())?;
            sure(java_double(value), Type::Double)
        }
        (Ast::Int(digits), Some(Type::Integer)) if digits.parse::<i32>().is_ok() => sure(digits.clone(), Type::Integer),
        (Ast::Int(digits), Some(Type::BigInt)) if digits.parse::<i32>().is_ok() => {
            sure(format!("{digits}::bigint"), Type::BigInt)
        }
        (Ast::Double(value), Some(Type::Double | Type::Integer)) => sure(java_double(*value), Type::Double),
        (Ast::Text(text), Some(ty)) if ty == TEXT => sure(quoted_text(text), TEXT),
        _ => Err(unknown()),
    }
}

fn binary(definition: &Definition, left: Part, op: &str, right: &Ast) -> Result<Part> {
    let right = if is_literal(right) { as_type(right, left.ty.clone())? } else { part(definition, right)? };
    let (Some(left_type), Some(right_type)) = (&left.ty, &right.ty) else { return Err(unknown()) };
    let text = format!("({} {op} {})", left.text, right.text);
    let numbers = left_type.is_number() && right_type.is_number();
    match op {
        "+" | "-" | "*" | "/" | "%" if numbers => {
            let ty = [left_type, right_type].into_iter().max_by_key(|ty| ty.width()).cloned();
            // The result of smaller and of decimal numbers isn't of the wider type.
            let is_usual = |ty: &Type| matches!(ty, Type::Integer | Type::BigInt | Type::Double);
            Ok(Part { text, ty: ty.filter(|_| is_usual(left_type) && is_usual(right_type)) })
        }
        "=" | "<" | ">" | "<=" | ">=" if numbers || left_type == right_type => sure(text, Type::Boolean),
        "<>" if numbers || left_type == right_type => {
            sure(format!("(NOT ({} = {}))", left.text, right.text), Type::Boolean)
        }
        "AND" | "OR" if [left_type, right_type] == [&Type::Boolean; 2] => sure(text, Type::Boolean),
        "||" if [left_type, right_type] == [&TEXT; 2] => sure(text, TEXT),
        _ => Err(unknown()),
    }
}

fn call(definition: &Definition, call: &FunctionCall) -> Result<Part> {
    let [name] = call.name.as_slice() else { return Err(unknown()) };
    if call.star || call.distinct || call.filter.is_some() || call.over.is_some() {
        return Err(unknown());
    }
    let mut parts = vec![];
    for arg in &call.args {
        parts.push(match arg {
            Ast::Text(text) => sure(quoted_text(text), TEXT)?,
            arg => part(definition, arg)?,
        });
    }
    // A call of literals alone is replaced by its value.
    if call.args.iter().all(is_literal) {
        return Err(unknown());
    }
    let types: Vec<&Type> = parts.iter().filter_map(|part| part.ty.as_ref()).collect();
    let is_text = |ty: &&Type| **ty == TEXT;
    let ty = match (name.as_str(), types.as_slice()) {
        _ if types.len() < parts.len() => return Err(unknown()),
        ("upper" | "lower" | "trim" | "md5", [Type::Text(None)]) => Some(TEXT),
        ("length" | "char_length", [Type::Text(None)]) => Some(Type::Integer),
        ("concat" | "coalesce" | "concat_ws", all) if all.len() > 1 && all.iter().all(is_text) => Some(TEXT),
        ("replace", [_, _, _]) if types.iter().all(is_text) => Some(TEXT),
        ("date_trunc", [Type::Text(None), Type::Timestamp | Type::TimestampTz]) => None,
        ("date_format", [Type::Text(None), Type::Timestamp | Type::TimestampTz]) => Some(TEXT),
        ("abs", [ty @ (Type::Integer | Type::BigInt | Type::Double)]) => Some((*ty).clone()),
        ("sqrt" | "ln", [Type::Double]) => Some(Type::Double),
        ("round" | "floor", [Type::Double]) => None,
        _ => return Err(unknown()),
    };
    let args: Vec<String> = parts.into_iter().map(|part| part.text).collect();
    Ok(Part { text: format!("{name}({})", args.join(", ")), ty })
}
