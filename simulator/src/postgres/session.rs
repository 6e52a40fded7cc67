//! One connection after its start-up: messages in and out, in CrateDB's order and with its states.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pgwire::messages::data::{DataRow, FieldDescription, NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, CloseComplete, Execute, Parse, ParseComplete, PortalSuspended, TARGET_TYPE_BYTE_PORTAL,
    TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::{PgWireBackendMessage as Answer, PgWireFrontendMessage as Message};

use super::failure::Failure;
use super::types::{self, UnknownOid};
use super::{input, output};
use crate::engine::{Connection, Ignored, Outcome, Prepared, Type, Value, refuse};

type Result<T> = std::result::Result<T, Failure>;

/// True if the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Message,
    End,
}

/// An open portal of a client.
#[derive(Debug)]
pub(super) struct Conversation {
    engine: Connection,
    statements: HashMap<String, Arc<PreparedStatement>>,
    portals: HashMap<String, Portal>,
    /// Writes that wait for the end of the batch.
    deferred: Vec<Deferred>,
    /// After an error nothing is done before the client synchronises.
    ignoring: bool,
    in_transaction: bool,
}

#[derive(Debug)]
struct PreparedStatement {
    text: String,
    prepared: Prepared,
}

#[derive(Clone, Debug)]
struct Portal {
    statement: Arc<PreparedStatement>,
    values: Vec<Value>,
    formats: Vec<i16>,
    state: PortalState,
}

#[derive(Clone, Debug)]
enum PortalState {
    Fresh,
    /// Rows that were not fetched yet.
    Suspended(VecDeque<Vec<Value>>),
    Done,
}

#[derive(Debug)]
struct Deferred {
    name: String,
    portal: Portal,
    limit: usize,
    /// Messages to send after its own answer.
    behind: Vec<Answer>,
}

impl Conversation {
    pub(super) fn new(engine: Connection) -> Conversation {
        Conversation {
            engine,
            statements: HashMap::new(),
            portals: HashMap::new(),
            deferred: vec![],
            ignoring: false,
            in_transaction: false,
        }
    }

    /// Answers one message.
    pub(super) fn handle(&mut self, message: Message, out: &mut Vec<Answer>) -> Next {
        if self.ignoring && !matches!(message, Message::Sync(_)) {
            return Next::Message;
        }
        let mut said = vec![];
        let done = match message {
            Message::Query(query) => {
                self.run_deferred(out);
                self.simple(&query.query, out);
                Ok(())
            }
            Message::Parse(parse) => self.parse(parse, &mut said),
            Message::Bind(bind) => self.bind(bind, &mut said),
            Message::Describe(describe) => self.describe(describe.target_type, name(describe.name), &mut said),
            Message::Execute(execute) => self.execute(execute, &mut said),
            Message::Close(close) => self.close(close.target_type, &name(close.name), &mut said),
            Message::Flush(_) => {
                self.run_deferred(out);
                Ok(())
            }
            Message::Sync(_) => {
                self.sync(out);
                Ok(())
            }
            Message::Terminate(_) => return Next::End,
            _ => Err(Failure::internal("Unsupported messageType")),
        };
        if let Err(failure) = done {
            self.ignoring = true;
            said.push(Answer::ErrorResponse(failure.response()));
        }
        // After a write that waits, everything waits: answers come in the order of their requests.
        match self.deferred.last_mut() {
            Some(last) => last.behind.extend(said),
            None => out.extend(said),
        }
        Next::Message
    }

    fn parse(&mut self, parse: Parse, out: &mut Vec<Answer>) -> Result<()> {
        let hints = parse.type_oids.iter().map(|oid| hint(*oid)).collect::<Result<Vec<_>>>()?;
        let prepared = self.engine.prepare(&parse.query, &hints)?;
        self.statements.insert(name(parse.name), Arc::new(PreparedStatement { text: parse.query, prepared }));
        out.push(Answer::ParseComplete(ParseComplete::new()));
        Ok(())
    }

    fn bind(&mut self, bind: Bind, out: &mut Vec<Answer>) -> Result<()> {
        let named = name(bind.statement_name);
        let missing = || Failure::internal(format!("No statement found with name: {named}"));
        let statement = self.statements.get(&named).cloned().ok_or_else(missing)?;
        let values = values(&statement.prepared, &bind.parameters, &bind.parameter_format_codes)?;
        let formats = bind.result_column_format_codes;
        let columns = statement.prepared.columns.as_ref().map_or(0, Vec::len);
        if formats.len() > 1 && formats.len() < columns || formats.iter().any(|format| !(0..=1).contains(format)) {
            return Err(refuse("these result formats").into());
        }
        let portal = Portal { statement, values, formats, state: PortalState::Fresh };
        self.portals.insert(name(bind.portal_name), portal);
        out.push(Answer::BindComplete(BindComplete::new()));
        Ok(())
    }

