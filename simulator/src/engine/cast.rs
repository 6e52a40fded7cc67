//! Conversions between types.

use super::decimal::Decimal;
use super::error::{Fault, Result, SqlError, invalid, refuse};
use super::json;
use super::time::parse_timestamp;
use super::types::{Policy, TEXT, Type};
use super::value::{Value, java_double, java_float};

fn cannot(value: &Value, to: &Type) -> SqlError {
    let mut shown = String::new();
    value.write_json(&mut shown);
    let to = match to {
        Type::Numeric(Some((precision, scale))) => format!("numeric({precision},{scale})"),
        to => to.name(),
    };
    let shown = shown.trim_matches('"').to_owned();
    invalid(format!("Cannot cast value `{shown}` to type `{to}`")).with(Fault::Conversion(shown, to))
}

/// Converts `value` from type `from` to type `to`.
pub(crate) fn cast(value: &Value, from: &Type, to: &Type) -> Result<Value> {
    let fail = || Err(cannot(value, to));
    match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (_, Type::Array(of)) => match (value, from) {
            (Value::Array(items), Type::Array(inner)) => {
                items.iter().map(|item| cast(item, inner, of)).collect::<Result<_>>().map(Value::Array)
            }
            (Value::Array(items), Type::Undefined) => {
                items.iter().map(|item| cast(item, &Type::Undefined, of)).collect::<Result<_>>().map(Value::Array)
            }
            _ => fail(),
        },
        (Value::Array(items), Type::Vector(n)) => vector(items, *n).map_or_else(fail, Ok),
        (Value::Array(items), Type::GeoPoint) => point(items).map_or_else(fail, Ok),
        (Value::Array(_), _) => fail(),
        (Value::Object(_), Type::Object(_)) => object(value, to),
        (Value::Object(_), Type::Text(None)) => {
            let mut out = String::new();
            value.write_json(&mut out);
            Ok(Value::Text(out))
        }
        (Value::Object(_), _) => fail(),
        (_, Type::Byte | Type::SmallInt | Type::Integer | Type::BigInt) => integer(value, from, to),
        (_, Type::Real | Type::Double) => float(value, to),
        (_, Type::Numeric(size)) => numeric(value, *size).map_or_else(fail, Ok),
        (_, Type::Boolean) => boolean(value, to),
        (_, Type::Text(_) | Type::Char(_)) => text(value, to),
        (_, Type::TimestampTz | Type::Timestamp | Type::Date) => timestamp(value, from, to),
        (Value::Text(t), _) => from_text(t, from, to),
        (_, Type::Undefined) => Ok(value.clone()),
        _ if from.same_family(to) => Ok(value.clone()),
        _ => fail(),
    }
}

fn integer(value: &Value, from: &Type, to: &Type) -> Result<Value> {
    let number = match value {
        Value::Int(i) if from.is_time() && *to != Type::BigInt => return Err(cannot(&Value::Int(*i), to)),
        Value::Int(i) => Some(*i),
        Value::Double(d) => whole(*d),
        Value::Real(r) => whole((*r).into()),
        Value::Numeric(n) => n.to_i64(),
        Value::Text(t) if t.starts_with('+') => return Err(refuse("a number with a leading +")),
        Value::Text(t) => t.parse().ok(),
        _ => None,
    };
    let (low, high) = to.range().unwrap_or((i64::MIN, i64::MAX));
    match number {
        Some(n) if (low..=high).contains(&n) => Ok(Value::Int(n)),
        _ => Err(cannot(value, to)),
    }
}

/// Returns the number without its fraction. One that is too large becomes the largest bigint.
fn whole(d: f64) -> Option<i64> {
    d.is_finite().then_some(d as i64)
}

