//! Statements that make, change and drop tables, views and schemas.

mod alter;
mod options;
mod schema;
mod view;

pub(crate) use alter::alter;
pub(crate) use options::option_values;
pub(crate) use schema::{create_schema, drop_schema};
pub(crate) use view::{create_view, drop_view};

use super::analyse::{Allow, Analyser, NamedColumn, Scope};
use super::ast::{ColumnDef, CreateTable, Name, Query};
use super::context::Outcome;
use super::context::{Context, Run};
use super::error::{Fault, Result, SqlError, inaccessible, invalid, no_relation, refuse, unsupported};
use super::operators::stored;
use super::plan::{Expr, Kind};
use super::state::{EngineState, READ_ONLY, Relation, is_builtin, split};
use super::store::{Column, Definition, Table};
use super::types::{MOST_DIGITS, Object, Type};
use super::value::{Row, Value};
use super::{analyse, cast, catalog::flat_columns, exec, persist, users};
use options::apply_options;
use std::collections::BTreeMap;

fn relation_exists(schema: &str, name: &str) -> SqlError {
    SqlError::new(4093, "RelationAlreadyExists", format!("Relation '{schema}.{name}' already exists."))
}

/// Returns schema and name of a new relation, if CrateDB allows the name.
fn new_name(context: &Context, name: &Name) -> Result<(String, String)> {
    let (schema, table) = split(name)?;
    let schema = schema.unwrap_or_else(|| context.session.schema().to_owned());
    if READ_ONLY.contains(&schema.as_str()) {
        return Err(invalid(format!("Cannot create relation in read-only schema: {schema}")));
    }
    users::check_schema(context, "DDL", &schema)?;
    if schema == "blob" || schema.is_empty() {
        return Err(refuse("a relation in this schema"));
    }
    let bad = |text: &str| {
        Err(SqlError::new(4002, "InvalidRelationName", format!("Relation name '{schema}.{table}' is invalid. {text}")))
    };
    let wrong = |part: &str| part.contains([' ', '\\', '/', ',', '|', '>', '?', '*', '<', '"']);
    if table.is_empty() {
        return bad("Name cannot be empty");
    }
    if wrong(&schema) || wrong(&table) {
        return bad("Must not contain the following characters");
    }
    if table.contains('#') || schema.contains('#') {
        return bad("Must not contain '#'");
    }
    if format!("{schema}.{table}").len() > 255 {
        return bad("Index name is too long");
    }
    if table.contains('.')
        || schema.contains('.')
        || table.starts_with(['-', '+'])
        || schema.starts_with(['-', '+', '_'])
    {
        return Err(refuse("this relation name"));
    }
    Ok((schema, table))
}

/// Checks the name of a column.
fn column_name(name: &str) -> Result<()> {
    let bad = |text: &str| Err(SqlError::new(4008, "InvalidColumnNameException", format!("\"{name}\" {text}")));
    if name.contains(['[', ']']) {
        return bad("conflicts with subscript pattern, square brackets are not allowed");
    }
    if name.contains('.') {
        return bad("contains a dot");
    }
    match name {
        "_id" | "_seq_no" | "_primary_term" | "_version" | "_doc" | "_raw" | "_score" => {
            bad("conflicts with system column")
        }
        name if name.starts_with('_') || name.is_empty() => Err(refuse(format!("the column name {name}"))),
        _ => Ok(()),
    }
}

/// Gives a column's type its positions: its own, then those inside.
pub(super) fn number(ty: &mut Type, last: &mut u32) {
    match ty {
        Type::Array(of) => number(of, last),
        Type::Object(Object { fields, .. }) => {
            for field in fields {
                *last += 1;
                field.position = *last;
                number(&mut field.ty, last);
            }
        }
        _ => {}
    }
}

/// Checks that a column can have this type here.
fn storable(ty: &Type) -> Result<()> {
    let item = if let Type::Array(of) = ty { of } else { ty };
    match item {
        Type::Interval | Type::TimeTz | Type::Regclass | Type::Date | Type::Json => {
            Err(unsupported(format!("Type `{}` does not support storage", ty.name())))
        }
        Type::Numeric(None) => {
            Err(unsupported("NUMERIC storage is only supported if precision and scale are specified"))
        }
        Type::Numeric(Some((precision, _))) if *precision > MOST_DIGITS => Err(unsupported(format!(
            "Precision for NUMERIC({precision}) is too large. Only up to {MOST_DIGITS} can be stored"
        ))),
        Type::Undefined => Err(refuse(format!("a column of type {}", ty.name()))),
        Type::Array(_) => Err(refuse("a column of nested arrays")),
        Type::Object(object) => {
            object.fields.iter().try_for_each(|f| column_name(&f.name).and_then(|()| storable(&f.ty)))
        }
        _ => Ok(()),
    }
}

