//! Operators: the types of their operands and results.

mod times;

use super::cast::{self, implicit};
use super::context::Parameter;
use super::decimal::Decimal;
use super::error::{Fault, Result, SqlError, invalid, no_function, refuse, unsupported};
use super::plan::{Compute, Expr, Function, Kind, Nulls};
use super::types::{NUMERIC, TEXT, Type};
use super::value::Value;
use std::cmp::Ordering;
use std::rc::Rc;
use times::time_arithmetic;

/// Compares two values of one type; null if one is null.
pub(crate) fn compare(op: &str, a: &Value, b: &Value) -> Value {
    if a.is_null() || b.is_null() {
        return Value::Null;
    }
    if op == "=" || op == "<>" {
        return Value::Bool(a.same(b) == (op == "="));
    }
    let order = a.compare(b);
    Value::Bool(match op {
        "<" => order == Ordering::Less,
        "<=" => order != Ordering::Greater,
        ">" => order == Ordering::Greater,
        _ => order != Ordering::Less,
    })
}

/// Returns `expr` as a value of `ty`. A literal is converted at once, with its errors.
pub(crate) fn coerce(expr: Expr, ty: &Type) -> Result<Expr> {
    if let Kind::Param(parameter) = &expr.kind {
        return Ok(typed(parameter, ty));
    }
    if expr.ty.same_family(ty) {
        return Ok(expr);
    }
    if let Some(value) = expr.as_literal() {
        return Ok(Expr::literal(implicit(value, &expr.ty, ty)?, ty.clone()));
    }
    if expr.ty == Type::Undefined || (expr.ty.is_number() && ty.is_number()) || (expr.ty.is_time() && ty.is_time()) {
        return Ok(Expr::new(Kind::Cast(Box::new(expr), false), ty.clone()));
    }
    Err(refuse(format!("{} where {} is expected", expr.ty.name(), ty.name())))
}

/// Types a parameter where a `ty` is needed. The first such place decides; its value is checked when it has one.
fn typed(parameter: &Rc<Parameter>, ty: &Type) -> Expr {
    if *parameter.ty.borrow() == Type::Undefined {
        parameter.ty.replace(ty.clone());
    }
    Expr::new(Kind::Param(parameter.clone()), ty.clone())
}

/// Returns whether `literal` can become a `ty` without loss. Otherwise a comparison needs care.
fn converts_exactly(literal: &Expr, ty: &Type) -> bool {
    let Some(value) = literal.as_literal() else { return false };
    match (value, ty) {
        (Value::Null, _) => true,
        (Value::Int(i), Type::BigInt) => *i > i64::MIN && *i < i64::MAX,
        (Value::Int(i), ty) if ty.is_integer() => ty.range().is_some_and(|(low, high)| (low..=high).contains(i)),
        (Value::Int(i), _) => i.abs() < 1 << 24,
        (Value::Double(d), ty) if ty.is_integer() => d.fract() == 0.0 && d.abs() < 1e9,
        (Value::Double(_), Type::Double | Type::Real) | (Value::Real(_), Type::Double) => true,
        (Value::Numeric(_), Type::Numeric(_)) => true,
        _ => false,
    }
}

