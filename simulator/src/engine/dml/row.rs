//! One row on its way into a table.

use super::{begin_scope, row_env};
use crate::engine::analyse::keys::encode;
use crate::engine::analyse::{Analyser, NamedColumn, Scope};
use crate::engine::ast::{Ast, ColumnDef, Insert};
use crate::engine::cast::{cast, fit, guess, implicit};
use crate::engine::context::{Context, Run};
use crate::engine::error::{Fault, Result, SqlError, invalid, refuse};
use crate::engine::exec::{Env, points};
use crate::engine::plan::Expr;
use crate::engine::print;
use crate::engine::state::EngineState;
use crate::engine::store::{Column, Definition, Document};
use crate::engine::types::{Field, Policy, Type};
use crate::engine::value::Value;
use std::sync::Arc;

/// The deepest object or array that is stored. The file could hold deeper ones and not be read back.
const DEEPEST: usize = 24;

/// An error of one row, and whether a statement about several rows just leaves the row out.
pub(super) struct RowError {
    pub(super) error: SqlError,
    pub(super) silent: bool,
}

impl From<SqlError> for RowError {
    fn from(error: SqlError) -> Self {
        RowError { silent: !error.is_refusal(), error }
    }
}

/// The treatment of a row whose key exists: assignments, or nothing.
pub(super) struct Conflict {
    set: Vec<(usize, Vec<String>, Expr)>,
}

pub(super) fn conflict(context: &Context, definition: &Definition, insert: &Insert) -> Result<Option<Conflict>> {
    let Some(conflict) = &insert.conflict else { return Ok(None) };
    let keys: Vec<&str> = definition.primary.iter().map(|i| definition.columns[*i].name.as_str()).collect();
    if keys.is_empty() {
        return Err(refuse("ON CONFLICT without primary key"));
    }
    if !conflict.target.is_empty() || conflict.set.is_some() {
        if conflict.target.len() != keys.len() {
            let targets: Vec<String> = conflict.target.iter().map(|t| print::quoted(t)).collect();
            return Err(invalid(format!(
                "Number of conflict targets ([{}]) did not match the number of primary key columns ([{}])",
                targets.join(", "),
                keys.join(", ")
            )));
        }
        if !conflict.target.iter().all(|t| keys.contains(&t.as_str())) {
            let named = |t: &String| definition.column(t).is_some();
            if let Some(unknown) = conflict.target.iter().find(|t| !named(t)) {
                return Err(crate::engine::error::no_column(unknown));
            }
            let (targets, keys) = (conflict.target.join(", "), keys.join(", "));
            return Err(invalid(format!(
                "Conflict target ({targets}) did not match the primary key columns ([{keys}])"
            )));
        }
    }
    let Some(set) = &conflict.set else { return Ok(Some(Conflict { set: vec![] })) };
    let named = |relation: &str| {
        let relation = vec![relation.to_owned()];
        definition.columns.iter().map(move |c| NamedColumn {
            relation: relation.clone(),
            name: c.name.clone(),
            ty: c.ty.clone(),
            system: None,
        })
    };
    let columns = named("\0current").chain(named("excluded")).collect();
    let scope = Scope::new(columns, None);
    let set = assignments(&Analyser::new(context, &scope), definition, set).map_err(|e| match e.code {
        4041 => invalid("Column reference has too many parts. A column must not have a schema or a table here."),
        _ => e,
    })?;
    Ok(Some(Conflict { set }))
}

