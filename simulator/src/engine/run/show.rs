//! SHOW.

use super::one;
use crate::engine::context::{Outcome, Run};
use crate::engine::error::{Result, refuse};
use crate::engine::state::{EngineState, READ_ONLY, Relation};
use crate::engine::store::Definition;
use crate::engine::types::{TEXT, Type};
use crate::engine::value::Value;
use crate::engine::{ast, catalog, operators, print, users};

pub(super) fn show_tables(
    state: &EngineState,
    run: &Run,
    schema: Option<&str>,
    pattern: Option<&str>,
) -> Result<Outcome> {
    if schema.is_some_and(|schema| READ_ONLY.contains(&schema)) {
        return Err(refuse("SHOW TABLES here"));
    }
    // Without a schema, those of all schemas.
    let shown = |t: &Definition| {
        schema.is_none_or(|schema| t.schema == schema)
            && users::sees_table(state, &run.session.user, &t.schema, &t.name)
            && pattern.is_none_or(|p| operators::like(&t.name, p, Some('\\'), false).unwrap_or(false))
    };
    let mut names: Vec<&str> =
        state.tables().map(|t| &*t.definition).filter(|t| shown(t)).map(|t| t.name.as_str()).collect();
    names.sort_unstable();
    let rows = names.into_iter().map(|name| vec![Value::text(name)]).collect();
    Ok(Outcome::Rows { columns: vec![("table_name".into(), TEXT)], rows })
}

pub(super) fn show_schemas(state: &EngineState, run: &Run, pattern: Option<&str>) -> Result<Outcome> {
    let mut rows = catalog::schema_names(&run.context(state));
    if let Some(pattern) = pattern {
        rows.retain(|name| operators::like(name, pattern, Some('\\'), false).unwrap_or(false));
    }
    let rows = rows.into_iter().map(|name| vec![Value::text(name)]).collect();
    Ok(Outcome::Rows { columns: vec![("schema_name".into(), TEXT)], rows })
}

fn shown_table<'a>(state: &'a EngineState, run: &Run, name: &ast::Name) -> Result<&'a Definition> {
    let (schema, table) = users::resolve(&run.context(state), name, "DQL")?;
    state.table(&schema, &table).map(|t| &*t.definition).ok_or_else(|| refuse("SHOW of this relation"))
}

/// A name with a schema finds nothing: CrateDB looks for all of it in the current schema.
pub(super) fn show_columns(state: &EngineState, run: &Run, name: &ast::Name) -> Result<Outcome> {
    let schema = run.session.schema();
    if READ_ONLY.contains(&schema) {
        return Err(refuse("SHOW COLUMNS here"));
    }
    let found = match name.as_slice() {
        [table] if users::sees(state, &run.session.user, schema, table) => state.relation(schema, table),
        _ => None,
    };
    let mut rows: Vec<(String, Type)> = match found {
        None => vec![],
        Some(Relation::Table(table)) => catalog::named_columns(&table.definition),
        Some(Relation::View(view)) => view.columns.clone(),
    };
    if matches!(found, Some(Relation::View(_))) && rows.iter().any(|(_, ty)| matches!(ty, Type::Object(_))) {
        return Err(refuse("SHOW COLUMNS of an object of a view"));
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let rows = rows.into_iter().map(|(name, ty)| vec![Value::Text(name), Value::Text(ty.name())]).collect();
    Ok(Outcome::Rows { columns: vec![("column_name".into(), TEXT), ("data_type".into(), TEXT)], rows })
}

/// Prints the one simple form whose text is known.
pub(super) fn show_create(state: &EngineState, run: &Run, name: &ast::Name) -> Result<Outcome> {
    let t = shown_table(state, run, name)?;
    let plain = t.primary.is_empty() && t.checks.is_empty() && t.clustered_by.is_none() && t.options.is_empty();
    let columns: Vec<String> = t
        .columns
        .iter()
        .map(|c| match &c.ty {
            Type::Integer | Type::BigInt | Type::SmallInt | Type::Boolean | Type::Text(None) => {
                Some(format!("   {} {}", print::quoted(&c.name), c.ty.name().to_uppercase()))
            }
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(|| refuse("SHOW CREATE TABLE of these columns"))?;
    if !plain || t.columns.iter().any(|c| c.not_null || c.default.is_some() || c.generated.is_some()) {
        return Err(refuse("SHOW CREATE TABLE of this table"));
    }
    let text = format!(
        "CREATE TABLE IF NOT EXISTS {}.{} (\n{}\n)\nCLUSTERED INTO {} SHARDS\nWITH (\n   column_policy = '{}',\n   number_of_replicas = '{}'\n)",
        print::quoted(&t.schema),
        print::quoted(&t.name),
        columns.join(",\n"),
        t.shards,
        if t.dynamic { "dynamic" } else { "strict" },
        t.replicas
    );
    Ok(one(&format!("SHOW CREATE TABLE {}.{}", t.schema, t.name), Value::Text(text)))
}
