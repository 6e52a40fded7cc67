//! Analysis of FROM: tables, views, catalogs, joins, table functions.

use super::query::plan_in;
use super::{Analyser, NamedColumn, Scope, keys};
use crate::engine::ast::{self, JoinKind, On};
use crate::engine::catalog;
use crate::engine::context::Context;
use crate::engine::error::{Result, SqlError, invalid, no_function, refuse, unsupported};
use crate::engine::exec::SYSTEM;
use crate::engine::functions;
use crate::engine::plan::{Expr, Join, Kind, Output, Plan, PlanBody, Source};
use crate::engine::session::Session;
use crate::engine::state::Relation;
use crate::engine::users;
use std::cell::Cell;
use std::rc::Rc;

/// Returns a source and its columns.
pub(super) fn plan(
    context: &Context,
    from: &ast::FromItem,
    outer: Option<&Scope>,
) -> Result<(Source, Vec<NamedColumn>)> {
    match from {
        ast::FromItem::Relation(name) => relation(context, name, outer),
        ast::FromItem::Query(_) => Err(unsupported("subquery in FROM clause must have an alias")),
        ast::FromItem::Function(name, args) => function(context, name, args, outer),
        ast::FromItem::Alias(inner, alias, names) => {
            let (source, mut columns) = match &**inner {
                ast::FromItem::Query(query) => derived(plan_in(context, query, outer)?),
                inner => plan(context, inner, outer)?,
            };
            let shown = columns.iter().filter(|c| c.system.is_none()).count();
            if names.len() > shown {
                return Err(refuse("more column aliases than columns"));
            }
            let set_function = matches!(source, Source::Function(..)) && shown == 1;
            for (i, column) in columns.iter_mut().enumerate() {
                column.relation = vec![alias.clone()];
                if let Some(name) = names.get(i) {
                    column.name.clone_from(name);
                } else if set_function {
                    return Err(refuse("a table function's alias without column names"));
                }
            }
            Ok((source, columns))
        }
        ast::FromItem::Join { left, right, kind, on } => join(context, (left, right), *kind, on.as_ref(), outer),
    }
}

fn column(relation: &[&str], name: &str, ty: crate::engine::types::Type) -> NamedColumn {
    NamedColumn { relation: relation.iter().map(|r| (*r).to_owned()).collect(), name: name.into(), ty, system: None }
}

fn derived((plan, _): (Plan, bool)) -> (Source, Vec<NamedColumn>) {
    let columns = plan.columns.iter().map(|(name, ty)| column(&[], name, ty.clone())).collect();
    (Source::Query(Box::new(plan)), columns)
}

fn relation(context: &Context, name: &ast::Name, outer: Option<&Scope>) -> Result<(Source, Vec<NamedColumn>)> {
    if let [single] = name.as_slice()
        && let Some(found) = common_table(context, single, outer)
    {
        return found;
    }
    let (schema, table) = users::resolve(context, name, "DQL")?;
    if let Some((columns, rows)) = catalog::rows(context, &schema, &table)? {
        let columns = columns.into_iter().map(|(n, ty)| {
            let marker = (n == catalog::PARTIAL).then(Rc::default);
            NamedColumn { system: marker, ..column(&[&schema, &table], n, ty) }
        });
        let columns = columns.collect();
        return Ok((Source::Rows(Rc::new(rows)), columns));
    }
    match context.state.relation(&schema, &table) {
        Some(Relation::Table(found)) => {
            let definition = &found.definition;
            if definition.closed {
                let text = format!(
                    "The relation \"{}\" doesn't support or allow READ operations, as it is currently closed.",
                    definition.full_name()
                );
                return Err(SqlError::new(4007, "OperationOnInaccessibleRelationException", text));
            }
            let used = Rc::new(Cell::new(false));
            let mut columns: Vec<NamedColumn> =
                definition.columns.iter().map(|c| column(&[&schema, &table], &c.name, c.ty.clone())).collect();
            columns.extend(SYSTEM.into_iter().map(|(name, ty)| {
                let mut ty = ty;
                if let crate::engine::types::Type::Object(object) = &mut ty {
                    object.fields = definition
                        .columns
                        .iter()
                        .map(|c| crate::engine::types::Field { name: c.name.clone(), ty: c.ty.clone(), position: 0 })
                        .collect();
                }
                NamedColumn { system: Some(used.clone()), ..column(&[&schema, &table], name, ty) }
            }));
            Ok((Source::Table { schema, name: table, system: used, keys: None }, columns))
        }
        Some(Relation::View(view)) => {
            if !users::is_user(context.state, &view.owner) {
                return Err(users::no_role(&view.owner));
            }
            let session =
                Session { path: view.path.clone(), owner: Some(view.owner.clone()), ..context.session.clone() };
            let inner = context.with_session(&session);
            let (plan, _) = plan_in(&inner, &view.query, None)?;
            if plan.columns != view.columns {
                return Err(refuse("a view whose tables were replaced"));
            }
            let columns = view.columns.iter().map(|(n, ty)| column(&[&schema, &table], n, ty.clone())).collect();
            Ok((Source::Query(Box::new(plan)), columns))
        }
        None => Err(refuse("a relation that vanished")),
    }
}

