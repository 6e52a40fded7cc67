//! INSERT.

mod change;
mod names;
mod row;

pub(crate) use change::{Missing, check_update, delete, describe_update, update};

use super::analyse::{Allow, Analyser, NamedColumn, Scope};
use super::ast::{Ast, ColumnDef, Insert, Item, Name, QueryBody};
use super::cast::guess;
use super::context::{Context, Outcome, Run};
use super::error::{Result, SqlError, inaccessible, invalid, no_column, refuse, unsupported};
use super::exec;
use super::exec::Env;
use super::operators::stored;
use super::plan::{Expr, Kind};
use super::state::{EngineState, Relation};
use super::store::{Definition, Document};
use super::types::Type;
use super::value::Value;
use super::{analyse, users};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// Returns the table that a statement writes to. Other relations can't be written to.
pub(crate) fn target(context: &Context, name: &Name, operation: &str, kind: &'static str) -> Result<Arc<Definition>> {
    let (schema, table) = users::find(context, name)?;
    if (schema.as_str(), table.as_str(), operation) == ("sys", "node_checks", "UPDATE") {
        return Err(refuse("UPDATE of a system table"));
    }
    if context.state.table(&schema, &table).is_none() {
        return Err(users::masked(context, inaccessible(format!("{schema}.{table}"), operation), &schema, &table));
    }
    users::check(context, kind, &schema, &table)?;
    match context.state.relation(&schema, &table) {
        Some(Relation::Table(table)) if table.definition.closed => {
            let text = format!(
                "The relation \"{}\" doesn't support or allow {operation} operations, as it is currently closed.",
                table.definition.full_name()
            );
            Err(SqlError::new(4007, "OperationOnInaccessibleRelationException", text))
        }
        Some(Relation::Table(table)) if table.definition.write_blocked => {
            Err(inaccessible(table.definition.full_name(), operation))
        }
        Some(Relation::Table(table)) => Ok(table.definition.clone()),
        _ => Err(inaccessible(format!("{schema}.{table}"), operation)),
    }
}

/// Returns the columns of a table for its scope. The system columns share one mark.
pub(crate) fn scope_columns(definition: &Definition, system: &Rc<Cell<bool>>) -> Vec<NamedColumn> {
    let relation = vec![definition.schema.clone(), definition.name.clone()];
    let own = definition.columns.iter().map(|c| NamedColumn {
        relation: relation.clone(),
        name: c.name.clone(),
        ty: c.ty.clone(),
        system: None,
    });
    let system = exec::SYSTEM.into_iter().map(|(name, ty)| NamedColumn {
        relation: relation.clone(),
        name: name.into(),
        ty,
        system: Some(system.clone()),
    });
    own.chain(system).collect()
}

/// Makes the scope of generated columns and checks.
fn begin_scope(definition: &Definition) -> Scope<'static> {
    Scope::new(scope_columns(definition, &Rc::default()), None)
}

fn row_env<'a>(row: &'a [Value], context: &'a Context<'a>) -> Env<'a> {
    Env { row, outer: None, context }
}

/// Analyses RETURNING: names, types and expressions over the written row.
pub(crate) struct Returning {
    columns: Vec<(String, Type)>,
    exprs: Vec<Expr>,
    system: bool,
}

pub(crate) fn returning(
    context: &Context,
    definition: &Definition,
    items: Option<&[Item]>,
) -> Result<Option<Returning>> {
    let Some(items) = items else { return Ok(None) };
    let used = Rc::new(Cell::new(false));
    let scope = Scope::new(scope_columns(definition, &used), None);
    let analyser = Analyser { allow: Allow::Constants, ..Analyser::new(context, &scope) };
    let (mut columns, mut exprs) = (vec![], vec![]);
    for item in items {
        match item {
            Item::All(None) => {
                for column in &definition.columns {
                    let e = analyser.expr(&Ast::Column(vec![column.name.clone()]))?;
                    columns.push((column.name.clone(), e.ty.clone()));
                    exprs.push(e);
                }
            }
            Item::All(_) => return Err(refuse("RETURNING of one relation")),
            Item::Expr(ast, alias) => {
                if matches!(ast, Ast::Subquery(_)) {
                    return Err(unsupported("Subquery not supported in this statement"));
                }
                let e = analyser.expr(ast)?;
                let name = alias.clone().map_or_else(|| names::name(ast, &e), Ok)?;
                columns.push((name, e.ty.clone()));
                exprs.push(e);
            }
        }
    }
    Ok(Some(Returning { columns, exprs, system: used.get() }))
}

