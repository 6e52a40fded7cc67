//! Functions over arrays.

use super::{Run, lax, strict};
use crate::engine::error::{Result, refuse};
use crate::engine::expr::Expr;
use crate::engine::operators::coerce;
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

pub(super) const NAMES: &str = " array_cat array_append array_prepend array_unique array_difference array_min array_max array_sum array_length \
array_upper array_lower array_position array_to_string array_slice array_overlap ";

fn items(v: &Value) -> &[Value] {
    match v {
        Value::Array(items) => items,
        _ => &[],
    }
}

fn element(args: &[Expr]) -> Option<Type> {
    match &args.first()?.ty {
        Type::Array(of) if **of != Type::Undefined => Some((**of).clone()),
        _ => None,
    }
}

pub(super) fn resolve(name: &str, args: &[Expr]) -> Option<Result<Expr>> {
    if !NAMES.contains(&format!(" {name} ")) {
        return None;
    }
    let of = element(args);
    Some(match (name, args.len(), of) {
        ("array_cat", 2, Some(_)) => cat("array_cat", args),
        ("array_append", 2, Some(of)) => {
            with_element("array_append", args[0].clone(), args[1].clone(), of, |_, mut v| {
                let (Some(last), Some(Value::Array(mut all))) = (v.pop(), v.pop()) else { return Ok(Value::Null) };
                all.push(last);
                Ok(Value::Array(all))
            })
        }
        ("array_prepend", 2, None) => match element(&args[1..]) {
            Some(of) => with_element("array_prepend", args[1].clone(), args[0].clone(), of, |_, mut v| {
                let (Some(first), Some(Value::Array(mut all))) = (v.pop(), v.pop()) else { return Ok(Value::Null) };
                all.insert(0, first);
                Ok(Value::Array(all))
            }),
            None => Err(refuse("array_prepend like this")),
        },
        ("array_length" | "array_upper", 2, Some(_)) if is_one(&args[1]) => {
            let run: Run = |_, v| match items(&v[0]).len() {
                0 => Ok(Value::Null),
                n => Ok(Value::Int(n as i64)),
            };
            strict("array_length", run, args.to_vec(), Type::Integer)
        }
        ("array_lower", 2, Some(_)) if is_one(&args[1]) => {
            let run: Run = |_, v| Ok(if items(&v[0]).is_empty() { Value::Null } else { Value::Int(1) });
            strict("array_lower", run, args.to_vec(), Type::Integer)
        }
        ("array_position", 2, Some(of)) if args[1].ty.same_family(&of) => {
            let run: Run = |_, v| {
                let place = items(&v[0]).iter().position(|item| item.same(&v[1]));
                Ok(place.map_or(Value::Null, |p| Value::Int(p as i64 + 1)))
            };
            strict("array_position", run, args.to_vec(), Type::Integer)
        }
        ("array_unique", 1, Some(_)) => {
            let run: Run = |_, v| {
                let mut out: Vec<Value> = vec![];
                for item in items(&v[0]) {
                    if !out.iter().any(|o| o.same(item)) {
                        out.push(item.clone());
                    }
                }
                Ok(Value::Array(out))
            };
            strict("array_unique", run, args.to_vec(), args[0].ty.clone())
        }
        ("array_difference" | "array_overlap", 2, Some(of)) if element(&args[1..]) == Some(of.clone()) => {
            if name == "array_overlap" {
                let run: Run = |_, v| {
                    let both = items(&v[0]).iter().any(|a| !a.is_null() && items(&v[1]).iter().any(|b| a.same(b)));
                    Ok(Value::Bool(both))
                };
                strict("array_overlap", run, args.to_vec(), Type::Boolean)
            } else {
                let run: Run = |_, v| {
                    let rest = items(&v[0]).iter().filter(|a| !items(&v[1]).iter().any(|b| a.same(b)));
                    Ok(Value::Array(rest.cloned().collect()))
                };
                strict("array_difference", run, args.to_vec(), args[0].ty.clone())
            }
        }
        ("array_min" | "array_max", 1, Some(of)) if of.is_number() => {
            let run: Run =
                if name == "array_min" { |_, v| Ok(extreme(&v[0], false)) } else { |_, v| Ok(extreme(&v[0], true)) };
            strict(if name == "array_min" { "array_min" } else { "array_max" }, run, args.to_vec(), of)
        }
        ("array_sum", 1, Some(of)) if of.is_integer() => {
            let run: Run = |_, v| {
                let numbers = items(&v[0]).iter().filter_map(|v| match v {
                    Value::Int(i) => Some(*i),
                    _ => None,
                });
                let total =
                    numbers.clone().try_fold(0i64, i64::checked_add).ok_or_else(|| refuse("a sum this large"))?;
                Ok(if numbers.count() == 0 { Value::Null } else { Value::Int(total) })
            };
            strict("array_sum", run, args.to_vec(), Type::BigInt)
        }
        ("array_to_string", 2 | 3, Some(of)) if of.is_integer() || matches!(of, Type::Text(_)) => to_string(args),
        ("array_slice", 3, Some(_)) if args[1].ty == Type::Integer && args[2].ty == Type::Integer => {
            let run: Run = |_, v| match (&v[1], &v[2]) {
                (Value::Int(from @ 1..), Value::Int(to)) if to >= from => {
                    let part = items(&v[0]).iter().skip(*from as usize - 1).take((to - from + 1) as usize);
                    Ok(Value::Array(part.cloned().collect()))
                }
                _ => Err(refuse("this slice")),
            };
            strict("array_slice", run, args.to_vec(), args[0].ty.clone())
        }
        _ => Err(refuse(format!("{name} like this"))),
    })
}

