//! ALTER TABLE.

use super::{apply_options, check_expressions, inaccessible, new_column, number, option_values};
use crate::engine::ast::{Alter, Ast, Check, ColumnDef, Name};
use crate::engine::context::Outcome;
use crate::engine::context::Run;
use crate::engine::error::{Result, invalid, no_column, refuse, unsupported};
use crate::engine::state::{EngineState, Relation, is_builtin};
use crate::engine::store::{Definition, Table};
use crate::engine::types::{Field, Policy, Type};
use crate::engine::value::Value;
use crate::engine::{persist, users};
use std::sync::Arc;

pub(crate) fn alter(state: &mut EngineState, run: &Run, name: &Name, alter: &Alter) -> Result<Outcome> {
    let context = run.context(state);
    let (schema, table) = users::find(&context, name)?;
    if let (Some(Relation::View(_)), Alter::RenameTable(to)) = (context.state.relation(&schema, &table), alter) {
        users::check(&context, "DDL", &schema, &table)?;
        drop(context);
        return rename_view(state, &schema, &table, to);
    }
    if is_builtin(&schema, &table) || context.state.table(&schema, &table).is_none() {
        return Err(users::masked(&context, inaccessible(format!("{schema}.{table}"), "ALTER"), &schema, &table));
    }
    users::check(&context, "DDL", &schema, &table)?;
    let found = context.state.table(&schema, &table).ok_or_else(|| refuse("no table"))?;
    let mut new = (*found.definition).clone();
    if new.closed && !matches!(alter, Alter::Open(_)) {
        return Err(refuse("altering a closed table"));
    }
    let settings_only = matches!(alter, Alter::Set(_) | Alter::Reset(_));
    let used = !settings_only
        && state
            .relations
            .values()
            .flat_map(|r| r.values())
            .any(|r| matches!(r, Relation::View(v) if v.reads.contains(&(schema.clone(), table.clone()))));
    if used {
        return Err(refuse("altering a table that a view reads"));
    }
    let mut dropped = None;
    let before = new.columns.len();
    match alter {
        Alter::Add(adds) => adds.iter().try_for_each(|add| add_column(&mut new, found, add))?,
        Alter::Drop(column, if_exists) => match drop_column(&mut new, column)? {
            Some(index) => dropped = Some(index),
            None if *if_exists => return Ok(Outcome::Count(-1)),
            None => return Err(no_column(column)),
        },
        Alter::DropConstraint(name) => {
            let place = new.checks.iter().position(|c| c.name.as_ref() == Some(name));
            // The name that CrateDB gives to a key or a check isn't imitated.
            let unnamed = !new.primary.is_empty() || new.checks.iter().any(|check| check.name.is_none());
            let missing = || match unnamed {
                true => refuse("dropping this constraint"),
                false => invalid(format!("Cannot find a CHECK CONSTRAINT named [{name}]")),
            };
            new.checks.remove(place.ok_or_else(missing)?);
        }
        Alter::Rename(from, to) => rename_column(&mut new, from, to)?,
        Alter::RenameTable(to) => return rename(state, &schema, &table, to, new),
        Alter::Set(options) => apply_options(&mut new, option_values(&context, options)?)?,
        Alter::Reset(names) => {
            for name in names {
                match name.as_str() {
                    "refresh_interval" => drop(new.options.remove(name)),
                    "number_of_replicas" => new.replicas = "0-1".into(),
                    "blocks.write" => new.write_blocked = false,
                    _ => return Err(refuse(format!("RESET of {name}"))),
                }
            }
        }
        Alter::Open(open) => new.closed = !open,
    }
    check_expressions(&context, &new)?;
    persist::check(&new)?;
    drop(context);
    let added = new.columns.len().saturating_sub(before);
    let table = state.table_mut(&schema, &table).ok_or_else(|| refuse("no table"))?;
    if new.closed != table.definition.closed {
        table.refresh();
    }
    table.definition = Arc::new(new);
    if let Some(index) = dropped {
        table.rewrite(|values| drop_value(values, index));
    } else if added > 0 {
        table.rewrite(|values| values.extend(std::iter::repeat_n(Value::Null, added)));
    }
    Ok(Outcome::Count(-1))
}

fn drop_value(values: &mut Vec<Value>, index: usize) {
    values.remove(index);
}