/// Columns, paths inside of them, and their new values.
pub(super) fn assignments(
    analyser: &Analyser,
    definition: &Definition,
    set: &[(Ast, Ast)],
) -> Result<Vec<(usize, Vec<String>, Expr)>> {
    let bad = |name: &str, text: &str| Err(crate::engine::error::bad_value(name, text));
    let mut out: Vec<(usize, Vec<String>, Expr)> = vec![];
    for (target, value) in set {
        let (mut path, mut at) = (vec![], target);
        while let Ast::Subscript(base, key) = at {
            let Ast::Text(key) = &**key else { return Err(refuse("setting an element of an array")) };
            path.insert(0, key.clone());
            at = base;
        }
        let Ast::Column(name) = at else { return Err(refuse("this assignment")) };
        let name = name.concat();
        let Some(column) = definition.column(&name) else {
            return match name.starts_with('_') {
                true => bad(&name, "Updating a system column is not supported"),
                false if name.contains('[') => Err(refuse("a subscript within quotes")),
                false if definition.dynamic => Err(refuse("a new column by UPDATE")),
                false => Err(crate::engine::error::no_column(name)),
            };
        };
        if definition.primary.contains(&column) {
            return bad(&name, "Updating a primary key is not supported");
        }
        if definition.clustered_by.as_ref() == Some(&name) {
            return bad(&name, "Updating a clustered-by column is not supported");
        }
        if out.iter().any(|o| o.0 == column && o.1.is_empty() && path.is_empty()) {
            return Err(invalid(format!("Target expression repeated: {name}")));
        }
        if out.iter().any(|o| o.0 == column && (o.1.is_empty() || path.is_empty())) {
            return Err(refuse("this assignment"));
        }
        let e = analyser.expr(value).map_err(|e| {
            // CrateDB finds fault with these only where there are rows.
            match e.fault {
                Fault::Aggregate(_) | Fault::Window => refuse("an aggregate or a window function in SET"),
                _ => e,
            }
        })?;
        if definition.columns[column].not_null && path.is_empty() && e.as_literal() == Some(&Value::Null) {
            return Err(invalid(format!("\"{name}\" must not be null")));
        }
        let ty = path.iter().try_fold(&definition.columns[column].ty, |ty, key| match ty {
            Type::Object(object) => object.field(key).map(|f| &f.ty),
            _ => None,
        });
        let e = match ty {
            Some(ty) => crate::engine::operators::stored(e, ty).map_err(|e| match (e.is_refusal(), value) {
                (false, Ast::Param(_)) => refuse("an argument that doesn't fit in an UPDATE"),
                (false, _) => {
                    let shown = match value {
                        Ast::Text(t) => format!(" `{}` of type `text` to `{}`", print::text(t), ty.name()),
                        _ => String::new(),
                    };
                    crate::engine::error::bad_value(&name, format!("Cannot cast expression{shown}"))
                }
                (true, _) => e,
            })?,
            None => match &definition.columns[column].ty {
                Type::Object(object) if path.len() == 1 && object.policy == Policy::Dynamic => {
                    if let Some(parameter) = e.as_open() {
                        parameter.untyped.set(true);
                    }
                    e
                }
                _ => return Err(refuse("a new inner column of this object")),
            },
        };
        out.push((column, path, e));
    }
    Ok(out)
}

/// Returns whether an assignment gives a column, or a part of it, a value.
pub(super) fn is_set(set: &[(usize, Vec<String>, Expr)], column: usize) -> bool {
    set.iter().any(|(at, ..)| *at == column)
}

/// Returns the row after its assignments, which all see the row as it was.
pub(super) fn assigned(
    set: &[(usize, Vec<String>, Expr)],
    env: &Env,
    definition: &Definition,
    old: &[Value],
) -> Result<Vec<Value>> {
    let mut row = old.to_vec();
    for (column, path, e) in set {
        let mut value = e.eval(env)?;
        if path.is_empty() {
            let ty = &definition.columns[*column].ty;
            value = convert(value, &e.ty, ty)?;
        }
        set_path(&mut row[*column], path, value)?;
    }
    Ok(row)
}

fn convert(value: Value, from: &Type, to: &Type) -> Result<Value> {
    if from.same_family(to) && !matches!(to, Type::Object(_) | Type::Array(_) | Type::Numeric(_)) {
        Ok(value)
    } else {
        implicit(&value, from, to)
    }
}

fn set_path(target: &mut Value, path: &[String], value: Value) -> Result<()> {
    let Some((key, rest)) = path.split_first() else {
        *target = value;
        return Ok(());
    };
    let Value::Object(fields) = target else { return Err(refuse("an element of an object that is null")) };
    match fields.iter_mut().find(|f| f.0 == *key) {
        Some(field) => set_path(&mut field.1, rest, value),
        None if rest.is_empty() => {
            fields.push((key.clone(), value));
            Ok(())
        }
        None => Err(refuse("an element of an object that is missing")),
    }
}

