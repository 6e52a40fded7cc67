//! Analysis: syntax becomes typed expressions. Names are resolved, types checked, constants folded.

mod call;
pub(crate) mod keys;
mod predicate;
pub(crate) mod query;
mod scope;
pub(crate) mod source;

use super::ast::{Ast, Step};
use super::context::Context;
use super::error::{Fault, Result, SqlError, invalid, no_column, refuse, unsupported};
use super::exec::{Env, subquery};
use super::operators::{arithmetic, coerce, common, comparison, negate};
use super::plan::{Compute, Expr, Function, Kind, Nulls, Sub};
use super::types::{Field, NUMERIC, Object, Policy, TEXT, Type};
use super::value::Value;
use super::{exec, functions};
use call::coerce_explicitly;
pub(crate) use scope::{NamedColumn, Scope};

/// The calls that are allowed in an expression.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Allow {
    Nothing,
    Aggregates,
    /// As `Nothing`, within a window function.
    Window,
    /// As `Nothing`, and no parameters either.
    Constants,
    /// As `Nothing`, and no queries either: defaults, generated columns and checks.
    Stored,
}

/// Analyses expressions over one scope.
pub(crate) struct Analyser<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) scope: &'a Scope<'a>,
    pub(crate) allow: Allow,
}

impl<'a> Analyser<'a> {
    pub(crate) fn new(context: &'a Context<'a>, scope: &'a Scope<'a>) -> Self {
        Analyser { context, scope, allow: Allow::Nothing }
    }

    fn boxed(&self, ast: &Ast) -> Result<Box<Expr>> {
        self.expr(ast).map(Box::new)
    }

    fn list(&self, items: &[Ast]) -> Result<Vec<Expr>> {
        items.iter().map(|item| self.expr(item)).collect()
    }

    pub(crate) fn expr(&self, ast: &Ast) -> Result<Expr> {
        let expr = self.unfolded(ast)?;
        self.fold(expr)
    }

    /// Computes an expression that depends on nothing.
    fn fold(&self, expr: Expr) -> Result<Expr> {
        let foldable = !matches!(
            expr.kind,
            Kind::Literal(_)
                | Kind::Param(_)
                | Kind::Column { .. }
                | Kind::Subquery(..)
                | Kind::Aggregate(_)
                | Kind::Window(_)
        );
        if !foldable || !expr.children().iter().all(|c| c.as_literal().is_some()) {
            return Ok(expr);
        }
        if let Kind::Call(f, _) = &expr.kind
            && f.nulls == Nulls::Volatile
        {
            return Ok(expr);
        }
        match expr.eval(&Env { row: &[], outer: None, context: self.context }) {
            Ok(value) => Ok(Expr::literal(value, expr.ty)),
            // CrateDB computes this only when the statement runs.
            Err(e) if self.context.parameters.is_some() && e.is_arithmetic() => Ok(expr),
            Err(e) => Err(e),
        }
    }