fn common_table(context: &Context, name: &str, outer: Option<&Scope>) -> Option<Result<(Source, Vec<NamedColumn>)>> {
    let (place, query) = {
        let tables = context.common.borrow();
        let place = tables.iter().rposition(|t| t.0 == name)?;
        (place, tables[place].1.clone())
    };
    // It sees only the tables before it.
    let hidden = context.common.borrow_mut().split_off(place);
    let planned = plan_in(context, &query, outer);
    context.common.borrow_mut().extend(hidden);
    Some(planned.map(derived).map(|(source, mut columns)| {
        columns.iter_mut().for_each(|c| c.relation = vec![name.to_owned()]);
        (source, columns)
    }))
}

fn function(
    context: &Context,
    name: &ast::Name,
    args: &[ast::Ast],
    outer: Option<&Scope>,
) -> Result<(Source, Vec<NamedColumn>)> {
    let Some(set) = functions::table(name) else {
        let known = name.len() == 1 || ["pg_catalog", "information_schema", "doc"].contains(&name[0].as_str());
        return Err(if known { refuse("this function in FROM") } else { no_function("Unknown function") });
    };
    let scope = Scope::new(vec![], outer);
    let analyser = Analyser::new(context, &scope);
    let args: Vec<Expr> = args.iter().map(|arg| analyser.expr(arg)).collect::<Result<_>>()?;
    let (set, args, columns) = set(args)?;
    let relation = set.name;
    let columns = columns.into_iter().map(|(n, ty)| column(&[relation], &n, ty)).collect();
    Ok((Source::Function(set, args), columns))
}

/// Two tables of one query can't have the same name.
pub(super) fn named_twice(name: &str) -> SqlError {
    invalid(format!("\"{name}\" specified more than once in the FROM clause"))
}

fn join(
    context: &Context,
    (left, right): (&ast::FromItem, &ast::FromItem),
    kind: JoinKind,
    on: Option<&On>,
    outer: Option<&Scope>,
) -> Result<(Source, Vec<NamedColumn>)> {
    let (left, mut columns) = plan(context, left, outer)?;
    let (right, right_columns) = plan(context, right, outer)?;
    if let Some(twice) = right_columns.iter().find(|r| columns.iter().any(|l| l.relation == r.relation)) {
        return Err(named_twice(&twice.relation.join(".")));
    }
    if kind == JoinKind::Natural {
        return Err(unsupported("join criteria NaturalJoin not supported"));
    }
    for source in [&left, &right] {
        refuse_if_dirty(context, source)?;
    }
    // A joined table gives its own columns only. Marks of missing columns go to the end.
    let is_own = |c: &NamedColumn| c.system.is_none();
    let marks: Vec<NamedColumn> =
        columns.iter().chain(&right_columns).filter(|c| c.name == catalog::PARTIAL).cloned().collect();
    columns.retain(is_own);
    let widths = (columns.len(), right_columns.iter().filter(|c| is_own(c)).count());
    columns.extend(right_columns.into_iter().filter(is_own));
    columns.extend(marks);
    let mut on_expr = None;
    let on = match on {
        None => None,
        Some(On::Condition(condition)) => Some(condition.clone()),
        Some(On::Columns(names)) => Some(using(names, &columns, widths.0)?),
    };
    if let Some(on) = on {
        let scope = Scope::new(columns, outer);
        let condition = Analyser::new(context, &scope).condition(&on);
        on_expr = Some(condition.map_err(|e| if e.code == 4004 { refuse("this condition of a join") } else { e })?);
        if scope.escaped.get()
            && let Some(outer) = outer
        {
            outer.escaped.set(true);
        }
        columns = scope.columns;
    }
    let keep = match kind {
        JoinKind::Comma | JoinKind::Cross | JoinKind::Inner | JoinKind::Natural => (false, false),
        JoinKind::Left => (true, false),
        JoinKind::Right => (false, true),
        JoinKind::Full => (true, true),
    };
    let join = Join { left, right, widths, on: on_expr, outer: keep };
    Ok((Source::Join(Box::new(join)), columns))
}

