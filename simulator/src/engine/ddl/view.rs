//! CREATE VIEW and DROP VIEW.

use super::{new_name, relation_exists};
use crate::engine::analyse;
use crate::engine::ast::{self, FromItem, Name, Query};
use crate::engine::context::Outcome;
use crate::engine::context::{Context, Run};
use crate::engine::error::{Result, SqlError, refuse, unsupported};
use crate::engine::print::quoted_if_needed;
use crate::engine::state::{EngineState, Relation, View, split};
use crate::engine::{persist, users};

/// Collects the relations that a query names.
fn reads(context: &Context, query: &Query, out: &mut Vec<(String, String)>) {
    fn source(context: &Context, from: &FromItem, out: &mut Vec<(String, String)>) {
        match from {
            FromItem::Relation(name) => out.extend(context.state.resolve(&context.session.path, name)),
            FromItem::Query(query) => reads(context, query, out),
            FromItem::Alias(inner, ..) => source(context, inner, out),
            FromItem::Join { left, right, .. } => [left, right].into_iter().for_each(|s| source(context, s, out)),
            FromItem::Function(..) => {}
        }
    }
    fn body(context: &Context, from: &ast::QueryBody, out: &mut Vec<(String, String)>) {
        match from {
            ast::QueryBody::Select(select) => select.from.iter().for_each(|f| source(context, f, out)),
            ast::QueryBody::Union { left, right, more, .. } => {
                [&**left, right].into_iter().chain(more.iter().map(|m| &m.1)).for_each(|b| body(context, b, out));
            }
            _ => {}
        }
    }
    query.with.iter().for_each(|(_, q)| reads(context, q, out));
    body(context, &query.body, out);
}

/// Returns whether a relation has an alias that needs quotes. CrateDB keeps it without them and reads it again.
fn has_quoted_alias(query: &Query) -> bool {
    fn source(from: &FromItem) -> bool {
        match from {
            FromItem::Alias(inner, alias, _) => quoted_if_needed(alias) != *alias || source(inner),
            FromItem::Join { left, right, .. } => source(left) || source(right),
            FromItem::Query(query) => has_quoted_alias(query),
            FromItem::Relation(_) | FromItem::Function(..) => false,
        }
    }
    matches!(&query.body, ast::QueryBody::Select(select) if select.from.as_ref().is_some_and(source))
}

pub(crate) fn create_view(
    state: &mut EngineState,
    run: &Run,
    name: &Name,
    replace: bool,
    query: &Query,
) -> Result<Outcome> {
    let context = run.context(state);
    let (schema, table) = split(name)?;
    let (schema, table) = match new_name(&context, name) {
        // Only tables need a name that can be the name of an index.
        Err(e) if e.code == 4002 && table.contains(',') => {
            (schema.unwrap_or_else(|| run.session.schema().into()), table)
        }
        name => name?,
    };
    let plan = analyse::query::plan(&context, query).map_err(|e| match e.code {
        4000 | 4006 | 4041 | 4043 | 4045 if !e.is_refusal() => {
            unsupported(format!("Invalid query used in CREATE VIEW. {}", e.message))
        }
        _ => e,
    })?;
    // CrateDB finds faults of the query first.
    match state.relation(&schema, &table) {
        Some(Relation::View(_)) if replace => {}
        Some(_) if replace => return Err(refuse("a view in place of a table")),
        Some(_) => return Err(relation_exists(&schema, &table)),
        None => {}
    }
    let mut names: Vec<&String> = plan.columns.iter().map(|c| &c.0).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < plan.columns.len() || !run.args.is_empty() {
        return Err(refuse("a view with one column name twice, or with arguments"));
    }
    if has_quoted_alias(query) {
        return Err(refuse("a view with an alias that needs quotes"));
    }
    let mut read = vec![];
    reads(&context, query, &mut read);
    drop(context);
    if read.contains(&(schema.clone(), table.clone())) {
        return Err(refuse("a view of itself"));
    }
    let view = View {
        query: query.clone(),
        columns: plan.columns,
        path: run.session.path.clone(),
        owner: run.session.user.clone(),
        reads: read,
    };
    persist::check(&view)?;
    state.add(&schema, &table, Relation::View(Box::new(view)));
    Ok(Outcome::Count(1))
}

pub(crate) fn drop_view(state: &mut EngineState, run: &Run, names: &[Name], if_exists: bool) -> Result<Outcome> {
    let context = run.context(state);
    let (mut found, mut missing) = (vec![], vec![]);
    for name in names {
        let (schema, view) = split(name)?;
        let schema = schema.unwrap_or_else(|| run.session.schema().to_owned());
        match state.relation(&schema, &view) {
            Some(Relation::View(_)) => {
                users::check(&context, "DDL", &schema, &view)?;
                found.push((schema, view));
            }
            _ => missing.push(format!("{schema}.{view}")),
        }
    }
    if !missing.is_empty() && !if_exists {
        return Err(SqlError::new(4041, "RelationsUnknown", format!("Relations not found: {}", missing.join(", "))));
    }
    drop(context);
    for (schema, view) in &found {
        state.remove(schema, view);
        users::forget(state, schema, view);
    }
    Ok(Outcome::Count(found.len() as i64))
}
