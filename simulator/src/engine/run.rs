//! Runs statements: one, or one per row of arguments.

mod show;

use super::ast::{Ast, FromItem, Item, Query, QueryBody, Statement};
use super::context::{Outcome, Placement, Run};
use super::dml::Missing;
use super::error::{Fault, Result, SqlError, invalid, no_function, refuse, syntax, unsupported};
use super::exec;
pub(super) use super::instance::now;
use super::instance::{Engine, EngineOptions};
use super::json::Json;
use super::session::Session;
use super::state::EngineState;
use super::types::{TEXT, Type};
use super::value::Value;
use super::{analyse, catalog, ddl, dml, parse, users};

/// The parsed body of a request.
pub(super) struct SqlRequest {
    pub(super) stmt: String,
    pub(super) args: Vec<Json>,
    pub(super) bulk: Vec<Vec<Json>>,
    /// True if `bulk_args` was given, even if empty.
    pub(super) is_bulk: bool,
}

/// Longer statements are refused.
pub(super) const LONGEST: usize = 262_144;

fn arguments(args: &[Json]) -> Result<Vec<(Value, Type)>> {
    args.iter().map(|arg| Value::of_json(arg).ok_or_else(|| refuse("an argument like this"))).collect()
}

pub(super) fn read(engine: &Engine, stmt: &str) -> Result<Statement> {
    if stmt.len() > LONGEST {
        return Err(refuse("a statement this long"));
    }
    let statement = parse::statement(stmt)?;
    version_check(&engine.options, &statement)?;
    Ok(statement)
}

/// Notes the relation that a refused statement would have made.
pub(super) fn withhold(engine: &Engine, session: &Session, sql: &str, error: &SqlError) {
    if error.is_refusal()
        && let Some(name) = parse::made(sql)
    {
        engine.state().withhold(session.schema(), &name);
    }
}

/// Checks that the version knows a statement. Before that version it is a syntax error.
pub(super) fn version_check(options: &EngineOptions, statement: &Statement) -> Result<()> {
    let since = match statement {
        Statement::DropSchema { cascade: Some(_), .. } => (6, 3),
        Statement::CreateSchema(..) | Statement::DropSchema { .. } => (6, 2),
        _ => return Ok(()),
    };
    if options.at_least(since.0, since.1) { Ok(()) } else { Err(syntax("no viable alternative at this version")) }
}

/// Returns whether a statement takes rows of arguments.
pub(super) fn is_write(stmt: &str) -> bool {
    let first = stmt.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
    ["insert", "update", "delete"].contains(&first.as_str())
}

pub(super) fn single(engine: &Engine, session: &mut Session, body: &SqlRequest) -> Result<Outcome> {
    let statement = read(engine, &body.stmt)?;
    let args = arguments(&body.args)?;
    if parse::skips_parameters(&body.stmt)? {
        return Err(skipped(engine, session, &statement, &args));
    }
    execute(engine, session, &statement, &args).map_err(|e| parse::conversion_error(e, &body.stmt, &args))
}

/// Returns the error for a statement that has `$2` without `$1`. Unknown names count first.
fn skipped(engine: &Engine, session: &mut Session, statement: &Statement, args: &[(Value, Type)]) -> SqlError {
    if !matches!(statement, Statement::Query(_)) {
        return refuse("a write that skips a parameter");
    }
    match execute(engine, session, statement, args) {
        Err(e) if e.fault != Fault::MissingArgument => {
            if [4041, 4043, 4045].contains(&e.code) || e.is_refusal() {
                e
            } else {
                refuse("a query that skips a parameter")
            }
        }
        _ => {
            let text = "The assembled list of ParameterSymbols is invalid. Missing parameters.";
            SqlError::new(5000, "IllegalStateException", text)
        }
    }
}

/// Runs a statement with arguments of these types.
pub(super) fn execute(
    engine: &Engine,
    session: &mut Session,
    statement: &Statement,
    args: &[(Value, Type)],
) -> Result<Outcome> {
    let mut state = engine.state();
    if let Statement::SetSession(name, values) = statement {
        let values = {
            let run = Run { session, options: &engine.options, now: now(), args, parameters: None };
            let named: Vec<_> = values.iter().map(|v| (name.clone(), v.clone())).collect();
            ddl::option_values(&run.context(&state), &named)?
        };
        let values: Vec<Value> = values.into_iter().map(|v| v.1).collect();
        session.set(name, &values)?;
        return Ok(Outcome::Count(0));
    }
    let run = Run { session, options: &engine.options, now: now(), args, parameters: None };
    statement_outcome(&mut state, &run, statement)
}