/// Converts both sides of a comparison to one type.
pub(crate) fn unify(a: Expr, b: Expr) -> Result<(Expr, Expr)> {
    let (a_literal, b_literal) = (a.as_literal().is_some(), b.as_literal().is_some());
    let is_array = |ty: &Type| matches!(ty, Type::Array(_));
    match (&a.kind, &b.kind) {
        (Kind::Param(_), Kind::Param(_)) => return Ok((a, b)),
        (Kind::Param(_), _) | (_, Kind::Param(_))
            if a.ty != Type::Undefined && b.ty != Type::Undefined && is_array(&a.ty) != is_array(&b.ty) =>
        {
            return Err(no_function(format!(
                "Invalid arguments: ({}, {}). Valid types: (E, E)",
                a.ty.name(),
                b.ty.name()
            )));
        }
        (Kind::Param(parameter), _) => return Ok((typed(parameter, &b.ty), b)),
        (_, Kind::Param(parameter)) => return Ok((a.clone(), typed(parameter, &a.ty))),
        _ => {}
    }
    if a.ty == Type::Undefined || b.ty == Type::Undefined {
        return Ok((a, b));
    }
    let limits = |e: &Expr| matches!(e.as_literal(), Some(Value::Int(i64::MAX | i64::MIN)));
    if let (Type::Object(x), Type::Object(y)) = (&a.ty, &b.ty) {
        let apart = |f: &super::types::Field| {
            let other = y.field(&f.name).map(|g| &g.ty);
            other.is_some_and(|ty| !ty.same_family(&f.ty) || matches!(ty, Type::Object(_)))
        };
        if x.fields.iter().any(apart) {
            return Err(refuse("a comparison of objects with inner columns of other types"));
        }
    }
    if a.ty.same_family(&b.ty) {
        if limits(&a) != limits(&b) {
            return Err(refuse("a comparison with the largest or smallest bigint"));
        }
        return if matches!(a.ty, Type::Char(_)) { Err(refuse("a comparison of characters")) } else { Ok((a, b)) };
    }
    if are_never_equal(&a.ty, &b.ty) {
        let text = format!("Invalid arguments with ({}, {}). Valid types: (E, E)", a.ty.name(), b.ty.name());
        return Err(no_function(text));
    }
    if a_literal != b_literal {
        return if b_literal { Ok((a.clone(), to_column(b, &a.ty)?)) } else { Ok((to_column(a, &b.ty)?, b)) };
    }
    if a.ty.is_number() && b.ty.is_number() {
        let ty = if a.ty.width() > b.ty.width() { a.ty.clone() } else { b.ty.clone() };
        return Ok((coerce(a, &ty)?, coerce(b, &ty)?));
    }
    match (&a.ty, &b.ty) {
        (x, y) if x.is_time() && y.is_time() => Ok((a, b)),
        (Type::Text(_), y) if b_literal && y.is_number() => Ok((coerce(a, &b.ty.clone())?, b)),
        (x, Type::Text(_)) if a_literal && x.is_number() => Ok((a.clone(), coerce(b, &a.ty)?)),
        (x, Type::Text(_)) if a_literal && x.is_time() => Ok((a.clone(), coerce(b, &a.ty)?)),
        (Type::Array(x), Type::Array(y)) if **x == Type::Undefined || **y == Type::Undefined => Ok((a, b)),
        (Type::Boolean, Type::Text(_)) if b_literal => Ok((a, coerce(b, &Type::Boolean)?)),
        (Type::Text(_), Type::Boolean) if a_literal => Ok((coerce(a, &Type::Boolean)?, b)),
        (x, y) if a_literal && x.is_time() && y.is_integer() => Ok((a.clone(), coerce(b, &a.ty)?)),
        (x, y) if a_literal && x.is_integer() && y.is_time() => Ok((coerce(a, &b.ty.clone())?, b)),
        _ => Err(refuse(format!("a comparison of {} and {}", a.ty.name(), b.ty.name()))),
    }
}

/// Returns whether CrateDB compares no values of these types: arrays with items, and objects with anything else.
fn are_never_equal(a: &Type, b: &Type) -> bool {
    let plain = |ty: &Type| ty.is_number() || ty.is_text() || *ty == Type::Boolean;
    match (a, b) {
        (Type::Array(x), y) | (y, Type::Array(x)) => plain(x) && plain(y),
        (Type::Object(_), x) | (x, Type::Object(_)) => x.is_number() || matches!(x, Type::Array(_)),
        _ => false,
    }
}

