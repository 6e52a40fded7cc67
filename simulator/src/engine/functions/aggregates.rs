//! Functions over several rows: aggregates and window functions.

use super::wrong_arguments;
use crate::engine::decimal::Decimal;
use crate::engine::error::{Result, SqlError, refuse};
use crate::engine::operators::coerce;
use crate::engine::plan::{Expr, RowPlace};
use crate::engine::types::{NUMERIC, TEXT, Type};
use crate::engine::value::{Row, Value};
use std::collections::HashSet;

fn unsure(name: &str) -> SqlError {
    refuse(format!("{name} over this type"))
}

fn unfit(name: &str) -> SqlError {
    refuse(format!("the aggregate {name} like this"))
}

/// Returns the first argument of each row, without nulls.
fn values(rows: Vec<Row>) -> Vec<Value> {
    rows.into_iter().filter_map(|mut row| row.drain(..).next()).filter(|v| !v.is_null()).collect()
}

pub(super) fn of_count(name: &str, args: &[Type]) -> Result<Type> {
    if args.len() < 2 { Ok(Type::BigInt) } else { Err(wrong_arguments(name)) }
}

pub(super) fn count(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let counted = rows.iter().filter(|row| row.first().is_none_or(|v| !v.is_null())).count();
    Ok(Value::Int(counted as i64))
}

pub(super) fn of_extreme(name: &str, args: &[Type]) -> Result<Type> {
    match args {
        [Type::Text(_)] => Ok(TEXT),
        [ty] if ty.is_number() || ty.is_time() || *ty == Type::Boolean => Ok(ty.clone()),
        [ty] if has_no_order(ty) => Err(wrong_arguments(name)),
        [_] => Err(unsure(name)),
        _ => Err(unfit(name)),
    }
}

/// Returns whether no aggregate computes with values of a type.
fn has_no_order(ty: &Type) -> bool {
    matches!(ty, Type::Array(_) | Type::Object(_) | Type::Vector(_) | Type::Bit(_) | Type::GeoPoint)
}

pub(super) fn min(rows: Vec<Row>, _: &Type) -> Result<Value> {
    Ok(super::most(values(rows).iter(), false))
}

pub(super) fn max(rows: Vec<Row>, _: &Type) -> Result<Value> {
    Ok(super::most(values(rows).iter(), true))
}

pub(super) fn of_sum(name: &str, args: &[Type]) -> Result<Type> {
    match args {
        [ty] if ty.is_integer() => Ok(Type::BigInt),
        // A text is taken for a number, which only works without rows.
        [Type::Text(_)] => Ok(Type::BigInt),
        [ty @ (Type::Double | Type::Real)] => Ok(ty.clone()),
        [Type::Numeric(_)] => Ok(NUMERIC),
        [ty] if has_no_order(ty) || matches!(ty, Type::Boolean | Type::Ip) => Err(wrong_arguments(name)),
        [_] => Err(unsure(name)),
        _ => Err(unfit(name)),
    }
}

pub(super) fn sum(rows: Vec<Row>, ty: &Type) -> Result<Value> {
    let values = values(rows);
    match ty {
        _ if values.is_empty() => Ok(Value::Null),
        Type::BigInt => {
            let mut total: i64 = 0;
            for value in &values {
                let Value::Int(n) = value else { return Err(refuse("sum of texts")) };
                total =
                    total.checked_add(*n).ok_or_else(|| SqlError::new(5000, "ArithmeticException", "long overflow"))?;
            }
            Ok(Value::Int(total))
        }
        Type::Double => Ok(Value::Double(sum_doubles(&values))),
        Type::Real => Ok(Value::Real(sum_reals(&values))),
        _ => sum_decimals(&values).map(Value::Numeric).ok_or_else(|| refuse("a sum of this size")),
    }
}

/// Adds up by Kahan's algorithm.
fn sum_doubles(values: &[Value]) -> f64 {
    let (mut total, mut lost) = (0.0, 0.0);
    for value in values {
        let n = match value {
            Value::Double(d) => *d,
            Value::Real(r) => f64::from(*r),
            Value::Int(i) => *i as f64,
            _ => 0.0,
        };
        let corrected = n - lost;
        let next: f64 = total + corrected;
        lost = (next - total) - corrected;
        total = next;
    }
    total
}

fn sum_reals(values: &[Value]) -> f32 {
    let (mut total, mut lost) = (0.0, 0.0);
    for value in values {
        let Value::Real(n) = value else { continue };
        let corrected = n - lost;
        let next: f32 = total + corrected;
        let error = (next - total) - corrected;
        lost = if error.is_finite() { error } else { 0.0 };
        total = next;
    }
    total
}

