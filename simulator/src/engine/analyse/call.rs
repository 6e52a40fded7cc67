//! Analysis of calls: functions, aggregates, window functions.

use super::{Allow, Analyser};
use crate::engine::ast::{Call, Following};
use crate::engine::error::{Result, invalid, no_function, refuse, unsupported};
use crate::engine::exec::{Aggregate, WindowCall};
use crate::engine::expr::{Expr, Kind};
use crate::engine::operators::coerce;
use crate::engine::types::{TEXT, Type};
use crate::engine::{aggregates, functions};

impl Analyser<'_> {
    pub(super) fn call(&self, call: &Call) -> Result<Expr> {
        let name = match call.name.as_slice() {
            [name] => name.as_str(),
            [schema, name] if schema == "pg_catalog" && name.starts_with("current_") => name.as_str(),
            [schema, _] if schema == "pg_catalog" || schema == "doc" => return Err(refuse("a function with a schema")),
            _ => return Err(no_function(format!("Unknown function: {}", call.name.join(".")))),
        };
        if call.over.is_some() {
            return self.window_call(name, call);
        }
        if aggregates::is_aggregate(name) {
            if self.allow != Allow::Aggregates {
                return Err(unsupported(format!("{name} can't be handled here")));
            }
            let aggregate = self.aggregate(name, call)?;
            let ty = aggregate.ty.clone();
            return Ok(Expr::new(Kind::Aggregate(Box::new(aggregate)), ty));
        }
        if ["row_number", "rank", "dense_rank", "lag", "lead", "first_value", "last_value", "nth_value"].contains(&name)
        {
            return Err(unsupported("FunctionInfo.Type WINDOW not handled"));
        }
        if call.star || call.distinct || call.filter.is_some() {
            return Err(refuse(format!("{name} like this")));
        }
        functions::resolve(name, self.list(&call.args)?)
    }

    fn aggregate(&self, name: &str, call: &Call) -> Result<Aggregate> {
        let inner = Analyser { allow: Allow::Nothing, ..*self };
        let mut args = inner.list(&call.args)?;
        if call.star && name != "count" {
            return Err(refuse(format!("{name}(*)")));
        }
        if args.is_empty() && !call.star {
            return Err(refuse(format!("{name}()")));
        }
        if call.distinct && name != "count" {
            return Err(refuse(format!("{name} with DISTINCT")));
        }
        for arg in &mut args {
            if let Type::Text(Some(_)) = arg.ty {
                arg.ty = TEXT;
            }
        }
        let types: Vec<Type> = args.iter().map(|a| a.ty.clone()).collect();
        let (name, ty) = aggregates::resolve(name, &types)?;
        let filter = call.filter.as_ref().map(|f| inner.condition(f)).transpose()?;
        Ok(Aggregate { name, args, distinct: call.distinct, filter, ty })
    }

    fn window_call(&self, name: &str, call: &Call) -> Result<Expr> {
        if self.allow != Allow::Aggregates {
            return Err(invalid("Window functions are not allowed in WHERE"));
        }
        let Some(window) = &call.over else { return Err(refuse("a call without window")) };
        let window = match &window.named {
            Some(name) => {
                &self.scope.windows.iter().find(|w| w.0 == *name).ok_or_else(|| refuse("an unknown window"))?.1
            }
            None => window,
        };
        let inner = Analyser { allow: Allow::Nothing, ..*self };
        let args = inner.list(&call.args)?;
        let plain = |name, args: Vec<Expr>, ty| Aggregate { name, args, distinct: false, filter: None, ty };
        let aggregate = match (name, args.len()) {
            ("row_number", 0) => plain("row_number", args, Type::Integer),
            ("rank", 0) => plain("rank", args, Type::Integer),
            ("dense_rank", 0) => plain("dense_rank", args, Type::Integer),
            ("first_value" | "last_value", 1) => {
                let ty = args[0].ty.clone();
                plain(if name == "first_value" { "first_value" } else { "last_value" }, args, ty)
            }
            ("lag" | "lead", 1..=3) => {
                let ty = args[0].ty.clone();
                if args.get(1).is_some_and(|a| a.ty != Type::Integer) {
                    return Err(refuse("this offset"));
                }
                let mut args = args;
                if args.len() == 3 {
                    let default = coerce(args.remove(2), &ty)?;
                    args.push(default);
                }
                plain(if name == "lag" { "lag" } else { "lead" }, args, ty)
            }
            _ if aggregates::is_aggregate(name) && !call.distinct => self.aggregate(name, call)?,
            _ => return Err(refuse(format!("the window function {name}"))),
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