pub(super) fn statement_outcome(state: &mut EngineState, run: &Run, statement: &Statement) -> Result<Outcome> {
    match statement {
        Statement::Nothing => Ok(Outcome::Rows { columns: vec![], rows: vec![] }),
        Statement::Ignored(_) => Ok(Outcome::Count(0)),
        Statement::Query(query) => select(state, run, query),
        Statement::Explain { query, analyze } => explain(state, run, query, *analyze),
        Statement::Insert(insert) => dml::insert(state, run, insert),
        Statement::Update { table, set, filter, returning } => {
            dml::update(state, run, (table, set, filter.as_ref()), returning.as_deref()).map(|o| o.0)
        }
        Statement::Delete { table, filter } => dml::delete(state, run, table, filter.as_ref()).map(|o| o.0),
        Statement::CreateTable(create) => ddl::create_table(state, run, create),
        Statement::DropTable(name, if_exists) => ddl::drop_table(state, run, name, *if_exists),
        Statement::AlterTable(name, alter) => ddl::alter(state, run, name, alter),
        Statement::CreateView { name, replace, query, .. } => ddl::create_view(state, run, name, *replace, query),
        Statement::DropView(names, if_exists) => ddl::drop_view(state, run, names, *if_exists),
        Statement::CreateSchema(name, if_not_exists) => ddl::create_schema(state, run, name, *if_not_exists),
        Statement::DropSchema { names, if_exists, cascade } => {
            ddl::drop_schema(state, run, names, *if_exists, *cascade == Some(true))
        }
        Statement::Refresh(names) => ddl::refresh(state, run, names, false),
        Statement::Optimize(names) => ddl::refresh(state, run, names, true),
        Statement::Analyze => users::check_cluster(&run.context(state), "AL").map(|()| Outcome::Count(1)),
        // Only a missing table counts as none.
        Statement::DropAbsent { if_exists: true, code, .. } => Ok(Outcome::Count(i64::from(*code != 4041))),
        Statement::DropAbsent { code, class, name, .. } => Err(SqlError::new(*code, class, name.join("."))),
        Statement::CreateUser { .. } | Statement::AlterUser { .. } | Statement::DropUser(..) | Statement::Grant(_) => {
            user_statement(state, run, statement)
        }
        Statement::SetGlobal(_) | Statement::ResetGlobal(_) => global(state, run, statement),
        Statement::Show(name) => Ok(one(name, run.session.show(name)?)),
        Statement::ShowTables(schema, pattern) => show::show_tables(state, run, schema.as_deref(), pattern.as_deref()),
        Statement::ShowSchemas(pattern) => show::show_schemas(state, run, pattern.as_deref()),
        Statement::ShowColumns(name) => show::show_columns(state, run, name),
        Statement::ShowCreate(name) => show::show_create(state, run, name),
        Statement::Kill(id) if id.len() == 36 => Err(refuse("KILL")),
        Statement::Kill(id) => Err(invalid(format!("Can not parse job ID: '{id}'"))),
        Statement::ShowAll => Err(refuse("SHOW ALL")),
        Statement::SetSession(..) => Err(refuse("SET in bulk")),
    }
}

fn one(name: &str, value: Value) -> Outcome {
    Outcome::Rows { columns: vec![(name.into(), TEXT)], rows: vec![vec![value]] }
}