fn sum_decimals(values: &[Value]) -> Option<Decimal> {
    values.iter().try_fold(Decimal::whole(0), |total, value| match value {
        Value::Numeric(n) => total.add(*n),
        _ => None,
    })
}

pub(super) fn of_average(name: &str, args: &[Type]) -> Result<Type> {
    match args {
        [ty] if ty.is_integer() || matches!(ty, Type::Double | Type::Real) => Ok(Type::Double),
        [Type::Numeric(_)] => Ok(NUMERIC),
        [Type::Boolean] => Err(wrong_arguments(name)),
        [_] => Err(unsure(name)),
        _ => Err(unfit(name)),
    }
}

pub(super) fn average(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let values = values(rows);
    match values.first() {
        None => Ok(Value::Null),
        Some(Value::Numeric(_)) => {
            let count = Decimal::whole(values.len() as i64);
            // The mean has no fewer digits after the point than the sum.
            let mean = sum_decimals(&values).and_then(|total| {
                let mean = total.divide_exactly(count)?;
                if mean.scale < total.scale { mean.rescale(total.scale) } else { Some(mean) }
            });
            mean.map(Value::Numeric).ok_or_else(|| refuse("an average that doesn't end"))
        }
        Some(_) => Ok(Value::Double(sum_doubles(&values) / values.len() as f64)),
    }
}

pub(super) fn of_string_agg(name: &str, args: &[Type]) -> Result<Type> {
    if matches!(args, [Type::Text(_), Type::Text(_)]) { Ok(TEXT) } else { Err(unfit(name)) }
}

pub(super) fn string_agg(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let separator = rows.first().and_then(|row| row.get(1).cloned());
    let same_separator = rows.iter().all(|row| row.get(1) == separator.as_ref());
    let values = values(rows);
    match separator {
        _ if values.is_empty() => Ok(Value::Null),
        Some(Value::Text(separator)) if same_separator => {
            let text = |value: &Value| if let Value::Text(text) = value { Some(text.clone()) } else { None };
            Ok(Value::Text(values.iter().filter_map(text).collect::<Vec<_>>().join(&separator)))
        }
        _ => Err(refuse("string_agg with this separator")),
    }
}

pub(super) fn of_array_agg(name: &str, args: &[Type]) -> Result<Type> {
    match args {
        [ty] if *ty != Type::Undefined => Ok(Type::array(ty.clone())),
        _ => Err(unfit(name)),
    }
}

pub(super) fn array_agg(rows: Vec<Row>, _: &Type) -> Result<Value> {
    Ok(Value::Array(rows.into_iter().filter_map(|mut row| row.pop()).collect()))
}

pub(super) fn of_distinct(name: &str, args: &[Type]) -> Result<Type> {
    match args {
        [ty] if ty.is_integer() || ty.is_text() => Ok(Type::BigInt),
        _ => Err(unfit(name)),
    }
}

/// Counts exactly, which equals CrateDB's estimate for few values only.
pub(super) fn hyperloglog_distinct(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let key = |value: &Value| {
        let mut key = vec![];
        value.key(&mut key);
        key
    };
    match values(rows).iter().map(key).collect::<HashSet<_>>().len() {
        few @ 0..=100 => Ok(Value::Int(few as i64)),
        _ => Err(refuse("hyperloglog_distinct of so many")),
    }
}

/// The type of deviations and means: a double over numbers and times.
pub(super) fn of_spread(name: &str, args: &[Type]) -> Result<Type> {
    match args {
        [Type::Numeric(_)] => Err(unsure(name)),
        [ty] if ty.is_number() || *ty == Type::TimestampTz => Ok(Type::Double),
        [_] => Err(unsure(name)),
        _ => Err(unfit(name)),
    }
}

/// Returns count and variance by CrateDB's formula, whose rounding errors are part of the answer.
fn spread(rows: Vec<Row>) -> (f64, f64) {
    let values = values(rows);
    let (mut squares, mut sum, count) = (0.0, 0.0, values.len() as f64);
    for value in &values {
        let n = number(value);
        squares += n * n;
        sum += n;
    }
    (count, ((squares - (sum * sum) / count) / count).max(0.0))
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Double(d) => *d,
        Value::Real(r) => f64::from(*r),
        Value::Int(i) => *i as f64,
        _ => 0.0,
    }
}

pub(super) fn variance(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let (count, variance) = spread(rows);
    Ok(if count == 0.0 { Value::Null } else { Value::Double(variance) })
}

pub(super) fn deviation(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let (count, variance) = spread(rows);
    Ok(if count == 0.0 { Value::Null } else { Value::Double(variance.sqrt()) })
}

