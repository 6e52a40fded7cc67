//! Functions over arrays.

use super::{lax, strict, unfit};
use crate::engine::context::Context;
use crate::engine::decimal::Decimal;
use crate::engine::error::{Result, refuse};
use crate::engine::operators::coerce;
use crate::engine::plan::{Compute, Expr};
use crate::engine::types::{NUMERIC, TEXT, Type};
use crate::engine::value::Value;

pub(super) fn items(v: &Value) -> &[Value] {
    match v {
        Value::Array(items) => items,
        _ => &[],
    }
}

/// A null array counts as empty, as in most functions that make arrays.
pub(super) fn append(_: &Context, v: Vec<Value>) -> Result<Value> {
    Ok(Value::Array(items(&v[0]).iter().chain([&v[1]]).cloned().collect()))
}

/// The element comes first.
pub(super) fn prepend(_: &Context, v: Vec<Value>) -> Result<Value> {
    Ok(Value::Array([&v[0]].into_iter().chain(items(&v[1])).cloned().collect()))
}

pub(super) fn length(_: &Context, v: Vec<Value>) -> Result<Value> {
    match items(&v[0]).len() {
        0 => Ok(Value::Null),
        n => Ok(Value::Int(n as i64)),
    }
}

pub(super) fn position(_: &Context, v: Vec<Value>) -> Result<Value> {
    let place = items(&v[0]).iter().position(|item| item.same(&v[1]));
    Ok(place.map_or(Value::Null, |p| Value::Int(p as i64 + 1)))
}

pub(super) fn unique(_: &Context, v: Vec<Value>) -> Result<Value> {
    let mut out: Vec<Value> = vec![];
    for item in items(&v[0]) {
        if !out.iter().any(|o| o.same(item)) {
            out.push(item.clone());
        }
    }
    Ok(Value::Array(out))
}

pub(super) fn overlap(_: &Context, v: Vec<Value>) -> Result<Value> {
    let both = items(&v[0]).iter().any(|a| !a.is_null() && items(&v[1]).iter().any(|b| a.same(b)));
    Ok(Value::Bool(both))
}

pub(super) fn difference(_: &Context, v: Vec<Value>) -> Result<Value> {
    if v[0].is_null() {
        return Ok(Value::Null);
    }
    let rest = items(&v[0]).iter().filter(|a| !items(&v[1]).iter().any(|b| a.same(b)));
    Ok(Value::Array(rest.cloned().collect()))
}

pub(super) fn sum(_: &Context, v: Vec<Value>) -> Result<Value> {
    let numbers = items(&v[0]).iter().filter_map(|v| match v {
        Value::Int(i) => Some(*i),
        _ => None,
    });
    let total = numbers.clone().try_fold(0i64, i64::checked_add).ok_or_else(|| refuse("a sum this large"))?;
    Ok(if numbers.count() == 0 { Value::Null } else { Value::Int(total) })
}

pub(super) fn slice(_: &Context, v: Vec<Value>) -> Result<Value> {
    let bound = |v: &Value, open: i64| match v {
        Value::Null => Some(open),
        Value::Int(n) => Some(*n),
        _ => None,
    };
    match (bound(&v[1], 1), bound(&v[2], i32::MAX.into())) {
        (Some(from @ 1..), Some(to)) if to >= from => {
            let part = items(&v[0]).iter().skip(from as usize - 1).take((to - from + 1) as usize);
            Ok(Value::Array(part.cloned().collect()))
        }
        _ => Err(refuse("this slice")),
    }
}

/// Analyses `array_cat` of two arrays, of which the first has a type.
pub(super) fn cat_typed(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    if super::element(&args[0]).is_some() { cat(name, args) } else { Err(unfit(name)) }
}

/// Concatenates two arrays. Their elements get one type.
pub(super) fn cat(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let of = |e: &Expr| super::element(e).unwrap_or(Type::Undefined);
    let (a, b) = (of(&args[0]), of(&args[1]));
    let ty = match (&a, &b) {
        (Type::Undefined, _) => b,
        (_, Type::Undefined) => a,
        (a, b) if a.same_family(b) => a.clone(),
        (a, b) if a.is_number() && b.is_number() => if b.width() > a.width() { b } else { a }.clone(),
        (a, b) if a.is_number() && b.is_text() => a.clone(),
        (a, b) => return Err(refuse(format!("arrays of {} and {} together", a.name(), b.name()))),
    };
    let ty = Type::array(ty);
    let compute: Compute = |_, v| match (&v[0], &v[1]) {
        (Value::Null, Value::Null) => Ok(Value::Null),
        (a, b) => Ok(Value::Array(items(a).iter().chain(items(b)).cloned().collect())),
    };
    let args = args.into_iter().map(|a| coerce(a, &ty)).collect::<Result<_>>()?;
    lax(name, compute, args, ty)
}

pub(super) fn to_string(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let compute: Compute = |_, v| {
        let (Value::Array(items), Value::Text(by)) = (&v[0], &v[1]) else { return Ok(Value::Null) };
        let text = |item: &Value| match (item, v.get(2)) {
            (Value::Text(t), _) => Some(t.clone()),
            (Value::Int(i), _) => Some(i.to_string()),
            (_, Some(Value::Text(instead))) => Some(instead.clone()),
            _ => None,
        };
        Ok(Value::Text(items.iter().filter_map(text).collect::<Vec<_>>().join(by)))
    };
    let printable = super::element(&args[0]).is_some_and(|of| of.is_integer() || of.is_text());
    if printable && args[1..].iter().all(|a| a.ty == TEXT) {
        strict(name, compute, args, TEXT)
    } else {
        Err(unfit(name))
    }
}

/// Analyses `array_avg`: exact over whole numbers.
pub(super) fn average(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let compute: Compute = |_, v| {
        let numbers: Vec<&Value> = items(&v[0]).iter().filter(|item| !item.is_null()).collect();
        let total = numbers.iter().try_fold(0i64, |total, item| match item {
            Value::Int(n) => total.checked_add(*n),
            _ => None,
        });
        let total = total.map(Decimal::whole).ok_or_else(|| refuse("a sum this large"))?;
        match numbers.len() {
            0 => Ok(Value::Null),
            n => {
                let mean = total.divide_exactly(Decimal::whole(n as i64));
                mean.map(Value::Numeric).ok_or_else(|| refuse("an average that doesn't end"))
            }
        }
    };
    if super::element(&args[0]).is_some_and(|of| of.is_integer()) {
        strict(name, compute, args, NUMERIC)
    } else {
        Err(unfit(name))
    }
}
