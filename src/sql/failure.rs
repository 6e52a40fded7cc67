//! Describes why a statement failed: what was sent to which server, the cause, and what helps.

use humantime::format_duration;
use serde::Deserialize;

use super::client::Reply;
use super::connections::HttpLimits;
use super::lexer;
use super::wallet::Credentials;
use crate::error::{Error, Kind, Refusal, root_of};
use crate::foreign;

/// Enough of a statement to recognise it.
const STATEMENT_CHARS: usize = 200;
/// Enough of a server's message to understand it; some list every column of a table.
const MESSAGE_CHARS: usize = 2000;
/// Enough of a body that isn't the expected answer.
const BODY_CHARS: usize = 500;

/// The error codes of CrateDB that this client handles.
pub(crate) mod code {
    pub(crate) const NOT_SUPPORTED: i32 = 4004;
    /// `OperationOnInaccessibleRelationException`: the table is blocked or closed.
    pub(crate) const NOT_POSSIBLE: i32 = 4007;
    pub(crate) const NOT_AUTHORISED: i32 = 4010;
    pub(crate) const MISSING_PRIVILEGE: i32 = 4011;
    pub(crate) const RELATION_UNKNOWN: i32 = 4041;
    /// `ProcessClusterEventTimeoutException`: it waited for 30 s behind more urgent tasks of the server and was not
    /// begun.
    pub(crate) const NOT_ITS_TURN: i32 = 5034;
}

/// The request for the version of a server, which is no statement.
pub(crate) const BANNER: &str = "GET /";

/// A statement as errors name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) text: &'a str,
    /// Its number, from 1, and the total, if it is one of several.
    place: Option<(usize, usize)>,
}

impl<'a> Statement<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, place: None }
    }

    /// Splits a text into its statements, each of which has its number among all.
    pub(crate) fn all(text: &'a str) -> Vec<Self> {
        let all = lexer::split(text);
        let count = all.len();
        (1..).zip(all).map(|(number, text)| Self { text, place: Some((number, count)) }).collect()
    }

    /// Makes an error that says that executing the statement failed.
    pub(crate) fn failed(&self, kind: Kind) -> Error {
        self.failed_to(kind, "execute", "")
    }

    /// Makes an error that says that some other work with the statement failed.
    pub(crate) fn failed_to(&self, kind: Kind, what: &str, how: &str) -> Error {
        let text = foreign::line(self.text, STATEMENT_CHARS);
        let attempted = match self.place {
            None => format!("cannot {what} `{text}`{how}"),
            Some((number, count)) => format!("cannot {what} statement {number} of {count}, `{text}`{how}"),
        };
        Error::new(kind, attempted)
    }

    /// Reports whether executing it twice has the same effect as executing it once, whatever happened the first time.
    pub(crate) fn only_reads(&self) -> bool {
        lexer::begins_with(self.text, &["SELECT", "SHOW", "EXPLAIN", "WITH", "VALUES", "REFRESH"])
    }
}

/// The error for a successful answer that is longer than what is read.
pub(crate) fn too_long(statement: Statement<'_>, address: &str, limits: HttpLimits) -> Error {
    let most = limits.answer >> 20;
    statement
        .failed(Kind::Decode)
        .because(format!("the answer of {address} is longer than {most} MiB, of which the rest was not read"))
        .hint("the statement was executed; read fewer rows or columns at a time")
}

