//! Analysed queries: plans and the expressions in them.

use super::context::{Context, Parameter};
use super::error::Result;
use super::types::Type;
use super::value::{Row, Value};
use std::cell::Cell;
use std::rc::Rc;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) columns: Vec<(String, Type)>,
    pub(crate) body: PlanBody,
    pub(crate) order: Vec<Key>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: usize,
}

impl Plan {
    /// Returns whether it aggregates all rows into one.
    pub(crate) fn is_total(&self) -> bool {
        let PlanBody::Select(select) = &self.body else { return false };
        select.group.as_ref().is_some_and(|group| group.keys.is_empty())
    }
}

/// A key of the order of rows: an output, shown or hidden after the shown ones.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) index: usize,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PlanBody {
    Select(Box<SelectPlan>),
    Values(Vec<Vec<Expr>>),
    /// A query and those after it, each with whether all its rows count.
    Union(Box<Plan>, Vec<(bool, Plan)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SelectPlan {
    pub(crate) source: Source,
    pub(crate) filter: Option<Expr>,
    pub(crate) group: Option<Group>,
    pub(crate) having: Option<Expr>,
    pub(crate) windows: Vec<WindowCall>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) distinct: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Output {
    One(Expr),
    /// A table function in the select list: as many rows as it gives.
    Set(TableFunction, Vec<Expr>),
}

/// A group gives a row of its keys, then its aggregates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) keys: Vec<Expr>,
    pub(crate) aggregates: Vec<Aggregate>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) function: Aggregator,
    pub(crate) args: Vec<Expr>,
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Expr>,
    pub(crate) ty: Type,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WindowCall {
    /// A window function or an aggregate.
    pub(crate) call: Aggregate,
    pub(crate) partition: Vec<Expr>,
    pub(crate) order: Vec<(Expr, bool, bool)>,
    /// Rows before and after the current one; none is all. No frame: up to the current row and its peers.
    pub(crate) frame: Option<(Option<usize>, Option<usize>)>,
}