pub(super) fn insert(
    state: &mut EngineState,
    run: &Run,
    planned: &Definition,
    columns: &[usize],
    values: &[(Value, Type)],
    conflict: Option<&Conflict>,
) -> Result<Option<Arc<Document>>, RowError> {
    let table = state.table(&planned.schema, &planned.name).ok_or_else(|| refuse("no table"))?;
    let definition = table.definition.clone();
    let mut row = vec![Value::Null; definition.columns.len()];
    for ((value, from), column) in values.iter().zip(columns) {
        let ty = &definition.columns[*column].ty;
        let converted = convert(value.clone(), from, ty);
        row[*column] = converted?;
    }
    let context = run.context(state);
    for (i, column) in definition.columns.iter().enumerate() {
        if let (Some(default), false) = (&column.default, columns.contains(&i)) {
            let scope = Scope::new(vec![], None);
            let e = Analyser::new(&context, &scope).expr(default)?;
            row[i] = convert(e.eval(&Env { row: &[], outer: None, context: &context })?, &e.ty, &column.ty)?;
        }
    }
    let row = complete(&context, &definition, row, &|column| columns.contains(&column))?;
    let keys = definition.primary.iter().map(|i| &row[*i]);
    let key = if definition.primary.is_empty() { table.new_key() } else { encode(keys) };
    if let (Some(old), Some(conflict)) = (table.get(&key), conflict) {
        if conflict.set.is_empty() {
            return Ok(None);
        }
        let old = old.clone();
        let both: Vec<Value> = old.values.iter().chain(&row).cloned().collect();
        let changed =
            assigned(&conflict.set, &Env { row: &both, outer: None, context: &context }, &definition, &old.values)?;
        let changed = complete(&context, &definition, changed, &|column| is_set(&conflict.set, column))?;
        drop(context);
        return Ok(Some(store_update(state, &definition, &old, changed)?));
    }
    drop(context);
    absorb(state, &definition, &row)?;
    let table = state.table_mut(&planned.schema, &planned.name).ok_or_else(|| refuse("no table"))?;
    Ok(Some(table.insert(key, row)?))
}

pub(super) fn store_update(
    state: &mut EngineState,
    definition: &Definition,
    old: &Document,
    row: Vec<Value>,
) -> Result<Arc<Document>> {
    refuse_if_shuffled(definition)?;
    absorb(state, definition, &row)?;
    let table = state.table_mut(&definition.schema, &definition.name).ok_or_else(|| refuse("no table"))?;
    Ok(table.update(old, row))
}

/// Refuses the update of a table that is clustered by another column than the first of its key, if generated columns or
/// checks may need the key: CrateDB gives them its parts in another order.
fn refuse_if_shuffled(definition: &Definition) -> Result<()> {
    let computed = !definition.checks.is_empty() || definition.columns.iter().any(|c| c.generated.is_some());
    let routed_by = definition.clustered_by.as_deref();
    let first = definition.primary.first().map(|column| definition.columns[*column].name.as_str());
    match computed && definition.primary.len() > 1 && routed_by.is_some() && routed_by != first {
        true => Err(refuse("an update of a table clustered by a later column of its key")),
        false => Ok(()),
    }
}

/// Completes a row: generated columns, lengths, NOT NULL and CHECK. `given` says for which columns it has values.
pub(super) fn complete(
    context: &Context,
    definition: &Definition,
    mut row: Vec<Value>,
    given: &dyn Fn(usize) -> bool,
) -> Result<Vec<Value>, RowError> {
    let scope = begin_scope(definition);
    let analyser = Analyser::new(context, &scope);
    for (i, column) in definition.columns.iter().enumerate() {
        if let Some(generated) = &column.generated {
            let e = analyser.expr(generated)?;
            let value = convert(e.eval(&row_env(&row, context))?, &e.ty, &column.ty)?;
            if given(i) && !row[i].same(&value) {
                let text = format!("Given value for generated column {} does not match calculation", column.name);
                return Err(invalid(text).into());
            }
            row[i] = value;
        }
    }
    for (i, column) in definition.columns.iter().enumerate() {
        let value = std::mem::replace(&mut row[i], Value::Null);
        row[i] = fit(value, &column.ty).map_err(|e| match given(i) {
            true => e,
            // CrateDB stores a default or generated value that is too long.
            false => refuse("a value that doesn't fit, of a column that was not named"),
        })?;
        if points::is_rounded_within(&row[i], &column.ty) {
            return Err(refuse("a rounded geo_point in an object").into());
        }
        if row[i].depth() > DEEPEST {
            return Err(refuse("storing an object nested this deep").into());
        }
        if row[i].is_null() && definition.primary.contains(&i) {
            let error = invalid("A primary key value must not be NULL");
            return Err(RowError { error, silent: false });
        }
        if row[i].is_null() && column.not_null {
            return Err(invalid(format!("\"{}\" must not be null", column.name)).into());
        }
    }
    for check in &definition.checks {
        if analyser.condition(&check.predicate)?.eval(&row_env(&row, context))? == Value::Bool(false) {
            let name = check.name.as_deref().unwrap_or("");
            return Err(invalid(format!("Failed CONSTRAINT {name} CHECK")).into());
        }
    }
    Ok(row)
}

