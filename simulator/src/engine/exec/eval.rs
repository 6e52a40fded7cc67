//! Evaluation of expressions.

use super::run;
use crate::engine::catalog::UNKNOWN;
use crate::engine::context::Context;
use crate::engine::error::{Fault, Result, invalid, refuse, unsupported};
use crate::engine::plan::{Expr, Kind, Nulls, Sub};
use crate::engine::types::Type;
use crate::engine::value::Value;
use crate::engine::{cast, operators};

/// The rows that an expression can see.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a> {
    pub(crate) row: &'a [Value],
    pub(crate) outer: Option<&'a Env<'a>>,
    pub(crate) context: &'a Context<'a>,
}

impl Expr {
    pub(crate) fn eval(&self, env: &Env) -> Result<Value> {
        match &self.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Param(_) => Err(refuse("computing with a parameter before it has a value")),
            Kind::Column { depth, index } => column(env, *depth, *index),
            Kind::Element(base, key) => Ok(element(&base.eval(env)?, key)),
            Kind::Index(base, index) => Ok(match (base.eval(env)?, index.eval(env)?) {
                (Value::Array(mut items), Value::Int(i)) if i >= 1 && i <= items.len() as i64 => {
                    items.swap_remove(i as usize - 1)
                }
                _ => Value::Null,
            }),
            Kind::Call(function, args) => {
                let args: Vec<Value> = args.iter().map(|arg| arg.eval(env)).collect::<Result<_>>()?;
                if function.nulls == Nulls::Strict && args.iter().any(Value::is_null) {
                    return Ok(Value::Null);
                }
                (function.compute)(env.context, args)
            }
            Kind::Chain(first, steps) => {
                let mut value = first.eval(env)?;
                for (function, operand) in steps {
                    let args = vec![value, operand.eval(env)?];
                    let is_null = function.nulls == Nulls::Strict && args.iter().any(Value::is_null);
                    value = if is_null { Value::Null } else { (function.compute)(env.context, args)? };
                }
                Ok(value)
            }
            Kind::Cast(inner, lenient) => {
                let value = cast::cast(&inner.eval(env)?, &inner.ty, &self.ty);
                match value {
                    Err(e) if *lenient && !e.is_refusal() => Ok(Value::Null),
                    value => shorten(value?, &self.ty),
                }
            }
            Kind::And(all) => {
                all.iter().try_fold(Value::Bool(true), |so_far, e| logical(so_far, || e.eval(env), false))
            }
            Kind::Or(all) => all.iter().try_fold(Value::Bool(false), |so_far, e| logical(so_far, || e.eval(env), true)),
            Kind::Not(inner) => Ok(match inner.eval(env)? {
                Value::Bool(b) => Value::Bool(!b),
                _ => Value::Null,
            }),
            Kind::IsNull(inner, negated) => Ok(Value::Bool(inner.eval(env)?.is_null() != *negated)),
            Kind::Compare(op, a, b) => Ok(operators::compare(op, &a.eval(env)?, &b.eval(env)?)),
            Kind::In(value, list) => {
                let value = value.eval(env)?;
                let mut found = Value::Bool(false);
                for item in list {
                    found = or(found, operators::compare("=", &value, &item.eval(env)?));
                }
                Ok(found)
            }
            Kind::Quantified { op, all, value, array } => quantified(op, *all, &value.eval(env)?, array.eval(env)?),
            Kind::Case(whens, otherwise) => {
                for (when, then) in whens {
                    if when.eval(env)? == Value::Bool(true) {
                        return then.eval(env);
                    }
                }
                otherwise.eval(env)
            }
            Kind::Coalesce(args) => {
                for arg in args {
                    let value = arg.eval(env)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            Kind::Array(items) => items.iter().map(|i| i.eval(env)).collect::<Result<_>>().map(Value::Array),
            Kind::Object(fields) => {
                fields.iter().map(|(k, v)| Ok((k.clone(), v.eval(env)?))).collect::<Result<_>>().map(Value::Object)
            }
            Kind::Subquery(plan, sub) => subquery(run(plan, env.context, Some(env))?, *sub),
            Kind::Aggregate(_) => Err(unsupported("Aggregate functions are not allowed here")),
            Kind::Window(_) => Err(invalid("Window functions are not allowed here").with(Fault::Window)),
        }
    }
}

fn column(env: &Env, depth: usize, index: usize) -> Result<Value> {
    let mut env = *env;
    for _ in 0..depth {
        env = *env.outer.ok_or_else(|| refuse("this correlated subquery"))?;
    }
    match env.row.get(index) {
        Some(Value::Text(text)) if text == UNKNOWN => Err(refuse("a value of this catalog table")),
        Some(value) => Ok(value.clone()),
        None => Err(refuse("this column reference")),
    }
}

/// Returns an element of an object; of an array of objects, the array of their elements.
pub(crate) fn element(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(_) => value.get(key).cloned().unwrap_or(Value::Null),
        Value::Array(items) => Value::Array(items.iter().map(|item| element(item, key)).collect()),
        _ => Value::Null,
    }
}

/// Shortens a value to the length of its type, as an explicit cast does.
fn shorten(value: Value, ty: &Type) -> Result<Value> {
    match (value, ty) {
        (Value::Text(t), Type::Text(Some(n))) => Ok(Value::Text(t.chars().take(*n as usize).collect())),
        (Value::Text(_), Type::Char(_) | Type::Bit(_)) => Err(refuse("a cast to this type with a length")),
        (value, _) => Ok(value),
    }
}

/// Computes AND (deciding value false) and OR (deciding value true).
fn logical(a: Value, b: impl FnOnce() -> Result<Value>, decides: bool) -> Result<Value> {
    if a == Value::Bool(decides) {
        return Ok(a);
    }
    let b = b()?;
    Ok(if b == Value::Bool(decides) || a == Value::Bool(!decides) { b } else { Value::Null })
}

fn or(a: Value, b: Value) -> Value {
    logical(a, || Ok(b), true).unwrap_or(Value::Null)
}

fn quantified(op: &str, all: bool, value: &Value, array: Value) -> Result<Value> {
    let Value::Array(items) = array else { return Ok(Value::Null) };
    let mut out = Value::Bool(all);
    for item in items {
        let one = operators::compare(op, value, &item);
        out = logical(out, || Ok(one), !all)?;
    }
    Ok(out)
}

/// Returns the value of a subquery in an expression.
pub(crate) fn subquery(mut rows: Vec<Vec<Value>>, sub: Sub) -> Result<Value> {
    match sub {
        Sub::Exists => Ok(Value::Bool(!rows.is_empty())),
        Sub::Array => Ok(Value::Array(rows.into_iter().filter_map(|mut r| r.pop()).collect())),
        Sub::Scalar if rows.len() > 1 => Err(unsupported("Subquery returned more than 1 row when it shouldn't.")),
        Sub::Scalar => Ok(rows.pop().and_then(|mut row| row.pop()).unwrap_or(Value::Null)),
    }
}