/// Converts a literal beside an operand of type `ty` to that type.
fn to_column(literal: Expr, ty: &Type) -> Result<Expr> {
    let fine = match (&literal.ty, ty) {
        (a, b) if a.is_number() && b.is_number() => converts_exactly(&literal, b),
        (Type::Text(_), b) if b.is_number() || b.is_time() => true,
        (Type::Text(_), Type::Boolean | Type::Uuid | Type::Ip) => true,
        (a, Type::Text(_) | Type::Boolean) if a.is_integer() => true,
        (a, b) if a.is_integer() && b.is_time() => true,
        (Type::Timestamp | Type::TimestampTz, Type::Timestamp | Type::TimestampTz) => true,
        (Type::Array(a), Type::Array(b)) => **a == Type::Undefined || (a.is_number() && b.is_number()),
        _ => false,
    };
    if fine { coerce(literal, ty) } else { Err(refuse(format!("{} beside {}", literal.ty.name(), ty.name()))) }
}

/// Analyses a comparison.
pub(crate) fn comparison(op: &'static str, a: Expr, b: Expr) -> Result<Expr> {
    if op.contains('~') {
        return Err(refuse("matching a regular expression"));
    }
    let (a, b) = unify(a, b)?;
    if op == "IS DISTINCT FROM" {
        let compute: Compute = |_, v| Ok(Value::Bool(!v[0].same(&v[1])));
        let function = Function { name: "distinct_from", compute, nulls: Nulls::Seen };
        return Ok(Expr::new(Kind::Call(function, vec![a, b]), Type::Boolean));
    }
    let ordered = |ty: &Type| {
        !matches!(
            ty,
            Type::Object(_)
                | Type::Array(_)
                | Type::GeoPoint
                | Type::Vector(_)
                | Type::Interval
                | Type::Ip
                | Type::Bit(_)
                | Type::Json
        )
    };
    if op != "=" && op != "<>" && !(ordered(&a.ty) && ordered(&b.ty)) {
        return Err(refuse(format!("{op} over {}", a.ty.name())));
    }
    Ok(Expr::new(Kind::Compare(op, Box::new(a), Box::new(b)), Type::Boolean))
}

fn wrong_arguments(op: &str, a: &Type, b: &Type) -> SqlError {
    no_function(format!("Invalid arguments in: ({op}) with ({}, {})", a.name(), b.name()))
}

/// Analyses an arithmetic or bit operator.
pub(crate) fn arithmetic(op: &'static str, a: Expr, b: Expr) -> Result<Expr> {
    if a.ty.is_time() || b.ty.is_time() || a.ty == Type::Interval || b.ty == Type::Interval {
        return time_arithmetic(op, a, b);
    }
    let never = |ty: &Type| matches!(ty, Type::Boolean | Type::Array(_) | Type::Object(_) | Type::Ip);
    if (never(&a.ty) && b.ty.is_integer()) || (never(&b.ty) && a.ty.is_integer()) {
        let sure = ["+", "-", "*"].contains(&op);
        return Err(if sure { wrong_arguments(op, &a.ty, &b.ty) } else { refuse("arithmetic on this") });
    }
    let of_texts = if a.ty.is_text() && b.ty.is_text() { Some(Type::Integer) } else { None };
    let ty = match of_texts {
        Some(ty) if op == "+" || op == "*" => ty,
        Some(_) => return Err(refuse("arithmetic on texts")),
        None => common_number(&a.ty, &b.ty)?,
    };
    let ty = match op {
        "^" => Type::Double,
        "&" | "|" | "#" if !ty.is_integer() || a.ty != b.ty => return Err(refuse("bit operators on these")),
        _ => ty,
    };
    let operand = |e: Expr| match &e.ty {
        // The text of a row is read as a number when there is one.
        Type::Text(_) if e.as_literal().is_none() => Ok(Expr::new(Kind::Cast(Box::new(e), false), ty.clone())),
        _ => coerce(e, &ty),
    };
    let (a, b) = (operand(a)?, operand(b)?);
    Ok(a.then(arithmetic_function(op, &ty)?, b, ty))
}

