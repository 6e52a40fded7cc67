//! Connections and their sessions, and statements that are prepared before their parameters have values.

use super::ast::{Ignored, Statement};
use super::context::{Outcome, Parameters, Placement, Run};
use super::error::{Result, SqlError, invalid, refuse};
use super::instance::Engine;
use super::session::Session;
use super::state::User;
use super::types::Type;
use super::value::Value;
use super::{analyse, dml, parse, run, users};
use std::sync::Arc;

/// One TCP connection.
#[derive(Debug)]
pub struct Connection {
    pub(crate) engine: Arc<Engine>,
    pub(crate) session: Option<Session>,
    /// The session's user as it was when the session began.
    role: Option<User>,
    /// True after a query in bulk: CrateDB's next answers are those to earlier requests.
    pub(crate) spoilt: bool,
}

/// A statement that was parsed and analysed.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    statement: Statement,
    /// Types of the parameters; undefined if unknown.
    pub(crate) parameters: Vec<Type>,
    /// Names and types of its columns; none if it gives a count.
    pub(crate) columns: Option<Vec<(String, Type)>>,
}

impl Prepared {
    /// Returns whether CrateDB delays its execution until the end of a batch.
    pub(crate) fn is_write(&self) -> bool {
        !matches!(
            self.statement,
            Statement::Nothing
                | Statement::Query(_)
                | Statement::Explain { .. }
                | Statement::SetSession(..)
                | Statement::Ignored(_)
                | Statement::Show(_)
                | Statement::ShowAll
                | Statement::ShowTables(..)
                | Statement::ShowSchemas(_)
                | Statement::ShowColumns(_)
                | Statement::ShowCreate(_)
        )
    }

    /// Returns whether it takes rows of arguments.
    pub(crate) fn takes_rows(&self) -> bool {
        matches!(self.statement, Statement::Insert(_) | Statement::Update { .. } | Statement::Delete { .. })
    }

    /// Returns its meaning for a session, if it has no effect on data.
    pub(crate) fn ignored(&self) -> Option<Ignored> {
        match self.statement {
            Statement::Ignored(ignored) => Some(ignored),
            _ => None,
        }
    }
}

impl Engine {
    /// Returns whether there is a user of this name. A role is none.
    pub(crate) fn has_user(&self, name: &str) -> bool {
        users::is_user(&self.state(), name)
    }

    /// Returns whether this is the password of a user who has one.
    pub(crate) fn knows(&self, name: &str, password: &str) -> bool {
        let state = self.state();
        let known = state.users.get(name).filter(|user| !user.is_role).and_then(|user| user.password.as_ref());
        known.is_some_and(|known| *known == users::digest(password))
    }
}

impl Engine {
    /// Opens a new connection, which is a session of its own.
    pub fn connect(self: &Arc<Self>) -> Connection {
        Connection { engine: self.clone(), session: None, role: None, spoilt: false }
    }
}

impl Connection {
    pub(crate) fn version(&self) -> &str {
        self.engine.version()
    }

    pub(crate) fn is_to(&self, engine: &Arc<Engine>) -> bool {
        Arc::ptr_eq(&self.engine, engine)
    }

    /// Begins a session as this user, unless it is the session's user, with the privileges that it had. The schema
    /// counts only when a session begins.
    pub(crate) fn open(&mut self, user: &str, schema: Option<&str>) {
        let role = self.engine.state().users.get(user).cloned();
        if self.session.as_ref().is_some_and(|s| s.user == user) && self.role == role {
            return;
        }
        let mut session = Session::new(user, schema);
        if let Some(path) = role.as_ref().and_then(|role| role.search_path.clone()) {
            session.path = path;
        }
        self.session = Some(session);
        self.role = role;
    }