    fn unfolded(&self, ast: &Ast) -> Result<Expr> {
        match ast {
            Ast::Null => Ok(Expr::literal(Value::Null, Type::Undefined)),
            Ast::Bool(b) => Ok(Expr::literal(Value::Bool(*b), Type::Boolean)),
            Ast::Int(digits) => integer(digits),
            Ast::Numeric(digits) => numeric(digits),
            Ast::Double(d) => Ok(Expr::literal(Value::Double(*d), Type::Double)),
            Ast::Text(t) | Ast::Escaped(_, t) => Ok(Expr::literal(Value::text(t), TEXT)),
            Ast::Bits(bits) => Ok(Expr::literal(Value::Text(format!("B'{bits}'")), Type::Bit(bits.len() as u32))),
            Ast::Interval(text) => coerce_explicitly(Expr::literal(Value::text(text), TEXT), Type::Interval, false)
                .and_then(|e| self.fold(e)),
            Ast::IntervalOf(n, unit) => {
                let interval = super::time::Interval::parse(&format!("{n} {}", unit.to_ascii_lowercase()));
                let interval = interval.ok_or_else(|| refuse("this interval"))?;
                Ok(Expr::literal(Value::Interval(interval), Type::Interval))
            }
            Ast::Param(n) if self.allow == Allow::Constants => {
                Err(unsupported(format!("Can't handle Symbol [ParameterSymbol: ${n}]")))
            }
            Ast::Param(n) if let Some(parameters) = self.context.parameters => {
                let parameter = parameters.get(*n);
                let ty = parameter.ty.borrow().clone();
                Ok(Expr::new(Kind::Param(parameter), ty))
            }
            Ast::Param(n) => match self.context.args.get(n - 1) {
                Some((value, ty)) => Ok(Expr::literal(value.clone(), ty.clone())),
                None => Err(invalid(format!(
                    "The query contains a parameter placeholder ${n}, but there are only {} parameter values",
                    self.context.args.len()
                ))
                .with(Fault::MissingArgument)),
            },
            Ast::Column(name) => self.scope.column(name, self.context.session.schema()),
            Ast::Subscript(base, index) => self.subscript(base, index),
            Ast::Slice(base, from, to) => {
                let bound = |b: &Option<Box<Ast>>, default| b.as_ref().map_or(Ok(default), |b| self.expr(b));
                let from = bound(from, Expr::literal(Value::Int(1), Type::Integer))?;
                let to = bound(to, Expr::literal(Value::Int(i32::MAX.into()), Type::Integer))?;
                functions::scalar("array_slice", vec![self.expr(base)?, from, to])
            }
            Ast::Call(call) => self.call(call),
            Ast::Negate(inner) => match &**inner {
                Ast::Int(digits) if digits.len() > 18 => integer_negative(digits),
                inner => negate(self.expr(inner)?),
            },
            Ast::Not(inner) => Ok(Expr::new(Kind::Not(Box::new(self.truth(inner)?)), Type::Boolean)),
            Ast::Binary(op, a, b) => self.binary(op, (self.operand(op, a)?, is_plain(a)), b),
            Ast::Chain(first, steps) => {
                let begin = steps.first().map_or_else(|| self.expr(first), |step| self.operand(step.0, first))?;
                let mut plain = is_plain(first);
                steps.iter().try_fold(begin, |left, Step(op, right)| {
                    let plain = std::mem::take(&mut plain);
                    self.fold(self.binary(op, (left, plain), right)?)
                })
            }
            Ast::IsNull(inner, negated) => {
                let inner = self.boxed(inner)?;
                if let Some(parameter) = inner.as_open() {
                    parameter.untyped.set(true);
                }
                Ok(Expr::new(Kind::IsNull(inner, *negated), Type::Boolean))
            }
            Ast::Between(value, low, high) => {
                let value = self.expr(value)?;
                let low = self.compare(">=", value.clone(), self.expr(low)?)?;
                let high = self.compare("<=", value, self.expr(high)?)?;
                Ok(self.fold(low)?.and(self.fold(high)?))
            }
            Ast::In(value, list) => self.in_list(self.expr(value)?, self.list(list)?),
            Ast::InQuery(value, query) => {
                let array = self.subquery(query, Sub::Array)?;
                self.quantified("=", false, self.expr(value)?, array)
            }
            Ast::Like { value, pattern, escape, fold } => self.like(value, pattern, escape.as_deref(), *fold),
            Ast::Quantified { op, all, value, array } => {
                let array = match &**array {
                    Ast::Subquery(query) => self.subquery(query, Sub::Array)?,
                    array => self.expr(array)?,
                };
                self.quantified(op, *all, self.expr(value)?, array)
            }
            Ast::Cast { value, to, lenient } => {
                let value = self.expr(value)?;
                self.refuse_if_whole(&value.ty)?;
                self.cast(value, &to.ty, *lenient)
            }
            Ast::Case { operand, whens, otherwise } => self.case(operand.as_deref(), whens, otherwise.as_deref()),
            Ast::If(condition, yes, no) => self.case(None, &[((**condition).clone(), (**yes).clone())], no.as_deref()),
            Ast::Array(items) => {
                let (items, of) = common(self.list(items)?)?;
                let of = if let Type::Object(_) = of { Type::object() } else { of };
                Ok(Expr::new(Kind::Array(items), Type::array(of)))
            }
            Ast::Object(fields) => self.object(fields),
            Ast::Extract(field, value) => functions::dates::extract(field, self.expr(value)?),
            Ast::Special(name) => functions::scalar(name, vec![]),
            Ast::Subquery(query) => self.subquery(query, Sub::Scalar),
            Ast::Exists(query) => self.subquery(query, Sub::Exists),
            Ast::ArrayQuery(query) => self.subquery(query, Sub::Array),
        }
    }