/// Returns the type of arithmetic on two numbers. Texts and NULL follow the other side.
fn common_number(a: &Type, b: &Type) -> Result<Type> {
    let unsure = || Err(refuse(format!("arithmetic on {} and {}", a.name(), b.name())));
    let soft = |ty: &Type| ty.is_text() || *ty == Type::Undefined;
    let (a, b) = match (soft(a), soft(b)) {
        (true, true) => return unsure(),
        (true, false) => (b, b),
        (false, true) => (a, a),
        _ => (a, b),
    };
    if !a.is_number() || !b.is_number() {
        return unsure();
    }
    let wider = if a.width() > b.width() { a } else { b };
    match wider {
        Type::Byte | Type::SmallInt => Ok(Type::Integer),
        Type::Numeric(_) if *a == Type::Real || *b == Type::Real => unsure(),
        Type::Numeric(_) => Ok(NUMERIC),
        ty => Ok(ty.clone()),
    }
}

fn overflow(of: &str) -> SqlError {
    invalid(format!("{of} overflow")).with(Fault::Arithmetic)
}

fn arithmetic_function(op: &'static str, ty: &Type) -> Result<Function> {
    let compute: Compute = match (op, ty) {
        ("^", _) => |_, v| doubles(&v, f64::powf),
        ("&", _) => |_, v| integers(&v, i64::MIN, |a, b| Some(a & b)),
        ("|", _) => |_, v| integers(&v, i64::MIN, |a, b| Some(a | b)),
        ("#", _) => |_, v| integers(&v, i64::MIN, |a, b| Some(a ^ b)),
        ("+", Type::Integer) => |_, v| integers(&v, i32::MIN.into(), i64::checked_add),
        ("-", Type::Integer) => |_, v| integers(&v, i32::MIN.into(), i64::checked_sub),
        ("*", Type::Integer) => |_, v| integers(&v, i32::MIN.into(), i64::checked_mul),
        ("/", Type::Integer | Type::BigInt) => |_, v| integers(&v, i64::MIN, divide),
        ("%", Type::Integer | Type::BigInt) => |_, v| integers(&v, i64::MIN, remainder),
        ("+", Type::BigInt) => |_, v| integers(&v, i64::MIN, i64::checked_add),
        ("-", Type::BigInt) => |_, v| integers(&v, i64::MIN, i64::checked_sub),
        ("*", Type::BigInt) => |_, v| integers(&v, i64::MIN, i64::checked_mul),
        ("+", Type::Double | Type::Real) => |_, v| floats(&v, |a, b| a + b, |a, b| a + b),
        ("-", Type::Double | Type::Real) => |_, v| floats(&v, |a, b| a - b, |a, b| a - b),
        ("*", Type::Double | Type::Real) => |_, v| floats(&v, |a, b| a * b, |a, b| a * b),
        ("/", Type::Double | Type::Real) => |_, v| floats(&v, |a, b| a / b, |a, b| a / b),
        ("%", Type::Double | Type::Real) => |_, v| floats(&v, |a, b| a % b, |a, b| a % b),
        ("+", _) => |_, v| decimals(&v, |a, b| a.add(b)),
        ("-", _) => |_, v| decimals(&v, |a, b| a.add(b.negate())),
        ("*", _) => |_, v| decimals(&v, Decimal::multiply),
        ("/", _) => |_, v| match &v[1] {
            Value::Numeric(Decimal { digits: 0, .. }) => Err(invalid("Division by zero").with(Fault::Arithmetic)),
            _ => decimals(&v, Decimal::divide_exactly),
        },
        _ => return Err(refuse(format!("{op} over {}", ty.name()))),
    };
    Ok(Function { name: op, compute, nulls: Nulls::Strict })
}

