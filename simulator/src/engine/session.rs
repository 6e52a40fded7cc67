//! Sessions: the user, the search path, settings, and what a statement runs with.

use super::EngineOptions;
use super::analyse::query::CommonTables;
use super::error::{Result, invalid, refuse};
use super::expr::Parameter;
use super::state::State;
use super::types::Type;
use super::value::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// One client's session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    pub(crate) path: Vec<String>,
    pub(crate) settings: BTreeMap<&'static str, String>,
}

/// What one statement is analysed and run with.
pub(crate) struct Context<'a> {
    pub(crate) state: &'a State,
    pub(crate) session: &'a Session,
    pub(crate) options: &'a EngineOptions,
    /// Milliseconds since the epoch, the same for all of the statement.
    pub(crate) now: i64,
    pub(crate) args: &'a [(Value, Type)],
    /// Instead of `args`, while a statement is described.
    pub(crate) parameters: Option<&'a Parameters>,
    /// Rows handled so far.
    pub(crate) spent: Cell<u64>,
    /// Queries around the one being analysed.
    pub(crate) depth: Cell<usize>,
    /// Whether `sys.summits`, of which only a part is here, may be read.
    pub(crate) summits: Cell<bool>,
    /// Queries of WITH, innermost last.
    pub(crate) common: CommonTables,
}

/// The parameters of a statement that is described.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    /// What the client says of them; undefined where it doesn't.
    pub(crate) hints: Vec<Type>,
    /// Those met, by number.
    pub(crate) met: RefCell<BTreeMap<usize, Rc<Parameter>>>,
}

impl Parameters {
    pub(crate) fn get(&self, number: usize) -> Rc<Parameter> {
        let new = || {
            let ty = self.hints.get(number - 1).cloned().unwrap_or(Type::Undefined);
            Rc::new(Parameter { number, ty: RefCell::new(ty), untyped: Cell::new(false) })
        };
        self.met.borrow_mut().entry(number).or_insert_with(new).clone()
    }
}

/// What every context of a statement shares.
pub(crate) struct Run<'a> {
    pub(crate) session: &'a Session,
    pub(crate) options: &'a EngineOptions,
    pub(crate) now: i64,
    pub(crate) args: &'a [(Value, Type)],
    /// Only while a statement is described.
    pub(crate) parameters: Option<&'a Parameters>,
}

impl Run<'_> {
    pub(crate) fn context<'b>(&'b self, state: &'b State) -> Context<'b> {
        Context {
            state,
            session: self.session,
            options: self.options,
            now: self.now,
            args: self.args,
            parameters: self.parameters,
            spent: Cell::new(0),
            depth: Cell::new(0),
            summits: Cell::new(false),
            common: CommonTables::default(),
        }
    }
}

impl<'a> Context<'a> {
    pub(crate) fn with_session<'b>(&'b self, session: &'b Session) -> Context<'b> {
        Context {
            state: self.state,
            session,
            options: self.options,
            now: self.now,
            args: &[],
            parameters: None,
            spent: Cell::new(self.spent.get()),
            depth: Cell::new(self.depth.get()),
            summits: Cell::new(false),
            common: CommonTables::default(),
        }
    }
}

/// Settings this engine shows: name, default.
const SETTINGS: [(&str, &str); 11] = [
    ("application_name", ""),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO"),
    ("enable_hashjoin", "true"),
    ("error_on_unknown_object_key", "true"),
    ("max_index_keys", "32"),
    ("max_identifier_length", "255"),
    ("server_version", "14.0"),
    ("server_version_num", "140000"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0s"),
];

/// Settings of CrateDB whose values this engine doesn't keep.
fn is_known_elsewhere(name: &str) -> bool {
    name.starts_with("optimizer")
        || ["insert_select_fail_fast", "memory.operation_limit", "transaction_isolation"].contains(&name)
}

impl Session {
    pub(crate) fn new(user: &str, schema: Option<&str>) -> Session {
        Session { user: user.into(), path: vec![schema.unwrap_or("doc").into()], settings: BTreeMap::new() }
    }

    /// Where unqualified new tables go, and what `current_schema` says.
    pub(crate) fn schema(&self) -> &str {
        self.path.first().map_or("doc", String::as_str)
    }

    pub(crate) fn set(&mut self, name: &str, values: &[Value]) -> Result<()> {
        let texts: Vec<String> = values
            .iter()
            .map(|v| match v {
                Value::Text(t) => Ok(t.clone()),
                Value::Int(i) => Ok(i.to_string()),
                Value::Bool(b) => Ok(b.to_string()),
                _ => Err(refuse("this value of a setting")),
            })
            .collect::<Result<_>>()?;
        if name == "search_path" {
            if texts.iter().any(|t| t.contains(',')) {
                return Err(refuse("a comma in a schema name"));
            }
            self.path = if texts.is_empty() { vec!["doc".into()] } else { texts };
            return Ok(());
        }
        let Some((known, _)) = SETTINGS.iter().find(|s| s.0 == name) else {
            // Unknown names are accepted and forgotten.
            return if is_known_elsewhere(name) { Err(refuse(format!("SET {name}"))) } else { Ok(()) };
        };
        let [text] = texts.as_slice() else {
            return if texts.is_empty() {
                self.settings.remove(known);
                Ok(())
            } else {
                Err(refuse("several values"))
            };
        };
        let text = match *known {
            "statement_timeout" => timeout(text)?,
            "datestyle" if text.to_ascii_uppercase().starts_with("ISO") => "ISO".into(),
            "datestyle" => return Err(invalid(format!("Invalid value for parameter \"datestyle\": \"{text}\""))),
            "error_on_unknown_object_key" | "enable_hashjoin" if !["true", "false"].contains(&text.as_str()) => {
                return Err(refuse("this value of a setting"));
            }
            "application_name" | "error_on_unknown_object_key" | "enable_hashjoin" => text.clone(),
            // Accepted without effect.
            "client_encoding" | "standard_conforming_strings" => return Ok(()),
            _ => return Err(refuse(format!("SET {name}"))),
        };
        self.settings.insert(known, text);
        Ok(())
    }

    /// The value SHOW gives; None is null.
    pub(crate) fn show(&self, name: &str) -> Result<Value> {
        if name == "search_path" {
            return Ok(Value::Text(self.path.join(", ")));
        }
        if name == "transaction_isolation" {
            return Ok(Value::text("read uncommitted"));
        }
        if is_known_elsewhere(name) {
            return Err(refuse(format!("SHOW {name}")));
        }
        let Some((known, default)) = SETTINGS.iter().find(|s| s.0 == name) else {
            return Err(invalid(format!("Unknown session setting name '{name}'.")));
        };
        Ok(match self.settings.get(known) {
            Some(text) => Value::text(text),
            None if *known == "application_name" => Value::Null,
            None => Value::text(*default),
        })
    }

    /// Unknown keys of objects give null instead of an error.
    pub(crate) fn forgives_unknown_keys(&self) -> bool {
        self.settings.get("error_on_unknown_object_key").is_some_and(|v| v == "false")
    }
}

/// `5s`, `0`: the forms whose display is known.
fn timeout(text: &str) -> Result<String> {
    match text.strip_suffix('s').unwrap_or("x").parse::<u8>() {
        Ok(seconds) if seconds < 60 => Ok(format!("{seconds}s")),
        _ if text.bytes().all(|b| b.is_ascii_alphabetic()) => Err(invalid(format!("Invalid interval format: {text}"))),
        _ => Err(refuse(format!("the time-out {text}"))),
    }
}
