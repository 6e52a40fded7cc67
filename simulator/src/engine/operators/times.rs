//! Arithmetic on times and intervals.

use super::overflow;
use crate::engine::error::{Result, refuse};
use crate::engine::plan::{Compute, Expr, Function, Nulls};
use crate::engine::time::{DAY, Interval};
use crate::engine::types::Type;
use crate::engine::value::Value;

/// Analyses an operator over times and intervals.
pub(super) fn time_arithmetic(op: &'static str, a: Expr, b: Expr) -> Result<Expr> {
    let stamp = |ty: &Type| matches!(ty, Type::Timestamp | Type::TimestampTz | Type::Date);
    let moving = |ty: &Type| if *ty == Type::Date { Type::Timestamp } else { ty.clone() };
    let (compute, ty): (Compute, Type) = match (op, &a.ty, &b.ty) {
        ("+", x, Type::Interval) if stamp(x) => (|_, v| moved(&v[0], &v[1], false), moving(x)),
        ("+", Type::Interval, x) if stamp(x) => (|_, v| moved(&v[1], &v[0], false), moving(x)),
        ("-", x, Type::Interval) if stamp(x) => (|_, v| moved(&v[0], &v[1], true), moving(x)),
        ("+", Type::Interval, Type::Interval) => (|_, v| added(&v[0], &v[1], false), Type::Interval),
        ("-", Type::Interval, Type::Interval) => (|_, v| added(&v[0], &v[1], true), Type::Interval),
        ("*", Type::Interval, Type::Integer) => (|_, v| multiplied(&v[0], &v[1]), Type::Interval),
        ("*", Type::Integer, Type::Interval) => (|_, v| multiplied(&v[1], &v[0]), Type::Interval),
        ("-", x, y) if stamp(x) && stamp(y) => (|_, v| difference(&v[0], &v[1]), Type::Interval),
        ("+", x, y) if stamp(x) && *x != Type::Date && y.is_integer() => (|_, v| add_millis(&v[0], &v[1]), x.clone()),
        _ => return Err(refuse(format!("{} {op} {}", a.ty.name(), b.ty.name()))),
    };
    Ok(a.then(Function { name: op, compute, nulls: Nulls::Strict }, b, ty))
}

fn moved(at: &Value, by: &Value, back: bool) -> Result<Value> {
    match (at, by) {
        (Value::Int(at), Value::Interval(by)) => {
            let by = if back { by.negate() } else { *by };
            by.after(*at).map(Value::Int).ok_or_else(|| refuse("a time this far"))
        }
        _ => Err(refuse("this interval arithmetic")),
    }
}

fn added(a: &Value, b: &Value, minus: bool) -> Result<Value> {
    match (a, b) {
        (Value::Interval(a), Value::Interval(b)) => {
            let sum = a.plus(if minus { b.negate() } else { *b });
            sum.map(Value::Interval).ok_or_else(|| refuse("an interval this long"))
        }
        _ => Err(refuse("this interval arithmetic")),
    }
}

fn multiplied(interval: &Value, by: &Value) -> Result<Value> {
    match (interval, by) {
        (Value::Interval(interval), Value::Int(n)) => {
            // CrateDB carries hours over to days, but only here.
            let product = interval.times(*n).filter(|product| product.millis.abs() < DAY);
            product.map(Value::Interval).ok_or_else(|| refuse("an interval this long"))
        }
        _ => Err(refuse("this interval arithmetic")),
    }
}

fn difference(a: &Value, b: &Value) -> Result<Value> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => {
            a.checked_sub(*b).map(|d| Value::Interval(Interval::between(d))).ok_or_else(|| refuse("a time this long"))
        }
        _ => Err(refuse("this difference")),
    }
}

fn add_millis(a: &Value, b: &Value) -> Result<Value> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or_else(|| overflow("long")),
        _ => Err(refuse("this sum")),
    }
}
