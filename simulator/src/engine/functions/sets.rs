//! Table functions.

use crate::engine::error::{Result, SqlError, refuse};
use crate::engine::exec::Row;
use crate::engine::expr::Expr;
use crate::engine::operators::coerce;
use crate::engine::session::Context;
use crate::engine::types::Type;
use crate::engine::value::Value;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SetFunction {
    Unnest,
    Series,
    Subscripts,
}

/// Longer series are refused.
const LONGEST: i64 = 200_000;

type Resolved = (SetFunction, Vec<Expr>, Vec<(String, Type)>);

impl SetFunction {
    pub(crate) fn named(name: &[String]) -> Option<SetFunction> {
        match name {
            [name] if name == "unnest" => Some(SetFunction::Unnest),
            [name] if name == "generate_series" => Some(SetFunction::Series),
            [name] if name == "generate_subscripts" => Some(SetFunction::Subscripts),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            SetFunction::Unnest => "unnest",
            SetFunction::Series => "generate_series",
            SetFunction::Subscripts => "generate_subscripts",
        }
    }

    /// The call with its arguments converted, and the columns it gives.
    pub(crate) fn resolve(self, mut args: Vec<Expr>) -> Result<Resolved> {
        let mut columns = vec![];
        match self {
            SetFunction::Unnest => {
                for (i, arg) in args.iter().enumerate() {
                    let Type::Array(of) = &arg.ty else { return Err(refuse("unnest of this")) };
                    if matches!(**of, Type::Array(_) | Type::Undefined) {
                        return Err(refuse("unnest of nested or untyped arrays"));
                    }
                    let name = if args.len() == 1 { "unnest".into() } else { format!("col{}", i + 1) };
                    columns.push((name, (**of).clone()));
                }
            }
            SetFunction::Series => {
                let time =
                    args.len() == 3 && args[0].ty.is_time() && args[0].ty == args[1].ty && args[2].ty == Type::Interval;
                if !time {
                    let integers = args.iter().all(|a| matches!(a.ty, Type::Integer | Type::BigInt));
                    if !integers || !(2..=3).contains(&args.len()) {
                        return Err(refuse("generate_series like this"));
                    }
                    let ty = if args.iter().any(|a| a.ty == Type::BigInt) { Type::BigInt } else { Type::Integer };
                    args = args.into_iter().map(|a| coerce(a, &ty)).collect::<Result<_>>()?;
                }
                columns.push(("generate_series".into(), args[0].ty.clone()));
            }
            SetFunction::Subscripts => {
                let fits = args.len() == 2
                    && matches!(args[0].ty, Type::Array(_))
                    && args[1].as_literal() == Some(&Value::Int(1));
                if !fits {
                    return Err(refuse("generate_subscripts like this"));
                }
                columns.push(("generate_subscripts".into(), Type::Integer));
            }
        }
        if columns.is_empty() { Err(refuse("a table function without arguments")) } else { Ok((self, args, columns)) }
    }

    pub(crate) fn rows(self, context: &Context, args: Vec<Value>) -> Result<Vec<Row>> {
        let rows: Vec<Row> = match (self, args.as_slice()) {
            (SetFunction::Unnest, arrays) => {
                let length = |v: &Value| if let Value::Array(items) = v { items.len() } else { 0 };
                let item = |v: &Value, i: usize| match v {
                    Value::Array(items) => items.get(i).cloned().unwrap_or(Value::Null),
                    _ => Value::Null,
                };
                let longest = arrays.iter().map(length).max().unwrap_or(0);
                (0..longest).map(|i| arrays.iter().map(|a| item(a, i)).collect()).collect()
            }
            (SetFunction::Subscripts, [Value::Array(items), _]) => {
                (1..=items.len()).map(|i| vec![Value::Int(i as i64)]).collect()
            }
            (SetFunction::Series, [Value::Int(from), Value::Int(to), rest @ ..]) => series(*from, *to, rest.first())?,
            _ => vec![],
        };
        crate::engine::exec::spend(context, rows.len())?;
        Ok(rows)
    }
}

fn series(from: i64, to: i64, step: Option<&Value>) -> Result<Vec<Row>> {
    let mut out = vec![];
    let mut at = from;
    let step_of = |at: i64| match step {
        None => at.checked_add(1),
        Some(Value::Int(step)) => at.checked_add(*step),
        Some(Value::Interval(step)) => step.after(at),
        _ => None,
    };
    if matches!(step, Some(Value::Int(0))) {
        return Err(SqlError::new(5000, "ArithmeticException", "/ by zero"));
    }
    let down = step_of(at).is_some_and(|next| next < at);
    while if down { at >= to } else { at <= to } {
        out.push(vec![Value::Int(at)]);
        match step_of(at) {
            Some(next) if next != at && out.len() < LONGEST as usize => at = next,
            _ => return Err(refuse("a series this long")),
        }
    }
    Ok(out)
}
