//! Aggregate functions.

use super::decimal::Decimal;
use super::error::{Result, SqlError, no_function, refuse};
use super::exec::{Aggregate, Row};
use super::types::{TEXT, Type};
use super::value::Value;

/// Aggregates of CrateDB; those without a result type here are refused.
const NAMES: [&str; 23] = [
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "string_agg",
    "array_agg",
    "arbitrary",
    "any_value",
    "hyperloglog_distinct",
    "percentile",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "variance",
    "geometric_mean",
    "max_by",
    "min_by",
    "topk",
    "collect_set",
    "count_min_sketch",
    "collection_count",
];

pub(crate) fn is_aggregate(name: &str) -> bool {
    NAMES.contains(&name)
}

fn invalid_arguments(name: &str) -> SqlError {
    no_function(format!("Invalid arguments in: {name}"))
}

/// Name and type of an aggregate over `args`.
pub(crate) fn resolve(name: &str, args: &[Type]) -> Result<(&'static str, Type)> {
    let Some(known) = NAMES.iter().find(|n| **n == name) else { return Err(refuse(format!("the aggregate {name}"))) };
    let unsure = || refuse(format!("{name} over this type"));
    let ty = match (*known, args) {
        ("count", [] | [_]) => Type::BigInt,
        ("min" | "max", [ty]) => match ty {
            Type::Text(_) => TEXT,
            ty if ty.is_number() || ty.is_time() => ty.clone(),
            _ => return Err(unsure()),
        },
        ("sum", [ty]) => match ty {
            ty if ty.is_integer() => Type::BigInt,
            // A text is taken for a number, which only no row at all survives.
            Type::Text(_) => Type::BigInt,
            Type::Double => Type::Double,
            Type::Numeric(_) => super::types::NUMERIC,
            _ => return Err(unsure()),
        },
        ("avg" | "mean", [ty]) => match ty {
            ty if ty.is_integer() || matches!(ty, Type::Double | Type::Real) => Type::Double,
            Type::Numeric(_) => super::types::NUMERIC,
            Type::Boolean => return Err(invalid_arguments(name)),
            _ => return Err(unsure()),
        },
        ("string_agg", [Type::Text(_), Type::Text(_)]) => TEXT,
        ("array_agg", [ty]) if *ty != Type::Undefined => Type::array(ty.clone()),
        ("hyperloglog_distinct", [ty]) if ty.is_integer() || ty.is_text() => Type::BigInt,
        ("percentile", [ty, Type::Double]) if ty.is_integer() => Type::Double,
        _ => return Err(refuse(format!("the aggregate {name} like this"))),
    };
    Ok((known, ty))
}

/// The result over the arguments of all rows.
pub(crate) fn finish(call: &Aggregate, rows: Vec<Row>) -> Result<Value> {
    if call.name == "count" {
        let counted = rows.iter().filter(|row| row.first().is_none_or(|v| !v.is_null())).count();
        return Ok(Value::Int(counted as i64));
    }
    if call.name == "array_agg" {
        return Ok(Value::Array(rows.into_iter().filter_map(|mut row| row.pop()).collect()));
    }
    let separator = rows.first().and_then(|row| row.get(1).cloned());
    let same_separator = rows.iter().all(|row| row.get(1) == separator.as_ref());
    let values: Vec<Value> =
        rows.into_iter().filter_map(|mut row| row.drain(..).next()).filter(|v| !v.is_null()).collect();
    if values.is_empty() && call.name != "hyperloglog_distinct" {
        return Ok(Value::Null);
    }
    match call.name {
        "min" => Ok(values.into_iter().reduce(|a, b| if b.compare(&a).is_lt() { b } else { a }).unwrap_or(Value::Null)),
        "max" => Ok(values.into_iter().reduce(|a, b| if b.compare(&a).is_gt() { b } else { a }).unwrap_or(Value::Null)),
        "sum" => sum(&values, &call.ty),
        "avg" | "mean" => average(&values),
        "string_agg" => match separator {
            Some(Value::Text(separator)) if same_separator => {
                let texts: Vec<&str> = values.iter().filter_map(as_text).collect();
                Ok(Value::Text(texts.join(&separator)))
            }
            _ => Err(refuse("string_agg with this separator")),
        },
        "hyperloglog_distinct" => {
            let distinct: std::collections::HashSet<Vec<u8>> = values.iter().map(key).collect();
            // Exact for few values only.
            if distinct.len() > 100 {
                Err(refuse("hyperloglog_distinct of so many"))
            } else {
                Ok(Value::Int(distinct.len() as i64))
            }
        }
        "percentile" => percentile(values, separator),
        name => Err(refuse(format!("the aggregate {name}"))),
    }
}

fn as_text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(t) => Some(t),
        _ => None,
    }
}

fn key(value: &Value) -> Vec<u8> {
    let mut out = vec![];
    value.key(&mut out);
    out
}

fn sum(values: &[Value], ty: &Type) -> Result<Value> {
    match ty {
        Type::BigInt => {
            let mut total: i64 = 0;
            for value in values {
                let Value::Int(n) = value else { return Err(refuse("sum of texts")) };
                total =
                    total.checked_add(*n).ok_or_else(|| SqlError::new(5000, "ArithmeticException", "long overflow"))?;
            }
            Ok(Value::Int(total))
        }
        Type::Double => Ok(Value::Double(sum_doubles(values))),
        _ => sum_decimals(values).map(Value::Numeric).ok_or_else(|| refuse("a sum of this size")),
    }
}

/// Kahan's summation.
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

fn sum_decimals(values: &[Value]) -> Option<Decimal> {
    values.iter().try_fold(Decimal::whole(0), |total, value| match value {
        Value::Numeric(n) => total.add(*n),
        _ => None,
    })
}

fn average(values: &[Value]) -> Result<Value> {
    match values.first() {
        Some(Value::Numeric(_)) => {
            let count = Decimal::whole(values.len() as i64);
            let mean = sum_decimals(values).and_then(|total| total.divide_exactly(count));
            mean.map(Value::Numeric).ok_or_else(|| refuse("an average that doesn't end"))
        }
        _ => Ok(Value::Double(sum_doubles(values) / values.len() as f64)),
    }
}

/// Only the median of an odd number of values, which no interpolation touches.
fn percentile(mut values: Vec<Value>, fraction: Option<Value>) -> Result<Value> {
    if fraction != Some(Value::Double(0.5)) || values.len().is_multiple_of(2) || values.len() > 50 {
        return Err(refuse("this percentile"));
    }
    values.sort_by(Value::compare);
    match values[values.len() / 2] {
        Value::Int(n) => Ok(Value::Double(n as f64)),
        _ => Err(refuse("this percentile")),
    }
}
