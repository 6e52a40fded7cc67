//! UPDATE and DELETE.

use super::row::{assigned, assignments, complete, is_set, store_update};
use super::{Returning, begin, end, outcome, returning, scope_columns, target};
use crate::engine::analyse::keys::{self, unsure, versioned};
use crate::engine::analyse::query::keys_of;
use crate::engine::analyse::{Analyser, Scope};
use crate::engine::ast::{Ast, Item, Name};
use crate::engine::context::Outcome;
use crate::engine::context::{Context, Run};
use crate::engine::error::{Result, SqlError, refuse, unsupported};
use crate::engine::exec::Env;
use crate::engine::exec::row_of;
use crate::engine::plan::{Expr, Kind};
use crate::engine::state::EngineState;
use crate::engine::store::{Definition, Document};
use crate::engine::types::Type;
use crate::engine::value::Value;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// The rows that a condition picks.
struct Picked {
    documents: Vec<Arc<Document>>,
    /// True if they are named by key: their errors fail the statement.
    by_key: bool,
    /// True if they are named by version, too.
    versioned: bool,
    /// True if none of the keys exists.
    absent: bool,
}

pub(crate) fn update(
    state: &mut EngineState,
    run: &Run,
    (table, set, filter): (&Name, &[(Ast, Ast)], Option<&Ast>),
    items: Option<&[Item]>,
) -> Result<(Outcome, Missing)> {
    let context = run.context(state);
    let definition = target(&context, table, "UPDATE", "DML")?;
    let used = Rc::new(Cell::new(false));
    let scope = Scope::new(scope_columns(&definition, &used), None);
    let set = assignments(&Analyser::new(&context, &scope), &definition, set)?;
    let returning = returning(&context, &definition, items)?;
    let system = used.replace(false);
    let picked = pick(&context, &definition, &scope, &used, ("UPDATE", filter))?;
    drop(context);
    let name = (definition.schema.clone(), definition.name.clone());
    begin(state, &name);
    let done = write(state, run, &definition, &set, system, &picked, returning);
    end(state, &name, done.is_ok());
    let missing = if picked.absent && picked.by_key { Missing::Document } else { picked.missing() };
    Ok((done?, missing))
}

fn write(
    state: &mut EngineState,
    run: &Run,
    definition: &Arc<Definition>,
    set: &[(usize, Vec<String>, Expr)],
    system: bool,
    picked: &Picked,
    returning: Option<Returning>,
) -> Result<Outcome> {
    let mut written = vec![];
    for old in &picked.documents {
        let context = run.context(state);
        let table = context.state.table(&definition.schema, &definition.name).ok_or_else(|| refuse("no table"))?;
        let row = row_of(table, old, system, true)?;
        let env = Env { row: &row, outer: None, context: &context };
        let changed = assigned(set, &env, definition, &old.values)
            .and_then(|row| complete(&context, definition, row, &|column| is_set(set, column)).map_err(|e| e.error));
        let changed = match changed {
            // Rows that a search finds are left out if they fail.
            Err(e) if !picked.by_key && !e.is_refusal() => continue,
            Err(e) if picked.documents.len() > 1 && !e.is_refusal() => {
                return Err(refuse("an UPDATE that fails for one of its keys"));
            }
            changed => changed?,
        };
        drop(context);
        written.push(store_update(state, definition, old, changed)?);
    }
    outcome(state, run, definition, returning, &written)
}

/// Checks an UPDATE or, without assignments, a DELETE of a bulk request without doing it.
pub(crate) fn check_update(context: &Context, table: &Name, set: &[(Ast, Ast)], filter: Option<&Ast>) -> Result<()> {
    let definition = target(context, table, if set.is_empty() { "DELETE" } else { "UPDATE" }, "DML")?;
    let used = Rc::new(Cell::new(false));
    let scope = Scope::new(scope_columns(&definition, &used), None);
    let analyser = Analyser::new(context, &scope);
    assignments(&analyser, &definition, set)?;
    filter.map(|f| analyser.condition(f)).transpose()?;
    Ok(())
}

