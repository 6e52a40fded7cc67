//! Names of columns of RETURNING. CrateDB prints the analysed expression there, and not the one that was written: with
//! constants computed and literals of the type that their place needs.

use crate::engine::ast::{Ast, Step};
use crate::engine::error::{Result, SqlError, refuse};
use crate::engine::plan::{Expr, Kind};
use crate::engine::print::{quoted, quoted_if_needed};
use crate::engine::types::Type;
use crate::engine::value::{Value, java_double, java_float};

/// The longest chain of operators that is printed.
const LONGEST: usize = 20;

/// Beginnings of names of functions that CrateDB prints with their schema.
const IN_PG_CATALOG: [&str; 10] =
    ["age", "col_", "current_", "format_type", "generate_", "has_", "obj_", "parse_ident", "pg_", "quote_ident"];

fn unknown() -> SqlError {
    refuse("a column of RETURNING without alias for this expression")
}

/// Returns the name of an output of RETURNING without alias.
pub(super) fn name(ast: &Ast, e: &Expr) -> Result<String> {
    match (ast, &e.kind) {
        (Ast::Column(parts), _) => Ok(parts.last().cloned().unwrap_or_default()),
        _ => print(ast, e),
    }
}

/// Prints an expression as it was written and as it was analysed, part by part.
fn print(ast: &Ast, e: &Expr) -> Result<String> {
    match ast {
        Ast::Special("current_user" | "user") => return Ok("CURRENT_USER".into()),
        Ast::Special("session_user") => return Ok("SESSION_USER".into()),
        Ast::Special("current_schema") => return Ok("current_schema".into()),
        Ast::Call(call) if call.args.is_empty() && call.name != ["now"] => return Err(unknown()),
        _ => {}
    }
    if let Some(value) = e.as_literal() {
        return literal(value, &e.ty);
    }
    if let (Kind::Cast(inner, _), false) = (&e.kind, matches!(ast, Ast::Cast { .. })) {
        return print(ast, inner);
    }
    match (ast, &e.kind) {
        (Ast::Column(parts), Kind::Column { .. }) => Ok(quoted_if_needed(parts.last().map_or("", String::as_str))),
        (Ast::Subscript(base, _), Kind::Element(e, key)) if !matches!(e.ty, Type::Array(_)) => {
            Ok(format!("{}['{key}']", print(base, e)?))
        }
        (Ast::Subscript(base, index), Kind::Index(e, at)) => Ok(format!("{}[{}]", print(base, e)?, print(index, at)?)),
        (Ast::Call(call), Kind::Call(_, args) | Kind::Coalesce(args))
            if call.args.len() == args.len() && call.name.len() == 1 && !call.name[0].starts_with("op_") =>
        {
            if args.is_empty() && call.name[0] != "now" {
                return Err(unknown());
            }
            let name = match call.name[0].as_str() {
                "array_to_string" => "pg_catalog.array_to_string",
                name if IN_PG_CATALOG.iter().any(|prefix| name.starts_with(prefix)) => return Err(unknown()),
                name => name,
            };
            Ok(format!("{name}({})", list(&call.args, args)?))
        }
        (Ast::Negate(ast), Kind::Call(_, args)) if args.len() == 1 => Ok(format!("- {}", print(ast, &args[0])?)),
        (Ast::Not(ast), Kind::Not(e)) => Ok(format!("(NOT {})", print(ast, e)?)),
        (Ast::IsNull(ast, negated), Kind::IsNull(e, _)) => {
            let is_null = format!("({} IS NULL)", print(ast, e)?);
            Ok(if *negated { format!("(NOT {is_null})") } else { is_null })
        }
        (Ast::Binary(op, a, b), _) => binary(op, a, b, e),
        (Ast::Chain(first, steps), _) => match steps.split_last() {
            Some((Step(op, last), before)) if steps.len() < LONGEST => {
                binary(op, &Ast::chain((**first).clone(), before.to_vec()), last, e)
            }
            _ => Err(unknown()),
        },
        (Ast::Between(value, low, high), Kind::And(both)) => match both.as_slice() {
            [Expr { kind: Kind::Compare(_, v, l), .. }, Expr { kind: Kind::Compare(_, w, h), .. }] => Ok(format!(
                "(({} >= {}) AND ({} <= {}))",
                print(value, v)?,
                print(low, l)?,
                print(value, w)?,
                print(high, h)?
            )),
            _ => Err(unknown()),
        },
        (Ast::In(value, items), Kind::In(e, analysed)) => {
            Ok(format!("({} = ANY([{}]))", print(value, e)?, list(items, analysed)?))
        }
        (Ast::Quantified { op, all: false, value, array }, Kind::Quantified { value: v, array: a, .. })
            if *op != "<>" =>
        {
            Ok(format!("({} {op} ANY({}))", print(value, v)?, print(array, a)?))
        }
        (Ast::Like { value, pattern, escape: None, fold }, Kind::Call(_, args)) => {
            let op = if *fold { "ILIKE" } else { "LIKE" };
            Ok(format!("({} {op} {})", print(value, &args[0])?, print(pattern, &args[1])?))
        }
        (Ast::Cast { value, to, lenient: false }, Kind::Cast(e, _)) if e.ty == to.ty => print(value, e),
        (Ast::Cast { value, to, lenient }, Kind::Cast(e, _)) => match to.ty {
            _ if e.ty == to.ty => Err(unknown()),
            Type::Text(None)
            | Type::Integer
            | Type::BigInt
            | Type::SmallInt
            | Type::Double
            | Type::Real
            | Type::Boolean => {
                let cast = if *lenient { "try_cast" } else { "cast" };
                Ok(format!("{cast}({} AS {})", print(value, e)?, to.ty.name().to_uppercase()))
            }
            _ => Err(unknown()),
        },
        (Ast::Case { operand: None, whens, otherwise: Some(otherwise) }, Kind::Case(analysed, last)) => {
            let mut out = String::from("CASE");
            for ((when, then), (w, t)) in whens.iter().zip(analysed) {
                if w.as_literal().is_some() {
                    return Err(unknown());
                }
                out += &format!(" WHEN {} THEN {}", print(when, w)?, print(then, t)?);
            }
            Ok(format!("{out} ELSE {} END", print(otherwise, last)?))
        }
        (Ast::Extract(field, ast), Kind::Call(_, args)) if args.len() == 2 => {
            Ok(format!("extract({field} FROM {})", print(ast, &args[1])?))
        }
        _ => Err(unknown()),
    }
}