/// The error for a request without a complete answer.
pub(crate) fn no_answer(cause: reqwest::Error, statement: Statement<'_>, address: &str, limits: HttpLimits) -> Error {
    if cause.is_builder() {
        return statement.failed(Kind::Usage).because("the request can't be sent").because(root_of(&cause));
    }
    let (unconnected, late) = (cause.is_connect(), cause.is_timeout());
    let why = match (unconnected, late) {
        (true, true) => format!("no connection to {address} within {}", format_duration(limits.connect)),
        (true, false) => format!("no connection to {address}"),
        (false, true) => format!("{address} said nothing for {}", format_duration(limits.silence)),
        (false, false) => format!("the connection to {address} broke before the answer was complete"),
    };
    let error = match late {
        true => statement.failed(Kind::Timeout).because(why),
        false => statement.failed(Kind::Transport).because(why).because(root_of(&cause)),
    };
    match late {
        _ if unconnected => error.hint("is the server running, and is this its HTTP address?").never_sent(),
        _ if statement.text == BANNER => error.hint("is this the HTTP address of a CrateDB server?"),
        true => {
            error.hint("it may still be executing the statement: `SELECT id, stmt FROM sys.jobs` on the server tells")
        }
        false if statement.only_reads() => error,
        false => error.hint("the statement may have been executed; it was not sent again"),
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ErrorObject {
    pub(crate) message: String,
    pub(crate) code: i32,
}

/// Reads an answer as an error of CrateDB, if it is one.
pub(crate) fn error_object(body: &[u8]) -> Option<ErrorObject> {
    serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error)
}

/// The error for an answer with the status of a refusal.
pub(crate) fn refused(
    reply: &Reply,
    statement: Statement<'_>,
    address: &str,
    schema: Option<&str>,
    credentials: &Credentials,
) -> Error {
    let object = error_object(&reply.body);
    let code = object.as_ref().map(|object| object.code);
    let message = object.map_or_else(|| foreign::line(&reply.text(), BODY_CHARS), |object| object.message);
    let error = statement.failed(Kind::Server);
    let error = match code {
        Some(code) => error.because(format!("{} (code {code})", foreign::line(&message, MESSAGE_CHARS))),
        None if message.is_empty() => error.because(format!("{address} answered with status {}", reply.status)),
        None => error.because(format!("{address} answered with status {}", reply.status)).because(&message),
    };
    let error = error.hints(hint(code, reply.status, schema, credentials));
    error.refused(Refusal { status: reply.status, code, message, request: statement.text.into(), errors: None })
}

fn hint(code: Option<i32>, status: u16, schema: Option<&str>, credentials: &Credentials) -> Option<String> {
    match (code, schema) {
        (Some(code::RELATION_UNKNOWN), Some(schema)) => {
            return Some(format!("names without a schema are looked for in `{schema}`, the schema of this test"));
        }
        (Some(_), _) => return None,
        (None, _) => {}
    }
    let text = match (status, credentials) {
        // The password may be set, for another user.
        (401, Credentials::Basic { username, password }) if password.expose().is_empty() => {
            return Some(format!("no password was sent for user `{username}`"));
        }
        (401, Credentials::None) => "the server wants credentials: set CRATEDB_USERNAME and CRATEDB_PASSWORD",
        (401, Credentials::Basic { .. }) => {
            "check user and password: CRATEDB_USERNAME and CRATEDB_PASSWORD, or those in the address"
        }
        (401, Credentials::Jwt { .. }) => "the token of CrateDB Cloud was renewed once and refused again",
        (502..=504, _) => "a proxy answered: is the cluster running?",
        _ => return None,
    };
    Some(text.into())
}

/// The error for a successful answer that can't be read.
pub(crate) fn unreadable(reply: &Reply, statement: Statement<'_>, address: &str, why: &str) -> Error {
    let Reply { status, content_type, .. } = reply;
    let body = foreign::line(&reply.text(), BODY_CHARS);
    statement
        .failed(Kind::Decode)
        .because(format!("the answer of {address} is not one of CrateDB (status {status}, {content_type})"))
        .because(why)
        .because(if body.is_empty() { "it is empty".to_string() } else { format!("it begins with `{body}`") })
        .hint("is this the HTTP address of a CrateDB server?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_only_read_are_told_from_those_that_write() {
        for text in
            ["SELECT 1", "select(1)", "-- why\n/* not */ SELECT 1", "WITH a AS (SELECT 1) SELECT 2", "REFRESH TABLE t"]
        {
            assert!(Statement::new(text).only_reads(), "{text}");
        }
        for text in
            ["", "INSERT INTO t SELECT 1", "selection", "/* SELECT", "DELETE FROM t", "SET a = 1", "FETCH 1 FROM c"]
        {
            assert!(!Statement::new(text).only_reads(), "{text}");
        }
    }
}
