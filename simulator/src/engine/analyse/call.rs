//! Analysis of calls (functions, aggregates, window functions) and of casts.

use super::{Allow, Analyser};
use crate::engine::ast::{Following, FunctionCall};
use crate::engine::cast;
use crate::engine::error::{Fault, Result, SqlError, invalid, no_function, refuse, unsupported};
use crate::engine::functions::{self, Is};
use crate::engine::operators::coerce;
use crate::engine::plan::{Aggregate, Expr, Kind, WindowCall};
use crate::engine::types::{MOST_DIGITS, TEXT, Type};

impl Analyser<'_> {
    pub(super) fn call(&self, call: &FunctionCall) -> Result<Expr> {
        let name = match call.name.as_slice() {
            [name] => name.as_str(),
            [schema, name] if schema == "pg_catalog" && name.starts_with("current_") => name.as_str(),
            [schema, _] if ["pg_catalog", "information_schema", "doc"].contains(&schema.as_str()) => {
                return Err(refuse("a function with a schema"));
            }
            _ => return Err(no_function(format!("Unknown function: {}", call.name.join(".")))),
        };
        if call.over.is_some() {
            return self.window_call(name, call);
        }
        match functions::kind(name) {
            Some(Is::Aggregate) if self.allow == Allow::Window => {
                return Err(refuse("an aggregate in a window function"));
            }
            Some(Is::Aggregate) if self.allow != Allow::Aggregates => {
                // CrateDB finds this fault in many ways, some only when there are rows.
                return Err(match self.allow {
                    Allow::Stored => refuse("an aggregate in a column's definition"),
                    _ => unsupported(format!("{name} can't be handled here")).with(Fault::Aggregate(name.to_owned())),
                });
            }
            Some(Is::Aggregate) => {
                let aggregate = self.aggregate(name, call)?;
                let ty = aggregate.ty.clone();
                return Ok(Expr::new(Kind::Aggregate(Box::new(aggregate)), ty));
            }
            Some(Is::Window) => return Err(unsupported("FunctionInfo.Type WINDOW not handled")),
            _ => {}
        }
        if call.star || call.distinct || call.filter.is_some() {
            return Err(refuse(format!("{name} like this")));
        }
        functions::scalar(name, self.list(&call.args)?)
    }

    fn aggregate(&self, name: &str, call: &FunctionCall) -> Result<Aggregate> {
        let allow = if self.allow == Allow::Window { Allow::Window } else { Allow::Nothing };
        let inner = Analyser { allow, ..*self };
        let mut args = inner.list(&call.args)?;
        if args.is_empty() && name != "count" {
            return Err(no_function(format!("Invalid arguments in: {name}()")));
        }
        if call.distinct && name != "count" {
            return Err(distinct(name, &args));
        }
        for arg in &mut args {
            if let Type::Text(Some(_)) = arg.ty {
                arg.ty = TEXT;
            }
        }
        let types: Vec<Type> = args.iter().map(|a| a.ty.clone()).collect();
        let (function, ty) = functions::aggregate(name, &types)?;
        let filter = call.filter.as_ref().map(|f| inner.condition(f)).transpose()?;
        Ok(Aggregate { function, args, distinct: call.distinct, filter, ty })
    }

    fn window_call(&self, name: &str, call: &FunctionCall) -> Result<Expr> {
        if self.allow != Allow::Aggregates {
            return Err(invalid("Window functions are not allowed in WHERE").with(Fault::Window));
        }
        let Some(window) = &call.over else { return Err(refuse("a call without window")) };
        let window = match &window.named {
            Some(name) => {
                &self.scope.windows.iter().find(|w| w.0 == *name).ok_or_else(|| refuse("an unknown window"))?.1
            }
            None => window,
        };
        let inner = Analyser { allow: Allow::Window, ..*self };
        let aggregate = match functions::kind(name) {
            // CrateDB adds later values to arrays that earlier rows have got already.
            Some(Is::Aggregate) if name == "array_agg" && !window.order.is_empty() => {
                return Err(refuse("array_agg over an ordered window"));
            }
            Some(Is::Aggregate) if !call.distinct => inner.aggregate(name, call)?,
            _ => {
                let (function, args, ty) = functions::window(name, inner.list(&call.args)?)?;
                Aggregate { function, args, distinct: false, filter: None, ty }
            }
        };
        let frame = window.frame.as_ref().map(|frame| {
            let following = match frame.following {
                Following::Rows(n) => Some(n),
                Following::Unbounded => None,
            };
            (frame.preceding, following)
        });
        let order: Vec<(Expr, bool, bool)> = window
            .order
            .iter()
            .map(|o| Ok((inner.expr(&o.by)?, o.descending, o.nulls_first)))
            .collect::<Result<_>>()?;
        let ty = aggregate.ty.clone();
        let partition = inner.list(&window.partition)?;
        Ok(Expr::new(Kind::Window(Box::new(WindowCall { call: aggregate, partition, order, frame })), ty))
    }
}