    fn describe(&self, target: u8, named: String, out: &mut Vec<Answer>) -> Result<()> {
        let (statement, formats) = match target {
            TARGET_TYPE_BYTE_STATEMENT => {
                let missing = || Failure::internal(format!("no prepared statement is named \"{named}\""));
                let statement = self.statements.get(&named).ok_or_else(missing)?;
                let oids = statement.prepared.parameters.iter().map(|ty| types::shape(ty).oid).collect();
                out.push(Answer::ParameterDescription(ParameterDescription::new(oids)));
                (statement, &[][..])
            }
            TARGET_TYPE_BYTE_PORTAL => {
                let portal = self.portal(&named)?;
                (&portal.statement, &portal.formats[..])
            }
            other => return Err(Failure::internal(format!("Unsupported type: {}", char::from(other)))),
        };
        out.push(match &statement.prepared.columns {
            Some(columns) => Answer::RowDescription(row_description(columns, formats)),
            None => Answer::NoData(NoData::new()),
        });
        Ok(())
    }

    fn portal(&self, named: &str) -> Result<&Portal> {
        self.portals.get(named).ok_or_else(|| Failure::internal(format!("Cannot find portal: {named}")))
    }

    fn execute(&mut self, execute: Execute, out: &mut Vec<Answer>) -> Result<()> {
        let named = name(execute.name);
        let portal = self.portal(&named)?.clone();
        let statement = portal.statement.clone();
        if statement.text.is_empty() {
            self.portals.remove(&named);
            out.push(Answer::EmptyQueryResponse(EmptyQueryResponse::new()));
            return Ok(());
        }
        let limit = usize::try_from(execute.max_rows).unwrap_or(0);
        if let Some(ignored) = statement.prepared.ignored() {
            self.obey(ignored);
            out.push(complete(&statement.text, 0));
            return Ok(());
        }
        if statement.prepared.is_write() {
            self.deferred.push(Deferred { name: named, portal, limit, behind: vec![] });
            return Ok(());
        }
        if !self.deferred.is_empty() {
            return Err(Failure::internal("Only write operations are allowed in Batch statements"));
        }
        self.run(&named, portal, limit, out);
        Ok(())
    }

    /// Executes a portal, or goes on with its rows. As in CrateDB, a failure does not stop what follows.
    fn run(&mut self, named: &str, mut portal: Portal, limit: usize, out: &mut Vec<Answer>) {
        match self.rows_of(&mut portal, limit, out) {
            Ok(()) => {
                if let Some(kept) = self.portals.get_mut(named) {
                    kept.state = portal.state;
                }
            }
            Err(failure) => out.push(Answer::ErrorResponse(failure.response())),
        }
    }

    fn rows_of(&mut self, portal: &mut Portal, limit: usize, out: &mut Vec<Answer>) -> Result<()> {
        let statement = portal.statement.clone();
        let mut rows = match std::mem::replace(&mut portal.state, PortalState::Done) {
            PortalState::Suspended(rows) => rows,
            PortalState::Done => return Err(refuse("executing a portal again").into()),
            PortalState::Fresh => match self.engine.execute(&statement.prepared, &portal.values)? {
                Outcome::Rows { rows, .. } => rows.into(),
                Outcome::Count(count) => {
                    out.push(complete(&statement.text, counted(count)));
                    return Ok(());
                }
            },
        };
        let columns = statement.prepared.columns.as_deref().unwrap_or(&[]);
        let batch = if limit == 0 { rows.len() } else { limit.min(rows.len()) };
        // Encoded before they are sent, so that a row that can't be encoded leaves no partial answer.
        let written = rows.drain(..batch).map(|row| data_row(&row, columns, &portal.formats));
        let written = written.collect::<Result<Vec<_>>>()?;
        out.extend(written.into_iter().map(Answer::DataRow));
        if !rows.is_empty() {
            portal.state = PortalState::Suspended(rows);
            out.push(Answer::PortalSuspended(PortalSuspended::new()));
        } else {
            out.push(complete(&statement.text, batch as i64));
        }
        Ok(())
    }