fn divide(a: i64, b: i64) -> Option<i64> {
    a.checked_div(b)
}

fn remainder(a: i64, b: i64) -> Option<i64> {
    a.checked_rem(b)
}

fn integers(v: &[Value], low: i64, op: fn(i64, i64) -> Option<i64>) -> Result<Value> {
    let (Value::Int(a), Value::Int(b)) = (&v[0], &v[1]) else { return Err(refuse("this arithmetic")) };
    let small = low == i64::from(i32::MIN);
    match op(*a, *b) {
        Some(n) if !small || i32::try_from(n).is_ok() => Ok(Value::Int(n)),
        None if *b == 0 => Err(invalid("/ by zero").with(Fault::Arithmetic)),
        _ => Err(overflow(if small { "integer" } else { "long" })),
    }
}

fn floats(v: &[Value], double: fn(f64, f64) -> f64, real: fn(f32, f32) -> f32) -> Result<Value> {
    match (&v[0], &v[1]) {
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(double(*a, *b))),
        (Value::Real(a), Value::Real(b)) => Ok(Value::Real(real(*a, *b))),
        _ => Err(refuse("this arithmetic")),
    }
}

fn doubles(v: &[Value], op: fn(f64, f64) -> f64) -> Result<Value> {
    match (&v[0], &v[1]) {
        (Value::Double(a), Value::Double(b)) => Ok(Value::Double(op(*a, *b))),
        _ => Err(refuse("this arithmetic")),
    }
}

fn decimals(v: &[Value], op: fn(Decimal, Decimal) -> Option<Decimal>) -> Result<Value> {
    match (&v[0], &v[1]) {
        (Value::Numeric(a), Value::Numeric(b)) => {
            op(*a, *b).map(Value::Numeric).ok_or_else(|| refuse("a numeric result with this many digits"))
        }
        _ => Err(refuse("this arithmetic")),
    }
}

/// Analyses unary minus.
pub(crate) fn negate(e: Expr) -> Result<Expr> {
    let ty = e.ty.clone();
    match &ty {
        Type::Undefined if e.as_literal().is_some() => return Ok(e),
        Type::Text(_) | Type::Boolean if e.as_literal().is_some() => {
            return Err(unsupported("Cannot negate this. You may need to add explicit type casts"));
        }
        Type::Array(_) | Type::Object(_) => {
            return Err(no_function(format!("Invalid arguments in: - with ({})", ty.name())));
        }
        ty if !ty.is_number() => return Err(refuse(format!("- before {}", ty.name()))),
        _ => {}
    }
    let compute: Compute = |_, v| {
        Ok(match &v[0] {
            Value::Int(i) => Value::Int(i.checked_neg().ok_or_else(|| refuse("minus this number"))?),
            Value::Double(d) => Value::Double(-d),
            Value::Real(r) => Value::Real(-r),
            Value::Numeric(n) => Value::Numeric(n.negate()),
            _ => Value::Null,
        })
    };
    Ok(Expr::new(Kind::Call(Function { name: "- ", compute, nulls: Nulls::Strict }, vec![e]), ty))
}

/// Converts expressions to a type that holds all of them: results of CASE, elements of an array.
pub(crate) fn common(mut all: Vec<Expr>) -> Result<(Vec<Expr>, Type)> {
    let mut ty = Type::Undefined;
    for e in &all {
        let wider = ty == Type::Undefined
            || (ty.is_text() && e.ty.is_number())
            || (ty.is_number() && e.ty.is_number() && e.ty.width() > ty.width());
        let fits = wider
            || e.ty == Type::Undefined
            || ty.same_family(&e.ty)
            || (ty.is_number() && (e.ty.is_number() || (e.ty.is_text() && e.as_literal().is_some())));
        if !fits {
            return Err(refuse(format!("{} and {} together", ty.name(), e.ty.name())));
        }
        if wider && e.ty != Type::Undefined {
            ty = e.ty.clone();
        }
    }
    if ty != Type::Undefined {
        all = all.into_iter().map(|e| coerce(e, &ty)).collect::<Result<_>>()?;
    }
    Ok((all, if ty.is_text() { TEXT } else { ty }))
}