impl Returning {
    pub(crate) fn columns(self) -> Vec<(String, Type)> {
        self.columns
    }

    fn row(&self, context: &Context, definition: &Definition, document: &Document) -> Result<Vec<Value>> {
        let table = context.state.table(&definition.schema, &definition.name).ok_or_else(|| refuse("no table"))?;
        let mut row = exec::row_of(table, document, self.system, false)?;
        if self.system {
            // RETURNING doesn't know the version.
            row[definition.columns.len() + 2] = Value::Null;
        }
        let env = Env { row: &row, outer: None, context };
        self.exprs.iter().map(|e| e.eval(&env)).collect()
    }
}

/// Returns the outcome of a statement that wrote these rows.
fn outcome(
    state: &EngineState,
    run: &Run,
    definition: &Definition,
    returning: Option<Returning>,
    written: &[Arc<Document>],
) -> Result<Outcome> {
    let Some(returning) = returning else { return Ok(Outcome::Count(written.len() as i64)) };
    let context = run.context(state);
    let rows = written.iter().map(|d| returning.row(&context, definition, d)).collect::<Result<_>>()?;
    Ok(Outcome::Rows { columns: returning.columns, rows })
}

/// An analysed INSERT.
struct InsertPlan {
    definition: Arc<Definition>,
    columns: Vec<usize>,
    /// Values and their types, in the order of `columns`.
    rows: Vec<Vec<(Value, Type)>>,
    /// True for one row of VALUES: its errors fail the statement.
    single: bool,
    conflict: Option<row::Conflict>,
    returning: Option<Returning>,
    added: Vec<ColumnDef>,
}

/// Inserts rows. On an error that isn't of a single row, the caller rolls back.
pub(crate) fn insert(state: &mut EngineState, run: &Run, insert: &Insert) -> Result<Outcome> {
    let plan = plan(&run.context(state), insert)?;
    let name = (plan.definition.schema.clone(), plan.definition.name.clone());
    begin(state, &name);
    let done = write(state, run, plan);
    end(state, &name, done.is_ok());
    done
}

/// Checks an INSERT of a bulk request without doing it.
pub(crate) fn check_insert(context: &Context, insert: &Insert) -> Result<()> {
    let plan = plan(context, insert)?;
    if !plan.single || plan.returning.is_some() || !plan.added.is_empty() {
        return Err(refuse("this INSERT in bulk"));
    }
    Ok(())
}

/// Returns the columns of RETURNING, if it is there. The context has parameters.
pub(crate) fn describe_insert(context: &Context, insert: &Insert) -> Result<Option<Vec<(String, Type)>>> {
    Ok(plan(context, insert)?.returning.map(Returning::columns))
}

pub(crate) fn begin(state: &mut EngineState, (schema, name): &(String, String)) {
    if let Some(table) = state.table_mut(schema, name) {
        table.begin();
    }
}

pub(crate) fn end(state: &mut EngineState, (schema, name): &(String, String), keep: bool) {
    if let Some(table) = state.table_mut(schema, name) {
        if keep { table.commit() } else { table.roll_back() }
    }
}

fn write(state: &mut EngineState, run: &Run, plan: InsertPlan) -> Result<Outcome> {
    row::add_columns(state, &plan.definition, &plan.added)?;
    let mut written = vec![];
    for values in &plan.rows {
        match row::insert(state, run, &plan.definition, &plan.columns, values, plan.conflict.as_ref()) {
            Ok(Some(document)) => written.push(document),
            Ok(None) => {}
            Err(e) if plan.single => return Err(e.error),
            Err(e) if e.silent => {}
            Err(e) => return Err(e.error),
        }
    }
    outcome(state, run, &plan.definition, plan.returning, &written)
}