    /// Analyses an operand of this operator.
    fn operand(&self, op: &str, ast: &Ast) -> Result<Expr> {
        if op == "AND" || op == "OR" { self.truth(ast) } else { self.expr(ast) }
    }

    /// Applies an operator to its analysed left side, of which is said whether it is a plain literal.
    fn binary(&self, op: &'static str, (left, plain): (Expr, bool), right: &Ast) -> Result<Expr> {
        let (right, right_plain) = (self.operand(op, right)?, is_plain(right));
        if op == "*" {
            unclear_product((&left.ty, plain), (&right.ty, right_plain))?;
        }
        match op {
            "AND" => Ok(left.and(right)),
            "OR" => Ok(left.or(right)),
            "||" => functions::scalar("op_||", vec![left, right]),
            "+" | "-" | "*" | "/" | "%" | "^" | "&" | "|" | "#" => arithmetic(op, left, right),
            _ => self.compare(op, left, right),
        }
    }

    fn compare(&self, op: &'static str, left: Expr, right: Expr) -> Result<Expr> {
        self.refuse_if_numbered(&left, &right)?;
        self.refuse_if_numbered(&right, &left)?;
        comparison(op, left, right)
    }

    /// Refuses a text beside a whole number. CrateDB takes it as a number, and fails where it is none, unless it
    /// searches a column of a table.
    fn refuse_if_numbered(&self, text: &Expr, number: &Expr) -> Result<()> {
        if !text.ty.is_text() || text.as_literal().is_some() || !number.ty.is_integer() || number.as_literal().is_none()
        {
            return Ok(());
        }
        let of_table = |c: &NamedColumn| {
            c.system.is_some() || ["sys", "information_schema"].contains(&c.relation.first().map_or("", String::as_str))
        };
        let searched = self.allow == Allow::Nothing && self.scope.columns.iter().any(of_table);
        if searched && is_column(text) { Ok(()) } else { Err(refuse("a text compared with a number")) }
    }

    /// Analyses an operand of AND, OR, NOT and the like: CrateDB converts numbers and texts by itself.
    fn truth(&self, ast: &Ast) -> Result<Expr> {
        let expr = self.expr(ast)?;
        match &expr.ty {
            Type::Boolean => Ok(expr),
            Type::Undefined if expr.as_open().is_some() => Err(refuse("a parameter as a condition")),
            Type::Undefined => coerce(expr, &Type::Boolean),
            ty if ty.is_integer() || ty.is_text() => {
                self.fold(Expr::new(Kind::Cast(Box::new(expr), false), Type::Boolean))
            }
            ty => Err(refuse(format!("{} as a condition", ty.name()))),
        }
    }

    /// Analyses the condition of a WHERE, a HAVING, a join or a CHECK. As a whole it has to be a boolean.
    pub(crate) fn condition(&self, ast: &Ast) -> Result<Expr> {
        let expr = self.expr(ast)?;
        let searched = self.scope.columns.iter().any(|c| c.system.is_some());
        match &expr.ty {
            Type::Boolean => Ok(expr),
            Type::Undefined if expr.as_open().is_some() => Err(refuse("a parameter as a condition")),
            Type::Undefined => coerce(expr, &Type::Boolean),
            _ if searched && is_column(&expr) => {
                let shown = super::print::output_name(ast).unwrap_or_default();
                Err(unsupported(format!("Can't build query from symbol {shown}")).with(Fault::Condition))
            }
            ty => Err(refuse(format!("{} as a condition", ty.name()))),
        }
    }

    pub(crate) fn cast(&self, value: Expr, to: &Type, lenient: bool) -> Result<Expr> {
        // A cast that fails gives NULL without a type.
        let (literal, was_null) = (value.as_literal().is_some(), value.as_literal() == Some(&Value::Null));
        let out = self.fold(coerce_explicitly(value, to.clone(), lenient)?)?;
        if lenient && literal && !was_null && out.as_literal() == Some(&Value::Null) {
            return Ok(Expr::literal(Value::Null, Type::Undefined));
        }
        Ok(out)
    }