/// Returns the columns of RETURNING, if it is there. The context has parameters.
pub(crate) fn describe_update(
    context: &Context,
    change: (&Name, &[(Ast, Ast)], Option<&Ast>),
    items: Option<&[Item]>,
) -> Result<Option<Vec<(String, Type)>>> {
    check_update(context, change.0, change.1, change.2)?;
    let definition = target(context, change.0, "UPDATE", "DML")?;
    Ok(returning(context, &definition, items)?.map(Returning::columns))
}

/// The result of a row of a bulk request whose key did not exist.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Missing {
    Fine,
    Document,
    Version,
}

pub(crate) fn delete(
    state: &mut EngineState,
    run: &Run,
    table: &Name,
    filter: Option<&Ast>,
) -> Result<(Outcome, Missing)> {
    let context = run.context(state);
    let definition = target(&context, table, "DELETE", "DML")?;
    let used = Rc::new(Cell::new(false));
    let scope = Scope::new(scope_columns(&definition, &used), None);
    let picked = pick(&context, &definition, &scope, &used, ("DELETE", filter))?;
    drop(context);
    let table = state.table_mut(&definition.schema, &definition.name).ok_or_else(|| refuse("no table"))?;
    let mut count = 0;
    for document in &picked.documents {
        count += i64::from(table.delete(&document.key));
    }
    if picked.by_key && !picked.versioned && count == 0 {
        table.lose_count();
    }
    Ok((Outcome::Count(count), picked.missing()))
}

impl Picked {
    fn missing(&self) -> Missing {
        match (self.by_key && self.documents.is_empty(), self.versioned) {
            (false, _) => Missing::Fine,
            (true, false) => Missing::Document,
            (true, true) => Missing::Version,
        }
    }
}

fn pick(
    context: &Context,
    definition: &Definition,
    scope: &Scope,
    used: &Rc<Cell<bool>>,
    (kind, filter): (&str, Option<&Ast>),
) -> Result<Picked> {
    let filter = filter.map(|f| Analyser::new(context, scope).condition(f)).transpose()?;
    let table = context.state.table(&definition.schema, &definition.name).ok_or_else(|| refuse("no table"))?;
    let versioned = check_versions(definition, filter.as_ref(), kind)?;
    let keys = keys_of(filter.as_ref(), &definition.primary);
    let by_key = keys.is_some();
    if let (Some(filter), false, true) = (&filter, by_key, table.is_dirty())
        && unsure(filter, &definition.primary)
    {
        return Err(refuse("a key compared with a subquery before REFRESH"));
    }
    let candidates: Vec<Arc<Document>> = match keys {
        Some(keys) => keys.iter().filter_map(|key| table.get(key).cloned()).collect(),
        None => table.visible().cloned().collect(),
    };
    let absent = candidates.is_empty();
    let mut documents = vec![];
    for document in candidates {
        if let Some(filter) = &filter {
            let row = row_of(table, &document, used.get(), true)?;
            if filter.eval(&Env { row: &row, outer: None, context })? != Value::Bool(true) {
                continue;
            }
        }
        // A row that was found may have changed since, or be gone.
        documents.extend(table.get(&document.key).cloned());
    }
    Ok(Picked { documents, by_key, versioned, absent })
}

/// Checks comparisons of versions. In a change, nothing else may be compared beside them and the key.
fn check_versions(definition: &Definition, filter: Option<&Expr>, kind: &str) -> Result<bool> {
    let width = definition.columns.len();
    // CrateDB finds this out while it searches, where a deletion fails with another code.
    let searched = |error: SqlError| if kind == "DELETE" { unsupported(error.message) } else { error };
    let Some(filter) = filter else { return Ok(false) };
    let rows = versioned(Some(filter), &definition.primary, width);
    let together =
        |column: usize| filter.any(&mut |e| matches!(e.kind, Kind::Column { depth: 0, index } if index == column));
    let plain = together(width) == together(width + 1) && keys::are_plain(filter, width, false);
    let rows = rows.map_err(|e| if plain { searched(e) } else { e })?;
    if rows.is_none() {
        return Ok(false);
    }
    let columns: Vec<usize> = definition.primary.iter().copied().chain(width..width + 3).collect();
    match keys::only_compares(filter, &columns) {
        true => Ok(true),
        false => {
            let text = "versions can only be compared beside the primary key";
            Err(searched(SqlError::new(4000, "VersioningValidationException", text)))
        }
    }
}
