//! Functions over times.

use super::{strict, unfit};
use crate::engine::error::{Result, invalid, refuse};
use crate::engine::operators::coerce;
use crate::engine::plan::{Compute, Expr};
use crate::engine::time::{self, DAY};
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

fn millis(v: &Value) -> i64 {
    match v {
        Value::Int(i) => *i,
        _ => 0,
    }
}

fn is_stamp(name: &str, e: &Expr) -> Result<()> {
    match &e.ty {
        Type::Timestamp | Type::TimestampTz => Ok(()),
        ty => Err(refuse(format!("{name} over {}", ty.name()))),
    }
}

pub(super) fn trunc(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    is_stamp(name, &args[1])?;
    let Some(Value::Text(unit)) = args[0].as_literal() else { return Err(refuse("date_trunc by a column")) };
    if time::truncate(unit, 0).is_none() {
        let unsure = ["century", "decade", "millennium", "millisecond", "milliseconds"].contains(&unit.as_str())
            || unit.to_ascii_lowercase() != *unit;
        return Err(match unsure {
            true => refuse("this date_trunc"),
            false => invalid(format!("invalid interval '{unit}' for scalar 'date_trunc'")),
        });
    }
    let compute: Compute = |_, v| match &v[0] {
        Value::Text(unit) => Ok(time::truncate(unit, millis(&v[1])).map_or(Value::Null, Value::Int)),
        _ => Ok(Value::Null),
    };
    strict(name, compute, args, Type::TimestampTz)
}

/// Analyses `date_format`: a pattern, which may be left out, and a time.
pub(super) fn format(name: &'static str, mut args: Vec<Expr>) -> Result<Expr> {
    let Some(stamp) = args.pop() else { return Err(unfit(name)) };
    is_stamp(name, &stamp)?;
    let pattern = args.pop().unwrap_or_else(|| Expr::literal(Value::text("%Y-%m-%dT%H:%i:%s.%fZ"), TEXT));
    let compute: Compute = |_, v| match &v[0] {
        Value::Text(p) => time::format(p, millis(&v[1])).map(Value::Text).ok_or_else(|| refuse("this date format")),
        _ => Ok(Value::Null),
    };
    strict(name, compute, vec![coerce(pattern, &TEXT)?, stamp], TEXT)
}

pub(super) fn bin(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    is_stamp(name, &args[1])?;
    if args[0].ty != Type::Interval || args[1].ty != Type::TimestampTz || args[2].ty != Type::TimestampTz {
        return Err(refuse("date_bin over these types"));
    }
    let compute: Compute = |_, v| match &v[0] {
        Value::Interval(i) if i.months == 0 && i.days * DAY + i.millis > 0 => {
            let (size, from) = (i.days * DAY + i.millis, millis(&v[2]));
            Ok(Value::Int((millis(&v[1]) - from).div_euclid(size) * size + from))
        }
        _ => Err(refuse("this date_bin")),
    };
    strict(name, compute, args, Type::TimestampTz)
}

pub(super) fn zone(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let known = match args[0].as_literal() {
        Some(Value::Text(zone)) => zone.len() > 1 && time::parse_zone(zone).is_some(),
        _ => false,
    };
    if !known || args[1].ty != Type::TimestampTz {
        return Err(refuse("this time zone"));
    }
    let compute: Compute = |_, v| match &v[0] {
        Value::Text(zone) => Ok(Value::Int(millis(&v[1]) + time::parse_zone(zone).unwrap_or(0))),
        _ => Ok(Value::Null),
    };
    strict(name, compute, args, Type::Timestamp)
}

/// `EXTRACT(field FROM value)`
pub(crate) fn extract(field: &str, value: Expr) -> Result<Expr> {
    if !matches!(value.ty, Type::Timestamp | Type::TimestampTz) {
        return Err(refuse(format!("EXTRACT from {}", value.ty.name())));
    }
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
