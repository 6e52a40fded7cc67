//! Functions over numbers.

use super::{Run, lax, strict, wrong_arguments};
use crate::engine::error::{Result, invalid, refuse};
use crate::engine::expr::Expr;
use crate::engine::operators::{arithmetic, coerce};
use crate::engine::types::Type;
use crate::engine::value::Value;

pub(super) const NAMES: &str =
    " abs ceil ceiling floor round trunc sign sqrt exp ln log power pow mod pi degrees radians random sin cos tan ";

fn d(v: &Value) -> f64 {
    match v {
        Value::Double(d) => *d,
        Value::Int(i) => *i as f64,
        _ => f64::NAN,
    }
}

fn double(d: f64) -> Result<Value> {
    Ok(Value::Double(d))
}

/// Rounds half up, as Java's `Math.round`, into a bigint.
fn long(d: f64) -> Result<Value> {
    if d.abs() < 9e15 { Ok(Value::Int(d as i64)) } else { Err(refuse("rounding a number this large")) }
}

fn checked(name: &str, d: f64) -> Result<Value> {
    if d.is_finite() {
        double(d)
    } else {
        Err(invalid(format!("{name}(x): given arguments would result in: '{}'", crate::engine::value::java_double(d))))
    }
}

pub(super) fn resolve(name: &str, args: &[Expr]) -> Option<Result<Expr>> {
    let (known, run): (&'static str, Run) = match (name, args.len()) {
        ("abs", 1) => return Some(abs(&args[0])),
        ("abs", _) => return Some(Err(wrong_arguments(name))),
        ("mod", 2) => return Some(arithmetic("%", args[0].clone(), args[1].clone())),
        ("pi", 0) => return Some(Ok(Expr::literal(Value::Double(std::f64::consts::PI), Type::Double))),
        ("random", 0) => return Some(lax("random", |_, _| double(random()), vec![], Type::Double)),
        ("ceil" | "ceiling", 1) => return Some(rounding("ceil", &args[0], |_, v| long(d(&v[0]).ceil()))),
        ("floor", 1) => return Some(rounding("floor", &args[0], |_, v| long(d(&v[0]).floor()))),
        ("trunc", 1) => return Some(rounding("trunc", &args[0], |_, v| long(d(&v[0]).trunc()))),
        ("round", 1) => return Some(rounding("round", &args[0], |_, v| long((d(&v[0]) + 0.5).floor()))),
        ("sqrt", 1) => ("sqrt", |_, v| match d(&v[0]) {
            n if n < 0.0 => Err(invalid("cannot take square root of a negative number")),
            n => double(n.sqrt()),
        }),
        ("sign", 1) => ("sign", |_, v| double(if d(&v[0]) == 0.0 { 0.0 } else { d(&v[0]).signum() })),
        ("exp", 1) => ("exp", |_, v| double(d(&v[0]).exp())),
        ("ln", 1) => ("ln", |_, v| checked("ln", d(&v[0]).ln())),
        ("log", 1) => ("log", |_, v| checked("log", d(&v[0]).log10())),
        ("log", 2) => ("log", |_, v| checked("log", d(&v[0]).ln() / d(&v[1]).ln())),
        ("power" | "pow", 2) => ("power", |_, v| double(d(&v[0]).powf(d(&v[1])))),
        ("degrees", 1) => ("degrees", |_, v| double(d(&v[0]).to_degrees())),
        ("radians", 1) => ("radians", |_, v| double(d(&v[0]).to_radians())),
        ("sin", 1) => ("sin", |_, v| double(d(&v[0]).sin())),
        ("cos", 1) => ("cos", |_, v| double(d(&v[0]).cos())),
        ("tan", 1) => ("tan", |_, v| double(d(&v[0]).tan())),
        ("atan2", 2) => ("atan2", |_, v| double(d(&v[0]).atan2(d(&v[1])))),
        _ => return None,
    };
    let fits = args.iter().all(|a| a.ty.is_integer() || a.ty == Type::Double || a.ty == Type::Undefined);
    if !fits {
        return Some(Err(refuse(format!("{name} over this type"))));
    }
    let args: Result<Vec<Expr>> = args.iter().map(|a| coerce(a.clone(), &Type::Double)).collect();
    Some(args.and_then(|args| strict(known, run, args, Type::Double)))
}

fn rounding(name: &'static str, arg: &Expr, run: Run) -> Result<Expr> {
    match &arg.ty {
        Type::Double => strict(name, run, vec![arg.clone()], Type::BigInt),
        ty => Err(refuse(format!("{name} over {}", ty.name()))),
    }
}

fn abs(arg: &Expr) -> Result<Expr> {
    let run: Run = |_, v| {
        Ok(match &v[0] {
            Value::Int(i) => Value::Int(i.checked_abs().ok_or_else(|| refuse("abs of this number"))?),
            Value::Double(d) => Value::Double(d.abs()),
            Value::Real(r) => Value::Real(r.abs()),
            _ => Value::Null,
        })
    };
    match &arg.ty {
        Type::Integer | Type::BigInt | Type::Double | Type::Real => {
            strict("abs", run, vec![arg.clone()], arg.ty.clone())
        }
        Type::Text(_) if arg.as_literal().is_some() => {
            coerce(arg.clone(), &Type::Byte).and_then(|_| Err(refuse("abs of a text")))
        }
        ty => Err(refuse(format!("abs over {}", ty.name()))),
    }
}

fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}
