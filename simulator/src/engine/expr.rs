//! Analysed expressions and their evaluation.

use super::error::{Result, invalid, refuse, unsupported};
use super::exec::{self, Plan};
use super::session::Context;
use super::types::Type;
use super::value::Value;
use super::{cast, operators};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) ty: Type,
}

/// A function of the engine; two are the same if their names are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Context, Vec<Value>) -> Result<Value>,
    /// Null if any argument is.
    pub(crate) strict: bool,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Literal(Value),
    /// A parameter whose value comes later: only while a statement is described.
    Param(Rc<Parameter>),
    /// A value of a row `depth` queries outside.
    Column {
        depth: usize,
        index: usize,
    },
    /// Element of an object, or of each object of an array.
    Element(Box<Expr>, String),
    Index(Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
    Cast(Box<Expr>, bool),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>, bool),
    Compare(&'static str, Box<Expr>, Box<Expr>),
    In(Box<Expr>, Vec<Expr>),
    Quantified {
        op: &'static str,
        all: bool,
        value: Box<Expr>,
        array: Box<Expr>,
    },
    Case(Vec<(Expr, Expr)>, Box<Expr>),
    Coalesce(Vec<Expr>),
    Array(Vec<Expr>),
    Object(Vec<(String, Expr)>),
    /// A correlated subquery.
    Subquery(Box<Plan>, Sub),
    /// An aggregate, before its query is grouped.
    Aggregate(Box<exec::Aggregate>),
    Window(Box<exec::WindowCall>),
}

/// What is known of a parameter before it has a value.
#[derive(Debug, PartialEq)]
pub(crate) struct Parameter {
    /// Counted from 1.
    pub(crate) number: usize,
    /// As the client says, or as the first place says that needs one.
    pub(crate) ty: RefCell<Type>,
    /// Whether CrateDB too leaves it without a type where it stands.
    pub(crate) untyped: Cell<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sub {
    Scalar,
    Exists,
    Array,
}

/// The rows an expression can see.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a> {
    pub(crate) row: &'a [Value],
    pub(crate) outer: Option<&'a Env<'a>>,
    pub(crate) context: &'a Context<'a>,
}

impl Expr {
    pub(crate) fn new(kind: Kind, ty: Type) -> Expr {
        Expr { kind, ty }
    }

    pub(crate) fn literal(value: Value, ty: Type) -> Expr {
        Expr::new(Kind::Literal(value), ty)
    }

    pub(crate) fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// The parameter this is, if nobody said its type yet.
    pub(crate) fn as_open(&self) -> Option<&Parameter> {
        match &self.kind {
            Kind::Param(parameter) if *parameter.ty.borrow() == Type::Undefined => Some(parameter),
            _ => None,
        }
    }