fn plan(context: &Context, insert: &Insert) -> Result<InsertPlan> {
    let mut definition = target(context, &insert.table, "INSERT", "DML")?;
    let mut columns = vec![];
    let mut unknown: Vec<(usize, String)> = vec![];
    for (place, name) in insert.columns.iter().enumerate() {
        if name.starts_with('_') && definition.column(name).is_none() {
            let text = format!("\"{name}\" Cannot write to system column");
            return Err(SqlError::new(4008, "InvalidColumnNameException", text));
        }
        if insert.columns[..place].contains(name) {
            return Err(invalid(format!("column \"{name}\" specified more than once")));
        }
        match definition.column(name) {
            Some(column) => columns.push(column),
            None if definition.dynamic => {
                columns.push(definition.columns.len() + unknown.len());
                unknown.push((place, name.clone()));
            }
            None => return Err(no_column(name)),
        }
    }
    if insert.columns.is_empty() {
        columns = (0..definition.columns.len()).collect();
    }
    let (rows, single) = source(context, insert, &definition, &columns)?;
    let mut added = vec![];
    for (place, name) in unknown {
        let [row] = rows.as_slice() else { return Err(refuse("new columns by several rows")) };
        let ty = guess(&row[place].0);
        if matches!(ty, Type::Undefined | Type::Array(_)) || name.contains(['.', '[', '\'']) {
            return Err(refuse("a new column of this type or name"));
        }
        let mut new = (*definition).clone();
        row::push_column(&mut new, &name, &ty);
        definition = Arc::new(new);
        added.push(ColumnDef { name, ty, primary: false, not_null: false, default: None, generated: None });
    }
    for key in &definition.primary {
        let column = &definition.columns[*key];
        if !columns.contains(key) && column.default.is_none() && column.generated.is_none() {
            return Err(invalid(format!(
                "Column `{}` is required but is missing from the insert statement",
                column.name
            )));
        }
    }
    let conflict = row::conflict(context, &definition, insert)?;
    let returning = returning(context, &definition, insert.returning.as_deref())?;
    if conflict.is_some() && returning.is_some() {
        // CrateDB shows the default of a column that the row leaves out instead of the value that is stored.
        let hidden = |index: &usize| {
            definition.columns.get(*index).is_some_and(|c| c.default.is_some()) && !columns.contains(index)
        };
        let wrong = |e: &Expr| matches!(&e.kind, Kind::Column { index, .. } if hidden(index));
        if returning.as_ref().is_some_and(|r| r.exprs.iter().any(|e| e.any(&mut |e| wrong(e)))) {
            return Err(refuse("RETURNING of an upsert that leaves out columns with a default"));
        }
    }
    Ok(InsertPlan { definition, columns, rows, single, conflict, returning, added })
}

type Rows = Vec<Vec<(Value, Type)>>;

fn source(context: &Context, insert: &Insert, definition: &Definition, columns: &[usize]) -> Result<(Rows, bool)> {
    let mismatch = |sources: &[String]| {
        if sources.len() == columns.len() {
            return Ok(());
        }
        let targets: Vec<&str> =
            columns.iter().map(|i| definition.columns.get(*i).map_or("", |column| column.name.as_str())).collect();
        Err(invalid(format!(
            "Number of target columns ({}) of insert statement doesn't match number of source columns ({})",
            targets.join(", "),
            sources.join(", ")
        )))
    };
    let query = &insert.query;
    let plain = query.with.is_empty() && query.order.is_empty() && query.limit.is_none() && query.offset.is_none();
    if let (QueryBody::Values(rows), true) = (&query.body, plain) {
        let scope = Scope::new(vec![], None);
        let analyser = Analyser::new(context, &scope);
        let env = Env { row: &[], outer: None, context };
        let mut out = vec![];
        for row in rows {
            mismatch(&(1..=row.len()).map(|i| format!("col{i}")).collect::<Vec<_>>())?;
            let mut values = vec![];
            for (ast, column) in row.iter().zip(columns) {
                let e = analyser.expr(ast).map_err(|e| match e.code {
                    4043 | 4041 => unsupported("Columns cannot be used in this context"),
                    _ => e,
                })?;
                let e = match definition.columns.get(*column) {
                    Some(column) => stored(e, &column.ty)?,
                    None => e,
                };
                let value = if context.parameters.is_some() { Value::Null } else { e.eval(&env)? };
                values.push((value, e.ty));
            }
            out.push(values);
        }
        let single = out.len() == 1;
        return Ok((out, single));
    }
    let plan = analyse::query::plan(context, query)?;
    mismatch(&plan.columns.iter().map(|c| c.0.clone()).collect::<Vec<_>>())?;
    let rows = if context.parameters.is_some() { vec![] } else { exec::run(&plan, context, None)? };
    let typed = |row: Vec<Value>| row.into_iter().zip(plan.columns.iter().map(|c| c.1.clone())).collect();
    Ok((rows.into_iter().map(typed).collect(), false))
}