fn is_one(e: &Expr) -> bool {
    e.as_literal() == Some(&Value::Int(1))
}

fn with_element(name: &'static str, array: Expr, item: Expr, of: Type, run: Run) -> Result<Expr> {
    let ty = array.ty.clone();
    if item.as_literal().is_some_and(Value::is_null) {
        return Err(refuse("a null element"));
    }
    strict(name, run, vec![array, coerce(item, &of)?], ty)
}

fn extreme(array: &Value, greatest: bool) -> Value {
    let some = items(array).iter().filter(|v| !v.is_null());
    some.reduce(|a, b| if b.compare(a).is_gt() == greatest { b } else { a }).cloned().unwrap_or(Value::Null)
}

/// Both arrays in a row; null counts as empty only inside of CrateDB, so it is refused.
pub(super) fn cat(name: &'static str, args: &[Expr]) -> Result<Expr> {
    let ty = if args[0].ty == Type::array(Type::Undefined) { args[1].ty.clone() } else { args[0].ty.clone() };
    let run: Run = |_, v| match (&v[0], &v[1]) {
        (Value::Array(a), Value::Array(b)) => Ok(Value::Array(a.iter().chain(b).cloned().collect())),
        _ => Err(refuse("concatenating an array and null")),
    };
    let args = args.iter().map(|a| coerce(a.clone(), &ty)).collect::<Result<_>>()?;
    lax(name, run, args, ty)
}

fn to_string(args: &[Expr]) -> Result<Expr> {
    let run: Run = |_, v| {
        let (Value::Array(items), Value::Text(by)) = (&v[0], &v[1]) else { return Ok(Value::Null) };
        let text = |item: &Value| match (item, v.get(2)) {
            (Value::Text(t), _) => Some(t.clone()),
            (Value::Int(i), _) => Some(i.to_string()),
            (_, Some(Value::Text(instead))) => Some(instead.clone()),
            _ => None,
        };
        Ok(Value::Text(items.iter().filter_map(text).collect::<Vec<_>>().join(by)))
    };
    let of_texts = args[1..].iter().all(|a| a.ty == TEXT);
    if of_texts {
        strict("array_to_string", run, args.to_vec(), TEXT)
    } else {
        Err(refuse("array_to_string like this"))
    }
}
