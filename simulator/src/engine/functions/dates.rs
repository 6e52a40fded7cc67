//! Functions over times.

use super::{Run, lax, strict};
use crate::engine::error::{Result, invalid, refuse};
use crate::engine::expr::Expr;
use crate::engine::operators::coerce;
use crate::engine::time::{self, DAY};
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

pub(super) const NAMES: &str =
    " now current_timestamp current_date curdate current_time date_trunc date_format date_bin timezone ";

fn millis(v: &Value) -> i64 {
    match v {
        Value::Int(i) => *i,
        _ => 0,
    }
}

pub(super) fn resolve(name: &str, args: &[Expr]) -> Option<Result<Expr>> {
    let at = |e: &Expr| match &e.ty {
        Type::Timestamp | Type::TimestampTz => Ok(e.clone()),
        ty => Err(refuse(format!("{name} over {}", ty.name()))),
    };
    Some(match (name, args.len()) {
        ("now" | "current_timestamp", 0) => lax("now", |c, _| Ok(Value::Int(c.now)), vec![], Type::TimestampTz),
        ("current_date" | "curdate", 0) => {
            lax("current_date", |c, _| Ok(Value::Int(c.now - c.now.rem_euclid(DAY))), vec![], Type::Date)
        }
        ("current_time", 0) => {
            let run: Run = |c, _| Ok(Value::Array(vec![Value::Int(c.now.rem_euclid(DAY) * 1000), Value::Int(0)]));
            lax("current_time", run, vec![], Type::TimeTz)
        }
        ("date_trunc", 2) => at(&args[1]).and_then(|stamp| {
            let Some(Value::Text(unit)) = args[0].as_literal() else { return Err(refuse("date_trunc by a column")) };
            if time::truncate(unit, 0).is_none() {
                let unsure = ["century", "decade", "millennium", "millisecond", "milliseconds"]
                    .contains(&unit.as_str())
                    || unit.to_ascii_lowercase() != *unit;
                return Err(if unsure {
                    refuse("this date_trunc")
                } else {
                    invalid(format!("invalid interval '{unit}' for scalar 'date_trunc'"))
                });
            }
            let run: Run = |_, v| match &v[0] {
                Value::Text(unit) => Ok(time::truncate(unit, millis(&v[1])).map_or(Value::Null, Value::Int)),
                _ => Ok(Value::Null),
            };
            strict("date_trunc", run, vec![args[0].clone(), stamp], Type::TimestampTz)
        }),
        ("date_format", 1 | 2) => {
            let stamp = args.last()?;
            at(stamp).and_then(|stamp| {
                let pattern = if args.len() == 2 {
                    args[0].clone()
                } else {
                    Expr::literal(Value::text("%Y-%m-%dT%H:%i:%s.%fZ"), TEXT)
                };
                let run: Run = |_, v| match &v[0] {
                    Value::Text(p) => {
                        time::format(p, millis(&v[1])).map(Value::Text).ok_or_else(|| refuse("this date format"))
                    }
                    _ => Ok(Value::Null),
                };
                strict("date_format", run, vec![coerce(pattern, &TEXT)?, stamp], TEXT)
            })
        }
        ("date_bin", 3) if args[0].ty == Type::Interval => at(&args[1]).and_then(|stamp| {
            let run: Run = |_, v| match &v[0] {
                Value::Interval(i) if i.months == 0 && i.days * DAY + i.millis > 0 => {
                    let (size, from) = (i.days * DAY + i.millis, millis(&v[2]));
                    Ok(Value::Int((millis(&v[1]) - from).div_euclid(size) * size + from))
                }
                _ => Err(refuse("this date_bin")),
            };
            if args[2].ty != stamp.ty || stamp.ty != Type::TimestampTz {
                return Err(refuse("date_bin over these types"));
            }
            strict("date_bin", run, vec![args[0].clone(), stamp, args[2].clone()], Type::TimestampTz)
        }),
        ("timezone", 2) => match args[0].as_literal() {
            Some(Value::Text(zone)) if args[1].ty == Type::TimestampTz && zone.len() > 1 => {
                match time::parse_zone(zone) {
                    Some(_) => {
                        let run: Run = |_, v| match &v[0] {
                            Value::Text(zone) => Ok(Value::Int(millis(&v[1]) + time::parse_zone(zone).unwrap_or(0))),
                            _ => Ok(Value::Null),
                        };
                        strict("timezone", run, args.to_vec(), Type::Timestamp)
                    }
                    None => Err(refuse("this time zone")),
                }
            }
            _ => Err(refuse("this time zone")),
        },
        ("date_trunc" | "date_bin" | "timezone" | "date_format", _) => Err(refuse(format!("{name} like this"))),
        _ => return None,
    })
}

/// `EXTRACT(field FROM value)`
pub(crate) fn extract(field: &str, value: Expr) -> Result<Expr> {
    if !matches!(value.ty, Type::Timestamp | Type::TimestampTz) {
        return Err(refuse(format!("EXTRACT from {}", value.ty.name())));
    }
    if field == "EPOCH" {
        let run: Run = |_, v| Ok(Value::Double(millis(&v[0]) as f64 / 1000.0));
        return strict("extract_epoch", run, vec![value], Type::Double);
    }
    if time::extract(field, 0).is_none() {
        return Err(refuse(format!("EXTRACT({field} …)")));
    }
    let run: Run = |_, v| match &v[0] {
        Value::Text(field) => Ok(time::extract(field, millis(&v[1])).map_or(Value::Null, Value::Int)),
        _ => Ok(Value::Null),
    };
    strict("extract", run, vec![Expr::literal(Value::text(field), TEXT), value], Type::Integer)
}
