//! Functions: finds the function of a call in the table, and analyses its arguments.

mod aggregates;
mod arrays;
mod codes;
pub(crate) mod dates;
mod math;
mod sets;
mod strings;
mod table;

use super::error::{Result, SqlError, no_function, refuse};
use super::operators::{coerce, common, unify};
use super::plan::{Aggregator, Compute, Expr, Function, Kind, Nulls, Over, RowPlace, TableFunction};
use super::types::{TEXT, Type};
use super::value::{Row, Value};
use table::FUNCTIONS;

/// A function of CrateDB. If this engine doesn't have it, it has no form, and its calls are refused.
enum What {
    Scalar(&'static [Form]),
    Aggregate(&'static [(AggregateType, Accumulate)]),
    Window(&'static [(AnalyseWindow, PlaceValue)]),
    Table(AnalyseTable, fn(Vec<Value>) -> Result<Vec<Row>>),
}

/// One way to call a scalar function. The first form with the right number of arguments counts.
enum Form {
    /// Null if any argument is null.
    Strict(&'static [Arg], Gives, Compute),
    /// Sees nulls.
    Lax(&'static [Arg], Gives, Compute),
    /// Gives another value each time.
    Volatile(Gives, Compute),
    /// Takes from `.0` to `.1` arguments, and is analysed by a function of its own.
    Own(usize, usize, fn(&'static str, Vec<Expr>) -> Result<Expr>),
    /// Another name for that function.
    As(&'static str),
    /// CrateDB has no other forms either, so other calls are errors.
    NothingElse,
}

/// The kind of an argument.
#[derive(Clone, Copy)]
enum Arg {
    /// A text, or a value that CrateDB converts to a text by itself.
    Text,
    /// An integer or null.
    Integer,
    /// A number or null, taken as a double.
    Number,
    Object,
    Array,
    /// An array of numbers.
    Numbers,
    /// An array of integers.
    Integers,
    /// An array with the same elements as the first argument.
    SameArray,
    /// An element for the array among the arguments, converted to its type.
    NewItem,
    /// A value of the type that the elements of the first argument have.
    Item,
    /// The number 1.
    One,
    /// An integer as it is.
    Exact,
    /// An object, an array or null.
    Container,
    /// A boolean or null.
    Truth,
}

/// The type of the result.
#[derive(Clone, Copy)]
enum Gives {
    Boolean,
    Integer,
    BigInt,
    Double,
    Text,
    Texts,
    Date,
    TimeTz,
    TimestampTz,
    /// The type of this argument.
    Same(usize),
    /// The type of the elements of the first argument.
    Element,
}

type AggregateType = fn(&str, &[Type]) -> Result<Type>;
type PlaceValue = fn(&RowPlace) -> Result<Value>;
type Accumulate = fn(Vec<Row>, &Type) -> Result<Value>;
type AnalyseWindow = fn(Vec<Expr>) -> Result<(Vec<Expr>, Type)>;
pub(crate) type Columns = Vec<(String, Type)>;
/// The function, its converted arguments and the columns it gives.
pub(crate) type TableCall = (TableFunction, Vec<Expr>, Columns);
type AnalyseTable = fn(Vec<Expr>) -> Result<(Vec<Expr>, Columns)>;

/// The kinds of functions that are analysed in ways of their own.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Is {
    Scalar,
    Aggregate,
    Window,
    Table,
}

fn find(name: &str) -> Option<&'static (&'static str, What)> {
    FUNCTIONS.binary_search_by_key(&name, |entry| entry.0).ok().map(|at| &FUNCTIONS[at])
}

/// Returns the kind of the function of this name, if CrateDB has one.
pub(crate) fn kind(name: &str) -> Option<Is> {
    find(name).map(|(_, what)| match what {
        What::Scalar(_) => Is::Scalar,
        What::Aggregate(_) => Is::Aggregate,
        What::Window(_) => Is::Window,
        What::Table(..) => Is::Table,
    })
}

/// Analyses the call of a scalar function.
pub(crate) fn scalar(name: &str, args: Vec<Expr>) -> Result<Expr> {
    let Some((known, what)) = find(name) else {
        let perhaps = ["pg_", "has_", "op_", "_"].iter().any(|prefix| name.starts_with(prefix));
        return Err(match perhaps {
            true => refuse(format!("the function {name}")),
            false => no_function(format!("Unknown function: {name}")),
        });
    };
    let forms = if let What::Scalar(forms) = what { forms } else { &[][..] };
    for form in forms {
        match form {
            Form::Strict(kinds, gives, compute) if kinds.len() == args.len() => {
                let (args, ty) = fit(known, args, kinds, *gives)?;
                return strict(known, *compute, args, ty);
            }
            Form::Lax(kinds, gives, compute) if kinds.len() == args.len() => {
                let (args, ty) = fit(known, args, kinds, *gives)?;
                return lax(known, *compute, args, ty);
            }
            Form::Volatile(gives, compute) if args.is_empty() => {
                let (args, ty) = fit(known, args, &[], *gives)?;
                let function = Function { name: known, compute: *compute, nulls: Nulls::Volatile };
                return Ok(Expr::new(Kind::Call(function, args), ty));
            }
            Form::Own(least, most, analyse) if (*least..=*most).contains(&args.len()) => return analyse(known, args),
            Form::As(other) => return scalar(other, args),
            Form::NothingElse => return Err(wrong_arguments(name)),
            _ => {}
        }
    }
    Err(refuse(format!("the function {name} with these arguments")))
}

/// Returns the aggregate of this name over arguments of these types, and the type of its result.
pub(crate) fn aggregate(name: &str, args: &[Type]) -> Result<(Aggregator, Type)> {
    match find(name) {
        Some((name, What::Aggregate([(ty, compute), ..]))) => {
            Ok((Aggregator { name, over: Over::Group(*compute) }, ty(name, args)?))
        }
        _ => Err(refuse(format!("the aggregate {name}"))),
    }
}

/// Analyses the call of a window function that is no aggregate.
pub(crate) fn window(name: &str, args: Vec<Expr>) -> Result<(Aggregator, Vec<Expr>, Type)> {
    match find(name) {
        Some((name, What::Window([(analyse, compute), ..]))) => {
            let (args, ty) = analyse(args)?;
            Ok((Aggregator { name, over: Over::Window(*compute) }, args, ty))
        }
        _ => Err(refuse(format!("the window function {name}"))),
    }
}

/// Returns the analysis of calls of a table function, if there is one of this name.
pub(crate) fn table(name: &[String]) -> Option<impl Fn(Vec<Expr>) -> Result<TableCall>> {
    let [name] = name else { return None };
    let (name, What::Table(analyse, rows)) = find(name)? else { return None };
    Some(move |args| {
        let (args, columns) = analyse(args)?;
        Ok((TableFunction { name, rows: *rows }, args, columns))
    })
}

fn wrong_arguments(name: &str) -> SqlError {
    no_function(format!("Invalid arguments in: {name}"))
}

/// Makes a call that gives null if any argument is null.
fn strict(name: &'static str, compute: Compute, args: Vec<Expr>, ty: Type) -> Result<Expr> {
    Ok(Expr::new(Kind::Call(Function { name, compute, nulls: Nulls::Strict }, args), ty))
}

/// Makes a call that sees nulls.
fn lax(name: &'static str, compute: Compute, args: Vec<Expr>, ty: Type) -> Result<Expr> {
    Ok(Expr::new(Kind::Call(Function { name, compute, nulls: Nulls::Seen }, args), ty))
}

/// Returns the arguments as the form takes them, and the type of the result.
fn fit(name: &'static str, args: Vec<Expr>, kinds: &[Arg], gives: Gives) -> Result<(Vec<Expr>, Type)> {
    let fitted: Vec<Expr> =
        kinds.iter().enumerate().map(|(at, kind)| kind.take(name, &args, at)).collect::<Result<_>>()?;
    let ty = match gives {
        Gives::Boolean => Type::Boolean,
        Gives::Integer => Type::Integer,
        Gives::BigInt => Type::BigInt,
        Gives::Double => Type::Double,
        Gives::Text => TEXT,
        Gives::Texts => Type::array(TEXT),
        Gives::Date => Type::Date,
        Gives::TimeTz => Type::TimeTz,
        Gives::TimestampTz => Type::TimestampTz,
        Gives::Same(at) => args[at].ty.clone(),
        Gives::Element => element(&args[0]).ok_or_else(|| unfit(name))?,
    };
    Ok((fitted, ty))
}

fn unfit(name: &str) -> SqlError {
    refuse(format!("{name} like this"))
}

/// Returns the type of an array's elements.
fn element(array: &Expr) -> Option<Type> {
    match &array.ty {
        Type::Array(of) if **of != Type::Undefined => Some((**of).clone()),
        _ => None,
    }
}

impl Arg {
    /// Returns the argument at this place, converted if necessary.
    fn take(self, name: &str, args: &[Expr], at: usize) -> Result<Expr> {
        let arg = args[at].clone();
        let over = |arg: &Expr| Err(refuse(format!("{name} over {}", arg.ty.name())));
        let of = element(&arg);
        let fits = match self {
            Arg::Text => return text(name, arg),
            Arg::Integer if arg.ty.is_integer() || arg.ty == Type::Undefined => return coerce(arg, &Type::Integer),
            Arg::Number if arg.ty.is_integer() || matches!(arg.ty, Type::Double | Type::Real | Type::Undefined) => {
                return coerce(arg, &Type::Double);
            }
            Arg::Integer | Arg::Number => return over(&arg),
            Arg::NewItem => {
                let of = args.iter().find_map(element).ok_or_else(|| unfit(name))?;
                return match arg.as_literal() {
                    Some(Value::Null) => Err(refuse("a null element")),
                    _ => coerce(arg, &of),
                };
            }
            Arg::Object => matches!(arg.ty, Type::Object(_)),
            Arg::Container => matches!(arg.ty, Type::Object(_) | Type::Array(_) | Type::Undefined),
            Arg::Truth => matches!(arg.ty, Type::Boolean | Type::Undefined),
            Arg::Array => of.is_some(),
            Arg::Numbers => of.is_some_and(|of| of.is_number()),
            Arg::Integers => of.is_some_and(|of| of.is_integer()),
            Arg::SameArray => of.is_some() && of == element(&args[0]),
            Arg::Item => element(&args[0]).is_some_and(|of| arg.ty.same_family(&of)),
            Arg::One => arg.as_literal() == Some(&Value::Int(1)),
            Arg::Exact => arg.ty == Type::Integer,
        };
        if fits { Ok(arg) } else { Err(unfit(name)) }
    }
}

/// Returns an argument as a text. CrateDB converts numbers by itself.
fn text(name: &str, arg: Expr) -> Result<Expr> {
    match &arg.ty {
        Type::Text(_) => Ok(arg),
        Type::Undefined => coerce(arg, &TEXT),
        Type::Array(_) | Type::Object(_) => Err(wrong_arguments(name)),
        ty if ty.is_number() || matches!(ty, Type::Boolean | Type::Timestamp | Type::TimestampTz) => {
            Ok(Expr::new(Kind::Cast(Box::new(arg), false), TEXT))
        }
        ty => Err(refuse(format!("{name} over {}", ty.name()))),
    }
}

fn texts(name: &str, args: Vec<Expr>) -> Result<Vec<Expr>> {
    args.into_iter().map(|arg| text(name, arg)).collect()
}

fn coalesce(_: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let (args, ty) = common(args)?;
    Ok(Expr::new(Kind::Coalesce(args), ty))
}

fn nullif(name: &'static str, mut args: Vec<Expr>) -> Result<Expr> {
    let (Some(b), Some(a)) = (args.pop(), args.pop()) else { return Err(refuse("nullif")) };
    let ty = a.ty.clone();
    let (a, b) = unify(a, b)?;
    if a.ty != ty || ty == Type::Undefined {
        return Err(refuse("nullif of these types"));
    }
    let compute: Compute = |_, mut v| {
        Ok(if v[0].is_null() || v[1].is_null() || !v[0].same(&v[1]) { v.swap_remove(0) } else { Value::Null })
    };
    lax(name, compute, vec![a, b], ty)
}

/// Analyses `greatest` and `least`.
fn extreme(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let (args, ty) = common(args)?;
    let ordered = ty.is_number() || ty.is_text() || ty.is_time() || ty == Type::Undefined;
    if !ordered {
        return Err(refuse(format!("{name} over this")));
    }
    let compute: Compute = match name {
        "greatest" => |_, v| Ok(most(v.iter(), true)),
        _ => |_, v| Ok(most(v.iter(), false)),
    };
    lax(name, compute, args, ty)
}

/// Returns the greatest or the least of some values, without nulls.
fn most<'a>(values: impl Iterator<Item = &'a Value>, greatest: bool) -> Value {
    let better = |order: std::cmp::Ordering| if greatest { order.is_gt() } else { order.is_lt() };
    let best = |a: &'a Value, b: &'a Value| if better(b.compare(a)) { b } else { a };
    values.filter(|v| !v.is_null()).reduce(best).cloned().unwrap_or(Value::Null)
}

fn current_setting(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let compute: Compute = |c, v| {
        let Value::Text(name) = &v[0] else { return Ok(Value::Null) };
        match c.session.show(name) {
            Err(e) if !e.is_refusal() && v.get(1) == Some(&Value::Bool(true)) => Ok(Value::Null),
            value => value,
        }
    };
    let fits = args[0].ty.is_text() && args.get(1).is_none_or(|a| a.ty == Type::Boolean);
    if fits { lax(name, compute, args, TEXT) } else { Err(unfit(name)) }
}

fn current_schemas(name: &'static str, args: Vec<Expr>) -> Result<Expr> {
    let Some(Value::Bool(implicit)) = args[0].as_literal() else { return Err(unfit(name)) };
    let compute: Compute = |c, v| {
        let implicit = (v[0] == Value::Bool(true)).then_some("pg_catalog");
        let all = implicit.into_iter().chain(c.session.path.iter().map(String::as_str));
        Ok(Value::Array(all.map(Value::text).collect()))
    };
    lax(name, compute, vec![Expr::literal(Value::Bool(*implicit), Type::Boolean)], Type::array(TEXT))
}

/// Makes an id of twenty characters.
fn random_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut bits = u128::from(RandomState::new().hash_one(1)) << 64 | u128::from(RandomState::new().hash_one(2));
    let mut out = String::from("A");
    for _ in 0..19 {
        out.push(LETTERS[(bits & 63) as usize] as char);
        bits >>= 6;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is searched by bisection. No name is there twice, so none has forms and is listed as missing.
    #[test]
    fn every_name_of_the_table_stands_in_its_place_once() {
        for pair in FUNCTIONS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "`{}` stands before `{}`", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn another_name_is_one_of_a_function_that_is_here() {
        for (name, what) in FUNCTIONS {
            let What::Scalar([Form::As(other)]) = what else { continue };
            let found = find(other).map(|(_, what)| what);
            assert!(matches!(found, Some(What::Scalar([first, ..])) if !matches!(first, Form::As(_))), "{name}");
        }
    }

    #[test]
    fn a_function_of_cratedb_that_is_not_here_is_refused_and_another_is_unknown() {
        assert!(scalar("geohash", vec![]).unwrap_err().is_refusal());
        assert!(aggregate("topk", &[]).unwrap_err().is_refusal());
        assert!(!scalar("no_such", vec![]).unwrap_err().is_refusal());
    }
}