pub(super) fn new_column(definition: ColumnDef, last: &mut u32) -> Result<Column> {
    column_name(&definition.name)?;
    storable(&definition.ty)?;
    *last += 1;
    let position = *last;
    let mut ty = definition.ty;
    number(&mut ty, last);
    let ColumnDef { name, not_null, default, generated, .. } = definition;
    Ok(Column { name, ty, not_null, default, generated, position })
}

/// Defaults, generated columns and checks are analysed once, for their errors.
pub(super) fn check_expressions(context: &Context, definition: &Definition) -> Result<()> {
    let nothing = Scope::new(vec![], None);
    let named = definition.columns.iter().filter(|c| c.generated.is_none()).map(|c| NamedColumn {
        relation: vec![],
        name: c.name.clone(),
        ty: c.ty.clone(),
        system: None,
    });
    let all = Scope::new(named.collect(), None);
    let definer = |scope| Analyser { context, scope, allow: Allow::Stored };
    for column in &definition.columns {
        if let (Some(_), Type::Object(_)) = (&column.default, &column.ty) {
            return Err(invalid(format!("Default values are not allowed for object columns: {}", column.name)));
        }
        if let Some(default) = &column.default {
            let default = definer(&nothing).expr(default).map_err(|e| {
                let named = definition.columns.iter().find(|c| e == super::error::no_column(&c.name));
                named.map_or(e, |named| default_of_column(&column.name, &named.name))
            })?;
            let default = stored(default, &column.ty)?;
            if default.as_literal().is_some_and(|value| cast::fit(value.clone(), &column.ty).is_err()) {
                return Err(refuse("a default that doesn't fit"));
            }
        }
        if let Some(generated) = &column.generated {
            let e = definer(&all).expr(generated).map_err(|e| {
                // A generated column may need another one; this engine doesn't order them.
                let names_generated = definition
                    .columns
                    .iter()
                    .any(|c| c.generated.is_some() && e.fault == Fault::Column(c.name.clone()));
                if e.code == 4043 && names_generated { refuse("a generated column that needs another") } else { e }
            })?;
            stored(e, &column.ty)?;
        }
    }
    for check in &definition.checks {
        let predicate = definer(&all).condition(&check.predicate);
        let Some(own) = &check.column else {
            predicate.map_err(check_error)?;
            continue;
        };
        let foreign = match &predicate {
            Ok(e) => foreign_column(e, &all, own),
            Err(e) if e.code == 4043 => unknown_column(e),
            Err(_) => None,
        };
        if let Some(foreign) = foreign {
            return Err(unsupported(format!(
                "CHECK constraint on column `{own}` cannot refer to column `{foreign}`. \
                 Use full path to refer to a sub-column or a table check constraint instead"
            )));
        }
        predicate.map_err(check_error)?;
    }
    Ok(())
}

fn default_of_column(column: &str, named: &str) -> SqlError {
    unsupported(format!(
        "Cannot reference columns in DEFAULT expression of `{column}`. \
         Maybe you wanted to use a string literal with single quotes instead: '{named}'"
    ))
}

/// CrateDB takes checks that are no conditions, such as a number. Columns can't be qualified in them.
fn check_error(e: SqlError) -> SqlError {
    match e.code {
        4004 if e.fault == Fault::Condition => refuse("a check that is no condition"),
        4041 => refuse("a qualified column in a check"),
        _ => e,
    }
}

/// Returns the name in an error about an unknown column.
fn unknown_column(e: &SqlError) -> Option<String> {
    let Fault::Column(name) = &e.fault else { return None };
    Some(name.to_owned())
}

/// Returns the column that a column's check names beside its own. A part of an object is another column.
fn foreign_column(e: &Expr, scope: &Scope, own: &str) -> Option<String> {
    match &e.kind {
        Kind::Column { index, .. } => {
            let name = &scope.columns.get(*index)?.name;
            (name != own).then(|| name.clone())
        }
        Kind::Element(base, key) if matches!(base.kind, Kind::Column { .. }) => {
            let Kind::Column { index, .. } = base.kind else { return None };
            let name = format!("{}['{key}']", scope.columns.get(index)?.name);
            (name != own).then_some(name)
        }
        _ => e.children().into_iter().find_map(|child| foreign_column(child, scope, own)),
    }
}