fn float(value: &Value, to: &Type) -> Result<Value> {
    let number = match value {
        Value::Int(i) if *to == Type::Real => return Ok(Value::Real(*i as f32)),
        Value::Int(i) => *i as f64,
        Value::Double(d) => *d,
        Value::Real(r) if *to == Type::Real => return Ok(Value::Real(*r)),
        Value::Real(r) => (*r).into(),
        Value::Numeric(n) => n.to_f64(),
        Value::Text(t) => {
            let plain = t.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'e' | b'E'));
            match t.parse::<f64>() {
                Ok(d) if plain && d.is_finite() => d,
                _ if t.len() > 1 && t.starts_with(|c: char| c.is_ascii_digit() || "+-.NI ".contains(c)) => {
                    return Err(refuse(format!("the number '{t}'")));
                }
                _ => return Err(cannot(value, to)),
            }
        }
        _ => return Err(cannot(value, to)),
    };
    if *to == Type::Double {
        return Ok(Value::Double(number));
    }
    let real = number as f32;
    if real.is_finite() || !number.is_finite() { Ok(Value::Real(real)) } else { Err(cannot(value, to)) }
}

fn numeric(value: &Value, size: Option<(u32, u32)>) -> Option<Value> {
    let number = match value {
        Value::Int(i) => Decimal::whole(*i),
        Value::Double(d) => Decimal::parse(&java_double(*d))?,
        Value::Real(r) => Decimal::parse(&java_float(*r))?,
        Value::Numeric(n) => *n,
        Value::Text(t) => Decimal::parse(t)?,
        _ => return None,
    };
    let Some((precision, scale)) = size else { return Some(Value::Numeric(number)) };
    if number.digits != 0 && number.whole_digits() > (precision - scale) as i32 {
        return None;
    }
    number.rescale(scale as i32).map(Value::Numeric)
}

fn boolean(value: &Value, to: &Type) -> Result<Value> {
    match value {
        Value::Bool(b) => Ok(Value::Bool(*b)),
        Value::Int(i) => Ok(Value::Bool(*i != 0)),
        Value::Text(t) => match t.to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => Ok(Value::Bool(true)),
            "f" | "false" | "n" | "no" | "off" | "0" => Ok(Value::Bool(false)),
            _ => Err(cannot(value, to)),
        },
        _ => Err(cannot(value, to)),
    }
}

/// Returns a value as text. Only an explicit cast shortens; [`fit`] checks values that are stored.
fn text(value: &Value, to: &Type) -> Result<Value> {
    let text = match value {
        Value::Text(t) => t.clone(),
        Value::Bool(b) => (if *b { "t" } else { "f" }).into(),
        Value::Int(i) => i.to_string(),
        Value::Double(d) => java_double(*d),
        Value::Real(r) => java_float(*r),
        Value::Numeric(n) => n.to_string(),
        Value::Interval(_) => {
            return Err(invalid(format!("Cannot cast expressions from type `interval` to type `{}`", to.name())));
        }
        _ => return Err(cannot(value, to)),
    };
    Ok(Value::Text(text))
}

fn timestamp(value: &Value, from: &Type, to: &Type) -> Result<Value> {
    let millis = match value {
        Value::Int(i) => Some(*i),
        Value::Double(d) => whole(d * 1000.0),
        Value::Text(t) if from.is_text() && to == &Type::Date => parse_timestamp(t, true).filter(|_| t.len() == 10),
        Value::Text(t) if from.is_text() => parse_timestamp(t, *to == Type::TimestampTz),
        _ => None,
    };
    match millis {
        Some(m) if *to == Type::Date && m.rem_euclid(super::time::DAY) != 0 => Err(refuse("a date with a time")),
        Some(m) => Ok(Value::Int(m)),
        // CrateDB has more forms of time and zone.
        None => match value {
            Value::Text(t) if t.len() > 10 && t.get(..10).is_some_and(|d| parse_timestamp(d, true).is_some()) => {
                Err(refuse(format!("the time '{t}'")))
            }
            _ => Err(cannot(value, to)),
        },
    }
}

