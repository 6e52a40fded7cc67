//! Values, their order and their JSON.

use super::decimal::Decimal;
use super::json::{Json, write_text};
use super::persist;
use super::time::Interval;
use super::types::{TEXT, Type};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt::Write;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// All integers and timestamps.
    Int(i64),
    Real(#[serde(with = "persist::real")] f32),
    Double(#[serde(with = "persist::double")] f64),
    Numeric(Decimal),
    /// Texts, and types that are shown as text.
    Text(String),
    Interval(Interval),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

/// The values of one row.
pub(crate) type Row = Vec<Value>;

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Returns the number of arrays and objects inside one another.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Value::Array(items) => 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.iter().map(|f| f.1.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Returns an element of an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Object(fields) => fields.iter().find(|f| f.0 == key).map(|f| &f.1),
            _ => None,
        }
    }

    /// Compares two values of one type, neither of them null.
    pub(crate) fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Real(a), Value::Real(b)) => java_order((*a).into(), (*b).into()),
            (Value::Double(a), Value::Double(b)) => java_order(*a, *b),
            (Value::Numeric(a), Value::Numeric(b)) => a.compare(*b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Array(a), Value::Array(b)) => {
                let different = a.iter().zip(b).map(|(x, y)| x.compare_nulls_first(y)).find(|o| o.is_ne());
                different.unwrap_or_else(|| a.len().cmp(&b.len()))
            }
            _ => {
                if self.same(other) {
                    Ordering::Equal
                } else {
                    Ordering::Less
                }
            }
        }
    }

    fn compare_nulls_first(&self, other: &Value) -> Ordering {
        match (self.is_null(), other.is_null()) {
            (false, false) => self.compare(other),
            (a, b) => b.cmp(&a),
        }
    }

    /// Returns whether two values are the same: null equals null, and the order of an object's keys doesn't matter.
    pub(crate) fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(k, v)| b.iter().any(|(l, w)| k == l && v.same(w)))
            }
            (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.same(y)),
            (Value::Numeric(a), Value::Numeric(b)) => a.compare(*b).is_eq(),
            (Value::Double(a), Value::Double(b)) => java_order(*a, *b).is_eq(),
            (Value::Real(a), Value::Real(b)) => java_order((*a).into(), (*b).into()).is_eq(),
            _ => self == other,
        }
    }

    /// Appends bytes that are equal exactly for the same values.
    pub(crate) fn key(&self, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.push(0),
            Value::Bool(b) => out.extend([1, u8::from(*b)]),
            Value::Int(i) => {
                out.push(2);
                out.extend(i.to_be_bytes());
            }
            Value::Real(r) => Value::Double((*r).into()).key(out),
            Value::Double(d) => {
                out.push(3);
                out.extend(if d.is_nan() { f64::NAN } else { *d }.to_bits().to_be_bytes());
            }
            Value::Numeric(n) => {
                let mut n = *n;
                while n.digits != 0 && n.digits % 10 == 0 {
                    n = Decimal { digits: n.digits / 10, scale: n.scale - 1 };
                }
                out.push(4);
                out.extend(n.digits.to_be_bytes());
                out.extend(if n.digits == 0 { 0 } else { n.scale }.to_be_bytes());
            }
            Value::Text(t) => {
                out.push(5);
                out.extend(t.len().to_be_bytes());
                out.extend(t.as_bytes());
            }
            Value::Interval(i) => {
                out.push(6);
                [i.months, i.days, i.millis].iter().for_each(|n| out.extend(n.to_be_bytes()));
            }
            Value::Array(items) => {
                out.push(7);
                out.extend(items.len().to_be_bytes());
                items.iter().for_each(|item| item.key(out));
            }
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                out.push(8);
                out.extend(fields.len().to_be_bytes());
                for (key, value) in fields {
                    Value::text(key).key(out);
                    value.key(out);
                }
            }
        }
    }

    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Int(i) => {
                let _ = write!(out, "{i}");
            }
            Value::Real(r) if r.is_finite() => out.push_str(&java_float(*r)),
            Value::Double(d) if d.is_finite() => out.push_str(&java_double(*d)),
            Value::Real(r) => write_text(out, &java_float(*r)),
            Value::Double(d) => write_text(out, &java_double(*d)),
            Value::Numeric(n) => {
                let _ = write!(out, "{n}");
            }
            Value::Text(t) => write_text(out, t),
            Value::Interval(i) => write_text(out, &i.to_string()),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Value::Object(fields) => {
                out.push('{');
                for (i, (key, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(out, key);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }

    /// Returns value and type of a request's argument; None if the type is unclear.
    pub(crate) fn of_json(json: &Json) -> Option<(Value, Type)> {
        Some(match json {
            Json::Null => (Value::Null, Type::Undefined),
            Json::Bool(b) => (Value::Bool(*b), Type::Boolean),
            Json::Text(t) => (Value::text(t), TEXT),
            Json::Number(n) => match n.parse::<i64>() {
                Ok(i) => (Value::Int(i), if i32::try_from(i).is_ok() { Type::Integer } else { Type::BigInt }),
                Err(_) if n.contains(['.', 'e', 'E']) => {
                    (Value::Double(n.parse().ok().filter(|d: &f64| d.is_finite())?), Type::Double)
                }
                Err(_) => return None,
            },
            Json::Array(items) => {
                let items: Vec<(Value, Type)> = items.iter().map(Value::of_json).collect::<Option<_>>()?;
                let mut of = Type::Undefined;
                for (_, ty) in &items {
                    if of == Type::Undefined || (of == Type::Integer && *ty == Type::BigInt) {
                        of = ty.clone();
                    }
                    let fits =
                        *ty == Type::Undefined || of.same_family(ty) || (of == Type::BigInt && *ty == Type::Integer);
                    if !fits {
                        return None;
                    }
                }
                (Value::Array(items.into_iter().map(|i| i.0).collect()), Type::array(of))
            }
            Json::Object(fields) => {
                let fields: Option<Vec<_>> =
                    fields.iter().map(|(k, v)| Some((k.clone(), Value::of_json(v)?.0))).collect();
                (Value::Object(fields?), Type::object())
            }
        })
    }
}

/// Compares doubles as Java does: NaN last and equal to itself, -0.0 before 0.0.
fn java_order(a: f64, b: f64) -> Ordering {
    let plain = |d: f64| if d.is_nan() { f64::NAN } else { d };
    plain(a).total_cmp(&plain(b))
}

/// Formats a double as Java does.
pub(crate) fn java_double(d: f64) -> String {
    java_digits(d, format!("{d:e}"))
}

/// Formats a float as Java does.
pub(crate) fn java_float(f: f32) -> String {
    java_digits(f.into(), format!("{f:e}"))
}

/// Turns shortest digits `m.mmme±x` into Java's form.
fn java_digits(d: f64, scientific: String) -> String {
    if d.is_nan() {
        return "NaN".into();
    }
    if d.is_infinite() {
        return if d > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if d == 0.0 {
        return format!("{sign}0.0");
    }
    if !(-3..7).contains(&exponent) {
        let rest = if digits.len() > 1 { &digits[1..] } else { "0" };
        return format!("{sign}{}.{rest}E{exponent}", &digits[..1]);
    }
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    let padded = format!("{digits:0<whole$}");
    let fraction = if padded.len() > whole { &padded[whole..] } else { "0" };
    format!("{sign}{}.{fraction}", &padded[..whole])
}

/// Reads a value from JSON; none if it isn't JSON or has no value here.
pub(crate) fn json_value(text: &str) -> Option<Value> {
    Value::of_json(&super::json::parse(text).ok()?).map(|found| found.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_print_as_in_java() {
        let cases = [
            (1.0, "1.0"),
            (1e10, "1.0E10"),
            (1e-7, "1.0E-7"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (123_456_789.125, "1.23456789125E8"),
            (1_234_567.5, "1234567.5"),
            (-0.0, "-0.0"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (100.0, "100.0"),
        ];
        for (number, text) in cases {
            assert_eq!(java_double(number), text);
        }
        assert_eq!(java_float(16_777_217.0_f32), "1.6777216E7");
    }

    #[test]
    fn keys_are_equal_for_equal_values_only() {
        let key = |v: Value| {
            let mut out = vec![];
            v.key(&mut out);
            out
        };
        let numeric = |t| Value::Numeric(Decimal::parse(t).unwrap());
        assert_eq!(key(numeric("1.50")), key(numeric("1.5")));
        assert_ne!(key(Value::text("a")), key(Value::text("b")));
        assert_ne!(key(Value::Array(vec![Value::Null])), key(Value::Array(vec![])));
    }
}