/// Returns the error of an aggregate over distinct values. CrateDB looks for a function of their set, which only a few
/// have.
fn distinct(name: &str, args: &[Expr]) -> SqlError {
    match (name, args) {
        ("avg" | "mean", _) => refuse(format!("{name} with DISTINCT")),
        (_, [_]) => no_function(format!("Unknown function: collection_{name}")),
        _ => unsupported(format!("{name}(DISTINCT x) does not accept more than one argument")),
    }
}

/// Returns whether CrateDB certainly has no conversion between two types, whatever the value is.
fn never_cast(from: &Type, to: &Type) -> bool {
    let plain = |ty: &Type| ty.is_number() || ty.is_text() || *ty == Type::Boolean;
    match (from, to) {
        (Type::Boolean, to) => to.is_number() || matches!(to, Type::Timestamp | Type::TimestampTz),
        (Type::Object(_), to) => {
            to.is_number() || matches!(to, Type::Boolean | Type::Timestamp | Type::TimestampTz | Type::Array(_))
        }
        (Type::Array(of), to) if **of != Type::Undefined => plain(to) || matches!(to, Type::Object(_)),
        (from, Type::Array(_)) => plain(from),
        (from, Type::Object(_) | Type::Interval) => from.is_integer(),
        (from, Type::Integer | Type::Boolean) => matches!(from, Type::Timestamp | Type::TimestampTz),
        (Type::GeoPoint, to) => to.is_text(),
        _ => false,
    }
}

/// Analyses `CAST`: the conversions that CrateDB makes on request. The rest is refused.
pub(super) fn coerce_explicitly(value: Expr, to: Type, lenient: bool) -> Result<Expr> {
    if let Kind::Param(_) = &value.kind {
        return coerce(value, &to);
    }
    let known = match (&value.ty, &to) {
        (Type::Undefined, _) => true,
        (a, b) if a.same_family(b) => {
            !matches!(b, Type::Object(_) | Type::Numeric(_)) || *a == *b || matches!(b, Type::Numeric(_))
        }
        (a, b) if a.is_number() && b.is_number() => true,
        (a, Type::Boolean) if a.is_integer() || a.is_text() => true,
        (Type::Text(_), b) => !matches!(
            b,
            Type::Array(_) | Type::Vector(_) | Type::Bit(_) | Type::Char(_) | Type::Regclass | Type::TimeTz
        ),
        (a, Type::Text(_)) => {
            a.is_number()
                || a.is_time()
                || matches!(a, Type::Boolean | Type::Object(_) | Type::Interval | Type::Uuid | Type::Ip)
        }
        (a, b) if a.is_time() && b.is_time() => *b != Type::Date,
        (a, b) if a.is_integer() && b.is_time() => *b != Type::Date,
        (Type::Double, Type::Timestamp | Type::TimestampTz) => true,
        (a, Type::BigInt) => a.is_time(),
        (Type::Array(a), Type::Array(b)) => {
            (a.is_number() && (b.is_number() || b.is_text()))
                || (a.is_text() && (b.is_number() || b.is_text()))
                || **a == Type::Undefined
        }
        _ => false,
    };
    if !lenient && never_cast(&value.ty, &to) {
        let (from, to) = (value.ty.name(), to.name());
        return Err(invalid(format!("Cannot cast expressions from type `{from}` to type `{to}`")));
    }
    let long = matches!(to, Type::Numeric(Some((precision, _))) if precision > MOST_DIGITS);
    if !known || long {
        return Err(refuse(format!("a cast of {} to {}", value.ty.name(), to.name())));
    }
    if let (Some(v), false) = (value.as_literal(), lenient)
        && let Type::Object(_) = to
    {
        let converted = cast::cast(v, &value.ty, &to)?;
        return Ok(Expr::literal(converted, to));
    }
    Ok(Expr::new(Kind::Cast(Box::new(value), lenient), to))
}