    fn case(&self, operand: Option<&Ast>, whens: &[(Ast, Ast)], otherwise: Option<&Ast>) -> Result<Expr> {
        // It is not known whether CrateDB computes constants in a branch that isn't taken.
        let careful = |e: SqlError| if e.code == 4000 { refuse("an error inside of CASE") } else { e };
        let mut conditions = vec![];
        for (when, _) in whens {
            conditions.push(match operand {
                Some(operand) => self.fold(self.compare("=", self.expr(operand)?, self.expr(when)?)?)?,
                None => self.truth(when).map_err(careful)?,
            });
        }
        let mut results: Vec<Expr> = whens.iter().map(|w| self.expr(&w.1)).collect::<Result<_>>().map_err(careful)?;
        results.push(
            otherwise
                .map_or_else(|| Ok(Expr::literal(Value::Null, Type::Undefined)), |o| self.expr(o))
                .map_err(careful)?,
        );
        let (mut results, ty) = common(results)?;
        let last = results.pop().ok_or_else(|| refuse("an empty CASE"))?;
        Ok(Expr::new(Kind::Case(conditions.into_iter().zip(results).collect(), Box::new(last)), ty))
    }

    fn object(&self, fields: &[(String, Ast)]) -> Result<Expr> {
        let fields: Vec<(String, Expr)> =
            fields.iter().map(|(key, value)| Ok((key.clone(), self.expr(value)?))).collect::<Result<_>>()?;
        let types = fields.iter().map(|(key, e)| Field { name: key.clone(), ty: e.ty.clone(), position: 0 }).collect();
        let ty = Type::Object(Object { policy: Policy::Dynamic, fields: types });
        Ok(Expr::new(Kind::Object(fields), ty))
    }

    /// Refuses a whole object of a catalog table of which only some keys are here.
    pub(crate) fn refuse_if_whole(&self, ty: &Type) -> Result<()> {
        match ty {
            Type::Object(object)
                if self.scope.is_partial() && !object.fields.is_empty() && object.policy != Policy::Strict =>
            {
                Err(refuse("a whole object of this catalog table"))
            }
            _ => Ok(()),
        }
    }

    fn subscript(&self, base: &Ast, index: &Ast) -> Result<Expr> {
        let base_expr = self.expr(base)?;
        let index = self.expr(index)?;
        match (&base_expr.ty, index.as_literal()) {
            (Type::Object(object), Some(Value::Text(key))) => {
                let ty = match object.field(key) {
                    Some(field) => field.ty.clone(),
                    None if object.policy == Policy::Ignored && is_of_column(base) => Type::Undefined,
                    None if object.policy == Policy::Ignored => return Err(refuse("a key of this object")),
                    None if self.context.session.forgives_unknown_keys() || self.scope.is_partial() => {
                        return Err(refuse("an unknown key"));
                    }
                    None if !has_plain_root(base) => return Err(refuse("a key of this object")),
                    None => {
                        return Err(no_column(format!(
                            "{}['{key}']",
                            super::print::output_name(base).unwrap_or_default()
                        )));
                    }
                };
                Ok(Expr::new(Kind::Element(Box::new(base_expr), key.clone()), ty))
            }
            (Type::Array(of), Some(Value::Text(key))) => match &**of {
                Type::Object(object) => {
                    let Some(field) = object.field(key) else {
                        return Err(if is_of_column(base) { no_column(key) } else { refuse("a key of these objects") });
                    };
                    let ty = Type::array(field.ty.clone());
                    Ok(Expr::new(Kind::Element(Box::new(base_expr), key.clone()), ty))
                }
                _ if !is_of_column(base) => Err(refuse("a key of this array")),
                _ => Err(no_column(key)),
            },
            (Type::Array(of), _) if index.ty == Type::Integer => {
                let ty = (**of).clone();
                Ok(Expr::new(Kind::Index(Box::new(base_expr), Box::new(index)), ty))
            }
            (Type::Text(_), Some(Value::Text(key))) if matches!(base_expr.kind, Kind::Column { .. }) => {
                Err(no_column(format!("['{key}']")))
            }
            _ => Err(refuse("this subscript")),
        }
    }