pub(crate) fn create_table(state: &mut EngineState, run: &Run, create: &CreateTable) -> Result<Outcome> {
    let context = run.context(state);
    let (schema, name) = new_name(&context, &create.name)?;
    let (definition, rows) = define(&context, create, &schema, &name)?;
    check_expressions(&context, &definition)?;
    // CrateDB finds all other faults first.
    if let Some(found) = state.relation(&schema, &name) {
        return match found {
            Relation::Table(_) if create.if_not_exists => Ok(Outcome::Count(0)),
            _ if create.if_not_exists => Err(refuse("IF NOT EXISTS where a view is")),
            _ => Err(relation_exists(&schema, &name)),
        };
    }
    persist::check(&definition)?;
    drop(context);
    let mut table = Table::new(definition);
    let count = if create.query.is_some() { rows.len() as i64 } else { 1 };
    for row in rows {
        let key = table.new_key();
        table.insert(key, row)?;
    }
    state.add(&schema, &name, Relation::Table(Box::new(table)));
    Ok(Outcome::Count(count))
}

fn define(context: &Context, create: &CreateTable, schema: &str, name: &str) -> Result<(Definition, Vec<Row>)> {
    let mut definition = Definition {
        schema: schema.into(),
        name: name.into(),
        columns: vec![],
        primary: vec![],
        checks: create.checks.clone(),
        clustered_by: None,
        shards: 4,
        replicas: "0-1".into(),
        options: BTreeMap::new(),
        dynamic: false,
        last_position: 0,
        write_blocked: false,
        closed: false,
    };
    if let Some((like, defaults, constraints)) = &create.like {
        copy(context, &mut definition, like, *defaults, *constraints)?;
        return Ok((definition, vec![]));
    }
    if let Some(query) = &create.query {
        let rows = from_query(context, &mut definition, query)?;
        return Ok((definition, rows));
    }
    let mut last = 0;
    for column in &create.columns {
        if definition.column(&column.name).is_some() {
            return Err(invalid(format!("column \"{}\" specified more than once", column.name)));
        }
        if column.generated.is_some() && column.default.is_some() {
            return Err(refuse("a generated column with a default"));
        }
        definition.columns.push(new_column(column.clone(), &mut last)?);
    }
    definition.last_position = last;
    let names = || create.checks.iter().filter_map(|check| check.name.as_ref());
    if let Some((_, twice)) = names().enumerate().find(|(i, name)| names().take(*i).any(|other| other == *name)) {
        return Err(invalid(format!("a check constraint of the same name is already declared [{twice}]")));
    }
    keys(&mut definition, create)?;
    shards(context, &mut definition, create)?;
    apply_options(&mut definition, option_values(context, &create.options)?)?;
    if definition.write_blocked {
        return Err(refuse("a new table that is blocked"));
    }
    Ok((definition, vec![]))
}

fn keys(definition: &mut Definition, create: &CreateTable) -> Result<()> {
    let marked: Vec<String> = create.columns.iter().filter(|c| c.primary).map(|c| c.name.clone()).collect();
    if !marked.is_empty() && !create.primary.is_empty() {
        return Err(refuse("two primary keys"));
    }
    let names = if marked.is_empty() { create.primary.clone() } else { marked };
    for name in names {
        let column = definition.column(&name).ok_or_else(|| super::error::no_column(&name))?;
        let ty = &definition.columns[column].ty;
        let fits = ty.is_integer()
            || matches!(
                ty,
                Type::Text(_) | Type::Timestamp | Type::TimestampTz | Type::Boolean | Type::Uuid | Type::Ip
            );
        match ty {
            Type::Object(_) => return Err(unsupported("Cannot use columns of type \"object\" as primary key")),
            Type::Array(_) => {
                let text = format!("Cannot use column \"{name}\" with type \"{}\" as primary key", ty.name());
                return Err(unsupported(text));
            }
            _ if definition.primary.contains(&column) => {
                return Err(invalid(format!("Columns `{name}` appears twice in primary key constraint")));
            }
            _ if !fits => return Err(refuse("this primary key")),
            _ => {}
        }
        definition.primary.push(column);
    }
    Ok(())
}

fn shards(context: &Context, definition: &mut Definition, create: &CreateTable) -> Result<()> {
    if let Some(by) = &create.clustered_by {
        let column = definition.column(by).ok_or_else(|| super::error::no_column(by))?;
        if !definition.primary.is_empty() && !definition.primary.contains(&column) {
            let keys: Vec<&str> = definition.primary.iter().map(|key| definition.columns[*key].name.as_str()).collect();
            let keys = keys.join(", ");
            return Err(invalid(format!("Clustered by column `{by}` must be part of primary keys: [{keys}]")));
        }
        definition.clustered_by = Some(by.clone());
    } else if let [one] = definition.primary.as_slice() {
        definition.clustered_by = Some(definition.columns[*one].name.clone());
    } else if !definition.primary.is_empty() {
        definition.clustered_by = None;
    }
    if let Some(ast) = &create.shards {
        let scope = Scope::new(vec![], None);
        definition.shards = match Analyser::new(context, &scope).expr(ast)?.as_literal() {
            Some(Value::Int(0)) => return Err(invalid("num_shards in CLUSTERED clause must be greater than 0")),
            Some(Value::Int(n @ 1..=1000)) => *n,
            _ => return Err(refuse("this number of shards")),
        };
    }
    Ok(())
}