    pub(crate) fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            Kind::Literal(_)
            | Kind::Param(_)
            | Kind::Column { .. }
            | Kind::Subquery(..)
            | Kind::Aggregate(_)
            | Kind::Window(_) => vec![],
            Kind::Element(e, _) | Kind::Cast(e, _) | Kind::Not(e) | Kind::IsNull(e, _) => vec![e],
            Kind::Index(a, b) | Kind::And(a, b) | Kind::Or(a, b) | Kind::Compare(_, a, b) => vec![a, b],
            Kind::Quantified { value, array, .. } => vec![value, array],
            Kind::Call(_, args) | Kind::Coalesce(args) | Kind::Array(args) => args.iter().collect(),
            Kind::In(value, list) => std::iter::once(&**value).chain(list).collect(),
            Kind::Case(whens, otherwise) => {
                whens.iter().flat_map(|(a, b)| [a, b]).chain(std::iter::once(&**otherwise)).collect()
            }
            Kind::Object(fields) => fields.iter().map(|f| &f.1).collect(),
        }
    }

    /// Whether `test` holds for this expression or anything in it.
    pub(crate) fn any(&self, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
        test(self) || self.children().into_iter().any(|child| child.any(test))
    }

    /// The expression with parts replaced: `change` says by what, or None to go on inside.
    pub(crate) fn map(&self, change: &mut dyn FnMut(&Expr) -> Result<Option<Expr>>) -> Result<Expr> {
        if let Some(changed) = change(self)? {
            return Ok(changed);
        }
        let mut one = |e: &Expr| e.map(change).map(Box::new);
        let kind = match &self.kind {
            Kind::Element(e, key) => Kind::Element(one(e)?, key.clone()),
            Kind::Cast(e, lenient) => Kind::Cast(one(e)?, *lenient),
            Kind::Not(e) => Kind::Not(one(e)?),
            Kind::IsNull(e, negated) => Kind::IsNull(one(e)?, *negated),
            Kind::Index(a, b) => Kind::Index(one(a)?, one(b)?),
            Kind::And(a, b) => Kind::And(one(a)?, one(b)?),
            Kind::Or(a, b) => Kind::Or(one(a)?, one(b)?),
            Kind::Compare(op, a, b) => Kind::Compare(op, one(a)?, one(b)?),
            Kind::Quantified { op, all, value, array } => {
                Kind::Quantified { op, all: *all, value: one(value)?, array: one(array)? }
            }
            Kind::Call(function, args) => Kind::Call(*function, map_all(args, change)?),
            Kind::Coalesce(args) => Kind::Coalesce(map_all(args, change)?),
            Kind::Array(args) => Kind::Array(map_all(args, change)?),
            Kind::In(value, list) => Kind::In(one(value)?, map_all(list, change)?),
            Kind::Case(whens, otherwise) => {
                let otherwise = one(otherwise)?;
                let whens = whens.iter().map(|(a, b)| Ok((a.map(change)?, b.map(change)?))).collect::<Result<_>>()?;
                Kind::Case(whens, otherwise)
            }
            Kind::Object(fields) => {
                Kind::Object(fields.iter().map(|(k, v)| Ok((k.clone(), v.map(change)?))).collect::<Result<_>>()?)
            }
            kind => kind.clone(),
        };
        Ok(Expr::new(kind, self.ty.clone()))
    }

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
                if function.strict && args.iter().any(Value::is_null) {
                    return Ok(Value::Null);
                }
                (function.run)(env.context, args)
            }
            Kind::Cast(inner, lenient) => {
                let value = cast::cast(&inner.eval(env)?, &inner.ty, &self.ty);
                match value {
                    Err(e) if *lenient && !e.is_refusal() => Ok(Value::Null),
                    value => shorten(value?, &self.ty),
                }
            }
            Kind::And(a, b) => logical(a.eval(env)?, || b.eval(env), false),
            Kind::Or(a, b) => logical(a.eval(env)?, || b.eval(env), true),
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
            Kind::Subquery(plan, sub) => subquery(exec::run(plan, env.context, Some(env))?, *sub),
            Kind::Aggregate(_) => Err(unsupported("Aggregate functions are not allowed here")),
            Kind::Window(_) => Err(invalid("Window functions are not allowed here")),
        }
    }
}

fn map_all(all: &[Expr], change: &mut dyn FnMut(&Expr) -> Result<Option<Expr>>) -> Result<Vec<Expr>> {
    all.iter().map(|e| e.map(change)).collect()
}

fn column(env: &Env, depth: usize, index: usize) -> Result<Value> {
    let mut env = *env;
    for _ in 0..depth {
        env = *env.outer.ok_or_else(|| refuse("this correlated subquery"))?;
    }
    env.row.get(index).cloned().ok_or_else(|| refuse("this column reference"))
}

/// An element of an object; of an array of objects, the array of their elements.
pub(crate) fn element(value: &Value, key: &str) -> Value {
    match value {
        Value::Object(_) => value.get(key).cloned().unwrap_or(Value::Null),
        Value::Array(items) => Value::Array(items.iter().map(|item| element(item, key)).collect()),
        _ => Value::Null,
    }
}

/// An explicit cast to a type with length shortens instead of failing.
fn shorten(value: Value, ty: &Type) -> Result<Value> {
    match (value, ty) {
        (Value::Text(t), Type::Text(Some(n))) => Ok(Value::Text(t.chars().take(*n as usize).collect())),
        (Value::Text(_), Type::Char(_) | Type::Bit(_)) => Err(refuse("a cast to this type with a length")),
        (value, _) => Ok(value),
    }
}

/// AND (deciding value false) and OR (deciding value true); a null leaves it open.
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

/// The value of a subquery in an expression.
pub(crate) fn subquery(mut rows: Vec<Vec<Value>>, sub: Sub) -> Result<Value> {
    match sub {
        Sub::Exists => Ok(Value::Bool(!rows.is_empty())),
        Sub::Array => Ok(Value::Array(rows.into_iter().filter_map(|mut r| r.pop()).collect())),
        Sub::Scalar if rows.len() > 1 => Err(unsupported("Subquery returned more than 1 row when it shouldn't.")),
        Sub::Scalar => Ok(rows.pop().and_then(|mut row| row.pop()).unwrap_or(Value::Null)),
    }
}
