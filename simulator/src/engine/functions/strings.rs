//! Functions over texts.

use super::{Arg, lax, strict, texts};
use crate::engine::context::Context;
use crate::engine::error::{Result, invalid, refuse};
use crate::engine::plan::{Compute, Expr, Kind};
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

pub(super) fn t(v: &Value) -> &str {
    match v {
        Value::Text(t) => t,
        _ => "",
    }
}

pub(super) fn i(v: &Value) -> i64 {
    match v {
        Value::Int(i) => *i,
        _ => 0,
    }
}

pub(super) fn count(n: usize) -> Result<Value> {
    Ok(Value::Int(n as i64))
}

/// Begins each word with a capital. Only spaces end words.
pub(super) fn initcap(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c != ' ';
    }
    out
}

pub(super) fn quote_ident(_: &Context, v: Vec<Value>) -> Result<Value> {
    match t(&v[0]) {
        plain if plain.len() < 20 && plain.bytes().all(|b| b.is_ascii_alphanumeric()) && !plain.is_empty() => {
            Ok(Value::Text(crate::engine::print::quoted_if_needed(plain)))
        }
        _ => Err(refuse("this quote_ident")),
    }
}

pub(super) fn translate(_: &Context, v: Vec<Value>) -> Result<Value> {
    let to: Vec<char> = t(&v[2]).chars().collect();
    let one = |c: char| match t(&v[1]).chars().position(|f| f == c) {
        Some(place) => to.get(place).copied(),
        None => Some(c),
    };
    Ok(Value::Text(t(&v[0]).chars().filter_map(one).collect()))
}

pub(super) fn replace(_: &Context, v: Vec<Value>) -> Result<Value> {
    match t(&v[1]) {
        "" => Err(refuse("replacing an empty text")),
        from => Ok(Value::Text(t(&v[0]).replace(from, t(&v[2])))),
    }
}

pub(super) fn chr(_: &Context, v: Vec<Value>) -> Result<Value> {
    match u32::try_from(i(&v[0])).ok().filter(|n| *n > 0).and_then(char::from_u32) {
        Some(c) => Ok(Value::text(c)),
        None => Err(invalid(format!("requested character too large for encoding: {}", i(&v[0])))),
    }
}

pub(super) fn strpos(_: &Context, v: Vec<Value>) -> Result<Value> {
    count(t(&v[0]).find(t(&v[1])).map_or(0, |at| t(&v[0])[..at].chars().count() + 1))
}

pub(super) fn repeat(_: &Context, v: Vec<Value>) -> Result<Value> {
    match i(&v[1]) {
        n @ 0..=1000 if t(&v[0]).len() < 1000 => Ok(Value::Text(t(&v[0]).repeat(n as usize))),
        n if n < 0 => Ok(Value::text("")),
        _ => Err(refuse("a repetition this long")),
    }
}

pub(super) fn split_part(_: &Context, v: Vec<Value>) -> Result<Value> {
    match (t(&v[1]), i(&v[2])) {
        (_, ..=0) => Err(invalid("index in split_part must be greater than zero")),
        ("", _) => Err(refuse("this split_part")),
        (by, n) => Ok(Value::text(t(&v[0]).split(by).nth(n as usize - 1).unwrap_or(""))),
    }
}

pub(super) fn string_to_array(_: &Context, v: Vec<Value>) -> Result<Value> {
    let text = t(&v[0]);
    let parts: Vec<Value> = match &v[1] {
        _ if v[0].is_null() => return Ok(Value::Null),
        _ if text.is_empty() => vec![],
        Value::Null => text.chars().map(|c| Value::Text(c.into())).collect(),
        by if t(by).is_empty() => vec![Value::text(text)],
        by => text.split(t(by)).map(Value::text).collect(),
    };
    // The third argument is the text that stands for null.
    let null = v.get(2).filter(|null| !null.is_null());
    let parts = parts.into_iter().map(|part| if Some(&part) == null { Value::Null } else { part });
    Ok(Value::Array(parts.collect()))
}

/// Analyses `concat_ws`: the separator, then values. Nulls among them are left out.
pub(super) fn concat_ws(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let compute: Compute = |_, v| {
        if v[0].is_null() {
            return Err(refuse("concat_ws without separator"));
        }
        let parts: Vec<&str> = v[1..].iter().filter(|v| !v.is_null()).map(t).collect();
        Ok(Value::Text(parts.join(t(&v[0]))))
    };
    lax(name, compute, texts(name, args)?, TEXT)
}

pub(super) fn substr(name: &'static str, mut args: Vec<Expr>) -> Result<Expr> {
    if !args[1].ty.is_integer() {
        return Err(refuse("substr by something else than integers"));
    }
    for (at, arg) in args.iter_mut().enumerate() {
        let kind = if at == 0 { Arg::Text } else { Arg::Integer };
        *arg = kind.take(name, std::slice::from_ref(arg), 0)?;
    }
    strict(name, part, args, TEXT)
}