fn add_column(
    new: &mut Definition,
    table: &Table,
    (path, column, checks): &(Vec<String>, ColumnDef, Vec<Check>),
) -> Result<()> {
    if column.generated.is_some() {
        return Err(refuse("adding a generated column"));
    }
    if column.primary {
        // CrateDB counts the rows that are visible.
        return if table.is_empty() || table.is_dirty() {
            Err(refuse("adding a key column"))
        } else {
            Err(unsupported("Cannot add a primary key column to a table that isn't empty"))
        };
    }
    if path.len() > 1 {
        return add_inner(new, path, column, checks);
    }
    if new.column(&path[0]).is_some() {
        return Err(invalid(format!("The table {} already has a column named {}", new.full_name(), path[0])));
    }
    let mut last = new.last_position;
    new.columns.push(new_column(column.clone(), &mut last)?);
    new.last_position = last;
    new.checks.extend(checks.iter().cloned());
    Ok(())
}

fn add_inner(new: &mut Definition, path: &[String], column: &ColumnDef, checks: &[Check]) -> Result<()> {
    if path.len() > 2 || !checks.is_empty() || column.default.is_some() || column.not_null {
        return Err(refuse("adding this inner column"));
    }
    let base = new.column(&path[0]).ok_or_else(|| refuse("an inner column of an unknown one"))?;
    let mut last = new.last_position + 1;
    match &mut new.columns[base].ty {
        Type::Object(object) if object.field(&path[1]).is_none() && object.policy != Policy::Ignored => {
            let mut field = Field { name: path[1].clone(), ty: column.ty.clone(), position: last };
            number(&mut field.ty, &mut last);
            object.fields.push(field);
        }
        _ => return Err(refuse("adding this inner column")),
    }
    new.last_position = last;
    Ok(())
}

fn mentions(ast: &Ast, column: &str) -> bool {
    // The printed form names every column in quotes.
    crate::engine::print::expression(ast).map_or(true, |text| text.contains(&format!("\"{column}\"")))
}

/// Returns the place of a column that nothing else needs.
fn drop_column(new: &mut Definition, column: &str) -> Result<Option<usize>> {
    let Some(index) = new.column(column) else { return Ok(None) };
    if new.primary.contains(&index) {
        return Err(unsupported(format!("Dropping column: {column} which is part of the PRIMARY KEY is not allowed")));
    }
    let needed = new.clustered_by.as_deref() == Some(column)
        || new.checks.iter().any(|c| mentions(&c.predicate, column))
        || new.columns.iter().any(|c| c.generated.as_ref().is_some_and(|g| mentions(g, column)))
        || new.columns.len() == 1;
    if needed {
        return Err(refuse("dropping a column that is needed"));
    }
    new.columns.remove(index);
    for key in &mut new.primary {
        *key -= usize::from(*key > index);
    }
    Ok(Some(index))
}

fn rename_column(new: &mut Definition, from: &str, to: &str) -> Result<()> {
    let index = new.column(from).ok_or_else(|| no_column(from))?;
    if new.column(to).is_some() {
        return Err(invalid("Cannot rename column to a name that is in use"));
    }
    super::column_name(to)?;
    let needed = new.clustered_by.as_deref() == Some(from)
        || new.checks.iter().any(|c| mentions(&c.predicate, from))
        || new.columns.iter().any(|c| c.generated.as_ref().is_some_and(|g| mentions(g, from)));
    if needed {
        return Err(refuse("renaming a column that is needed"));
    }
    new.columns[index].name = to.into();
    Ok(())
}

fn rename(state: &mut EngineState, schema: &str, table: &str, to: &str, mut new: Definition) -> Result<Outcome> {
    new_name_is_free(state, "table", schema, (table, to))?;
    if to.is_empty() || !to.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(refuse("this table name"));
    }
    let Some(Relation::Table(mut found)) = state.remove(schema, table) else { return Err(refuse("no table")) };
    new.name = to.into();
    found.definition = Arc::new(new);
    state.add(schema, to, Relation::Table(found));
    users::rename(state, schema, table, to);
    Ok(Outcome::Count(-1))
}

/// Checks that no relation has the new name of one.
fn new_name_is_free(state: &EngineState, kind: &str, schema: &str, (from, to): (&str, &str)) -> Result<()> {
    let found = match state.relation(schema, to) {
        None => return Ok(()),
        Some(Relation::Table(_)) => "table",
        Some(Relation::View(_)) => "view",
    };
    let text = format!("Cannot rename {kind} {schema}.{from} to {schema}.{to}, {found} {schema}.{to} already exists");
    Err(invalid(text))
}

/// Gives a view another name. Views that read it keep the old one.
fn rename_view(state: &mut EngineState, schema: &str, view: &str, to: &str) -> Result<Outcome> {
    new_name_is_free(state, "view", schema, (view, to))?;
    if to.is_empty() || !to.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(refuse("this view name"));
    }
    if users::has_privileges_on(state, schema, view) {
        return Err(refuse("renaming a view with privileges"));
    }
    let found = state.remove(schema, view).ok_or_else(|| refuse("no view"))?;
    state.add(schema, to, found);
    Ok(Outcome::Count(-1))
}