/// Checks a value of a type that is kept as text in a certain form.
fn from_text(t: &str, from: &Type, to: &Type) -> Result<Value> {
    let value = Value::text(t);
    if from.same_family(to) && !matches!(to, Type::Object(_)) {
        return Ok(value);
    }
    match to {
        Type::Object(_) => match json::parse(t).ok().and_then(|doc| Value::of_json(&doc)) {
            Some((object @ Value::Object(_), _)) => self::object(&object, to),
            _ if t.trim_start().starts_with('{') || !t.contains('{') => Err(cannot(&value, to)),
            _ => Err(refuse("this text as an object")),
        },
        Type::Json => match json::parse(t) {
            Ok(_) => Ok(value),
            Err(_) => Err(refuse("a JSON value that isn't JSON")),
        },
        Type::Uuid => {
            let parts: Vec<usize> = t.split('-').map(str::len).collect();
            let hex = t.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            if parts == [8, 4, 4, 4, 12] && hex {
                Ok(value)
            } else if t.contains('-') && t.len() > 8 {
                Err(refuse("this form of a UUID"))
            } else {
                Err(cannot(&value, to))
            }
        }
        Type::Ip => match t.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some() => Err(refuse("a mapped IPv4 address")),
            Ok(ip) => Ok(Value::Text(ip.to_string())),
            Err(_) => Err(cannot(&value, to)),
        },
        Type::Interval => {
            let parsed = super::time::Interval::parse(t);
            parsed.map(Value::Interval).ok_or_else(|| refuse(format!("the interval '{t}'")))
        }
        Type::GeoPoint => {
            let inner = t.strip_prefix("POINT").map(str::trim).and_then(|r| r.strip_prefix('(')?.strip_suffix(')'));
            let numbers: Vec<Value> =
                inner.unwrap_or("").split_whitespace().filter_map(|n| n.parse().ok().map(Value::Double)).collect();
            point(&numbers).ok_or_else(|| refuse("this geo_point"))
        }
        _ => Err(refuse(format!("a cast of text to {}", to.name()))),
    }
}

fn as_double(value: &Value) -> Option<f64> {
    match value {
        Value::Int(i) => Some(*i as f64),
        Value::Double(d) => Some(*d),
        Value::Real(r) => Some((*r).into()),
        _ => None,
    }
}

fn point(items: &[Value]) -> Option<Value> {
    let numbers: Vec<f64> = items.iter().map(as_double).collect::<Option<_>>()?;
    match numbers.as_slice() {
        [lon, lat] if lon.abs() <= 180.0 && lat.abs() <= 90.0 => {
            Some(Value::Array(numbers.into_iter().map(Value::Double).collect()))
        }
        _ => None,
    }
}

fn vector(items: &[Value], n: u32) -> Option<Value> {
    let numbers: Vec<Value> =
        items.iter().map(|v| as_double(v).map(|d| Value::Real(d as f32))).collect::<Option<_>>()?;
    (numbers.len() == n as usize).then_some(Value::Array(numbers))
}

/// Converts the known elements of an object to their types. Unknown keys of a strict object are errors.
fn object(value: &Value, to: &Type) -> Result<Value> {
    let (Value::Object(fields), Type::Object(object)) = (value, to) else { return Err(cannot(value, to)) };
    let cast_field = |(key, element): &(String, Value)| {
        let Some(field) = object.field(key) else {
            if object.policy == Policy::Strict {
                return Err(invalid(format!("Cannot add column `{key}` to strict object")));
            }
            return Ok((key.clone(), element.clone()));
        };
        let from = guess(element);
        let element = implicit(element, &from, &field.ty)
            .map_err(|e| if e.is_refusal() { e } else { invalid(format!("Cannot cast object element `{key}`")) })?;
        Ok((key.clone(), element))
    };
    fields.iter().map(cast_field).collect::<Result<_>>().map(Value::Object)
}

/// Returns the type that a value would get as a new column. Integers become bigints there.
pub(crate) fn guess(value: &Value) -> Type {
    match value {
        Value::Null => Type::Undefined,
        Value::Bool(_) => Type::Boolean,
        Value::Int(_) => Type::BigInt,
        Value::Real(_) | Value::Double(_) => Type::Double,
        Value::Numeric(_) => super::types::NUMERIC,
        Value::Text(_) => TEXT,
        Value::Interval(_) => Type::Interval,
        Value::Array(items) => {
            Type::array(items.iter().map(guess).find(|t| *t != Type::Undefined).unwrap_or(Type::Undefined))
        }
        Value::Object(_) => Type::object(),
    }
}