/// Returns the condition of `USING`. The columns of both sides stay, under the names of their tables.
fn using(names: &[String], columns: &[NamedColumn], width: usize) -> Result<ast::Ast> {
    let (left, right) = columns.split_at(width);
    let partial = columns.iter().any(|c| c.name == catalog::PARTIAL);
    let mut equal = names.iter().map(|name| {
        let (left, right) = (common(name, left, "left", partial)?, common(name, right, "right", partial)?);
        Ok::<_, SqlError>(ast::Ast::Binary("=", Box::new(left), Box::new(right)))
    });
    let first = equal.next().ok_or_else(|| refuse("USING without columns"))??;
    let rest = equal.map(|e| e.map(|e| ast::Step("AND", e))).collect::<Result<Vec<_>>>()?;
    Ok(ast::Ast::chain(first, rest))
}

fn common(name: &str, columns: &[NamedColumn], side: &str, partial: bool) -> Result<ast::Ast> {
    let mut found = columns.iter().filter(|c| c.name == name);
    match (found.next(), found.next()) {
        (Some(column), None) => Ok(ast::Ast::Column([&column.relation[..], &[name.to_owned()]].concat())),
        (Some(_), Some(_)) => Err(invalid(format!("common column name {name} appears more than once in {side} table"))),
        (None, _) if partial => Err(refuse("this column in USING")),
        (None, _) => Err(invalid(format!("column {name} specified in USING clause does not exist in {side} table"))),
    }
}

/// Refuses a table with hidden writes: CrateDB's optimizer decides whether a joined table is searched or read by key.
fn refuse_if_dirty(context: &Context, source: &Source) -> Result<()> {
    match source {
        Source::Table { schema, name, .. } => match context.state.table(schema, name) {
            Some(table) if table.is_dirty() && !table.definition.primary.is_empty() => {
                Err(refuse("a join with a table that has writes without REFRESH"))
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Returns whether a subquery gives versions of rows. CrateDB moves conditions on them inside.
pub(super) fn has_versions(context: &Context, source: &Source) -> bool {
    fn gives(context: &Context, plan: &Plan) -> bool {
        match &plan.body {
            PlanBody::Select(select) => match &select.source {
                Source::Table { schema, name, system, .. } if system.get() => {
                    let width = context.state.table(schema, name).map_or(0, |t| t.definition.columns.len());
                    let is_version = |e: &Expr| matches!(e.kind, Kind::Column { depth: 0, index } if index >= width);
                    select.outputs.iter().any(|o| matches!(o, Output::One(e) if e.any(&mut |e| is_version(e))))
                }
                source => has_versions(context, source),
            },
            PlanBody::Union(first, more) => gives(context, first) || more.iter().any(|m| gives(context, &m.1)),
            _ => false,
        }
    }
    match source {
        Source::Query(plan) => gives(context, plan),
        Source::Join(join) => has_versions(context, &join.left) || has_versions(context, &join.right),
        _ => false,
    }
}

/// Reads a single table by key if the condition pins the whole key.
pub(super) fn pin_keys(context: &Context, source: &mut Source, filter: &Expr) -> Result<()> {
    if let Source::Table { schema, name, keys, .. } = source
        && let Some(table) = context.state.table(schema, name)
    {
        let primary = &table.definition.primary;
        *keys = match keys::versioned(Some(filter), primary, table.definition.columns.len())? {
            Some(rows) => Some(rows.into_iter().map(|row| (row.key, row.wanted)).collect()),
            None => keys::of(filter, primary).map(|keys| keys.into_iter().map(|key| (key, vec![])).collect()),
        };
        if keys.is_none() && table.is_dirty() && keys::unsure(filter, &table.definition.primary) {
            return Err(refuse("a key compared with a subquery before REFRESH"));
        }
    }
    Ok(())
}