fn part(_: &Context, v: Vec<Value>) -> Result<Value> {
    let chars: Vec<char> = t(&v[0]).chars().collect();
    // The first character is 1; a start before it counts as 1.
    let start = i(&v[1]);
    if start < 1 && v.len() == 3 && i(&v[2]) > chars.len() as i64 {
        return Err(refuse("this substring"));
    }
    let from = (start.max(1) - 1) as usize;
    let length = match v.get(2) {
        Some(n) if i(n) < 0 => return Err(refuse("a substring of negative length")),
        Some(n) => i(n) as usize,
        None => chars.len(),
    };
    Ok(Value::Text(chars.into_iter().skip(from).take(length).collect()))
}

/// Trims these characters from the sides that the third argument names.
pub(super) fn trim(v: &[Value]) -> Value {
    let outside = |c| t(&v[1]).contains(c);
    Value::text(match t(&v[2]) {
        "LEADING" => t(&v[0]).trim_start_matches(outside),
        "TRAILING" => t(&v[0]).trim_end_matches(outside),
        _ => t(&v[0]).trim_matches(outside),
    })
}

pub(super) fn side(v: &[Value], left: bool) -> Value {
    let chars: Vec<char> = t(&v[0]).chars().collect();
    let n = i(&v[1]);
    let keep = if n < 0 { chars.len().saturating_sub(n.unsigned_abs() as usize) } else { chars.len().min(n as usize) };
    let part = if left { &chars[..keep] } else { &chars[chars.len() - keep..] };
    Value::Text(part.iter().collect())
}

pub(super) fn pad(v: &[Value], left: bool) -> Result<Value> {
    let text = t(&v[0]);
    let have = text.chars().count();
    let want = usize::try_from(i(&v[1])).unwrap_or(0);
    if want > 1000 {
        return Err(refuse("a padding this long"));
    }
    let fill = v.get(2).map_or(" ", t);
    if want <= have || fill.is_empty() {
        return Ok(Value::Text(text.chars().take(want).collect()));
    }
    let padding: String = fill.chars().cycle().take(want - have).collect();
    Ok(Value::Text(if left { padding + text } else { text.to_owned() + &padding }))
}

pub(super) fn concatenate(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let [a, b] = args.as_slice() else { return Err(refuse("||")) };
    let call = match (&a.ty, &b.ty) {
        (Type::Array(x), Type::Array(y)) if x.same_family(y) || **x == Type::Undefined || **y == Type::Undefined => {
            super::arrays::cat(name, args)
        }
        (Type::Array(x), Type::Array(_)) if b.as_literal().is_some() && x.is_number() => super::arrays::cat(name, args),
        (Type::Array(of), x) if x.same_family(of) && b.as_literal() != Some(&Value::Null) => {
            let ty = a.ty.clone();
            lax(name, super::arrays::append, args, ty)
        }
        (x, Type::Array(of)) if x.same_family(of) && a.as_literal() != Some(&Value::Null) => {
            let ty = b.ty.clone();
            lax(name, super::arrays::prepend, args, ty)
        }
        (Type::Object(_), Type::Object(_)) => merge(name, args),
        (Type::Text(_), Type::Text(_)) | (Type::Text(_), Type::Undefined) | (Type::Undefined, Type::Text(_)) => {
            join(name, args)
        }
        (Type::Text(_), x) | (x, Type::Text(_))
            if x.is_number() || matches!(x, Type::Boolean | Type::Timestamp | Type::TimestampTz) =>
        {
            join(name, args)
        }
        (Type::Char(_), Type::Text(_)) => Err(invalid("Cannot cast value to type `object`")),
        _ => Err(refuse(format!("{} || {}", a.ty.name(), b.ty.name()))),
    }?;
    Ok(match call.kind {
        Kind::Call(function, args) => match <[Expr; 2]>::try_from(args) {
            Ok([a, b]) => a.then(function, b, call.ty),
            Err(args) => Expr::new(Kind::Call(function, args), call.ty),
        },
        kind => Expr::new(kind, call.ty),
    })
}

fn join(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let compute: Compute = |_, v| Ok(Value::Text([t(&v[0]), t(&v[1])].concat()));
    strict(name, compute, texts("||", args)?, TEXT)
}

pub(super) fn concat(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    if args.len() == 2 && args.iter().all(|a| matches!(a.ty, Type::Object(_))) {
        return merge(name, args);
    }
    let compute: Compute = |_, v| Ok(Value::Text(v.iter().map(t).collect()));
    lax(name, compute, texts(name, args)?, TEXT)
}

/// Merges two objects; the right one wins.
fn merge(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let compute: Compute = |_, v| {
        let (Value::Object(a), Value::Object(b)) = (&v[0], &v[1]) else { return Ok(Value::Null) };
        let mut out: Vec<(String, Value)> = a.iter().filter(|f| b.iter().all(|g| g.0 != f.0)).cloned().collect();
        out.extend(b.iter().cloned());
        Ok(Value::Object(out))
    };
    if args.iter().any(|a| matches!(a.kind, Kind::Column { .. })) {
        return Err(refuse("merging objects of a table"));
    }
    strict(name, compute, args, Type::object())
}