/// Returns whether CrateDB converts by itself when it stores; None if this is not known.
fn convertible(from: &Type, to: &Type) -> Option<bool> {
    match (from, to) {
        (Type::Undefined, _) => Some(true),
        (Type::Array(a), Type::Array(b)) => convertible(a, b),
        (Type::Array(a), Type::GeoPoint | Type::Vector(_)) => Some(a.is_number()),
        (Type::Array(_), _) | (_, Type::Array(_)) => Some(false),
        (a, b) if a.same_family(b) => Some(true),
        (Type::Object(_), Type::Json) => None,
        (Type::Object(_), _) => Some(false),
        (a, Type::Object(_)) => a.is_text().then_some(true).or(if a.is_number() { Some(false) } else { None }),
        (a, b) if a.is_number() && b.is_number() => Some(true),
        (a, Type::Boolean) if a.is_integer() => Some(true),
        (Type::Boolean, Type::Text(_)) => Some(true),
        (Type::Boolean, b) if b.is_number() => Some(false),
        (a, Type::Text(_)) if a.is_number() || a.is_time() => Some(true),
        (a, b) if a.is_time() && b.is_time() => Some(true),
        (a, Type::BigInt) if a.is_time() => Some(true),
        (a, Type::Timestamp | Type::TimestampTz) if a.is_integer() => Some(true),
        (a, b) if a.is_text() => (!matches!(b, Type::Interval | Type::Vector(_))).then_some(true),
        _ => None,
    }
}

/// Converts as CrateDB does by itself, or fails with its error.
pub(crate) fn implicit(value: &Value, from: &Type, to: &Type) -> Result<Value> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    match convertible(from, to) {
        Some(true) => cast(value, from, to),
        Some(false) => Err(cannot(value, to)),
        None => Err(refuse(format!("a conversion of {} to {}", from.name(), to.name()))),
    }
}

/// Checks by the types whether a value can be stored.
pub(crate) fn can_store(from: &Type, to: &Type) -> Result<()> {
    match convertible(from, to) {
        Some(true) => Ok(()),
        Some(false) => Err(invalid(format!("Cannot convert an element of type `{}` to `{}`", from.name(), to.name()))),
        None => Err(refuse(format!("a conversion of {} to {}", from.name(), to.name()))),
    }
}

/// Checks lengths and ranges of a value that is stored in a column.
pub(crate) fn fit(value: Value, ty: &Type) -> Result<Value> {
    let too_long =
        |t: &str, n: &u32| Err(invalid(format!("'{t}' is too long for the {} type of length: {n}", ty.name())));
    match (&value, ty) {
        (Value::Text(t), Type::Text(Some(n))) if t.chars().count() > *n as usize => {
            if t.chars().skip(*n as usize).all(|c| c == ' ') { Err(refuse("trailing spaces")) } else { too_long(t, n) }
        }
        (Value::Text(t), Type::Char(n)) => match t.chars().count() {
            long if long > *n as usize => too_long(t, n),
            _ => Ok(Value::Text(format!("{t:<width$}", width = *n as usize))),
        },
        // Kept as `B'…'`.
        (Value::Text(t), Type::Bit(n)) if t.len() != *n as usize + 3 => {
            Err(invalid(format!("bit string length {} does not match type bit({n})", t.len().saturating_sub(3))))
        }
        (Value::Int(n @ (i64::MIN | i64::MAX)), Type::BigInt) => {
            Err(invalid(format!("Value {n} exceeds allowed range for column of type bigint")))
        }
        (Value::Array(items), Type::Array(of)) => {
            items.iter().map(|item| fit(item.clone(), of)).collect::<Result<_>>().map(Value::Array)
        }
        (Value::Object(fields), Type::Object(object)) => {
            let fields = fields.iter().map(|(key, element)| {
                let element = match object.field(key) {
                    Some(field) => fit(element.clone(), &field.ty)?,
                    None => element.clone(),
                };
                Ok((key.clone(), element))
            });
            fields.collect::<Result<_>>().map(Value::Object)
        }
        _ => Ok(value),
    }
}