    fn sync(&mut self, out: &mut Vec<Answer>) {
        if std::mem::take(&mut self.ignoring) {
            for deferred in std::mem::take(&mut self.deferred) {
                self.portals.remove(&deferred.name);
                out.extend(deferred.behind);
            }
            return ready(TransactionStatus::Error, out);
        }
        let status = if self.in_transaction { TransactionStatus::Transaction } else { TransactionStatus::Idle };
        self.run_deferred(out);
        ready(status, out);
    }

    /// Runs the writes of a batch. The writes of one statement are one request: a row that fails gives a count, not an
    /// error.
    fn run_deferred(&mut self, out: &mut Vec<Answer>) {
        let mut waiting = std::mem::take(&mut self.deferred);
        let behind: Vec<Vec<Answer>> = waiting.iter_mut().map(|one| std::mem::take(&mut one.behind)).collect();
        let mut groups: Vec<Vec<usize>> = vec![];
        for (i, one) in waiting.iter().enumerate() {
            let text = |group: &&mut Vec<usize>| waiting[group[0]].portal.statement.text == one.portal.statement.text;
            match groups.iter_mut().find(text) {
                Some(group) => group.push(i),
                None => groups.push(vec![i]),
            }
        }
        let mut answers: Vec<Vec<Answer>> = behind.iter().map(|_| vec![]).collect();
        for group in groups {
            if let [one] = group[..] {
                let deferred = &waiting[one];
                self.run(&deferred.name, deferred.portal.clone(), deferred.limit, &mut answers[one]);
                continue;
            }
            let writes: Vec<&Deferred> = group.iter().map(|i| &waiting[*i]).collect();
            for (i, answer) in group.iter().zip(self.run_rows(&writes)) {
                answers[*i].push(answer);
            }
        }
        for (answers, behind) in answers.into_iter().zip(behind) {
            out.extend(answers);
            out.extend(behind);
        }
    }

    /// Answers each of the writes, which are of one statement.
    fn run_rows(&mut self, group: &[&Deferred]) -> Vec<Answer> {
        let statement = &group[0].portal.statement;
        let rows: Vec<Vec<Value>> = group.iter().map(|one| one.portal.values.clone()).collect();
        let done = match statement.prepared.takes_rows() && statement.prepared.columns.is_none() {
            true => self.engine.execute_rows(&statement.prepared, &rows).map_err(Failure::from),
            false => Err(refuse("this statement several times in one batch").into()),
        };
        for one in group {
            if let Some(kept) = self.portals.get_mut(&one.name) {
                kept.state = PortalState::Done;
            }
        }
        match done {
            Ok(items) => {
                let count = |item: &std::result::Result<i64, _>| item.as_ref().map_or(counted(-2), |count| *count);
                items.iter().map(|item| complete(&statement.text, count(item))).collect()
            }
            // Each of them gets the error.
            Err(failure) => group.iter().map(|_| Answer::ErrorResponse(failure.response())).collect(),
        }
    }

    fn obey(&mut self, ignored: Ignored) {
        match ignored {
            Ignored::Begin => self.in_transaction = true,
            Ignored::Commit => self.in_transaction = false,
            Ignored::DeallocateAll => self.statements.clear(),
            Ignored::DiscardAll => {
                self.statements.clear();
                self.portals.clear();
                self.deferred.clear();
                self.in_transaction = false;
            }
            Ignored::Other => {}
        }
    }

    fn close(&mut self, target: u8, named: &str, out: &mut Vec<Answer>) -> Result<()> {
        match target {
            TARGET_TYPE_BYTE_PORTAL => drop(self.portals.remove(named)),
            TARGET_TYPE_BYTE_STATEMENT => {
                if let Some(statement) = self.statements.remove(named) {
                    self.portals.retain(|_, portal| !Arc::ptr_eq(&portal.statement, &statement));
                }
            }
            other => {
                let text = format!("Invalid type: {other}, valid types are: [P, S]");
                return Err(Failure::internal(text));
            }
        }
        out.push(Answer::CloseComplete(CloseComplete::new()));
        Ok(())
    }

    /// Runs a query without parameters: any number of statements, which are all parsed before the first runs.
    fn simple(&mut self, text: &str, out: &mut Vec<Answer>) {
        if let Err(failure) = self.simple_statements(text, out) {
            out.push(Answer::ErrorResponse(failure.response()));
        }
        // Not even BEGIN changes the state.
        ready(TransactionStatus::Idle, out);
    }