/// Computes LIKE: `%` and `_`, escaped by `\`.
pub(crate) fn like(text: &str, pattern: &str, escape: Option<char>, fold: bool) -> Result<bool> {
    let lower = |s: &str| if fold { s.to_lowercase() } else { s.to_owned() };
    let (text, pattern): (Vec<char>, Vec<char>) = (lower(text).chars().collect(), lower(pattern).chars().collect());
    // (literal, any one, any many)
    let mut parts = vec![];
    let mut chars = pattern.into_iter();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            parts.push(Some(chars.next().ok_or_else(|| refuse("a pattern that ends with its escape"))?));
        } else if c == '%' || c == '_' {
            parts.push(None);
            if c == '%' {
                parts.push(Some('\0'));
            }
        } else {
            parts.push(Some(c));
        }
    }
    Ok(matches(&text, &parts))
}

/// `None, Some('\0')` is any text, `None` any character.
fn matches(text: &[char], parts: &[Option<char>]) -> bool {
    let (mut t, mut p, mut back) = (0, 0, None);
    loop {
        let many = parts.get(p) == Some(&None) && parts.get(p + 1) == Some(&Some('\0'));
        if many {
            back = Some((p, t));
            p += 2;
        } else if t < text.len() && parts.get(p).is_some_and(|part| part.is_none_or(|c| c == text[t])) {
            t += 1;
            p += 1;
        } else if t == text.len() && p == parts.len() {
            return true;
        } else {
            match back {
                Some((star, from)) if from < text.len() => {
                    back = Some((star, from + 1));
                    (t, p) = (from + 1, star + 2);
                }
                _ => return false,
            }
        }
    }
}

/// Converts a literal for storing, so that errors of types come before anything is done. Lengths are those of a row.
pub(crate) fn stored(expr: Expr, ty: &Type) -> Result<Expr> {
    if let Kind::Param(parameter) = &expr.kind {
        cast::can_store(&expr.ty, ty)?;
        return Ok(typed(parameter, ty));
    }
    let Some(value) = expr.as_literal() else { return coerce_for_storing(expr, ty) };
    Ok(Expr::literal(implicit(value, &expr.ty, ty)?, ty.clone()))
}

fn coerce_for_storing(expr: Expr, ty: &Type) -> Result<Expr> {
    let from = expr.ty.clone();
    let plain = from.same_family(ty)
        || from == Type::Undefined
        || (from.is_number() && (ty.is_number() || ty.is_text()))
        || (from.is_time() && ty.is_time())
        || (from.is_text() && (ty.is_number() || ty.is_text()));
    if !plain {
        return Err(refuse(format!("storing {} as {}", from.name(), ty.name())));
    }
    Ok(expr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_knows_its_wildcards() {
        for (text, pattern, want) in [
            ("apple", "a%", true),
            ("apple", "%l_", true),
            ("apple", "_", false),
            ("", "%", true),
            ("a%b", "a\\%b", true),
            ("axb", "a\\%b", false),
            ("aab", "%ab", true),
            ("abc", "%b%c%", true),
        ] {
            assert_eq!(like(text, pattern, Some('\\'), false), Ok(want), "{text} {pattern}");
        }
        assert_eq!(like("ABC", "a%", Some('\\'), true), Ok(true));
        assert!(like("a", "a\\", Some('\\'), false).is_err());
    }

    #[test]
    fn comparisons_with_null_are_null() {
        assert_eq!(compare("=", &Value::Null, &Value::Int(1)), Value::Null);
        assert_eq!(compare("<>", &Value::Int(2), &Value::Int(1)), Value::Bool(true));
    }
}
