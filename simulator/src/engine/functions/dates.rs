//! Functions over times.

use super::{strict, unfit};
use crate::engine::error::{Result, invalid, refuse};
use crate::engine::operators::coerce;
use crate::engine::plan::{Compute, Expr, Kind};
use crate::engine::time::{self, DAY, Interval};
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

fn millis(v: &Value) -> i64 {
    match v {
        Value::Int(i) => *i,
        _ => 0,
    }
}

/// Returns an argument as a time. CrateDB takes whole numbers for milliseconds, and literals of text for times.
fn stamp(name: &str, e: Expr) -> Result<Expr> {
    match &e.ty {
        Type::Timestamp | Type::TimestampTz => Ok(e),
        Type::Undefined => coerce(e, &Type::TimestampTz),
        Type::Integer | Type::BigInt | Type::Text(_) => {
            Ok(Expr::new(Kind::Cast(Box::new(e), false), Type::TimestampTz))
        }
        ty => Err(refuse(format!("{name} over {}", ty.name()))),
    }
}

/// Returns the milliseconds east of Greenwich of a zone that is a literal. Only fixed ones are known.
fn fixed_zone(e: &Expr) -> Result<Option<i64>> {
    match e.as_literal() {
        Some(Value::Null) => Ok(None),
        Some(Value::Text(zone)) if ["UTC", "GMT", "Z"].contains(&zone.as_str()) => Ok(Some(0)),
        Some(Value::Text(zone)) if zone.len() > 1 => {
            time::parse_zone(zone).map(Some).ok_or_else(|| refuse("this time zone"))
        }
        _ => Err(refuse("this time zone")),
    }
}

fn zone_literal(offset: Option<i64>) -> Expr {
    Expr::literal(offset.map_or(Value::Null, Value::Int), Type::BigInt)
}

/// Analyses `date_trunc`: a unit, a zone that may be left out, and a time.
pub(super) fn trunc(name: &'static str, mut args: Vec<Expr>) -> Result<Expr> {
    let Some(at) = args.pop() else { return Err(unfit(name)) };
    let at = stamp(name, at)?;
    let offset = args.get(1).map_or(Ok(Some(0)), fixed_zone)?;
    let unit = match args[0].as_literal() {
        Some(Value::Text(unit)) => unit,
        _ => return Err(refuse("date_trunc by a column")),
    };
    if time::truncate(unit, 0).is_none() {
        let unsure = ["century", "decade", "millennium", "millisecond", "milliseconds"].contains(&unit.as_str())
            || unit.to_ascii_lowercase() != *unit;
        return Err(match unsure {
            true => refuse("this date_trunc"),
            false => invalid(format!("invalid interval '{unit}' for scalar 'date_trunc'")),
        });
    }
    let compute: Compute = |_, v| {
        let Value::Text(unit) = &v[0] else { return Ok(Value::Null) };
        let offset = millis(&v[1]);
        Ok(time::truncate(unit, millis(&v[2]) + offset).map_or(Value::Null, |at| Value::Int(at - offset)))
    };
    strict(name, compute, vec![args[0].clone(), zone_literal(offset), at], Type::TimestampTz)
}

/// Analyses `date_format`: a pattern and a zone, which may be left out, and a time.
pub(super) fn format(name: &'static str, mut args: Vec<Expr>) -> Result<Expr> {
    let Some(at) = args.pop() else { return Err(unfit(name)) };
    let at = stamp(name, at)?;
    let offset = args.get(1).map_or(Ok(Some(0)), fixed_zone)?;
    args.truncate(1);
    let pattern = args.pop().unwrap_or_else(|| Expr::literal(Value::text("%Y-%m-%dT%H:%i:%s.%fZ"), TEXT));
    let compute: Compute = |_, v| match &v[0] {
        Value::Text(p) => {
            let text = time::format(p, millis(&v[2]) + millis(&v[1]));
            text.map(Value::Text).ok_or_else(|| refuse("this date format"))
        }
        _ => Ok(Value::Null),
    };
    strict(name, compute, vec![coerce(pattern, &TEXT)?, zone_literal(offset), at], TEXT)
}