    fn subquery(&self, query: &super::ast::Query, sub: Sub) -> Result<Expr> {
        if self.allow == Allow::Stored {
            return Err(unsupported("Subquery not supported in this statement"));
        }
        let (plan, correlated) = query::plan_in(self.context, query, Some(self.scope))?;
        if sub != Sub::Exists && plan.columns.len() != 1 {
            return Err(unsupported("Subqueries with more than 1 column are not supported."));
        }
        let ty = match (sub, plan.columns.first()) {
            (Sub::Scalar, Some((_, ty))) => ty.clone(),
            (Sub::Array, Some((_, ty))) => Type::array(ty.clone()),
            _ => Type::Boolean,
        };
        if correlated || self.context.parameters.is_some() {
            return Ok(Expr::new(Kind::Subquery(Box::new(plan), sub), ty));
        }
        let value = subquery(exec::run(&plan, self.context, None)?, sub)?;
        // As a literal it would be converted like one.
        let compute: Compute = |_, mut v| Ok(v.pop().unwrap_or(Value::Null));
        let unfolded = Function { name: "subquery", compute, nulls: Nulls::Volatile };
        if value == Value::Array(vec![]) {
            return Ok(Expr::literal(value, ty));
        }
        Ok(Expr::new(Kind::Call(unfolded, vec![Expr::literal(value, ty.clone())]), ty))
    }
}

/// Returns whether an expression is a column or a part of one.
fn is_column(e: &Expr) -> bool {
    match &e.kind {
        Kind::Column { .. } => true,
        Kind::Element(base, _) | Kind::Index(base, _) => is_column(base),
        _ => false,
    }
}

fn is_plain(ast: &Ast) -> bool {
    matches!(ast, Ast::Null | Ast::Int(_) | Ast::Param(_))
}

/// Finds an integer times NULL, which could be an interval: CrateDB knows better only if both are literals.
fn unclear_product((a, a_plain): (&Type, bool), (b, b_plain): (&Type, bool)) -> Result<()> {
    match (a, b) {
        _ if a_plain && b_plain => Ok(()),
        (Type::Integer, Type::Undefined) | (Type::Undefined, Type::Integer) => {
            let text = format!("Invalid arguments in: (*) with ({}, {})", a.name(), b.name());
            Err(super::error::no_function(text))
        }
        (Type::Byte | Type::SmallInt, Type::Undefined) | (Type::Undefined, Type::Byte | Type::SmallInt) => {
            Err(refuse("a small integer times NULL"))
        }
        _ => Ok(()),
    }
}

fn integer(digits: &str) -> Result<Expr> {
    let (value, ty) = match digits.parse::<i64>() {
        Ok(n) if i32::try_from(n).is_ok() => (Value::Int(n), Type::Integer),
        Ok(n) => (Value::Int(n), Type::BigInt),
        Err(_) => return numeric(digits),
    };
    Ok(Expr::literal(value, ty))
}

fn numeric(digits: &str) -> Result<Expr> {
    let number = super::decimal::Decimal::parse(digits).ok_or_else(|| refuse("a number this long"))?;
    Ok(Expr::literal(Value::Numeric(number), NUMERIC))
}

/// The smallest bigint is a numeric, as its digits are read before the sign.
fn integer_negative(digits: &str) -> Result<Expr> {
    let e = negate(integer(digits)?)?;
    let Kind::Call(_, args) = &e.kind else { return Ok(e) };
    Ok(match args[0].as_literal() {
        Some(Value::Numeric(n)) => Expr::literal(Value::Numeric(n.negate()), NUMERIC),
        _ => e,
    })
}

/// Returns whether this is a column or a part of one.
fn is_of_column(base: &Ast) -> bool {
    match base {
        Ast::Column(_) => true,
        Ast::Subscript(base, _) => is_of_column(base),
        _ => false,
    }
}

/// Returns whether an object's inner columns are all known: it is a column or written out. Casts of parameters and
/// items of arrays may have more.
fn has_plain_root(base: &Ast) -> bool {
    match base {
        Ast::Column(_) | Ast::Object(_) => true,
        Ast::Subscript(base, index) => {
            let by_key = matches!(**index, Ast::Text(_));
            has_plain_root(base) && (by_key || !matches!(**base, Ast::Object(_)))
        }
        Ast::Cast { value, .. } => matches!(**value, Ast::Object(_) | Ast::Text(_)),
        _ => false,
    }
}