/// The key of a row, and the values that columns of its version must have.
pub(crate) type VersionedKey = (Vec<u8>, Vec<(usize, Value)>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// One row without columns.
    Nothing,
    Table {
        schema: String,
        name: String,
        system: Rc<Cell<bool>>,
        /// The keys of the rows, if the condition names them, and the versions that they must have.
        keys: Option<Vec<VersionedKey>>,
    },
    Rows(Rc<Vec<Row>>),
    Query(Box<Plan>),
    Function(TableFunction, Vec<Expr>),
    Join(Box<Join>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Join {
    pub(crate) left: Source,
    pub(crate) right: Source,
    pub(crate) widths: (usize, usize),
    pub(crate) on: Option<Expr>,
    /// True if rows without a partner are kept, left and right.
    pub(crate) outer: (bool, bool),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) ty: Type,
}

/// Computes the value of a function.
pub(crate) type Compute = fn(&Context, Vec<Value>) -> Result<Value>;

/// A scalar function. Two are the same if their names are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) compute: Compute,
    pub(crate) nulls: Nulls,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Nulls {
    /// The value is null if any argument is.
    Strict,
    /// The function sees nulls.
    Seen,
    /// The function sees nulls, and each call may give another value.
    Volatile,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A table function. Two are the same if their names are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableFunction {
    pub(crate) name: &'static str,
    pub(crate) rows: fn(Vec<Value>) -> Result<Vec<Row>>,
}

impl PartialEq for TableFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A function over several rows. Two are the same if their names are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aggregator {
    pub(crate) name: &'static str,
    pub(crate) over: Over,
}

impl PartialEq for Aggregator {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Over {
    /// From the arguments of each row of a group, and the type of the result.
    Group(fn(Vec<Row>, &Type) -> Result<Value>),
    /// From the place of a row in its window.
    Window(fn(&RowPlace) -> Result<Value>),
}

/// The place of a row in its partition, as window functions see it. Rows are counted from 0.
pub(crate) struct RowPlace<'a> {
    pub(crate) row: usize,
    /// The first row that the window's ORDER BY counts as equal.
    pub(crate) first_peer: usize,
    /// The number of rows up to this one that differ from the row before them.
    pub(crate) changes: usize,
    /// First and last row of the frame.
    pub(crate) frame: (usize, usize),
    pub(crate) last: usize,
    /// The value of an argument in a row; null if there is no such argument.
    pub(crate) argument: &'a dyn Fn(usize, usize) -> Result<Value>,
    pub(crate) arguments: usize,
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
    /// Operators, applied from the left.
    Chain(Box<Expr>, Vec<(Function, Expr)>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
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
    Aggregate(Box<Aggregate>),
    Window(Box<WindowCall>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sub {
    Scalar,
    Exists,
    Array,
}

impl Expr {
    pub(crate) fn new(kind: Kind, ty: Type) -> Expr {
        Expr { kind, ty }
    }

    pub(crate) fn literal(value: Value, ty: Type) -> Expr {
        Expr::new(Kind::Literal(value), ty)
    }

    /// Applies an operator. A chain on the left gets longer, not deeper.
    pub(crate) fn then(self, function: Function, operand: Expr, ty: Type) -> Expr {
        let kind = match self.kind {
            Kind::Chain(first, mut steps) => {
                steps.push((function, operand));
                Kind::Chain(first, steps)
            }
            _ => Kind::Chain(Box::new(self), vec![(function, operand)]),
        };
        Expr::new(kind, ty)
    }

    /// Joins two conditions by AND.
    pub(crate) fn and(self, other: Expr) -> Expr {
        let all = match self.kind {
            Kind::And(mut all) => {
                all.push(other);
                all
            }
            _ => vec![self, other],
        };
        Expr::new(Kind::And(all), Type::Boolean)
    }

    /// Joins two conditions by OR.
    pub(crate) fn or(self, other: Expr) -> Expr {
        let all = match self.kind {
            Kind::Or(mut all) => {
                all.push(other);
                all
            }
            _ => vec![self, other],
        };
        Expr::new(Kind::Or(all), Type::Boolean)
    }

    /// Returns the expression with `instead` in place of its beginning `prefix`, as `(a + b) + c` begins with `a + b`.
    pub(crate) fn replace_prefix(&self, prefix: &Expr, instead: Expr) -> Option<Expr> {
        let kind = match (&self.kind, &prefix.kind) {
            (Kind::Chain(first, steps), Kind::Chain(begin, before)) if first == begin => {
                Kind::Chain(Box::new(instead), steps.strip_prefix(before.as_slice())?.to_vec())
            }
            (Kind::And(all), Kind::And(before)) => {
                Kind::And([&[instead][..], all.strip_prefix(before.as_slice())?].concat())
            }
            (Kind::Or(all), Kind::Or(before)) => {
                Kind::Or([&[instead][..], all.strip_prefix(before.as_slice())?].concat())
            }
            _ => return None,
        };
        Some(Expr::new(kind, self.ty.clone()))
    }

    pub(crate) fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the parameter, if this is one without a type.
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
            Kind::Index(a, b) | Kind::Compare(_, a, b) => vec![a, b],
            Kind::Chain(first, steps) => std::iter::once(&**first).chain(steps.iter().map(|s| &s.1)).collect(),
            Kind::Quantified { value, array, .. } => vec![value, array],
            Kind::Call(_, args) | Kind::Coalesce(args) | Kind::Array(args) | Kind::And(args) | Kind::Or(args) => {
                args.iter().collect()
            }
            Kind::In(value, list) => std::iter::once(&**value).chain(list).collect(),
            Kind::Case(whens, otherwise) => {
                whens.iter().flat_map(|(a, b)| [a, b]).chain(std::iter::once(&**otherwise)).collect()
            }
            Kind::Object(fields) => fields.iter().map(|f| &f.1).collect(),
        }
    }

    /// Returns whether `test` holds for this expression or a part of it.
    pub(crate) fn any(&self, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
        test(self) || self.children().into_iter().any(|child| child.any(test))
    }

    /// Returns the expression with parts replaced by the results of `change`. For None it goes on inside the part.
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
            Kind::Chain(first, steps) => {
                let first = one(first)?;
                let steps = steps.iter().map(|(function, e)| Ok((*function, e.map(change)?))).collect::<Result<_>>()?;
                Kind::Chain(first, steps)
            }
            Kind::And(all) => Kind::And(map_all(all, change)?),
            Kind::Or(all) => Kind::Or(map_all(all, change)?),
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
}

fn map_all(all: &[Expr], change: &mut dyn FnMut(&Expr) -> Result<Option<Expr>>) -> Result<Vec<Expr>> {
    all.iter().map(|e| e.map(change)).collect()
}