    /// Sets a setting as `SET` does, but before the first statement.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match &mut self.session {
            Some(session) => session.set(name, &[Value::text(value)]),
            None => Err(refuse("no session")),
        }
    }

    /// Returns the value that SHOW gives.
    pub(crate) fn show(&self, name: &str) -> Option<String> {
        match self.session.as_ref()?.show(name) {
            Ok(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Parses statements that are separated by `;`.
    pub(crate) fn read(&self, text: &str) -> Result<Vec<Statement>> {
        check_length(text)?;
        let statements = parse::statements(text)?;
        statements.iter().try_for_each(|statement| run::version_check(&self.engine.options, statement))?;
        Ok(statements)
    }

    /// Parses one statement. `hints` are the client's types of the parameters.
    pub(crate) fn prepare(&self, text: &str, hints: &[Type]) -> Result<Prepared> {
        check_length(text)?;
        let read = run::read(&self.engine, text);
        if let (Err(e), Some(session)) = (&read, &self.session) {
            run::withhold(&self.engine, session, text, e);
        }
        self.describe(read?, hints, parse::parameters(text)?)
    }

    /// Analyses a statement with this number of parameters.
    pub(crate) fn describe(&self, statement: Statement, hints: &[Type], parameters: usize) -> Result<Prepared> {
        let Some(session) = &self.session else { return Err(refuse("no session")) };
        let open = Parameters { hints: hints.to_vec(), ..Parameters::default() };
        let options = &self.engine.options;
        let run = Run { session, options, now: run::now(), args: &[], parameters: Some(&open) };
        let mut state = self.engine.state();
        let columns = {
            let context = run.context(&state);
            match &statement {
                Statement::Query(query) => {
                    context.summits.set(run::fits_summits(query));
                    context.placement.set(Some(Placement::First));
                    Some(analyse::query::plan(&context, query)?.columns)
                }
                Statement::Insert(insert) => dml::describe_insert(&context, insert)?,
                Statement::Update { table, set, filter, returning } => {
                    dml::describe_update(&context, (table, set, filter.as_ref()), returning.as_deref())?
                }
                Statement::Delete { table, filter } => {
                    dml::check_update(&context, table, &[], filter.as_ref())?;
                    None
                }
                // An empty list of columns differs from a count.
                Statement::Nothing => Some(vec![]),
                // Their values are the properties of a user, of any type that the client says.
                Statement::CreateUser { .. } | Statement::AlterUser { .. } if is_hinted(hints, parameters) => {
                    let parameters = hints[..parameters].to_vec();
                    return Ok(Prepared { statement, parameters, columns: None });
                }
                _ if parameters > 0 => return Err(refuse("a parameter in this statement")),
                _ => None,
            }
        };
        let columns = match &statement {
            Statement::Explain { .. } => return Err(refuse("EXPLAIN")),
            Statement::Show(_)
            | Statement::ShowAll
            | Statement::ShowTables(..)
            | Statement::ShowSchemas(_)
            | Statement::ShowColumns(_)
            | Statement::ShowCreate(_) => match run::statement_outcome(&mut state, &run, &statement)? {
                Outcome::Rows { columns, .. } => Some(columns),
                Outcome::Count(_) => None,
            },
            _ => columns,
        };
        Ok(Prepared { statement, parameters: types(&open, parameters)?, columns })
    }

    /// Runs a statement with values of its parameters.
    pub(crate) fn execute(&mut self, prepared: &Prepared, values: &[Value]) -> Result<Outcome> {
        let args = arguments(prepared, values)?;
        let Connection { engine, session: Some(session), .. } = self else { return Err(refuse("no session")) };
        let outcome = run::execute(engine, session, &prepared.statement, &args)?;
        let same = match (&outcome, &prepared.columns) {
            (Outcome::Rows { columns, .. }, Some(described)) => {
                columns.len() == described.len() && columns.iter().zip(described).all(|(a, b)| a.1 == b.1)
            }
            (Outcome::Count(_), None) => true,
            _ => false,
        };
        if same { Ok(outcome) } else { Err(refuse("a result whose types follow from its parameters' values")) }
    }

    /// Runs a statement once for each row of values. An error of one row fails only that row.
    pub(crate) fn execute_rows(&self, prepared: &Prepared, rows: &[Vec<Value>]) -> Result<Vec<Result<i64, SqlError>>> {
        let rows = rows.iter().map(|row| arguments(prepared, row)).collect::<Result<Vec<_>>>()?;
        let Some(session) = &self.session else { return Err(refuse("no session")) };
        run::bulk_rows(&self.engine, session, &prepared.statement, &rows)
    }
}

/// Returns whether the client says the type of each parameter, of which there are some.
fn is_hinted(hints: &[Type], parameters: usize) -> bool {
    parameters > 0 && hints.get(..parameters).is_some_and(|hints| !hints.contains(&Type::Undefined))
}

fn check_length(text: &str) -> Result<()> {
    if text.len() > run::LONGEST { Err(refuse("a statement this long")) } else { Ok(()) }
}

fn arguments(prepared: &Prepared, values: &[Value]) -> Result<Vec<(Value, Type)>> {
    if values.len() != prepared.parameters.len() {
        return Err(refuse("another number of values than of parameters"));
    }
    Ok(values.iter().cloned().zip(prepared.parameters.iter().cloned()).collect())
}

/// Returns the types of this number of parameters. A parameter without a type is refused where CrateDB would find one.
fn types(open: &Parameters, count: usize) -> Result<Vec<Type>> {
    let met = open.met.borrow();
    if let Some((number, _)) = met.last_key_value().filter(|(number, _)| **number > count) {
        return Err(invalid(format!(
            "The query contains a parameter placeholder ${number}, but there are only {count} parameter values"
        )));
    }
    let mut out = vec![];
    for number in 1..=count {
        let Some(parameter) = met.get(&number) else {
            return Err(refuse(format!("the parameter ${number}, which isn't used")));
        };
        let ty = parameter.ty.borrow().clone();
        if ty == Type::Undefined && !parameter.untyped.get() {
            return Err(refuse(format!("the parameter ${number}, whose type isn't clear here")));
        }
        out.push(ty);
    }
    Ok(out)
}