pub(super) fn add_columns(state: &mut EngineState, definition: &Definition, added: &[ColumnDef]) -> Result<()> {
    if added.is_empty() {
        return Ok(());
    }
    let table = state.table_mut(&definition.schema, &definition.name).ok_or_else(|| refuse("no table"))?;
    if !table.is_empty() {
        return Err(refuse("a new column by INSERT into a table with rows"));
    }
    let new = Arc::make_mut(&mut table.definition);
    for column in added {
        push_column(new, &column.name, &column.ty);
    }
    Ok(())
}

/// Adds a column after the others.
pub(super) fn push_column(definition: &mut Definition, name: &str, ty: &Type) {
    definition.last_position += 1;
    definition.columns.push(Column {
        name: name.into(),
        ty: ty.clone(),
        not_null: false,
        default: None,
        generated: None,
        position: definition.last_position,
    });
}

/// Adds inner columns for elements that dynamic objects don't know yet.
fn absorb(state: &mut EngineState, definition: &Definition, row: &[Value]) -> Result<()> {
    let Some(table) = state.table_mut(&definition.schema, &definition.name) else { return Err(refuse("no table")) };
    let news = row.iter().zip(&table.definition.columns).any(|(value, column)| has_news(value, &column.ty));
    if !news {
        return Ok(());
    }
    let definition = Arc::make_mut(&mut table.definition);
    let mut last = definition.last_position;
    for (value, column) in row.iter().zip(&mut definition.columns) {
        learn(value, &mut column.ty, &mut last)?;
    }
    definition.last_position = last;
    Ok(())
}

fn has_news(value: &Value, ty: &Type) -> bool {
    match (value, ty) {
        (Value::Object(fields), Type::Object(object))
            if object.policy == Policy::Dynamic || !object.fields.is_empty() =>
        {
            fields.iter().any(|(key, value)| match object.field(key) {
                Some(field) => has_news(value, &field.ty),
                None => object.policy == Policy::Dynamic && !value.is_null(),
            })
        }
        (Value::Array(items), Type::Array(of)) => items.iter().any(|item| has_news(item, of)),
        _ => false,
    }
}

fn learn(value: &Value, ty: &mut Type, last: &mut u32) -> Result<()> {
    match (value, ty) {
        (Value::Object(fields), Type::Object(object)) => {
            for (key, value) in fields {
                if let Some(field) = object.fields.iter_mut().find(|f| f.name == *key) {
                    learn(value, &mut field.ty, last)?;
                } else if object.policy == Policy::Dynamic && !value.is_null() {
                    let mut ty = guess(value);
                    if ty == Type::array(Type::Undefined)
                        || key.contains(['.', '[', '\''])
                        || matches!(ty, Type::Interval)
                    {
                        return Err(refuse("a new inner column of this type or name"));
                    }
                    *last += 1;
                    let position = *last;
                    cast(value, &ty, &ty)?;
                    learn(value, &mut ty, last)?;
                    object.fields.push(Field { name: key.clone(), ty, position });
                }
            }
            Ok(())
        }
        (Value::Array(items), Type::Array(of)) => items.iter().try_for_each(|item| learn(item, of, last)),
        _ => Ok(()),
    }
}
