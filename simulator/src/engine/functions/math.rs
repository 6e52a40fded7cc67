//! Functions over numbers.

use super::{strict, wrong_arguments};
use crate::engine::context::Context;
use crate::engine::decimal::Decimal;
use crate::engine::error::{Result, invalid, refuse};
use crate::engine::operators::{arithmetic, coerce};
use crate::engine::plan::{Compute, Expr};
use crate::engine::types::{NUMERIC, Type};
use crate::engine::value::{Value, java_double};

pub(super) fn d(v: &Value) -> f64 {
    match v {
        Value::Double(d) => *d,
        Value::Int(i) => *i as f64,
        _ => f64::NAN,
    }
}

pub(super) fn double(d: f64) -> Result<Value> {
    Ok(Value::Double(d))
}

/// Returns a whole number, if it is small enough to be exact.
fn long(d: f64, most: f64) -> Result<Value> {
    if d.abs() < most { Ok(Value::Int(d as i64)) } else { Err(refuse("rounding a number this large")) }
}

/// Analyses `ceil`, `floor`, `round` and `trunc` of one argument.
pub(super) fn whole(name: &'static str, mut args: Vec<Expr>) -> Result<Expr> {
    let Some(arg) = args.pop() else { return Err(wrong_arguments(name)) };
    let ty = match &arg.ty {
        Type::Integer | Type::Real => Type::Integer,
        Type::BigInt | Type::Double => Type::BigInt,
        ty => return Err(refuse(format!("{name} over {}", ty.name()))),
    };
    fn of(v: &[Value], round: fn(f64) -> f64) -> Result<Value> {
        match &v[0] {
            Value::Real(r) => long(round(f64::from(*r)), 2e9),
            Value::Double(d) => long(round(*d), 9e15),
            whole => Ok(whole.clone()),
        }
    }
    let compute: Compute = match name {
        "ceil" => |_, v| of(&v, f64::ceil),
        "floor" => |_, v| of(&v, f64::floor),
        "trunc" => |_, v| of(&v, f64::trunc),
        // Java rounds halves up.
        _ => |_, v| of(&v, |d| (d + 0.5).floor()),
    };
    strict(name, compute, vec![arg], ty)
}

/// Returns a number's decimal digits and the number of places that are kept of them.
fn places(v: &[Value]) -> Option<(Decimal, i32)> {
    let number = match &v[0] {
        Value::Int(i) => Decimal::whole(*i),
        Value::Double(d) => Decimal::parse(&java_double(*d))?,
        Value::Numeric(n) => *n,
        _ => return None,
    };
    match &v[1] {
        Value::Int(places @ 0..=15) => Some((number, *places as i32)),
        _ => None,
    }
}

fn to_places(name: &'static str, args: Vec<Expr>, compute: Compute, ty: Type) -> Result<Expr> {
    match (&args[0].ty, &args[1].ty) {
        (Type::Integer | Type::BigInt | Type::Double, Type::Integer) => strict(name, compute, args, ty),
        (a, b) => Err(refuse(format!("{name} over {} and {}", a.name(), b.name()))),
    }
}

/// Analyses `round` to a number of decimal places.
pub(super) fn round_to(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let compute: Compute = |_, v| {
        let rounded = places(&v).and_then(|(n, places)| if n.scale <= places { Some(n) } else { n.rescale(places) });
        rounded.map(Value::Numeric).ok_or_else(|| refuse("this rounding"))
    };
    to_places(name, args, compute, NUMERIC)
}

/// Analyses `trunc` to a number of decimal places.
pub(super) fn truncate_to(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let compute: Compute = |_, v| {
        let (number, places) = places(&v).ok_or_else(|| refuse("this rounding"))?;
        let excess = u32::try_from(number.scale - places).unwrap_or(0);
        let cut = match 10i128.checked_pow(excess) {
            Some(factor) => Decimal { digits: number.digits / factor, scale: number.scale - excess as i32 },
            None => Decimal::whole(0),
        };
        double(cut.to_f64())
    };
    to_places(name, args, compute, Type::Double)
}

pub(super) fn checked(name: &str, d: f64) -> Result<Value> {
    if d.is_finite() {
        double(d)
    } else {
        Err(invalid(format!("{name}(x): given arguments would result in: '{}'", crate::engine::value::java_double(d))))
    }
}

pub(super) fn cot(_: &Context, v: Vec<Value>) -> Result<Value> {
    match d(&v[0]).tan() {
        0.0 => Err(refuse("the cotangent of zero")),
        tan => double(1.0 / tan),
    }
}

/// Returns the logarithm of the first argument to the base of the second.
pub(super) fn log(_: &Context, v: Vec<Value>) -> Result<Value> {
    let (value, base) = (d(&v[0]).ln(), d(&v[1]).ln());
    match value.is_finite() && base.is_finite() {
        true => checked("log", value / base),
        false => checked("log", f64::NAN),
    }
}

/// Returns an argument of `asin` and `acos`.
pub(super) fn in_range(d: f64) -> Result<f64> {
    if d.abs() <= 1.0 {
        Ok(d)
    } else {
        Err(invalid(format!("input value {d:?} is out of range. Values must be in range of [-1.0, 1.0]")))
    }
}

pub(super) fn sqrt(_: &Context, v: Vec<Value>) -> Result<Value> {
    match d(&v[0]) {
        n if n < 0.0 => Err(invalid("cannot take square root of a negative number")),
        n => double(n.sqrt()),
    }
}

pub(super) fn modulo(_: &'static str, args: Vec<Expr>) -> Result<Expr> {
    arithmetic("%", args[0].clone(), args[1].clone())
}

pub(super) fn abs(name: &'static str, mut args: Vec<Expr>) -> Result<Expr> {
    let Some(arg) = args.pop() else { return Err(wrong_arguments(name)) };
    let compute: Compute = |_, v| {
        Ok(match &v[0] {
            Value::Int(i) => Value::Int(i.checked_abs().ok_or_else(|| refuse("abs of this number"))?),
            Value::Double(d) => Value::Double(d.abs()),
            Value::Real(r) => Value::Real(r.abs()),
            _ => Value::Null,
        })
    };
    match &arg.ty {
        Type::Byte | Type::SmallInt | Type::Integer | Type::BigInt | Type::Double | Type::Real => {
            let ty = arg.ty.clone();
            strict(name, compute, vec![arg], ty)
        }
        Type::Text(_) if arg.as_literal().is_some() => {
            coerce(arg, &Type::Byte).and_then(|_| Err(refuse("abs of a text")))
        }
        ty => Err(refuse(format!("abs over {}", ty.name()))),
    }
}

pub(super) fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}
