//! Prints queries as CrateDB does, for the definitions of views.

use super::{Names, Printer, bare, quoted};
use crate::engine::ast::{Ast, FromItem, Item, JoinKind, On, Order, Query, QueryBody, Select};
use crate::engine::error::{Result, SqlError, refuse};

fn unknown() -> SqlError {
    refuse("the text of this query")
}

/// Returns the text of a view's query.
pub(crate) fn definition(query: &Query) -> Result<String> {
    let QueryBody::Select(select) = &query.body else { return Err(unknown()) };
    if !query.with.is_empty() || !select.windows.is_empty() {
        return Err(unknown());
    }
    let mut out = items(select)?;
    if let Some(from) = &select.from {
        out += &relations(from)?;
    }
    if let Some(filter) = &select.filter {
        out += &format!("WHERE {}\n", expression(filter)?);
    }
    if !select.group.is_empty() {
        out += &format!("GROUP BY {}\n", list(&select.group, expression)?);
    }
    if let Some(having) = &select.having {
        out += &format!("HAVING {}\n", expression(having)?);
    }
    if !query.order.is_empty() {
        out += &format!("ORDER BY {}\n", list(&query.order, order)?);
    }
    for (word, count) in [("LIMIT", &query.limit), ("OFFSET", &query.offset)] {
        match count {
            None | Some(Ast::Null) => {}
            Some(Ast::Int(digits)) => out += &format!("{word} {digits}\n"),
            Some(_) => return Err(unknown()),
        }
    }
    Ok(out)
}

fn list<T>(all: &[T], print: fn(&T) -> Result<String>) -> Result<String> {
    Ok(all.iter().map(print).collect::<Result<Vec<_>>>()?.join(", "))
}

/// Puts one part on the line of its keyword, and several on lines of their own.
fn lines(keyword: &str, parts: &[String]) -> String {
    match parts {
        [one] => format!("{keyword} {one}\n"),
        all => format!("{keyword}\n {}\n", all.join("\n, ")),
    }
}

fn items(select: &Select) -> Result<String> {
    let item = |item: &Item| match item {
        Item::All(None) => Ok("*".into()),
        Item::All(Some(relation)) => Ok(format!("{}.*", relation.join("."))),
        Item::Expr(value, None) => expression(value),
        Item::Expr(value, Some(alias)) => Ok(format!("{} {}", expression(value)?, quoted(alias))),
    };
    let all = select.items.iter().map(item).collect::<Result<Vec<_>>>()?;
    Ok(lines(if select.distinct { "SELECT DISTINCT" } else { "SELECT" }, &all))
}

fn relations(from: &FromItem) -> Result<String> {
    let (mut all, mut rest) = (vec![], from);
    while let FromItem::Join { left, right, kind: JoinKind::Comma, .. } = rest {
        all.push(relation(right)?);
        rest = left;
    }
    all.push(relation(rest)?);
    all.reverse();
    Ok(lines("FROM", &all))
}

fn relation(from: &FromItem) -> Result<String> {
    match from {
        FromItem::Relation(name) => Ok(name.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(".")),
        FromItem::Alias(inner, alias, columns) if columns.is_empty() && matches!(**inner, FromItem::Relation(_)) => {
            Ok(format!("{} {alias}", relation(inner)?))
        }
        FromItem::Join { left, right, kind, on } => {
            let word = match kind {
                JoinKind::Comma | JoinKind::Natural => return Err(unknown()),
                JoinKind::Cross => "CROSS",
                JoinKind::Inner => "INNER",
                JoinKind::Left => "LEFT",
                JoinKind::Right => "RIGHT",
                JoinKind::Full => "FULL",
            };
            let on = match on {
                None => String::new(),
                Some(On::Columns(columns)) => format!(" USING ({})", columns.join(", ")),
                Some(On::Condition(condition)) => {
                    let condition = whole(condition)?;
                    if bare(condition.clone()) == condition {
                        return Err(unknown());
                    }
                    format!(" ON {condition}")
                }
            };
            Ok(format!("({}\n{word} JOIN {}{on})", relation(left)?, relation(right)?))
        }
        FromItem::Alias(..) | FromItem::Function(..) | FromItem::Query(_) => Err(unknown()),
    }
}

fn order(order: &Order) -> Result<String> {
    let way = if order.descending { "DESC" } else { "ASC" };
    let nulls = match (order.nulls_named, order.nulls_first) {
        (false, _) => "",
        (true, true) => " NULLS FIRST",
        (true, false) => " NULLS LAST",
    };
    Ok(format!("{} {way}{nulls}", expression(&order.by)?))
}

fn expression(ast: &Ast) -> Result<String> {
    whole(ast).map(bare)
}

/// Prints an expression in its parentheses.
fn whole(ast: &Ast) -> Result<String> {
    Printer { names: Names::View }.print(ast)
}
