//! Functions over texts.

use super::{Run, lax, strict, texts, wrong_arguments};
use crate::engine::error::{Result, invalid, refuse};
use crate::engine::expr::{Expr, Kind};
use crate::engine::operators::coerce;
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

pub(super) const NAMES: &str = " upper lower initcap length char_length octet_length substr substring left right trim ltrim rtrim btrim \
replace reverse repeat lpad rpad split_part string_to_array strpos ascii chr quote_ident starts_with concat concat_ws op_|| ";

fn t(v: &Value) -> &str {
    match v {
        Value::Text(t) => t,
        _ => "",
    }
}

fn i(v: &Value) -> i64 {
    match v {
        Value::Int(i) => *i,
        _ => 0,
    }
}

fn count(n: usize) -> Result<Value> {
    Ok(Value::Int(n as i64))
}

/// None: no function of this name and number of arguments is here.
pub(super) fn resolve(name: &str, args: &[Expr]) -> Option<Result<Expr>> {
    let text: Run = match (name, args.len()) {
        ("upper", 1) => |_, v| Ok(Value::Text(t(&v[0]).to_uppercase())),
        ("lower", 1) => |_, v| Ok(Value::Text(t(&v[0]).to_lowercase())),
        ("initcap", 1) => |_, v| Ok(Value::Text(initcap(t(&v[0])))),
        ("reverse", 1) => |_, v| Ok(Value::Text(t(&v[0]).chars().rev().collect())),
        ("trim", 1) => |_, v| Ok(Value::text(t(&v[0]).trim_matches(' '))),
        ("ltrim", 1) => |_, v| Ok(Value::text(t(&v[0]).trim_start_matches(' '))),
        ("rtrim", 1) => |_, v| Ok(Value::text(t(&v[0]).trim_end_matches(' '))),
        ("trim" | "btrim", 2) => |_, v| Ok(Value::text(t(&v[0]).trim_matches(|c| t(&v[1]).contains(c)))),
        ("ltrim", 2) => |_, v| Ok(Value::text(t(&v[0]).trim_start_matches(|c| t(&v[1]).contains(c)))),
        ("rtrim", 2) => |_, v| Ok(Value::text(t(&v[0]).trim_end_matches(|c| t(&v[1]).contains(c)))),
        ("replace", 3) => |_, v| match t(&v[1]) {
            "" => Err(refuse("replacing an empty text")),
            from => Ok(Value::Text(t(&v[0]).replace(from, t(&v[2])))),
        },
        ("quote_ident", 1) => |_, v| match t(&v[0]) {
            plain if plain.len() < 20 && plain.bytes().all(|b| b.is_ascii_alphanumeric()) && !plain.is_empty() => {
                Ok(Value::Text(crate::engine::print::quoted_if_needed(plain)))
            }
            _ => Err(refuse("this quote_ident")),
        },
        ("translate", 3) => |_, v| {
            let to: Vec<char> = t(&v[2]).chars().collect();
            let one = |c: char| match t(&v[1]).chars().position(|f| f == c) {
                Some(place) => to.get(place).copied(),
                None => Some(c),
            };
            Ok(Value::Text(t(&v[0]).chars().filter_map(one).collect()))
        },
        ("upper" | "lower" | "initcap" | "reverse", _) => return Some(Err(wrong_arguments(name))),
        _ => return other(name, args),
    };
    let known = NAMES.split(' ').find(|n| *n == name).unwrap_or("translate");
    Some(texts(name, args.to_vec()).and_then(|args| strict(known, text, args, TEXT)))
}

fn initcap(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c.is_alphanumeric();
    }
    out
}