/// Returns whether a query needs no more summits than there are here.
pub(super) fn fits_summits(query: &Query) -> bool {
    let QueryBody::Select(select) = &query.body else { return false };
    let Some(FromItem::Relation(name)) = &select.from else { return false };
    if *name != ["sys", "summits"] {
        return false;
    }
    let n = match &query.limit {
        Some(Ast::Int(n)) => n.parse::<usize>().unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let by_height = query.order.first().is_some_and(|o| o.descending && o.by == Ast::Column(vec!["height".into()]));
    let as_they_are = select.filter.is_none() && select.group.is_empty() && !select.distinct && query.offset.is_none();
    let plain = |item: &Item| matches!(item, Item::All(_) | Item::Expr(Ast::Column(_), _));
    let few = n <= catalog::SUMMITS && (query.order.is_empty() || by_height);
    as_they_are && few && select.items.iter().all(plain)
}

/// Returns whether a query asks about all shards of all tables together. A client can't know the bytes of all their
/// logs, so an estimate will do.
fn is_overview(query: &Query) -> bool {
    let QueryBody::Select(select) = &query.body else { return false };
    let of_shards = matches!(&select.from, Some(FromItem::Relation(name)) if *name == ["sys", "shards"]);
    of_shards && select.filter.is_none() && select.group.is_empty() && select.having.is_none()
}

fn select(state: &EngineState, run: &Run, query: &Query) -> Result<Outcome> {
    let context = |placement, estimates| {
        let context = run.context(state);
        context.summits.set(fits_summits(query));
        context.placement.set(Some(placement));
        context.estimates.set(estimates);
        context
    };
    let [first, others @ ..] = Placement::ALL;
    let estimates = is_overview(query) && analyse::query::plan(&context(first, false), query)?.is_total();
    let answer = |placement| {
        let context = context(placement, estimates);
        let plan = analyse::query::plan(&context, query)?;
        let rows = exec::run(&plan, &context, None)?;
        Ok((plan.columns, rows, context.placed.get()))
    };
    let (columns, rows, placed) = answer(first)?;
    if placed {
        for placement in others {
            if answer(placement)?.1 != rows {
                return Err(refuse("an answer that depends on the shards of rows"));
            }
        }
    }
    Ok(Outcome::Rows { columns, rows })
}

fn explain(state: &EngineState, run: &Run, statement: &Statement, analyze: bool) -> Result<Outcome> {
    let Statement::Query(query) = statement else {
        return match statement {
            Statement::CreateTable(_) => Err(unsupported("EXPLAIN is not supported for this statement")),
            _ => Err(refuse("EXPLAIN of this statement")),
        };
    };
    select(state, run, query)?;
    Err(refuse(if analyze { "EXPLAIN ANALYZE" } else { "EXPLAIN" }))
}

fn user_options(
    run: &Run,
    state: &EngineState,
    options: &[(String, super::ast::Ast)],
    user: &mut super::state::User,
) -> Result<()> {
    for (name, value) in ddl::option_values(&run.context(state), options)? {
        match (name.as_str(), value) {
            ("password", Value::Text(password)) => user.password = Some(users::digest(&password)),
            ("password", Value::Int(number)) => user.password = Some(users::digest(&number.to_string())),
            ("password", Value::Null) => user.password = None,
            ("search_path", Value::Text(path)) if !path.contains(',') => user.search_path = Some(vec![path]),
            (name, _) if super::session::is_setting(name) || name == "password" || name == "jwt" => {
                return Err(refuse(format!("the user option {name} like this")));
            }
            (name, _) => return Err(invalid(format!("Setting '{name}' is not supported"))),
        }
    }
    Ok(())
}

fn user_statement(state: &mut EngineState, run: &Run, statement: &Statement) -> Result<Outcome> {
    if let Statement::Grant(grant) = statement {
        let change = users::change(&run.context(state), grant)?;
        return users::apply(state, &grant.users, change).map(|count| Outcome::Count(count as i64));
    }
    // All users may alter themselves.
    if !matches!(statement, Statement::AlterUser { name, .. } if *name == run.session.user) {
        users::check_cluster(&run.context(state), "AL")?;
    }
    let count = match statement {
        Statement::CreateUser { name, is_role, options } => {
            let mut user = super::state::User { is_role: *is_role, ..super::state::User::default() };
            user_options(run, state, options, &mut user)?;
            users::create(state, name, user)?;
            1
        }
        Statement::AlterUser { name, options } => {
            let mut user = users::alter(state, name)?.clone();
            if user.is_role {
                return Err(unsupported("Setting a password or other properties to a ROLE is not allowed"));
            }
            user_options(run, state, options, &mut user)?;
            *users::alter(state, name)? = user;
            1
        }
        Statement::DropUser(name, if_exists) => users::drop(state, name, *if_exists)?,
        _ => return Err(refuse("this statement")),
    };
    Ok(Outcome::Count(count as i64))
}

fn global(state: &mut EngineState, run: &Run, statement: &Statement) -> Result<Outcome> {
    users::check_cluster(&run.context(state), "AL")?;
    let unknown = |name: &str| {
        // Names that CrateDB may know are refused.
        const GROUPS: [&str; 9] =
            ["stats.", "cluster.", "discovery.", "indices.", "bulk.", "gateway.", "udc.", "overload", "logger."];
        let certain = name == "cluster.name" || !GROUPS.iter().any(|g| name.starts_with(g));
        if certain {
            invalid(format!("Setting '{name}' is not supported"))
        } else {
            refuse(format!("the setting {name}"))
        }
    };
    let known = |name: &str| catalog::SETTINGS.iter().find(|s| s.0 == name).ok_or_else(|| unknown(name));
    match statement {
        Statement::SetGlobal(settings) => {
            let mut new = vec![];
            for (name, value) in ddl::option_values(&run.context(state), settings)? {
                let (name, _, ty) = known(&name)?;
                let value = match (ty, value) {
                    (Type::Integer, Value::Int(n @ 0..=1_000_000)) => Value::Int(n),
                    (Type::Boolean, Value::Bool(b)) => Value::Bool(b),
                    (Type::Boolean, Value::Text(t)) if t == "true" || t == "false" => Value::Bool(t == "true"),
                    (Type::Boolean, Value::Text(t)) => {
                        return Err(invalid(format!(
                            "Failed to parse value [{t}] as only [true] or [false] are allowed."
                        )));
                    }
                    _ => return Err(refuse(format!("this value of {name}"))),
                };
                new.push((*name, value));
            }
            state.settings.extend(new);
        }
        Statement::ResetGlobal(names) => {
            let mut gone = vec![];
            for name in names {
                let group = format!("{name}.");
                let inside: Vec<&str> =
                    catalog::SETTINGS.iter().map(|s| s.0).filter(|s| s.starts_with(&group)).collect();
                if inside.is_empty() {
                    gone.push(known(name)?.0);
                }
                gone.extend(inside);
            }
            state.settings.retain(|name, _| !gone.contains(name));
        }
        _ => return Err(refuse("this statement")),
    }
    Ok(Outcome::Count(1))
}

/// Runs a statement for every row of arguments. An error of the statement fails the request, an error of a row only the
/// row. A refusal undoes the rows before it.
pub(super) fn bulk(engine: &Engine, session: &mut Session, body: &SqlRequest) -> Result<Vec<Result<i64>>> {
    let statement = read(engine, &body.stmt)?;
    let rows = body.bulk.iter().map(|row| arguments(row)).collect::<Result<Vec<_>>>()?;
    bulk_rows(engine, session, &statement, &rows)
}

/// Runs a statement for every row of arguments of known types.
pub(super) fn bulk_rows(
    engine: &Engine,
    session: &Session,
    statement: &Statement,
    rows: &[Vec<(Value, Type)>],
) -> Result<Vec<Result<i64>>> {
    let table = match statement {
        Statement::Insert(insert) if insert.returning.is_none() => &insert.table,
        Statement::Update { table, returning: None, .. } | Statement::Delete { table, .. } => table,
        Statement::Query(_) => {
            let text = "Bulk operations for statements that return result sets is not supported";
            return Err(unsupported(text).with(Fault::BulkQuery));
        }
        _ => return Err(refuse("this statement in bulk")),
    };
    let mut state = engine.state();
    let now = now();
    let run_of = |args| Run { session, options: &engine.options, now, args, parameters: None };
    for args in rows {
        check(&mut state, &run_of(args), statement)?;
    }
    let mut copy = None;
    if let Ok((schema, name)) = state.resolve(&session.path, table) {
        copy = state.table(&schema, &name).map(|t| t.snapshot()).map(|t| (schema, name, t));
    }
    let mut out = vec![];
    for args in rows {
        match item(&mut state, &run_of(args), statement) {
            Err(e) if e.is_refusal() => {
                if let Some((schema, name, table)) = copy {
                    state.add(&schema, &name, super::state::Relation::Table(Box::new(table)));
                }
                return Err(e);
            }
            result => out.push(result),
        }
    }
    Ok(out)
}

/// Checks a bulk request without rows: only its table.
pub(super) fn bulk_of_none(engine: &Engine, session: &Session, stmt: &str) -> Result<()> {
    let statement = read(engine, stmt)?;
    let (table, operation) = match &statement {
        Statement::Insert(insert) => (&insert.table, "INSERT"),
        Statement::Update { table, .. } => (table, "UPDATE"),
        Statement::Delete { table, .. } => (table, "DELETE"),
        _ => return Err(refuse("this statement in bulk")),
    };
    let state = engine.state();
    let run = Run { session, options: &engine.options, now: now(), args: &[], parameters: None };
    dml::target(&run.context(&state), table, operation, "DML").map(drop)
}

/// Finds errors without doing anything.
fn check(state: &mut EngineState, run: &Run, statement: &Statement) -> Result<()> {
    match statement {
        Statement::Insert(insert) => dml::check_insert(&run.context(state), insert),
        Statement::Update { table, set, filter, .. } => {
            dml::check_update(&run.context(state), table, set, filter.as_ref())
        }
        Statement::Delete { table, filter } => dml::check_update(&run.context(state), table, &[], filter.as_ref()),
        _ => Err(no_function("not a write")),
    }
}

fn item(state: &mut EngineState, run: &Run, statement: &Statement) -> Result<i64> {
    let (outcome, missing) = match statement {
        Statement::Insert(insert) => (dml::insert(state, run, insert)?, Missing::Fine),
        Statement::Update { table, set, filter, .. } => dml::update(state, run, (table, set, filter.as_ref()), None)?,
        Statement::Delete { table, filter } => dml::delete(state, run, table, filter.as_ref())?,
        _ => return Err(refuse("this statement in bulk")),
    };
    match (outcome, missing) {
        (_, Missing::Document) => Err(SqlError::new(40411, "DocumentMissingException", "document missing")),
        (_, Missing::Version) => Err(SqlError::new(4092, "VersionConflictEngineException", "version conflict")),
        (Outcome::Count(count), _) => Ok(count),
        (Outcome::Rows { rows, .. }, _) => Ok(rows.len() as i64),
    }
}
