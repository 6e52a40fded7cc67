//! Prints expressions as CrateDB does: names of columns without alias, and texts of CHECK and DEFAULT.

mod query;

pub(crate) use query::definition as query_definition;

use super::ast::{Ast, FromItem, FunctionCall, Item, Query, QueryBody, Step};
use super::error::{Result, refuse};
use super::lex::is_reserved;
use super::types::TEXT;
use super::value::java_double;

/// Quotes a name if necessary. Only these characters make a name plain.
pub(crate) fn quoted_if_needed(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !is_reserved(name);
    if plain { name.into() } else { quoted(name) }
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the name of an output without alias.
pub(crate) fn output_name(ast: &Ast) -> Result<String> {
    match ast {
        Ast::Call(call) if call.name.len() == 1 || call.name[0] == "pg_catalog" => {
            call.name.last().cloned().ok_or_else(|| refuse("a call without name"))
        }
        Ast::Binary("||", ..) => Ok("op_||".into()),
        Ast::Chain(_, steps) if steps.iter().all(|step| step.0 == "||") => Ok("op_||".into()),
        _ => Printer { names: Names::Last }.print(ast),
    }
}

/// Returns the name of an output of a union, which CrateDB prints as it understood it. `is_cast` tells whether a cast
/// has an effect.
pub(crate) fn united_name(ast: &Ast, is_cast: bool) -> Result<String> {
    let plain = |ast: &Ast| matches!(ast, Ast::Column(name) if name.len() == 1) || matches!(ast, Ast::Text(_));
    let printer = Printer { names: Names::Last };
    match ast {
        Ast::Cast { value, to, lenient: false } if is_cast && to.ty == TEXT && matches!(**value, Ast::Column(_)) => {
            Ok(format!("cast({} AS TEXT)", printer.print(value)?))
        }
        Ast::Call(call) if call.args.iter().all(plain) => printer.print(ast),
        Ast::Binary("||", left, right) if plain(left) && plain(right) => printer.print(ast),
        Ast::Null | Ast::Bool(_) | Ast::Int(_) | Ast::Double(_) | Ast::Text(_) | Ast::Column(_) => printer.print(ast),
        Ast::Call(_) | Ast::Binary("||", ..) => Err(refuse("a column without alias in a union")),
        _ => {
            let name = output_name(ast)?;
            let differs = ["INTERVAL ", "CAST(", "(CASE ", "IF(", "EXTRACT(", "{", " <> ", " IN (", " BETWEEN "]
                .iter()
                .any(|part| name.contains(part));
            let differs = differs || matches!(ast, Ast::Special(_) | Ast::Between(..) | Ast::In(..));
            if differs { Err(refuse("a column without alias in a union")) } else { Ok(name) }
        }
    }
}

/// Returns the text of a default or check.
pub(crate) fn expression(ast: &Ast) -> Result<String> {
    Ok(bare(Printer { names: Names::Quoted }.print(ast)?))
}

/// Removes the parentheses around a whole expression.
fn bare(all: String) -> String {
    let Some(inner) = all.strip_prefix('(').and_then(|s| s.strip_suffix(')')) else { return all };
    let (mut depth, mut quote) = (0, None);
    for c in inner.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return all,
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    inner.into()
}

#[derive(Clone, Copy, PartialEq)]
enum Names {
    /// The last part, bare.
    Last,
    /// All parts, quoted where needed.
    Full,
    /// All parts, always quoted.
    Quoted,
    /// As `Quoted`, in the text of a view.
    View,
}

#[derive(Clone, Copy)]
struct Printer {
    names: Names,
}

impl Printer {
    fn list(self, items: &[Ast]) -> Result<String> {
        Ok(items.iter().map(|item| self.print(item)).collect::<Result<Vec<_>>>()?.join(", "))
    }

    fn name(self, parts: &[String]) -> String {
        match self.names {
            Names::Last => parts.last().cloned().unwrap_or_default(),
            Names::Full => parts.iter().map(|p| quoted_if_needed(p)).collect::<Vec<_>>().join("."),
            Names::Quoted | Names::View => parts.iter().map(|p| quoted(p)).collect::<Vec<_>>().join("."),
        }
    }

    fn print(self, ast: &Ast) -> Result<String> {
        Ok(match ast {
            Ast::Null => "NULL".into(),
            Ast::Bool(b) => b.to_string(),
            Ast::Int(digits) | Ast::Numeric(digits) => digits.clone(),
            Ast::Double(d) => java_double(*d),
            Ast::Text(t) => text(t),
            Ast::Escaped(raw, _) => format!("E'{raw}'"),
            Ast::Bits(bits) => format!("B'{bits}'"),
            Ast::Param(n) => format!("${n}"),
            Ast::Column(parts) => self.name(parts),
            Ast::Subscript(base, index) if matches!(self.names, Names::Quoted | Names::View) => {
                format!("{}[{}]", self.print(base)?, bare(self.print(index)?))
            }
            Ast::Subscript(base, index) => format!("{}[{}]", self.print(base)?, self.print(index)?),
            Ast::Slice(base, from, to) => {
                let bound = |b: &Option<Box<Ast>>| b.as_ref().map_or(Ok(String::new()), |b| self.print(b));
                format!("{}[{}:{}]", self.print(base)?, bound(from)?, bound(to)?)
            }
            Ast::Call(call) => self.call(call)?,
            Ast::Negate(value) => format!("- {}", self.print(value)?),
            Ast::Not(value) => format!("(NOT {})", self.print(value)?),
            Ast::Binary(op, left, right) => format!("({} {op} {})", self.print(left)?, self.print(right)?),
            Ast::Chain(first, steps) => {
                let mut out = "(".repeat(steps.len()) + &self.print(first)?;
                for Step(op, operand) in steps {
                    out += &format!(" {op} {})", self.print(operand)?);
                }
                out
            }
            Ast::IsNull(value, negated) => {
                format!("({} IS {}NULL)", self.print(value)?, if *negated { "NOT " } else { "" })
            }
            Ast::Between(value, low, high) => {
                format!("({} BETWEEN {} AND {})", self.print(value)?, self.print(low)?, self.print(high)?)
            }
            Ast::In(value, list) => format!("({} IN ({}))", self.print(value)?, self.full().list(list)?),
            Ast::Like { value, pattern, escape: None, fold } => {
                format!("({} {} {})", self.print(value)?, if *fold { "ILIKE" } else { "LIKE" }, self.print(pattern)?)
            }
            Ast::Quantified { op, all, value, array } => {
                let text =
                    format!("{} {op} {}({})", self.print(value)?, if *all { "ALL" } else { "ANY" }, self.print(array)?);
                if matches!(self.names, Names::Quoted | Names::View) { format!("({text})") } else { text }
            }
            Ast::Cast { value, to, lenient } => {
                format!("{}CAST({} AS {})", if *lenient { "TRY_" } else { "" }, self.print(value)?, to.text)
            }
            Ast::Case { operand, whens, otherwise } => self.case(operand.as_deref(), whens, otherwise.as_deref())?,
            Ast::If(condition, yes, no) => {
                let mut args = vec![self.print(condition)?, self.print(yes)?];
                if let Some(no) = no {
                    args.push(self.print(no)?);
                }
                format!("IF({})", args.join(", "))
            }
            Ast::Array(items) => format!("[{}]", self.list(items)?),
            Ast::Object(fields) => self.object(fields)?,
            Ast::Extract(field, value) => format!("EXTRACT({field} FROM {})", self.print(value)?),
            Ast::Special(name) => (*name).into(),
            // A query within a view is laid out otherwise.
            Ast::Subquery(_) if self.names == Names::View => return Err(refuse("the text of this query")),
            Ast::Subquery(query) => format!("({})", simple_query(query)?),
            Ast::Interval(value) => format!("CAST({} AS interval)", text(value)),
            Ast::IntervalOf(..) if matches!(self.names, Names::Quoted | Names::View) => {
                return Err(refuse("the text of an interval with a unit"));
            }
            Ast::IntervalOf(n, unit) => format!("INTERVAL '{n}' {unit}"),
            Ast::ArrayQuery(query) if self.names == Names::Last => format!("ARRAY({})", simple_query(query)?),
            Ast::Like { .. } | Ast::InQuery(..) | Ast::Exists(_) | Ast::ArrayQuery(_) => {
                return Err(refuse("a column without alias for this expression"));
            }
        })
    }

    /// Returns the printer for arguments of a call, which print all parts of a name.
    fn full(self) -> Printer {
        if self.names == Names::Last { Printer { names: Names::Full } } else { self }
    }

    fn call(self, call: &FunctionCall) -> Result<String> {
        let name = call.name.concat();
        if call.name.len() != 1 || call.over.is_some() || call.filter.is_some() || quoted_if_needed(&name) != name {
            return Err(refuse("a column without alias for this call"));
        }
        if let Some(operator) = name.strip_prefix("op_") {
            return Ok(format!("({} {operator} {})", self.print(&call.args[0])?, self.print(&call.args[1])?));
        }
        let args = if call.star { "*".into() } else { self.full().list(&call.args)? };
        if call.args.is_empty() && !call.star && name.starts_with("current_") {
            let bare = ["current_schema", "current_user", "current_catalog"].contains(&name.as_str());
            return if bare { Ok(name) } else { Err(refuse("a column without alias for this call")) };
        }
        Ok(format!("{name}({}{args})", if call.distinct { "DISTINCT " } else { "" }))
    }

    fn case(self, operand: Option<&Ast>, whens: &[(Ast, Ast)], otherwise: Option<&Ast>) -> Result<String> {
        let mut out = String::from("(CASE");
        if let Some(operand) = operand {
            out += &format!(" {}", self.print(operand)?);
        }
        for (when, then) in whens {
            out += &format!(" WHEN {} THEN {}", self.print(when)?, self.print(then)?);
        }
        if let Some(otherwise) = otherwise {
            out += &format!(" ELSE {}", self.print(otherwise)?);
        }
        Ok(out + " END)")
    }

    fn object(self, fields: &[(String, Ast)]) -> Result<String> {
        let mut sorted: Vec<_> = fields.iter().collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let fields = sorted.iter().map(|(key, value)| Ok(format!("{}= {}", quoted(key), self.print(value)?)));
        Ok(format!("{{{}}}", fields.collect::<Result<Vec<_>>>()?.join(", ")))
    }
}

/// Prints a query of one output and at most one plain relation. Only the printed form of these is known.
fn simple_query(query: &Query) -> Result<String> {
    let unknown = || refuse("a column without alias for this subquery");
    let QueryBody::Select(select) = &query.body else { return Err(unknown()) };
    let [Item::Expr(item, None)] = select.items.as_slice() else { return Err(unknown()) };
    let plain = query.with.is_empty() && query.order.is_empty() && query.limit.is_none() && query.offset.is_none();
    if !plain || select.distinct || select.filter.is_some() || !select.group.is_empty() || select.having.is_some() {
        return Err(unknown());
    }
    let item = match item {
        Ast::Call(call) if call.star => format!("{}(*)", call.name.concat()),
        Ast::Column(name) => name.iter().map(|p| quoted(p)).collect::<Vec<_>>().join("."),
        Ast::Int(_) => Printer { names: Names::Full }.print(item)?,
        _ => return Err(unknown()),
    };
    match &select.from {
        None => Ok(format!("SELECT {item}")),
        Some(FromItem::Relation(name)) => {
            Ok(format!("SELECT {item}FROM {}", name.iter().map(|p| quoted(p)).collect::<Vec<_>>().join(".")))
        }
        _ => Err(unknown()),
    }
}
