//! Window functions that are no aggregates.

use crate::engine::error::{Result, refuse};
use crate::engine::operators::coerce;
use crate::engine::plan::{Expr, RowPlace};
use crate::engine::types::Type;
use crate::engine::value::Value;

pub(super) fn of_rank(args: Vec<Expr>) -> Result<(Vec<Expr>, Type)> {
    if args.is_empty() { Ok((args, Type::Integer)) } else { Err(refuse("arguments of this window function")) }
}

pub(super) fn row_number(place: &RowPlace) -> Result<Value> {
    Ok(Value::Int(place.row as i64 + 1))
}

pub(super) fn rank(place: &RowPlace) -> Result<Value> {
    Ok(Value::Int(place.first_peer as i64 + 1))
}

pub(super) fn dense_rank(place: &RowPlace) -> Result<Value> {
    Ok(Value::Int(place.changes as i64 + 1))
}

pub(super) fn of_value(args: Vec<Expr>) -> Result<(Vec<Expr>, Type)> {
    match args.as_slice() {
        [value] => Ok((args.clone(), value.ty.clone())),
        _ => Err(refuse("arguments of this window function")),
    }
}

pub(super) fn first_value(place: &RowPlace) -> Result<Value> {
    (place.argument)(0, place.frame.0)
}

pub(super) fn last_value(place: &RowPlace) -> Result<Value> {
    (place.argument)(0, place.frame.1)
}

/// Analyses `lag` and `lead`: a value, an offset (1 by default), and the value for a missing row (null by default).
pub(super) fn of_offset(mut args: Vec<Expr>) -> Result<(Vec<Expr>, Type)> {
    if args.is_empty() || args.len() > 3 || args.get(1).is_some_and(|offset| offset.ty != Type::Integer) {
        return Err(refuse("this offset"));
    }
    let ty = args[0].ty.clone();
    if args.len() == 3 {
        let default = coerce(args.remove(2), &ty)?;
        args.push(default);
    }
    Ok((args, ty))
}

fn offset(place: &RowPlace) -> Result<usize> {
    let offset = if place.arguments > 1 { (place.argument)(1, place.row)? } else { Value::Int(1) };
    match offset {
        Value::Int(offset @ 0..=1_000_000) => Ok(offset as usize),
        _ => Err(refuse("this offset")),
    }
}

fn value_at(place: &RowPlace, row: Option<usize>) -> Result<Value> {
    match row {
        Some(row) => (place.argument)(0, row),
        None => (place.argument)(2, place.row),
    }
}

pub(super) fn lag(place: &RowPlace) -> Result<Value> {
    value_at(place, place.row.checked_sub(offset(place)?))
}

pub(super) fn lead(place: &RowPlace) -> Result<Value> {
    value_at(place, Some(place.row + offset(place)?).filter(|row| *row <= place.last))
}