    fn simple_statements(&mut self, text: &str, out: &mut Vec<Answer>) -> Result<()> {
        let statements = self.engine.read(text)?;
        if statements.is_empty() {
            out.push(Answer::EmptyQueryResponse(EmptyQueryResponse::new()));
        }
        for statement in statements {
            let prepared = self.engine.describe(statement, &[], 0)?;
            if !prepared.parameters.is_empty() {
                return Err(refuse("a parameter in a simple query").into());
            }
            let columns = prepared.columns.clone();
            let statement = Arc::new(PreparedStatement { text: text.to_owned(), prepared });
            self.statements.insert(String::new(), statement.clone());
            let mut portal = Portal { statement, values: vec![], formats: vec![], state: PortalState::Fresh };
            if let Some(ignored) = portal.statement.prepared.ignored() {
                self.obey(ignored);
                out.push(complete(text, 0));
                continue;
            }
            if let Some(columns) = &columns {
                out.push(Answer::RowDescription(row_description(columns, &[])));
            }
            self.rows_of(&mut portal, 0, out)?;
        }
        Ok(())
    }
}

fn name(name: Option<String>) -> String {
    name.unwrap_or_default()
}

fn ready(status: TransactionStatus, out: &mut Vec<Answer>) {
    out.push(Answer::ReadyForQuery(ReadyForQuery::new(status)));
}

fn hint(oid: u32) -> Result<Type> {
    types::of_oid(oid).map_err(|unknown| match unknown {
        UnknownOid::Nowhere => Failure::internal(format!("Can't map PGType with oid={oid} to Crate type")),
        UnknownOid::Elsewhere => refuse(format!("a parameter of the type with oid {oid}")).into(),
    })
}

fn values(prepared: &Prepared, given: &[Option<Bytes>], formats: &[i16]) -> Result<Vec<Value>> {
    let mut out = vec![];
    for (i, bytes) in given.iter().enumerate() {
        let Some(ty) = prepared.parameters.get(i) else {
            return Err(Failure::internal(format!("Requested parameter index exceeds the number of parameters: {i}")));
        };
        let format = match formats {
            [] => 0,
            [all] => *all,
            each => *each.get(i).ok_or_else(|| Failure::from(refuse("fewer formats than parameters")))?,
        };
        out.push(match (bytes, format) {
            (None, _) => Value::Null,
            (Some(bytes), 0 | 1) => input::read(bytes, ty, format == 1)?,
            _ => return Err(refuse("this format of a parameter").into()),
        });
    }
    if out.len() < prepared.parameters.len() {
        return Err(refuse("fewer values than parameters").into());
    }
    Ok(out)
}

fn is_binary(formats: &[i16], column: usize) -> bool {
    let format = match formats {
        [all] => Some(all),
        each => each.get(column),
    };
    format == Some(&1)
}

/// Tables and columns have no ids here: both are 0, as for a column that belongs to no table.
fn row_description(columns: &[(String, Type)], formats: &[i16]) -> RowDescription {
    let field = |(i, (name, ty)): (usize, &(String, Type))| {
        let shape = types::shape(ty);
        let format = i16::from(is_binary(formats, i));
        FieldDescription::new(name.clone(), 0, 0, shape.oid, shape.size, shape.modifier, format)
    };
    RowDescription::new(columns.iter().enumerate().map(field).collect())
}

fn data_row(row: &[Value], columns: &[(String, Type)], formats: &[i16]) -> Result<DataRow> {
    let mut data = BytesMut::new();
    for (i, (value, (_, ty))) in row.iter().zip(columns).enumerate() {
        output::write(&mut data, value, ty, is_binary(formats, i))?;
    }
    let count = i16::try_from(row.len()).map_err(|_| Failure::from(refuse("a row this wide")))?;
    Ok(DataRow::new(data, count))
}

/// Returns the count for a client: CrateDB counts unknown as -1 and failed as -2, and this protocol gets one less.
fn counted(count: i64) -> i64 {
    if count < 0 { count - 1 } else { count }
}

/// Returns the tag, which is the first word of the query.
fn complete(query: &str, count: i64) -> Answer {
    let trimmed = query.trim_matches(|c: char| c <= ' ');
    let word = trimmed.split(' ').next().unwrap_or_default().to_uppercase();
    Answer::CommandComplete(CommandComplete::new(match word.as_str() {
        "BEGIN" => word,
        "INSERT" => format!("INSERT 0 {count}"),
        _ => format!("{word} {count}"),
    }))
}

#[cfg(test)]
mod tests;