/// `LIKE`: takes the columns of another table.
fn copy(context: &Context, definition: &mut Definition, like: &Name, defaults: bool, constraints: bool) -> Result<()> {
    let (schema, name) = users::resolve(context, like, "DQL")?;
    let Some(table) = context.state.table(&schema, &name) else { return Err(refuse("LIKE this relation")) };
    let source = &table.definition;
    definition.columns.clone_from(&source.columns);
    // The copy has no gaps where columns were dropped.
    for column in &mut definition.columns {
        definition.last_position += 1;
        column.position = definition.last_position;
        let before = column.ty.clone();
        number(&mut column.ty, &mut definition.last_position);
        if column.ty != before && source.last_position as usize != flat_columns(source).len() {
            return Err(refuse("LIKE a table whose inner columns are not in order"));
        }
    }
    definition.shards = source.shards;
    for column in &mut definition.columns {
        if column.generated.is_some() {
            return Err(refuse("LIKE a table with generated columns"));
        }
        if !defaults {
            column.default = None;
        }
        column.not_null &= constraints;
    }
    if constraints {
        definition.primary.clone_from(&source.primary);
        definition.checks.clone_from(&source.checks);
        definition.clustered_by.clone_from(&source.clustered_by);
    }
    Ok(())
}

fn from_query(context: &Context, definition: &mut Definition, query: &Query) -> Result<Vec<Row>> {
    let plan = analyse::query::plan(context, query)?;
    let mut last = 0;
    for (name, ty) in &plan.columns {
        let column = ColumnDef {
            name: name.clone(),
            ty: ty.clone(),
            primary: false,
            not_null: false,
            default: None,
            generated: None,
        };
        if definition.column(name).is_some() || matches!(ty, Type::Object(_)) {
            return Err(refuse("CREATE TABLE AS with these columns"));
        }
        definition.columns.push(new_column(column, &mut last)?);
    }
    definition.last_position = last;
    exec::run(&plan, context, None)
}

pub(crate) fn drop_table(state: &mut EngineState, run: &Run, name: &Name, if_exists: bool) -> Result<Outcome> {
    let context = run.context(state);
    let (schema, table) = match users::find(&context, name) {
        Err(e) if if_exists && (e.code == 4041 || e.code == 4045) => {
            let (schema, table) = split(name)?;
            users::check(&context, "DDL", schema.as_deref().unwrap_or(context.session.schema()), &table)?;
            return Ok(Outcome::Count(0));
        }
        Err(e) if e.is_refusal() => {
            // From now on it is missing here as in CrateDB.
            let (schema, table) = split(name)?;
            let path = schema.map_or_else(|| run.session.path.clone(), |schema| vec![schema]);
            drop(context);
            state.withheld.retain(|(of, other)| *other != table || !path.contains(of));
            return Err(e);
        }
        found => found?,
    };
    if state.table(&schema, &table).is_none_or(|table| table.definition.write_blocked) {
        return Err(users::masked(&context, inaccessible(format!("{schema}.{table}"), "DROP"), &schema, &table));
    }
    users::check(&context, "DDL", &schema, &table)?;
    drop(context);
    state.remove(&schema, &table);
    users::forget(state, &schema, &table);
    Ok(Outcome::Count(1))
}

/// REFRESH and OPTIMIZE; returns the number of tables.
pub(crate) fn refresh(state: &mut EngineState, run: &Run, names: &[Name], optimize: bool) -> Result<Outcome> {
    let context = run.context(state);
    let operation = if optimize { "OPTIMIZE" } else { "REFRESH" };
    let mut found = vec![];
    for name in names {
        let (schema, table) = users::find(&context, name)?;
        if is_builtin(&schema, &table) {
            return Err(users::masked(&context, inaccessible(format!("{schema}.{table}"), operation), &schema, &table));
        }
        users::check(&context, if optimize { "DDL" } else { "DQL" }, &schema, &table)?;
        match context.state.table(&schema, &table) {
            Some(t) if t.definition.closed => return Err(refuse("refreshing a closed table")),
            Some(t) if optimize && t.is_dirty() => return Err(refuse("OPTIMIZE before REFRESH")),
            Some(_) => found.push((schema, table)),
            None => return Err(refuse(format!("{operation} of a view"))),
        }
    }
    drop(context);
    let count = found.len();
    for (schema, table) in found {
        state.table_mut(&schema, &table).ok_or_else(|| no_relation(&table))?.refresh();
    }
    Ok(Outcome::Count(count as i64))
}