/// Functions of other types than texts alone.
fn other(name: &str, args: &[Expr]) -> Option<Result<Expr>> {
    let (known, run, types, ty): (&'static str, Run, Vec<Type>, Type) = match (name, args.len()) {
        ("length" | "char_length", 1) => ("length", |_, v| count(t(&v[0]).chars().count()), vec![TEXT], Type::Integer),
        ("octet_length", 1) => ("octet_length", |_, v| count(t(&v[0]).len()), vec![TEXT], Type::Integer),
        ("ascii", 1) => {
            ("ascii", |_, v| count(t(&v[0]).chars().next().map_or(0, |c| c as usize)), vec![TEXT], Type::Integer)
        }
        ("chr", 1) => {
            let run: Run = |_, v| match u32::try_from(i(&v[0])).ok().filter(|n| *n > 0).and_then(char::from_u32) {
                Some(c) => Ok(Value::text(c)),
                None => Err(invalid(format!("requested character too large for encoding: {}", i(&v[0])))),
            };
            ("chr", run, vec![Type::Integer], TEXT)
        }
        ("strpos", 2) => {
            let run: Run = |_, v| count(t(&v[0]).find(t(&v[1])).map_or(0, |at| t(&v[0])[..at].chars().count() + 1));
            ("strpos", run, vec![TEXT, TEXT], Type::Integer)
        }
        ("starts_with", 2) => {
            ("starts_with", |_, v| Ok(Value::Bool(t(&v[0]).starts_with(t(&v[1])))), vec![TEXT, TEXT], Type::Boolean)
        }
        ("substr" | "substring", 2 | 3) => {
            if !args[1].ty.is_integer() {
                return Some(Err(refuse("substr by something else than integers")));
            }
            let mut types = vec![TEXT, Type::Integer, Type::Integer];
            types.truncate(args.len());
            ("substr", substr, types, TEXT)
        }
        ("left" | "right", 2) => {
            let run: Run = if name == "left" { |_, v| Ok(side(&v, true)) } else { |_, v| Ok(side(&v, false)) };
            (if name == "left" { "left" } else { "right" }, run, vec![TEXT, Type::Integer], TEXT)
        }
        ("repeat", 2) => {
            let run: Run = |_, v| match i(&v[1]) {
                n @ 0..=1000 if t(&v[0]).len() < 1000 => Ok(Value::Text(t(&v[0]).repeat(n as usize))),
                n if n < 0 => Ok(Value::text("")),
                _ => Err(refuse("a repetition this long")),
            };
            ("repeat", run, vec![TEXT, Type::Integer], TEXT)
        }
        ("lpad" | "rpad", 2 | 3) => {
            let mut types = vec![TEXT, Type::Integer, TEXT];
            types.truncate(args.len());
            let run: Run = if name == "lpad" { |_, v| pad(&v, true) } else { |_, v| pad(&v, false) };
            (if name == "lpad" { "lpad" } else { "rpad" }, run, types, TEXT)
        }
        ("split_part", 3) => {
            let run: Run = |_, v| match (t(&v[1]), i(&v[2])) {
                ("", _) | (_, ..=0) => Err(refuse("this split_part")),
                (by, n) => Ok(Value::text(t(&v[0]).split(by).nth(n as usize - 1).unwrap_or(""))),
            };
            ("split_part", run, vec![TEXT, TEXT, Type::Integer], TEXT)
        }
        ("string_to_array", 2) => {
            let run: Run = |_, v| match (t(&v[0]), t(&v[1])) {
                ("", _) | (_, "") => Err(refuse("this string_to_array")),
                (text, by) => Ok(Value::Array(text.split(by).map(Value::text).collect())),
            };
            ("string_to_array", run, vec![TEXT, TEXT], Type::array(TEXT))
        }
        ("op_||", 2) => return Some(concatenate(args)),
        ("concat", 2..) => return Some(concat(args)),
        ("concat_ws", 2..) => {
            let run: Run = |_, v| {
                if v[0].is_null() {
                    return Err(refuse("concat_ws without separator"));
                }
                let parts: Vec<&str> = v[1..].iter().filter(|v| !v.is_null()).map(t).collect();
                Ok(Value::Text(parts.join(t(&v[0]))))
            };
            return Some(texts(name, args.to_vec()).and_then(|args| lax("concat_ws", run, args, TEXT)));
        }
        _ => return None,
    };
    let coerced: Result<Vec<Expr>> = args
        .iter()
        .zip(&types)
        .map(|(arg, ty)| match ty {
            Type::Text(_) => {
                texts(name, vec![arg.clone()]).and_then(|mut v| v.pop().ok_or_else(|| refuse("no argument")))
            }
            ty if arg.ty.is_integer() || arg.ty == Type::Undefined => coerce(arg.clone(), ty),
            _ => Err(refuse(format!("{name} over {}", arg.ty.name()))),
        })
        .collect();
    Some(coerced.and_then(|args| strict(known, run, args, ty)))
}