/// The deviation of a sample.
pub(super) fn sample_deviation(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let (count, variance) = spread(rows);
    Ok(if count <= 1.0 { Value::Null } else { Value::Double((variance * count / (count - 1.0)).sqrt()) })
}

pub(super) fn geometric_mean(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let values: Vec<f64> = values(rows).iter().map(number).collect();
    match values.len() {
        0 => Ok(Value::Null),
        _ if values.iter().any(|n| *n <= 0.0) => Err(refuse("a geometric mean of such numbers")),
        n => Ok(Value::Double((values.iter().map(|n| n.ln()).sum::<f64>() / n as f64).exp())),
    }
}

pub(super) fn of_any(name: &str, args: &[Type]) -> Result<Type> {
    match args {
        [ty] if *ty != Type::Undefined => Ok(ty.clone()),
        _ => Err(unfit(name)),
    }
}

/// Gives any of the values, which is not known if they differ.
pub(super) fn any_value(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let values = values(rows);
    if values.windows(2).any(|pair| !pair[0].same(&pair[1])) {
        return Err(refuse("any of several different values"));
    }
    Ok(values.into_iter().next().unwrap_or(Value::Null))
}

/// CrateDB compares small integers otherwise than their values.
pub(super) fn of_extreme_by(name: &str, args: &[Type]) -> Result<Type> {
    let known = |by: &Type| {
        matches!(
            by,
            Type::Integer
                | Type::BigInt
                | Type::Real
                | Type::Double
                | Type::Timestamp
                | Type::TimestampTz
                | Type::Text(None)
        )
    };
    match args {
        [ty, by] if *ty != Type::Undefined && known(by) => Ok(ty.clone()),
        [_, _] => Err(unsure(name)),
        _ => Err(unfit(name)),
    }
}

pub(super) fn max_by(rows: Vec<Row>, _: &Type) -> Result<Value> {
    extreme_by(rows, std::cmp::Ordering::Greater)
}

pub(super) fn min_by(rows: Vec<Row>, _: &Type) -> Result<Value> {
    extreme_by(rows, std::cmp::Ordering::Less)
}

fn extreme_by(rows: Vec<Row>, wanted: std::cmp::Ordering) -> Result<Value> {
    let mut best: Option<Row> = None;
    for row in rows.into_iter().filter(|row| !row[1].is_null()) {
        match &best {
            Some(found) if row[1].same(&found[1]) && !row[0].same(&found[0]) => {
                // It is not known which of them CrateDB takes, unless another one is better.
                best = Some(vec![Value::Null, row[1].clone(), Value::Bool(true)]);
            }
            Some(found) if row[1].compare(&found[1]) != wanted => {}
            _ => best = Some(row),
        }
    }
    match best {
        Some(row) if row.len() > 2 => Err(refuse("one of several rows with the same value")),
        best => Ok(best.map_or(Value::Null, |mut row| row.swap_remove(0))),
    }
}

pub(super) fn of_percentile(name: &str, args: &[Type]) -> Result<Type> {
    match args {
        [ty, Type::Double] if ty.is_integer() => Ok(Type::Double),
        _ => Err(unfit(name)),
    }
}

/// Computes only the median of an odd number of values, which needs no interpolation.
pub(super) fn percentile(rows: Vec<Row>, _: &Type) -> Result<Value> {
    let fraction = rows.first().and_then(|row| row.get(1).cloned());
    let mut values = values(rows);
    if values.is_empty() {
        return Ok(Value::Null);
    }
    if fraction != Some(Value::Double(0.5)) || values.len().is_multiple_of(2) || values.len() > 50 {
        return Err(refuse("this percentile"));
    }
    values.sort_by(Value::compare);
    match values[values.len() / 2] {
        Value::Int(n) => Ok(Value::Double(n as f64)),
        _ => Err(refuse("this percentile")),
    }
}

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

pub(super) fn of_nth(args: Vec<Expr>) -> Result<(Vec<Expr>, Type)> {
    match args.as_slice() {
        [value, n] if n.ty == Type::Integer => Ok((args.clone(), value.ty.clone())),
        _ => Err(refuse("arguments of this window function")),
    }
}

pub(super) fn nth_value(place: &RowPlace) -> Result<Value> {
    match (place.argument)(1, place.row)? {
        Value::Int(n @ 1..=1_000_000) if place.frame.0 + n as usize - 1 <= place.frame.1 => {
            (place.argument)(0, place.frame.0 + n as usize - 1)
        }
        Value::Int(1..=1_000_000) => Ok(Value::Null),
        _ => Err(refuse("this offset")),
    }
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