pub(super) fn bin(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let [Expr { ty: Type::Interval, .. }, at, origin] = args.as_slice() else { return Err(unfit(name)) };
    let ty = if at.ty == Type::Timestamp || origin.ty == Type::Timestamp { Type::Timestamp } else { Type::TimestampTz };
    let compute: Compute = |_, v| match &v[0] {
        Value::Interval(i) if i.months != 0 => Err(invalid("Cannot use intervals containing months or years")),
        Value::Interval(i) => {
            let (size, from) = (i.days * DAY + i.millis, millis(&v[2]));
            match size {
                0 => Err(invalid("Interval cannot be zero")),
                1.. => Ok(Value::Int((millis(&v[1]) - from).div_euclid(size) * size + from)),
                _ => Err(refuse("this date_bin")),
            }
        }
        _ => Ok(Value::Null),
    };
    let args = vec![args[0].clone(), stamp(name, at.clone())?, stamp(name, origin.clone())?];
    strict(name, compute, args, ty)
}

/// Analyses `timezone`, which `AT TIME ZONE` is.
pub(super) fn zone(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let offset = fixed_zone(&args[0])?;
    let at = stamp(name, args[1].clone())?;
    let zone = zone_literal(offset);
    if at.ty == Type::TimestampTz {
        let compute: Compute = |_, v| Ok(Value::Int(millis(&v[1]) + millis(&v[0])));
        return strict(name, compute, vec![zone, at], Type::Timestamp);
    }
    let compute: Compute = |_, v| Ok(Value::Int(millis(&v[1]) - millis(&v[0])));
    strict(name, compute, vec![zone, at], Type::TimestampTz)
}

/// Returns a field of EXTRACT from an interval.
fn field_of(field: &str, interval: &Interval) -> Option<i64> {
    Some(match field {
        "YEAR" => interval.months / 12,
        "MONTH" => interval.months % 12,
        "DAY" => interval.days,
        "HOUR" => interval.millis / 3_600_000,
        "MINUTE" => interval.millis / 60_000 % 60,
        "SECOND" => interval.millis / 1000 % 60,
        _ => return None,
    })
}

/// Analyses EXTRACT from an interval. CrateDB carries hours over to days.
fn extract_part(field: &str, value: Expr) -> Result<Expr> {
    if field_of(field, &Interval::default()).is_none() {
        return Err(refuse(format!("EXTRACT({field} …) from an interval")));
    }
    let compute: Compute = |_, v| match (&v[0], &v[1]) {
        (Value::Text(_), Value::Interval(i)) if i.millis.abs() >= DAY => Err(refuse("EXTRACT from this many hours")),
        (Value::Text(field), Value::Interval(i)) => Ok(field_of(field, i).map_or(Value::Null, Value::Int)),
        _ => Ok(Value::Null),
    };
    strict("extract", compute, vec![Expr::literal(Value::text(field), TEXT), value], Type::Integer)
}

/// `EXTRACT(field FROM value)`
pub(crate) fn extract(field: &str, value: Expr) -> Result<Expr> {
    if value.ty == Type::Interval {
        return extract_part(field, value);
    }
    let value = if value.ty == Type::Date { value } else { stamp("EXTRACT", value)? };
    if field == "EPOCH" {
        let compute: Compute = |_, v| Ok(Value::Double(millis(&v[0]) as f64 / 1000.0));
        return strict("extract_epoch", compute, vec![value], Type::Double);
    }
    if time::extract(field, 0).is_none() {
        return Err(refuse(format!("EXTRACT({field} …)")));
    }
    let compute: Compute = |_, v| match &v[0] {
        Value::Text(field) => Ok(time::extract(field, millis(&v[1])).map_or(Value::Null, Value::Int)),
        _ => Ok(Value::Null),
    };
    strict("extract", compute, vec![Expr::literal(Value::text(field), TEXT), value], Type::Integer)
}