fn substr(_: &crate::engine::session::Context, v: Vec<Value>) -> Result<Value> {
    let chars: Vec<char> = t(&v[0]).chars().collect();
    // The first character is 1; what lies before it counts as the first here.
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

fn side(v: &[Value], left: bool) -> Value {
    let chars: Vec<char> = t(&v[0]).chars().collect();
    let n = i(&v[1]);
    let keep = if n < 0 { chars.len().saturating_sub(n.unsigned_abs() as usize) } else { chars.len().min(n as usize) };
    let part = if left { &chars[..keep] } else { &chars[chars.len() - keep..] };
    Value::Text(part.iter().collect())
}

fn pad(v: &[Value], left: bool) -> Result<Value> {
    let text = t(&v[0]);
    let have = text.chars().count();
    let want = usize::try_from(i(&v[1])).ok().filter(|n| *n <= 1000).ok_or_else(|| refuse("a padding this long"))?;
    let fill = v.get(2).map_or(" ", t);
    if fill.is_empty() || want < have {
        return Err(refuse("this padding"));
    }
    let padding: String = fill.chars().cycle().take(want - have).collect();
    Ok(Value::Text(if left { padding + text } else { text.to_owned() + &padding }))
}

fn concatenate(args: &[Expr]) -> Result<Expr> {
    let [a, b] = args else { return Err(refuse("||")) };
    match (&a.ty, &b.ty) {
        (Type::Array(x), Type::Array(y)) if x.same_family(y) || **x == Type::Undefined || **y == Type::Undefined => {
            super::arrays::cat("op_||", args)
        }
        (Type::Array(x), Type::Array(_)) if b.as_literal().is_some() => {
            let b = coerce(b.clone(), &Type::array((**x).clone()))?;
            super::arrays::cat("op_||", &[a.clone(), b])
        }
        (Type::Object(_), Type::Object(_)) => merge("op_||", args),
        (Type::Text(_), Type::Text(_)) | (Type::Text(_), Type::Undefined) | (Type::Undefined, Type::Text(_)) => {
            join(args)
        }
        (Type::Text(_), x) | (x, Type::Text(_)) if x.is_integer() => join(args),
        (Type::Char(_), Type::Text(_)) => Err(invalid("Cannot cast value to type `object`")),
        _ => Err(refuse(format!("{} || {}", a.ty.name(), b.ty.name()))),
    }
}

fn join(args: &[Expr]) -> Result<Expr> {
    let run: Run = |_, v| Ok(Value::Text([t(&v[0]), t(&v[1])].concat()));
    strict("op_||", run, texts("||", args.to_vec())?, TEXT)
}

fn concat(args: &[Expr]) -> Result<Expr> {
    if args.len() == 2 && args.iter().all(|a| matches!(a.ty, Type::Object(_))) {
        return merge("concat", args);
    }
    let run: Run = |_, v| Ok(Value::Text(v.iter().map(t).collect()));
    lax("concat", run, texts("concat", args.to_vec())?, TEXT)
}

/// Two objects as one; the right one wins.
fn merge(name: &'static str, args: &[Expr]) -> Result<Expr> {
    let run: Run = |_, v| {
        let (Value::Object(a), Value::Object(b)) = (&v[0], &v[1]) else { return Ok(Value::Null) };
        let mut out: Vec<(String, Value)> = a.iter().filter(|f| b.iter().all(|g| g.0 != f.0)).cloned().collect();
        out.extend(b.iter().cloned());
        Ok(Value::Object(out))
    };
    if args.iter().any(|a| matches!(a.kind, Kind::Column { .. })) {
        return Err(refuse("merging objects of a table"));
    }
    strict(name, run, args.to_vec(), Type::object())
}
