//! Table functions.

use super::Columns;
use crate::engine::error::{Result, SqlError, refuse};
use crate::engine::operators::coerce;
use crate::engine::plan::Expr;
use crate::engine::types::Type;
use crate::engine::value::{Row, Value};

/// Longer series are refused.
const LONGEST: i64 = 200_000;

pub(super) fn of_unnest(args: Vec<Expr>) -> Result<(Vec<Expr>, Columns)> {
    let mut columns = vec![];
    for (i, arg) in args.iter().enumerate() {
        let Type::Array(of) = &arg.ty else { return Err(refuse("unnest of this")) };
        if matches!(**of, Type::Array(_) | Type::Undefined) {
            return Err(refuse("unnest of nested or untyped arrays"));
        }
        let name = if args.len() == 1 { "unnest".into() } else { format!("col{}", i + 1) };
        columns.push((name, (**of).clone()));
    }
    if columns.is_empty() { Err(refuse("a table function without arguments")) } else { Ok((args, columns)) }
}

pub(super) fn unnest(arrays: Vec<Value>) -> Result<Vec<Row>> {
    let length = |v: &Value| if let Value::Array(items) = v { items.len() } else { 0 };
    let item = |v: &Value, i: usize| match v {
        Value::Array(items) => items.get(i).cloned().unwrap_or(Value::Null),
        _ => Value::Null,
    };
    let longest = arrays.iter().map(length).max().unwrap_or(0);
    Ok((0..longest).map(|i| arrays.iter().map(|a| item(a, i)).collect()).collect())
}

pub(super) fn of_series(mut args: Vec<Expr>) -> Result<(Vec<Expr>, Columns)> {
    let time = args.len() == 3 && args[0].ty.is_time() && args[0].ty == args[1].ty && args[2].ty == Type::Interval;
    if !time {
        let integers = args.iter().all(|a| matches!(a.ty, Type::Integer | Type::BigInt));
        if !integers || !(2..=3).contains(&args.len()) {
            return Err(refuse("generate_series like this"));
        }
        let ty = if args.iter().any(|a| a.ty == Type::BigInt) { Type::BigInt } else { Type::Integer };
        args = args.into_iter().map(|a| coerce(a, &ty)).collect::<Result<_>>()?;
    }
    let columns = vec![("generate_series".into(), args[0].ty.clone())];
    Ok((args, columns))
}

pub(super) fn generate_series(args: Vec<Value>) -> Result<Vec<Row>> {
    match args.as_slice() {
        [Value::Int(from), Value::Int(to), rest @ ..] => series(*from, *to, rest.first()),
        _ => Ok(vec![]),
    }
}

pub(super) fn of_subscripts(args: Vec<Expr>) -> Result<(Vec<Expr>, Columns)> {
    match args.as_slice() {
        [array, one] if matches!(array.ty, Type::Array(_)) && one.as_literal() == Some(&Value::Int(1)) => {
            Ok((args, vec![("generate_subscripts".into(), Type::Integer)]))
        }
        _ => Err(refuse("generate_subscripts like this")),
    }
}

pub(super) fn generate_subscripts(args: Vec<Value>) -> Result<Vec<Row>> {
    match args.as_slice() {
        [Value::Array(items), _] => Ok((1..=items.len()).map(|i| vec![Value::Int(i as i64)]).collect()),
        _ => Ok(vec![]),
    }
}

fn series(from: i64, to: i64, step: Option<&Value>) -> Result<Vec<Row>> {
    let mut out = vec![];
    let mut at = from;
    let step_of = |at: i64| match step {
        None => at.checked_add(1),
        Some(Value::Int(step)) => at.checked_add(*step),
        Some(Value::Interval(step)) => step.after(at),
        _ => None,
    };
    if matches!(step, Some(Value::Int(0))) {
        return Err(SqlError::new(5000, "ArithmeticException", "/ by zero"));
    }
    let down = step_of(at).is_some_and(|next| next < at);
    while if down { at >= to } else { at <= to } {
        out.push(vec![Value::Int(at)]);
        match step_of(at) {
            Some(next) if next != at && out.len() < LONGEST as usize => at = next,
            _ => return Err(refuse("a series this long")),
        }
    }
    Ok(out)
}
