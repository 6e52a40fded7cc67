//! The analysis of IN, ANY, ALL and LIKE.

use super::Analyser;
use crate::engine::ast::Ast;
use crate::engine::error::{Result, refuse};
use crate::engine::operators::{self, coerce};
use crate::engine::plan::{Compute, Expr, Function, Kind, Nulls};
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;

impl Analyser<'_> {
    pub(super) fn in_list(&self, value: Expr, list: Vec<Expr>) -> Result<Expr> {
        let value = match (value.as_open(), list.iter().find(|item| item.ty != Type::Undefined)) {
            (Some(_), Some(item)) => coerce(value, &item.ty)?,
            _ => value,
        };
        list.iter().try_for_each(|item| self.refuse_if_numbered(&value, item))?;
        let is_array = |e: &Expr| matches!(e.ty, Type::Array(_));
        if list.iter().any(|item| item.ty != Type::Undefined && is_array(item) != is_array(&value)) {
            return Err(refuse("an array beside IN"));
        }
        let items =
            list.into_iter().map(|item| Ok(operators::unify(value.clone(), item)?.1)).collect::<Result<Vec<_>>>()?;
        let plain = |e: &Expr| e.ty == Type::Undefined || e.ty.same_family(&value.ty);
        // Comparing in another type than the value's would need the value converted for every item.
        if value.ty != Type::Undefined && !items.iter().all(plain) {
            return Err(refuse("an IN list of another type"));
        }
        Ok(Expr::new(Kind::In(Box::new(value), items), Type::Boolean))
    }

    pub(super) fn quantified(&self, op: &'static str, all: bool, value: Expr, array: Expr) -> Result<Expr> {
        let array = match array.as_open() {
            Some(_) if value.ty != Type::Undefined => coerce(array, &Type::array(value.ty.clone()))?,
            _ => array,
        };
        let Type::Array(of) = &array.ty else {
            return Err(refuse("ANY or ALL of something that is no array"));
        };
        let (value, array) = match (&value.ty, &**of) {
            _ if matches!(array.kind, Kind::Param(_)) => (value, array),
            (_, of) if matches!(value.kind, Kind::Param(_)) => (coerce(value, &of.clone())?, array),
            (Type::Undefined, _) | (_, Type::Undefined) => (value, array),
            (a, b) if a.same_family(b) => (value, array),
            (a, b) if a.is_number() && b.is_number() || (b.is_text() && !a.is_text()) => {
                let of = Type::array(a.clone());
                if array.as_literal().is_some() {
                    (value, coerce(array, &of)?)
                } else if value.as_literal().is_some() {
                    let inner = b.clone();
                    (coerce(value, &inner)?, array)
                } else if a.width() == 3 && b.width() == 4 {
                    (coerce(value, &Type::BigInt)?, array)
                } else {
                    return Err(refuse("ANY or ALL over another type"));
                }
            }
            _ => return Err(refuse("ANY or ALL over another type")),
        };
        Ok(Expr::new(Kind::Quantified { op, all, value: Box::new(value), array: Box::new(array) }, Type::Boolean))
    }

    pub(super) fn like(&self, value: &Ast, pattern: &Ast, escape: Option<&Ast>, fold: bool) -> Result<Expr> {
        let text = |e: Expr| match &e.ty {
            Type::Text(_) => Ok(e),
            Type::Undefined => coerce(e, &TEXT),
            ty if ty.is_number() || *ty == Type::Boolean => self.fold(Expr::new(Kind::Cast(Box::new(e), false), TEXT)),
            ty => Err(refuse(format!("LIKE over {}", ty.name()))),
        };
        if escape.is_some() {
            return Err(refuse("LIKE with ESCAPE"));
        }
        let args = vec![text(self.expr(value)?)?, text(self.expr(pattern)?)?];
        let (name, compute): (_, Compute) = match fold {
            true => ("ilike", |_, v| like_values(&v, true)),
            false => ("like", |_, v| like_values(&v, false)),
        };
        let function = Function { name, compute, nulls: Nulls::Strict };
        Ok(Expr::new(Kind::Call(function, args), Type::Boolean))
    }
}

fn like_values(v: &[Value], fold: bool) -> Result<Value> {
    match (&v[0], &v[1]) {
        (Value::Text(text), Value::Text(pattern)) => operators::like(text, pattern, Some('\\'), fold).map(Value::Bool),
        _ => Err(refuse("LIKE over this")),
    }
}