fn list(items: &[Ast], analysed: &[Expr]) -> Result<String> {
    let all = items.iter().zip(analysed).map(|(ast, e)| print(ast, e));
    Ok(all.collect::<Result<Vec<_>>>()?.join(", "))
}

fn binary(op: &str, left: &Ast, right: &Ast, e: &Expr) -> Result<String> {
    if let Kind::Compare(_, a, b) = &e.kind {
        // CrateDB turns a comparison so that a column is on the left.
        let names = |e: &Expr| e.any(&mut |e| matches!(e.kind, Kind::Column { .. }));
        if !names(a) {
            return Err(unknown());
        }
        let (a, b) = (print(left, a)?, print(right, b)?);
        return Ok(if op == "<>" { format!("(NOT ({a} = {b}))") } else { format!("({a} {op} {b})") });
    }
    let (before, last) = match &e.kind {
        Kind::Chain(first, steps) => {
            let ((_, last), before) = steps.split_last().ok_or_else(unknown)?;
            let before = before.to_vec();
            let kind = if before.is_empty() { first.kind.clone() } else { Kind::Chain(first.clone(), before) };
            (Expr::new(kind, first.ty.clone()), last)
        }
        Kind::And(all) | Kind::Or(all) => {
            let (last, before) = all.split_last().ok_or_else(unknown)?;
            // CrateDB leaves constants out of conditions.
            if all.iter().any(|e| e.as_literal().is_some()) {
                return Err(unknown());
            }
            match before {
                [one] => (one.clone(), last),
                before if op == "AND" => (Expr::new(Kind::And(before.to_vec()), Type::Boolean), last),
                before => (Expr::new(Kind::Or(before.to_vec()), Type::Boolean), last),
            }
        }
        _ => return Err(unknown()),
    };
    Ok(format!("({} {op} {})", print(left, &before)?, print(right, last)?))
}

fn literal(value: &Value, ty: &Type) -> Result<String> {
    Ok(match (value, ty) {
        (Value::Null, _) => "NULL".into(),
        (Value::Bool(b), _) => b.to_string(),
        (Value::Int(n), Type::Integer) => n.to_string(),
        (Value::Int(n), Type::BigInt) => format!("{n}::bigint"),
        (Value::Double(d), _) => java_double(*d),
        (Value::Real(r), _) => java_float(*r),
        (Value::Numeric(n), _) => n.to_string(),
        (Value::Text(t), Type::Text(_)) => format!("'{}'", t.replace('\'', "''")),
        (Value::Array(items), Type::Array(of)) => {
            let items = items.iter().map(|item| literal(item, of)).collect::<Result<Vec<_>>>()?;
            format!("[{}]", items.join(", "))
        }
        (Value::Object(fields), Type::Object(object)) => {
            let field = |(key, value): &(String, Value)| match object.field(key) {
                Some(field) => Ok(format!("{}={}", quoted(key), literal(value, &field.ty)?)),
                None => Err(unknown()),
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Result<Vec<_>>>()?.join(", "))
        }
        _ => return Err(unknown()),
    })
}
